"""The native run loop of a program, and the pool of threads that shares its work.

``run_table`` calls a table's entry points one after another. For several threads a run is cut into **work items**: a
call that is worth sharing gives one for each of its parts, the calls between two such calls give one together. The
items of one such call, or the one item of what lies between two, are a **phase**. Threads take items in order, and wait
with each until all items of the phases before are done. So nobody waits for a thread that holds no item: where others
keep the CPUs busy, the thread that asked for the run does all of it alone.

One word, ITEMS, holds the number of the run in its upper half, and in its lower half NONE_LEFT plus the items left. To
take an item is to subtract 1 from it atomically. A run lasts from ``dispatch``, by thread 0, until thread 0 has found
DONE to be as large as the number of its items.

What keeps runs whole, in whatever order the threads do their steps (``test_pool_order.py`` tries all orders):

1. *Every item is taken by one thread.* Its number is the result of a subtraction from one word, and only ``dispatch``
   raises the word, with the run's number in the same store, when no item is left. The lower half does not borrow from
   the upper: with no item left a thread subtracts at most twice before the next run, once in ``worker`` and once in
   ``run_table``, and there are fewer than NONE_LEFT / 2 threads.
2. *No run ends before its items are done.* A thread adds 1 to DONE after the calls of an item have returned. Thread 0
   sets DONE to 0 before there are items of the next run, and the run before has ended by then.
3. *Who holds an item may use the run's argument block.* By 2 the run goes on until the holder adds to DONE, and BLOCK
   changes between runs only. After that addition, and without an item, a thread touches nothing but the pool's array.
4. *A late thread takes no item for one of a run that has ended.* It learns the run's number with the item. If that is
   not the number of the run whose arguments it has, it keeps the item as TAKEN and returns from ``run_table``;
   ``worker`` calls it again with what BLOCK says then, which by 3 is the argument block of that item's run.
5. *Phases run in order.* An item begins when DONE is at least the number of items before its phase. No item of that
   phase or of a later one is done by then, as each waits for the same or for more; so those done are all those before.
6. *Nobody waits forever.* Thread 0 takes items until none is left, so all are taken, if need be by thread 0 alone. The
   first item that is not done belongs to a phase before which all are done: who holds it does not wait.
7. *Sleepers are woken.* Who wants to sleep says so in PARKED and then looks once more at what it waits for; who changes
   that looks at PARKED afterwards. All four are sequentially consistent, so that one of the two sees the other: the
   first stays awake, or the second wakes it. The same holds of WAITERS, which spares most items a look at all PARKED.
8. *A semaphore is released once for each time that it is acquired.* Who sets PARKED back to 0, by a swap, has to
   release, and nobody else does; a thread that finds itself too late to take back its own PARKED acquires at once.
   A thread that is woken too early, since it sleeps for something else by then, sleeps again.
9. *Workers end with the pool.* END is set before they are woken, and looked at before each sleep.

Numbers of runs repeat after 2**31 runs: 4 takes it for granted that no thread is stopped for so long, half an hour at
least, between its addition to DONE and the subtraction that follows it.

Whoever waits, for items or for a run, spins for about as long as it takes to sleep and to be woken, and then sleeps in
the kernel. It does not offer its CPU by ``sched_yield``: where other processes keep the CPUs busy, that puts it behind
them for a whole time slice, at each of some sixty meetings of a run, whereas a sleeper keeps its right to run soon.
"""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from int8rt.memory import address
from int8rt.native.abi import METHOD, Signature, first_words, pack
from int8rt.native.entries import entry_point, native
from int8rt.native.kernel import Kernel, inline, kernel
from int8rt.runtime import calling
from int8rt.runtime.calling import call_arrays
from int8rt.runtime.semaphore import ACQUIRE_ADDRESS, RELEASE_ADDRESS, Semaphore
from int8rt.simd.threads import atomic_add, atomic_load, atomic_swap, call, copy_bytes, invoke, pause, word_at

