"""pace: threads share runs, except while one thread alone is faster."""

import random

import pytest

from int8rt.runtime.pace import LONGEST, SETTLING, SHORTEST, WINDOW, Pace


class Machine:
    """A clock, and how long runs take on it: alone, together."""

    def __init__(self):
        self.now, self.pace, self.random = 0.0, Pace(), random.Random(0)
        self.spent = {True: 0.0, False: 0.0}  # seconds alone, together

    def work(self, until, alone, together, noise=0.0, items=1):
        self.spent = {True: 0.0, False: 0.0}
        while self.now < until:
            is_alone = self.pace.is_alone
            seconds = items * (alone if is_alone else together) * (1 + noise * self.random.random())
            self.now += seconds
            self.spent[is_alone] += seconds
            self.pace.took(seconds, items)


@pytest.mark.parametrize("scale", [1e-4, 3e-3, 0.2])
def test_threads_share_runs_while_that_is_faster(scale):
    machine = Machine()
    machine.work(100 * scale, alone=1.5 * scale, together=scale, noise=0.2)
    assert machine.spent[True] == 0


def test_one_thread_runs_beside_busy_processes():
    machine = Machine()
    machine.work(1, alone=2.5e-3, together=1.7e-3)
    machine.work(20, alone=4e-3, together=7e-3, noise=0.5)
    assert machine.spent[False] < 0.1 * machine.spent[True]


def test_threads_come_back_when_neighbours_have_gone():
    machine = Machine()
    machine.work(1, alone=2.5e-3, together=1.7e-3)
    machine.work(20, alone=4e-3, together=7e-3)
    machine.work(20 + 2 * LONGEST, alone=2.5e-3, together=1.7e-3)
    assert not machine.pace.is_alone
    machine.work(100, alone=2.5e-3, together=1.7e-3)
    assert machine.spent[True] == 0


def test_a_slower_machine_on_which_threads_still_pay():
    """Trials become rare."""
    machine = Machine()
    machine.work(1, alone=2.5e-3, together=1.7e-3)
    machine.work(60, alone=5e-3, together=3.4e-3)
    assert 0 < machine.spent[True] < 0.08 * machine.spent[False]


def test_a_trial_is_judged_by_what_came_just_before():
    """Not by the long quiet time before the neighbours came."""
    machine = Machine()
    machine.work(100, alone=2.5e-3, together=1.7e-3)
    machine.work(100 + 15 * SHORTEST + 10 * (SETTLING + WINDOW), alone=4e-3, together=7e-3)
    assert machine.spent[True] > machine.spent[False]


def test_runs_of_several_items():
    machine = Machine()
    machine.work(1, alone=2.5e-3, together=1.7e-3, items=1)
    machine.work(2, alone=2.5e-3, together=1.7e-3, items=16)
    machine.work(3, alone=2.5e-3, together=1.7e-3, items=3)
    assert machine.spent[True] == 0
