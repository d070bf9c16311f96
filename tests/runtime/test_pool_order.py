"""pool's invariants, in all interleavings of a few threads and runs; and that what breaks one of them is found."""

import ctypes
import functools
import os
from pathlib import Path

import interleavings
import numpy as np
import pytest
from interleavings import Violation
from selection import exhaustive

from int8rt.memory import address
from int8rt.native.abi import pack
from int8rt.runtime import pool

KERNELS = "run_table", "run_rows", "copy_in", "copy_out", "take", "wait", "dispatch", "worker"
FUNCTIONS = *KERNELS, "wake_sleepers", "_worker_thread", "_dismiss"
RUN_TABLE = -1  # as an entry point


IN, IN_MEMORY, OUT, OUT_MEMORY = 1000, 2000, 3000, 4000  # addresses of one byte for each time


def levels(parts, count):
    """The calls of a run that may overlap, level by level; what is copied is a call too."""
    rows = [{(row, part) for part in range(max(n, 1))} for row, n in enumerate(parts)]
    return [level for time in range(count) for level in ([{("in", time)}, *rows, {("out", time)}])]


@functools.cache
def blocks(runs, parts, count):
    """The argument blocks of runs: address, what run_table gets, and what has to stay in memory."""
    found = []
    for run in range(runs):
        table = np.array([(row, run) for row in range(len(parts))], np.int64).reshape(-1, 2)
        ports = (np.array([row], np.int64) for row in ((IN, IN_MEMORY, 1, 0), (OUT, OUT_MEMORY, 1, 0)))
        phases = pool.phases(parts)
        items = int(phases[-1, pool.FIRST]) + 1
        arguments = pool.Arguments(table, phases, items, *ports, count, np.zeros(1, np.int64))
        words = pack(arguments)
        found.append((address(words), arguments, words))
    return found


class Rows:
    """An array that belongs to a run, to be used while the run lasts."""

    def __init__(self, world, run, rows):
        self.world, self.key, self.rows, self.shape = world, run, rows, rows.shape

    def __getitem__(self, at):
        self.world.touched[self.world.running] = self.key
        return int(self.rows[at])


class Runs(interleavings.World):
    """Runs of a table on a pool: each has a table of its own, whose calls must be made once and in order."""

    def __init__(self, source, threads, runs, parts, count=1):
        super().__init__(pool.SLOTS + pool.LINE * threads, threads - 1, self.is_own)
        self.run, self.is_woken = None, False  # which one goes on; whether it has woken who sleeps
        self.level, self.begun, self.ended = 0, frozenset(), frozenset()  # what of the current level was called
        self.touched = [None] * threads  # which run's arrays a thread has used since its last step
        self.levels = levels(parts, count)
        self.arguments = {
            block: [Rows(self, run, a) if isinstance(a, np.ndarray) else a for a in arguments]
            for run, (block, arguments, _) in enumerate(blocks(runs, parts, count))
        }
        scope = {**vars(pool), **dict.fromkeys(("pause", "give_way"), lambda: None), "IDLE": 0}
        scope |= {"word_at": lambda at: ctypes.c_int64.from_address(at).value, "address": lambda words: words}
        scope |= {"call": self.call, "copy_bytes": self.copy_bytes}
        exec(interleavings.stepwise(source, (*FUNCTIONS, "call", "copy_bytes"), "pool"), scope)
        self.scope = scope
        wake = [interleavings.Semaphore(i) for i in range(threads - 1)]
        self.add(self.caller(threads, wake))
        for thread in range(1, threads):
            self.add(
                scope["_worker_thread"](None, None, functools.partial(self.worker, thread, threads), wake[thread - 1])
            )

    @staticmethod
    def is_own(at):
        """Whether one thread alone uses an element: SLEEPERS, and a slot's but for SLEEPS."""
        return at == pool.SLEEPERS or (at >= pool.SLOTS and at % pool.LINE != pool.SLEEPS)

    # Threads

    def caller(self, threads, wake):
        """What ThreadPool.run does, and the end."""
        for run, (block, arguments) in enumerate(self.arguments.items()):
            yield "note", "begin run", run
            yield from self.scope["dispatch"](None, RUN_TABLE, block, threads)
            if (yield "load", pool.SLEEPERS):
                yield from self.scope["wake_sleepers"](None, wake)
                yield "note", "woken"
                yield from self.scope["run_table"](0, threads, *arguments)
            yield "note", "end run"
        yield from self.scope["_dismiss"](None, wake, os.getpid())

    def worker(self, thread, threads, *_):
        return self.scope["worker"](None, RUN_TABLE, thread, threads)

    def call(self, entry, block, part, parts):
        if entry == RUN_TABLE:
            if part == 0:
                yield "note", "woken"
            if block not in self.arguments:
                raise Violation("a thread takes part in a run before there is an argument block")
            yield from self.scope["run_table"](part, parts, *self.arguments[block])
        else:
            yield from self.work((entry, part), block)  # of a table: the row and the run

    def copy_bytes(self, target, source, nbytes, flip):
        yield from self.work(("in", source - IN) if target == IN_MEMORY else ("out", target - OUT), None)

    def work(self, what, run):
        yield "begin", what, run
        yield "end", what

    # What is watched

    def watch(self, name, *args):
        name, *args = args if name == "note" else (name, *args)
        getattr(self, name.replace(" ", "_"))(*args)

    def begin_run(self, run):
        self.run, self.level, self.begun, self.ended = run, 0, frozenset(), frozenset()

    def woken(self):
        self.is_woken = True

    def end_run(self):
        if self.level < len(self.levels):
            raise Violation(f"run {self.run} has ended without {self.levels[self.level :]}")
        self.run, self.is_woken = None, False

    def begin(self, what, run):
        if run not in (None, self.run):
            raise Violation(f"{what} of run {run} is called in run {self.run}")
        if what in self.begun or what not in [*self.levels, ()][self.level]:
            raise Violation(f"{what} is called twice, too early or too late")
        self.begun |= {what}

    def end(self, what):
        self.ended |= {what}
        if self.ended == self.levels[self.level]:
            self.level, self.begun, self.ended = self.level + 1, frozenset(), frozenset()

    def check(self):
        used = self.touched[self.running]
        if used not in (None, self.run):
            raise Violation(f"the arguments of run {used} are used after its end")
        self.touched[self.running] = None
        left = (self.memory[pool.ITEMS] & pool.LOWER) - pool.NONE_LEFT
        asleep = [p for p in self.pending if p and p[0] == "acquire" and not self.permits[p[1].key]]
        if self.is_woken and left > 0 and asleep:
            raise Violation(f"{len(asleep)} threads sleep while there is work")

    def watched(self):
        return self.run, self.is_woken, self.level, self.begun, self.ended, tuple(self.touched)


