"""The run loop of a program, and the threads that take its work side by side.

``run_table`` calls a table's entry points one after another. For several threads a run is cut into **tickets**: a call
that is worth sharing makes one for each of its parts, the calls between two such calls make one together. Threads take
tickets in order, and wait with each until all tickets of the calls before are done. So nobody waits for a thread that
has no ticket: where others keep the CPUs busy, the thread that asked for the run does all of it alone.

One word holds the number of the run and how many tickets are left. Who takes a ticket that there is has, until it is
done, the word that the run goes on and its record stays; who comes too late learns that from the same word, and who
takes one of the next run, that it is another run's.

Between runs the other threads spin for the next one for a while, then sleep: ``follow`` returns to Python, where they
wait for a semaphore. ``lead`` announces a run and says whether somebody has to be woken.
"""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from int8rt.memory import address
from int8rt.native.abi import METHOD, Signature, pack
from int8rt.native.entries import entry_point, native
from int8rt.native.kernel import Kernel, inline, kernel
from int8rt.runtime import calling
from int8rt.runtime.calling import call_arrays
from int8rt.simd.threads import atomic_add, atomic_load, atomic_swap, call, copy_bytes, give_way, pause, word_at

# Where things are in a team's int64 array; what different threads write is in different cache lines.
TICKETS, DONE = 0, 8  # the run's number and the tickets left; how many are done
RECORD, SLEEPERS, END = 16, 17, 18  # what to run, how many sleep, whether to end
FIRST, STEP = 24, 8  # of thread t at FIRST + STEP * t: the run, the tickets left when it took one, whether it sleeps
RUN, LEFT, SLEEPS = 0, 1, 2

ONE_RUN = 1 << 32  # of TICKETS' upper half; the lower one is
NONE_LEFT = 1 << 20  # less the number of those who asked in vain, plus the tickets left
LOWER = ONE_RUN - 1

PATIENCE = 50  # pauses before the CPU is offered to others, who may be the ones that are waited for
IDLE = 500  # pauses between runs before a thread goes to sleep: 50 to 300 microseconds


@kernel
def run_table(
    thread: int, threads: int, table: Any, tickets: Any, inputs: Any, outputs: Any, count: int, team: Any
) -> None:  # fmt: skip
    """Run a program ``count`` times.

    Rows of the table are (entry, record), rows of ``tickets`` (the first one's number, parts, row, end): the table's
    rows from one to before the other, which come in so many parts; 0 parts are not shared. The first and the last
    have 0 parts and copy what goes in and out. Rows of inputs and outputs are (caller's address, ours, bytes, flip);
    the caller's advance by bytes with each time.
    """
    if threads == 1:
        for item in range(count):
            copy_in(inputs, item)
            run_rows(table, 0, table.shape[0])
            copy_out(outputs, item)
        return
    last = tickets.shape[0] - 1
    each = tickets[last, 0] + 1
    mine = FIRST + STEP * thread
    left, team[mine + LEFT] = team[mine + LEFT], 0
    if left == 0:
        left = take(team, mine)
    item, i = 0, 0
    while left > 0:
        number = count * each - left
        if number // each != item:
            item, i = number // each, 0
        number -= item * each
        while i < last and tickets[i + 1, 0] <= number:
            i += 1
        wait(team, item * each + tickets[i, 0])
        if tickets[i, 1] != 0:
            row = tickets[i, 2]
            call(table[row, 0], table[row, 1], number - tickets[i, 0], tickets[i, 1])
        else:
            if i == 0:
                copy_in(inputs, item)
            run_rows(table, tickets[i, 2], tickets[i, 3])
            if i == last:
                copy_out(outputs, item)
        atomic_add(team, DONE, 1)
        left = take(team, mine)
    if thread == 0:
        wait(team, count * each)


TICKETS_WORD, COUNT_WORD = 3, 12  # of a record of run_table, in which an array takes three words
RUN_SIGNATURE: Signature = ("int64[2]", "int64[2]", "int64[2]", "int64[2]", "int", "int64[1]")


@inline
def run_rows(table: Any, row: int, end: int) -> None:
    """Call rows of the table that are not shared."""
    for i in range(row, end):
        call(table[i, 0], table[i, 1], 0, 1)


@inline
def copy_in(inputs: Any, item: int) -> None:
    """Bring one item of the caller's inputs into memory."""
    for i in range(inputs.shape[0]):
        n = inputs[i, 2]
        copy_bytes(inputs[i, 1], inputs[i, 0] + item * n, n, inputs[i, 3])


@inline
def copy_out(outputs: Any, item: int) -> None:
    """Bring one item of the outputs to the caller."""
    for i in range(outputs.shape[0]):
        n = outputs[i, 2]
        copy_bytes(outputs[i, 0] + item * n, outputs[i, 1], n, outputs[i, 3])


@inline
def take(team: Any, mine: int) -> int:
    """Take a ticket of the run that this thread is in: how many were left, itself included; 0 if none was.

    One of another run is kept for ``follow``.
    """
    word = atomic_add(team, TICKETS, -1)
    left = max((word & LOWER) - NONE_LEFT, 0)
    if left > 0 and word // ONE_RUN != team[mine + RUN]:
        team[mine + RUN], team[mine + LEFT] = word // ONE_RUN, left
        return 0
    return left