# The pool's int64 array. What different threads write is in different cache lines.
LINE = 8  # elements of a cache line
ITEMS = 0  # the run's number and the items left
DONE, WAITERS = LINE, LINE + 1  # how many items are done; how many threads sleep until more are
BLOCK, END = 2 * LINE, 2 * LINE + 1  # run_table's argument block; whether to end
ACQUIRE, RELEASE = 2 * LINE + 2, 2 * LINE + 3  # addresses of the functions of semaphores
SLOTS = 3 * LINE  # a line for each thread:
RUN, TAKEN = 0, 1  # the run it is in; the items left, itself included, when it took one
PARKED, SEMAPHORE = 2, 3  # how many items have to be done before it is woken, 0 while it is awake; what it sleeps on

ONE_RUN = 1 << 32  # of the upper half of ITEMS
LOWER = ONE_RUN - 1
NONE_LEFT = 1 << 20  # in the lower half, less the number of subtractions in vain
LAST_RUN = (1 << 31) - 1

UNTIL_RUN = 1 << 62  # in PARKED: more items than any run has
PATIENCE = 1000  # pauses before a thread sleeps until others have done their items: 10 to 50 microseconds
IDLE = 3000  # pauses before a worker sleeps until the next run

# Columns
ENTRY, ARGUMENTS = range(2)  # of a table
FIRST, PARTS, ROW, END_ROW = range(4)  # of phases: the first item's number, parts, and which rows of the table
CALLER, OURS, NBYTES, FLIP = range(4)  # of inputs and outputs: addresses, bytes of one item of a batch, what to xor


@kernel
def run_table(
    thread: int, threads: int, table: Any, phases: Any, items: int, inputs: Any, outputs: Any, times: int, pool: Any
) -> None:  # fmt: skip
    """Run a program ``times`` times, each time on the next item of a batch.

    table: int64 [calls, 2], an entry point and the address of its argument block. phases: int64 [phases, 4], the number
    of the first of its work items, how many parts its one call has or 0 where it is not shared, and the table's rows
    from one to before the other. The first and the last are not shared, and copy what goes in and out. items: work
    items of one time. inputs, outputs: int64 [ports, 4], the caller's address, ours, bytes, and what each byte is
    exclusive-ored with; the caller's advance by bytes with each time.
    """
    if threads == 1:
        for time in range(times):
            copy_in(inputs, time)
            run_rows(table, 0, table.shape[0])
            copy_out(outputs, time)
        return
    last = phases.shape[0] - 1
    mine = SLOTS + LINE * thread
    left = pool[mine + TAKEN]
    pool[mine + TAKEN] = 0
    if left == 0:
        left = take(pool, mine)
    time, i = 0, 0
    while left > 0:
        number = times * items - left
        if number // items != time:
            time, i = number // items, 0
        number -= time * items
        while i < last and phases[i + 1, FIRST] <= number:
            i += 1
        wait(pool, mine, time * items + phases[i, FIRST])
        if phases[i, PARTS] != 0:
            row = phases[i, ROW]
            call(table[row, ENTRY], table[row, ARGUMENTS], number - phases[i, FIRST], phases[i, PARTS])
        else:
            if i == 0:
                copy_in(inputs, time)
            run_rows(table, phases[i, ROW], phases[i, END_ROW])
            if i == last:
                copy_out(outputs, time)
        finish(pool, threads)
        left = take(pool, mine)
    if thread == 0:
        wait(pool, mine, times * items)


class Arguments(NamedTuple):
    """Those of run_table behind ``thread, threads``, under the names of its parameters."""

    table: np.ndarray
    phases: np.ndarray
    items: int
    inputs: np.ndarray
    outputs: np.ndarray
    times: int
    pool: np.ndarray


RUN_SIGNATURE: Signature = ("int64[2]", "int64[2]", "int", "int64[2]", "int64[2]", "int", "int64[1]")


@inline
def run_rows(table: Any, row: int, end: int) -> None:
    """Call rows of the table that are not shared."""
    for i in range(row, end):
        call(table[i, ENTRY], table[i, ARGUMENTS], 0, 1)


@inline
def copy_in(inputs: Any, time: int) -> None:
    """Bring one item of the caller's inputs into memory."""
    for i in range(inputs.shape[0]):
        n = inputs[i, NBYTES]
        copy_bytes(inputs[i, OURS], inputs[i, CALLER] + time * n, n, inputs[i, FLIP])


