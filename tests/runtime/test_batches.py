"""batches: whole items on threads of their own give what one thread gives, in whatever lane they run."""

import time

import numpy as np
import pytest
from engines import shared
from programs import build, convolutions, random_inputs, tensor
from writer import Op, T, network

from int8rt import InputError, limits
from int8rt.runtime import instance
from int8rt.runtime.instance import Instance


def alone_and_shared(threads, content=None):
    content = content or convolutions()
    return Instance(build(content)), Instance(build(content, sharing=shared(threads)))


def lanes_used(batches, run):
    """In which lanes the calls of a run left something."""
    arenas = [lane.memory.arena for lane in batches._lanes]
    for arena in arenas:
        arena[:] = 0x55
    run()
    return [lane for lane, arena in enumerate(arenas) if (arena != 0x55).any()]


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 40])
def test_results_are_those_of_one_thread(threads, count):
    alone, together = alone_and_shared(threads)
    for seed in range(5):
        inputs = random_inputs(alone.program, seed, count)
        assert np.array_equal(together.run(inputs, count)[0], alone.run(inputs, count)[0])


def test_all_threads_work():
    _, together = alone_and_shared(3)
    inputs = random_inputs(together.program, 0, 300)
    end = time.monotonic() + 60
    used = set()
    while len(used) < 3:
        assert time.monotonic() < end, f"only lanes {used} were used"
        used |= set(lanes_used(together._batches, lambda: together.run(inputs, 300)))


def test_native_calls_get_longer_until_they_take_a_while(monkeypatch):
    alone, together = alone_and_shared(2)
    inputs = random_inputs(alone.program, 0, 50)
    expected = alone.run(inputs, 50)[0]
    monkeypatch.setattr(instance, "MOST_TIME", 0)
    monkeypatch.setattr(instance, "LEAST_TIME", 0)
    for _ in range(20):
        assert np.array_equal(together.run(inputs, 50)[0], expected)
    assert together._items == 1
    monkeypatch.setattr(instance, "LEAST_TIME", 60)
    assert np.array_equal(together.run(inputs, 50)[0], expected)
    assert together._items > 10


def test_faults_of_all_lanes_are_seen():
    """The one bad item is the first or the last, and the run after it is as good as any."""
    x, i, y = tensor((64, 64)), T(np.int32, (50,)), tensor((50, 64))
    content = network([Op("GATHER", [x, i], [y], axis=0)], [x, i], [y])
    alone, together = alone_and_shared(2, content)
    values = np.zeros((8 * 64, 64), np.int8)
    good = np.zeros(8 * 50, np.int32)
    for at in (0, len(good) - 1):
        bad = good.copy()
        bad[at] = 64
        for runner in (alone, together):
            with pytest.raises(InputError, match="64"):
                runner.run([values, bad], 8)
            assert not runner.run([values, good], 8)[0].any()
    for _, words in together._batches.faults:  # as a kernel sets them, in whichever lane it runs
        words[:] = 1, 99
        with pytest.raises(InputError, match="99"):
            together.run([values, good], 8)


def test_what_has_variables_is_not_shared_out():
    """Its items depend on those before."""
    held, y = tensor((1, 4), is_variable=True), tensor((1, 4))
    x = tensor((1, 4))
    content = network([Op("ADD", [x, held], [y])], [x], [y], tensors=[held])
    _, together = alone_and_shared(2, content)
    assert together.program.variables
    assert together._batches is None


def test_without_memory_for_more_lanes_calls_are_shared():
    alone, together = alone_and_shared(2)
    inputs = random_inputs(alone.program, 0, 4)
    expected = alone.run(inputs, 4)[0]

    def fail(*args):
        raise limits.LimitError("none left")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(instance, "Batches", fail)
        assert np.array_equal(together.run(inputs, 4)[0], expected)
    assert together._batches is None
