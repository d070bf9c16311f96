"""pool's invariants, in all interleavings of a few threads and runs; and that what breaks one of them is found."""

import ctypes
import functools
from pathlib import Path

import interleavings
import numpy as np
import pytest
from interleavings import Violation
from selection import exhaustive

from int8rt.memory import address
from int8rt.native.abi import pack
from int8rt.runtime import pool

KERNELS = (
    "run_table", "run_rows", "copy_in", "copy_out", "take", "finish", "wait", "sleep", "wake", "dispatch", "worker",
    "dismiss",
)  # fmt: skip
RUN_TABLE = -1  # as an entry point
ACQUIRE, RELEASE = -2, -3  # as functions of semaphores


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
        super().__init__(pool.SLOTS + pool.LINE * threads, threads, self.is_own)
        self.memory[pool.ACQUIRE], self.memory[pool.RELEASE] = ACQUIRE, RELEASE
        self.memory[pool.SLOTS + pool.SEMAPHORE :: pool.LINE] = range(threads)
        self.run, self.is_woken = None, False  # which one goes on; whether it has woken who sleeps
        self.level, self.begun, self.ended = 0, frozenset(), frozenset()  # what of the current level was called
        self.touched = [None] * threads  # which run's arrays a thread has used since its last step
        self.levels = levels(parts, count)
        self.arguments = {
            block: [Rows(self, run, a) if isinstance(a, np.ndarray) else a for a in arguments]
            for run, (block, arguments, _) in enumerate(blocks(runs, parts, count))
        }
        scope = {**vars(pool), "pause": lambda: None, "IDLE": 0, "PATIENCE": 0}
        scope |= {"word_at": lambda at: ctypes.c_int64.from_address(at).value}
        scope |= {"call": self.call, "copy_bytes": self.copy_bytes, "invoke": self.invoke}
        exec(interleavings.stepwise(source, (*KERNELS, "call", "copy_bytes", "invoke"), "pool"), scope)
        self.scope = scope
        self.add(self.caller(threads))
        for thread in range(1, threads):
            self.add(scope["worker"](None, RUN_TABLE, thread, threads))

    @staticmethod
    def is_own(at):
        """Whether one thread alone writes an element while others are there: a slot's but for PARKED, and functions."""
        return at in (pool.ACQUIRE, pool.RELEASE) or (at >= pool.SLOTS and at % pool.LINE != pool.PARKED)

    # Threads

    def caller(self, threads):
        """What ThreadPool.run does, and the end."""
        for run, block in enumerate(self.arguments):
            yield "note", "begin run", run
            yield from self.scope["dispatch"](None, RUN_TABLE, block, threads)
            yield "note", "end run"
        yield from self.scope["dismiss"](None, threads)

    def invoke(self, function, semaphore, *_):
        yield {ACQUIRE: "acquire", RELEASE: "release"}[function], semaphore

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
        if max(self.permits) > 1:
            raise Violation("a semaphore is released twice")
        asleep = [
            t for t, p in enumerate(self.pending)
            if p and p[0] == "acquire" and self.memory[pool.SLOTS + pool.LINE * t + pool.PARKED] == pool.UNTIL_RUN
        ]  # fmt: skip
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
        "        finish(pool, threads)\n        if phases[i, PARTS] != 0:\n",
    ),
    "nobody waits for the phases before": (
        (1, (2,)),
        "        wait(pool, mine, time * items + phases[i, FIRST])\n",
        "",
    ),
    "thread 0 does not wait for the others": ((1, ()), "        wait(pool, mine, times * items)\n", "        pass\n"),
    "a worker looks for a run before it says that it sleeps": (
        (1, ()),
        """            atomic_swap(pool, mine + PARKED, UNTIL_RUN)
            sleep(pool, mine, atomic_load(pool, ITEMS) & LOWER <= NONE_LEFT and atomic_load(pool, END) == 0)
""",
        """            is_needed = atomic_load(pool, ITEMS) & LOWER <= NONE_LEFT and atomic_load(pool, END) == 0
            atomic_swap(pool, mine + PARKED, UNTIL_RUN)
            sleep(pool, mine, is_needed)
""",
    ),
    "a worker does not look for the end before it sleeps": (
        (1, ()),
        "atomic_load(pool, ITEMS) & LOWER <= NONE_LEFT and atomic_load(pool, END) == 0)",
        "atomic_load(pool, ITEMS) & LOWER <= NONE_LEFT)",
    ),
    "workers are woken before the run is announced": (
        (1, ()),
        """    atomic_swap(pool, ITEMS, run * ONE_RUN + NONE_LEFT + items)
    wake(pool, threads, UNTIL_RUN)
""",
        """    wake(pool, threads, UNTIL_RUN)
    atomic_swap(pool, ITEMS, run * ONE_RUN + NONE_LEFT + items)
""",
    ),
    "workers are woken before they can see the end": (
        (1, ()),
        """    atomic_swap(pool, END, 1)
    wake(pool, threads, UNTIL_RUN)
""",
        """    wake(pool, threads, UNTIL_RUN)
    atomic_swap(pool, END, 1)
""",
    ),
    "a thread looks at what is done before it says that it waits": (
        (1, (2,)),
        """            atomic_swap(pool, mine + PARKED, number)
            sleep(pool, mine, atomic_load(pool, DONE) < number)
""",
        """            is_needed = atomic_load(pool, DONE) < number
            atomic_swap(pool, mine + PARKED, number)
            sleep(pool, mine, is_needed)
""",
    ),
    "waiters are looked for before an item is counted": (
        (1, (2,)),
        """    done = atomic_add(pool, DONE, 1) + 1
    if atomic_load(pool, WAITERS) > 0:
""",
        """    waiters = atomic_load(pool, WAITERS)
    done = atomic_add(pool, DONE, 1) + 1
    if waiters > 0:
""",
    ),
    "a thread is counted as a waiter after it sleeps": (
        (1, (2,)),
        """            atomic_add(pool, WAITERS, 1)
            atomic_swap(pool, mine + PARKED, number)
            sleep(pool, mine, atomic_load(pool, DONE) < number)
""",
        """            atomic_swap(pool, mine + PARKED, number)
            is_needed = atomic_load(pool, DONE) < number
            atomic_add(pool, WAITERS, 1)
            sleep(pool, mine, is_needed)
""",
    ),
    "who was woken does not use up the release": (
        (2, ()),
        "    if is_needed or atomic_swap(pool, mine + PARKED, 0) == 0:\n",
        "    atomic_load(pool, mine + PARKED)\n    if is_needed:\n",
    ),
    "two threads wake the same one": (
        (1, (2,)),
        "until <= done and atomic_swap(pool, mine + PARKED, 0) != 0:",
        "until <= done:",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_breaks_an_invariant_is_found(name):
    (runs, parts), before, after = BROKEN[name]
    assert SOURCE.count(before) == 1
    with pytest.raises(Violation):
        explored(SOURCE.replace(before, after), 2, runs, parts)