@inline
def copy_out(outputs: Any, time: int) -> None:
    """Bring one item of the outputs to the caller."""
    for i in range(outputs.shape[0]):
        n = outputs[i, NBYTES]
        copy_bytes(outputs[i, CALLER] + time * n, outputs[i, OURS], n, outputs[i, FLIP])


@inline
def take(pool: Any, mine: int) -> int:
    """Take an item of the run that this thread is in: how many were left, itself included; 0 if none was.

    One of another run is kept for ``worker``.
    """
    word = atomic_add(pool, ITEMS, -1)
    left = max((word & LOWER) - NONE_LEFT, 0)
    if left > 0 and word // ONE_RUN != pool[mine + RUN]:
        pool[mine + RUN] = word // ONE_RUN
        pool[mine + TAKEN] = left
        return 0
    return left


@inline
def finish(pool: Any, threads: int) -> None:
    """Count an item as done, and wake who sleeps until so many are."""
    done = atomic_add(pool, DONE, 1) + 1
    if atomic_load(pool, WAITERS) > 0:
        wake(pool, threads, done)


@inline
def wait(pool: Any, mine: int, number: int) -> None:
    """Wait until so many items are done."""
    waited = 0
    while atomic_load(pool, DONE) < number:
        waited += 1
        if waited <= PATIENCE:
            pause()
        else:
            atomic_add(pool, WAITERS, 1)
            atomic_swap(pool, mine + PARKED, number)
            sleep(pool, mine, atomic_load(pool, DONE) < number)
            atomic_add(pool, WAITERS, -1)


@inline
def sleep(pool: Any, mine: int, is_needed: bool) -> None:
    """Sleep, having said so in PARKED, unless what is waited for has come since and nobody is about to wake us."""
    if is_needed or atomic_swap(pool, mine + PARKED, 0) == 0:
        invoke(pool[ACQUIRE], pool[mine + SEMAPHORE], 1, 0)


@inline
def wake(pool: Any, threads: int, done: int) -> None:
    """Wake all threads that sleep until so many items are done, or fewer."""
    for thread in range(threads):
        mine = SLOTS + LINE * thread
        until = atomic_load(pool, mine + PARKED)
        if until != 0 and until <= done and atomic_swap(pool, mine + PARKED, 0) != 0:
            invoke(pool[RELEASE], pool[mine + SEMAPHORE], 0, 0)


def _words(kernel: Kernel, signature: Signature) -> dict[str, int]:
    """Where each argument of a kernel begins in its argument block, by the parameter's name."""
    code = kernel.function.__code__
    return first_words(code.co_varnames[2 * kernel.is_parallel : code.co_argcount], signature)


RUN_WORDS = _words(run_table, RUN_SIGNATURE)
_TIMES, _ITEMS = (8 * RUN_WORDS[name] for name in ("times", "items"))  # in bytes