SOURCE = Path(pool.__file__).read_text(encoding="utf-8")


def explored(source, threads, runs, parts, count=1):
    """How many states runs of a table with these parts have."""
    return interleavings.explore(lambda: Runs(source, threads, runs, parts, count))


# Threads, runs, parts of each row of the table, and times
FEW = (2, 1, (0, 2), 1), (2, 2, (), 1), (2, 1, (), 2)
MORE = (2, 2, (2,), 1), (3, 1, (), 1)


@pytest.mark.parametrize("case", [*FEW, *exhaustive(*MORE)], ids=str)
def test_every_interleaving(case):
    assert explored(SOURCE, *case) > 500


# How many runs, and which parts, are enough to find what comes of a change of the source
BROKEN = {
    "a run is announced before its argument block": (
        (1, ()),
        """    pool[BLOCK] = block
    pool[SLOTS + RUN] = run
    atomic_swap(pool, ITEMS, run * ONE_RUN + NONE_LEFT + items)
""",
        """    pool[SLOTS + RUN] = run
    atomic_swap(pool, ITEMS, run * ONE_RUN + NONE_LEFT + items)
    pool[BLOCK] = block
""",
    ),
    "a run is announced before the count of items begins": (
        (1, ()),
        """    pool[DONE] = 0
    pool[BLOCK] = block
    pool[SLOTS + RUN] = run
    atomic_swap(pool, ITEMS, run * ONE_RUN + NONE_LEFT + items)
""",
        """    pool[BLOCK] = block
    pool[SLOTS + RUN] = run
    atomic_swap(pool, ITEMS, run * ONE_RUN + NONE_LEFT + items)
    pool[DONE] = 0
""",
    ),
    "items of all runs are alike": ((2, ()), "if left > 0 and word // ONE_RUN != pool[mine + RUN]:", "if False:"),
    "an item of another run is forgotten": ((2, ()), "        pool[mine + TAKEN] = left\n", ""),
    "an item is taken in two steps": (
        (1, ()),
        "    word = atomic_add(pool, ITEMS, -1)\n    left",
        "    word = atomic_load(pool, ITEMS)\n    atomic_swap(pool, ITEMS, word - 1)\n    left",
    ),
    "an item is done before its calls": (
        (1, ()),
        "        if phases[i, PARTS] != 0:\n",
        "        atomic_add(pool, DONE, 1)\n        if phases[i, PARTS] != 0:\n",
    ),
    "nobody waits for the phases before": ((1, (2,)), "        wait(pool, time * items + phases[i, FIRST])\n", ""),
    "thread 0 does not wait for the others": ((1, ()), "        wait(pool, times * items)\n", "        pass\n"),
    "a worker looks for a run before it says that it sleeps": (
        (1, ()),
        """            atomic_add(pool, mine + SLEEPS, 1)
            if atomic_add(pool, ITEMS, 0) & LOWER <= NONE_LEFT:
                return
            atomic_add(pool, mine + SLEEPS, -1)
""",
        """            if atomic_add(pool, ITEMS, 0) & LOWER <= NONE_LEFT:
                atomic_add(pool, mine + SLEEPS, 1)
                return
""",
    ),
    "sleepers are counted before the run is announced": (
        (1, ()),
        """    atomic_swap(pool, ITEMS, run * ONE_RUN + NONE_LEFT + items)
    sleepers = 0
    for thread in range(1, threads):
        sleepers += atomic_add(pool, SLOTS + LINE * thread + SLEEPS, 0)
""",
        """    sleepers = 0
    for thread in range(1, threads):
        sleepers += atomic_add(pool, SLOTS + LINE * thread + SLEEPS, 0)
    atomic_swap(pool, ITEMS, run * ONE_RUN + NONE_LEFT + items)
""",
    ),
    "workers are woken before they can see the end": (
        (1, ()),
        """        pool[END] = 1
        for semaphore in wake:
            semaphore.release()
""",
        """        for semaphore in wake:
            semaphore.release()
        pool[END] = 1
""",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_breaks_an_invariant_is_found(name):
    (runs, parts), before, after = BROKEN[name]
    assert SOURCE.count(before) == 1
    with pytest.raises(Violation):
        explored(SOURCE.replace(before, after), 2, runs, parts)