@inline
def wait(team: Any, number: int) -> None:
    """Wait until so many tickets are done."""
    waited = 0
    while atomic_load(team, DONE) < number:
        waited += 1
        pause()
        if waited > PATIENCE:
            give_way()


@kernel
def lead(team: Any, entry: int, record: int, threads: int) -> None:
    """Announce a run of run_table and, unless somebody sleeps, take part in it as thread 0.

    All tickets of the run before are done, so that nobody looks at what is changed here.
    """
    run = (atomic_load(team, TICKETS) // ONE_RUN + 1) & 0x7FFFFFFF
    ends = word_at(record + 8 * TICKETS_WORD) + 32 * (word_at(record + 8 * TICKETS_WORD + 8) - 1)
    tickets = word_at(record + 8 * COUNT_WORD) * (word_at(ends) + 1)
    team[DONE], team[RECORD], team[FIRST + RUN] = 0, record, run
    atomic_swap(team, TICKETS, run * ONE_RUN + NONE_LEFT + tickets)
    sleepers = 0
    for thread in range(1, threads):
        sleepers += atomic_add(team, FIRST + STEP * thread + SLEEPS, 0)
    team[SLEEPERS] = sleepers
    if sleepers == 0:
        call(entry, record, 0, threads)


@kernel
def follow(team: Any, entry: int, me: int, threads: int) -> None:
    """Take part in runs as they are announced; return when there was none for a while, or at the end."""
    mine = FIRST + STEP * me
    atomic_add(team, mine + SLEEPS, -team[mine + SLEEPS])
    waited = 0
    while team[END] == 0:
        if atomic_load(team, TICKETS) & LOWER > NONE_LEFT:
            word = atomic_add(team, TICKETS, -1)
            team[mine + RUN], team[mine + LEFT] = word // ONE_RUN, max((word & LOWER) - NONE_LEFT, 0)
            while team[mine + LEFT] != 0:
                call(entry, team[RECORD], me, threads)
            waited = 0
        waited += 1
        pause()
        if waited > PATIENCE:
            give_way()
        if waited > IDLE:
            # who announces a run changes TICKETS first and looks for sleepers then: one of the two sees the other
            atomic_add(team, mine + SLEEPS, 1)
            if atomic_add(team, TICKETS, 0) & LOWER <= NONE_LEFT:
                return
            atomic_add(team, mine + SLEEPS, -1)


SIGNATURE: Signature = ("int64[1]", "int", "int", "int")
RECORD_WORD = 3  # of lead's record: after an array of two words and the entry point
FIRST_THREAD, ONE_THREAD = ctypes.c_int64(0), ctypes.c_int64(1)  # made once: ctypes converts integers slowly


def tickets(parts: Sequence[int]) -> np.ndarray:
    """The tickets of one item for rows of a table that come in so many parts, 0 where they are not shared."""
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
    """Which entry points a team of that many threads needs."""
    others = [(lead, SIGNATURE), (follow, SIGNATURE)] if threads > 1 else []
    direct = [(call_arrays, METHOD)] if calling.is_supported() else []
    return [(run_table, RUN_SIGNATURE), *direct, *others]


class Team:
    """Threads side by side with the caller. Its array is what run_table's records mention."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.array = np.zeros(FIRST + STEP * threads, np.int64)
        self._process = -1
        self._run = native(run_table, RUN_SIGNATURE)

    def run(self, record: ctypes.c_void_p) -> None:
        """Run run_table with the record at that address, on all threads."""
        if self.threads == 1:
            self._run(record, FIRST_THREAD, ONE_THREAD)
            return
        if self._process != os.getpid():  # threads do not survive a fork
            self._start()
        self._lead_words[RECORD_WORD] = record.value or 0
        self._lead(self._lead_address, FIRST_THREAD, ONE_THREAD)
        if self.array[SLEEPERS]:
            for thread in range(1, self.threads):
                if self.array[FIRST + STEP * thread + SLEEPS]:
                    self._wake[thread - 1].release()
            self._run(record, FIRST_THREAD, ctypes.c_int64(self.threads))

    def _start(self) -> None:
        self._process = os.getpid()
        self.array[:] = 0
        entry = entry_point(run_table, RUN_SIGNATURE)
        self._lead_words = pack((self.array, entry, 0, self.threads))
        self._lead_address = ctypes.c_void_p(address(self._lead_words))
        self._lead = native(lead, SIGNATURE)
        self._wake = [threading.Semaphore(0) for _ in range(1, self.threads)]
        for thread, wake in enumerate(self._wake, 1):
            words = pack((self.array, entry, thread, self.threads))
            arguments = (self.array, words, native(follow, SIGNATURE), wake)
            threading.Thread(target=_member, args=arguments, name=f"int8rt-{thread}", daemon=True).start()
        weakref.finalize(self, _dismiss, self.array, self._wake, self._process)


def _member(array: np.ndarray, words: np.ndarray, follow: Any, wake: threading.Semaphore) -> None:
    """What a thread does until the team is dismissed; it must not keep the team alive."""
    while not array[END]:
        follow(address(words), 0, 1)
        if not array[END]:
            wake.acquire()


def _dismiss(array: np.ndarray, wake: list[threading.Semaphore], process: int) -> None:
    if process == os.getpid():
        array[END] = 1
        for semaphore in wake:
            semaphore.release()