@kernel
def dispatch(pool: Any, entry: int, block: int, threads: int) -> None:
    """Begin a run of run_table, wake who sleeps, and take part in it as thread 0.

    The run before has ended, so that nobody looks at what is changed here.
    """
    run = (atomic_load(pool, ITEMS) // ONE_RUN + 1) & LAST_RUN
    items = word_at(block + _TIMES) * word_at(block + _ITEMS)
    pool[DONE] = 0
    pool[BLOCK] = block
    pool[SLOTS + RUN] = run
    atomic_swap(pool, ITEMS, run * ONE_RUN + NONE_LEFT + items)
    wake(pool, threads, UNTIL_RUN)
    call(entry, block, 0, threads)


@kernel
def worker(pool: Any, entry: int, me: int, threads: int) -> None:
    """Take part in runs as they are dispatched; return at the end of the pool."""
    mine = SLOTS + LINE * me
    waited = 0
    while atomic_load(pool, END) == 0:
        if atomic_load(pool, ITEMS) & LOWER > NONE_LEFT:
            word = atomic_add(pool, ITEMS, -1)
            pool[mine + RUN] = word // ONE_RUN
            pool[mine + TAKEN] = max((word & LOWER) - NONE_LEFT, 0)
            while pool[mine + TAKEN] != 0:
                call(entry, pool[BLOCK], me, threads)
            waited = 0
        waited += 1
        if waited <= IDLE:
            pause()
        else:
            atomic_swap(pool, mine + PARKED, UNTIL_RUN)
            sleep(pool, mine, atomic_load(pool, ITEMS) & LOWER <= NONE_LEFT and atomic_load(pool, END) == 0)
            waited = 0


@kernel
def dismiss(pool: Any, threads: int) -> None:
    """Let workers end."""
    atomic_swap(pool, END, 1)
    wake(pool, threads, UNTIL_RUN)


SIGNATURE: Signature = ("int64[1]", "int", "int", "int")  # of dispatch and worker
OF_DISMISS: Signature = ("int64[1]", "int")
_DISPATCHED = _words(dispatch, SIGNATURE)["block"]
FIRST_THREAD, ONE_THREAD = ctypes.c_int64(0), ctypes.c_int64(1)  # made once: ctypes converts integers slowly


def phases(parts: Sequence[int]) -> np.ndarray:
    """The phases of a table whose rows come in so many parts, 0 where they are not shared."""
    found: list[tuple[int, int, int, int]] = []
    first = begin = 0
    for row, count in enumerate(parts):
        if count:
            if begin < row or not found:
                found.append((first, 0, begin, row))
                first += 1
            found.append((first, count, row, row + 1))
            first, begin = first + count, row + 1
    return np.array([*found, (first, 0, begin, len(parts))], np.int64)


def kernels(threads: int) -> list[tuple[Kernel, Signature]]:
    """Which entry points a pool of that many threads needs."""
    others = [(dispatch, SIGNATURE), (worker, SIGNATURE), (dismiss, OF_DISMISS)] if threads > 1 else []
    direct = [(call_arrays, METHOD)] if calling.is_supported() else []
    return [(run_table, RUN_SIGNATURE), *direct, *others]


class ThreadPool:
    """The caller's thread and workers beside it. Its array is what argument blocks of run_table mention."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.array = np.zeros(SLOTS + LINE * threads, np.int64)
        self._process = -1
        self._run = native(run_table, RUN_SIGNATURE)

    def run(self, block: ctypes.c_void_p) -> None:
        """Run run_table with the argument block at that address, on all threads, which are more than one."""
        if self._process != os.getpid():  # threads do not survive a fork
            self._start()
        self._dispatch_words[_DISPATCHED] = block.value or 0
        self._dispatch(self._dispatch_block, FIRST_THREAD, ONE_THREAD)

    def run_alone(self, block: ctypes.c_void_p) -> None:
        """Run it on the caller's thread."""
        self._run(block, FIRST_THREAD, ONE_THREAD)

    def _start(self) -> None:
        self._process = os.getpid()
        semaphores = [Semaphore() for _ in range(self.threads)]
        self.array[:] = 0
        self.array[[ACQUIRE, RELEASE]] = ACQUIRE_ADDRESS, RELEASE_ADDRESS
        self.array[SLOTS + SEMAPHORE :: LINE] = [semaphore.address for semaphore in semaphores]
        entry = entry_point(run_table, RUN_SIGNATURE)
        self._dispatch_words = pack((self.array, entry, 0, self.threads))
        self._dispatch_block = ctypes.c_void_p(address(self._dispatch_words))
        self._dispatch = native(dispatch, SIGNATURE)
        for thread in range(1, self.threads):
            words = pack((self.array, entry, thread, self.threads))
            arguments = (native(worker, SIGNATURE), words, self.array, semaphores)
            threading.Thread(target=_work, args=arguments, name=f"int8rt-{thread}", daemon=True).start()
        weakref.finalize(self, _dismiss, native(dismiss, OF_DISMISS), self.array, self.threads, self._process)


def _work(worker: Any, words: np.ndarray, *_kept: object) -> None:
    """What a worker does until the pool is dismissed: it keeps alive what it needs, but not the pool."""
    worker(address(words), 0, 1)


def _dismiss(dismiss: Any, array: np.ndarray, threads: int, process: int) -> None:
    if process == os.getpid():
        words = pack((array, threads))
        dismiss(address(words), 0, 1)
