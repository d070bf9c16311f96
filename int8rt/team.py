"""The run loop of a program, and the threads that walk it side by side.

``run_table`` calls a table's entry points one after another. With several threads each walks the whole table: rows
that are worth sharing are split inside their kernels, the others run on thread 0, and the threads meet wherever one
may need what another wrote. A meeting counts arrivals, which only grow, so that a thread that is late in leaving one
meeting cannot be confused by the next.

Between runs the other threads spin for the next one for a while, then sleep: ``follow`` returns to Python, where they
wait for a semaphore. ``lead`` announces a run and says whether somebody has to be woken.
"""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from typing import Any

import numpy as np

from int8rt import calling, jit
from int8rt.calling import call_arrays
from int8rt.simd import atomic_add, atomic_load, call, copy_bytes, give_way, pause

# Where things are in a team's int64 array; what different threads write is in different cache lines.
ARRIVALS, BASE = 0, 8  # how many arrivals there were, and how many before this run
GENERATION, RECORD, SLEEPERS, END = 16, 17, 18, 19  # number of runs, what to run, how many sleep, whether to end
FIRST, STEP = 24, 8  # of thread t at FIRST + STEP * t: the last generation that it saw, whether it sleeps
SEEN, SLEEPS = 0, 1

PATIENCE = 2000  # pauses in a meeting before the CPU is offered to others
IDLE = 5000  # pauses between runs before a thread goes to sleep: about 100 microseconds


@jit.kernel
def run_table(
    thread: int, threads: int, table: Any, inputs: Any, outputs: Any, count: int, team: Any
) -> None:  # fmt: skip
    """Run a program ``count`` times.

    Rows of the table are (entry, record, shared, meet): whether threads share the work, and whether they meet
    afterwards. Rows of inputs and outputs are (caller's address, ours, bytes, flip); the caller's advance by bytes
    with each time.
    """
    target = team[BASE]
    for item in range(count):
        if thread == 0:
            for i in range(inputs.shape[0]):
                n = inputs[i, 2]
                copy_bytes(inputs[i, 1], inputs[i, 0] + item * n, n, inputs[i, 3])
        target = meet(team, target, threads)
        for i in range(table.shape[0]):
            if table[i, 2] != 0:
                call(table[i, 0], table[i, 1], thread, threads)
            elif thread == 0:
                call(table[i, 0], table[i, 1], 0, 1)
            if table[i, 3] != 0:
                target = meet(team, target, threads)
        if thread == 0:
            for i in range(outputs.shape[0]):
                n = outputs[i, 2]
                copy_bytes(outputs[i, 0] + item * n, outputs[i, 1], n, outputs[i, 3])


RUN_SIGNATURE: jit.Signature = ("int64[2]", "int64[2]", "int64[2]", "int", "int64[1]")


@jit.inline
def meet(team: Any, target: int, threads: int) -> int:
    """Wait until all threads are here; gives the target of the next meeting."""
    if threads == 1:
        return target
    target += threads
    if atomic_add(team, ARRIVALS, 1) + 1 < target:
        waited = 0
        while atomic_load(team, ARRIVALS) < target:
            waited += 1
            pause()
            if waited > PATIENCE:
                give_way()
    return target


@jit.kernel
def lead(team: Any, entry: int, record: int, threads: int) -> None:
    """Announce a run of run_table and, unless somebody sleeps, take part in it as thread 0."""
    team[BASE] = atomic_load(team, ARRIVALS)
    team[RECORD] = record
    atomic_add(team, GENERATION, 1)
    sleepers = 0
    for thread in range(1, threads):
        sleepers += atomic_add(team, FIRST + STEP * thread + SLEEPS, 0)
    team[SLEEPERS] = sleepers
    if sleepers == 0:
        call(entry, record, 0, threads)


@jit.kernel
def follow(team: Any, entry: int, me: int, threads: int) -> None:
    """Take part in runs as they are announced; return when there was none for a while, or at the end."""
    mine = FIRST + STEP * me
    atomic_add(team, mine + SLEEPS, -team[mine + SLEEPS])
    while True:
        waited = 0
        while atomic_load(team, GENERATION) == team[mine + SEEN]:
            waited += 1
            pause()
            if waited > IDLE:
                # who announces a run adds to GENERATION first and looks for sleepers then: one of the two sees the
                # other
                atomic_add(team, mine + SLEEPS, 1)
                if atomic_add(team, GENERATION, 0) == team[mine + SEEN]:
                    return
                atomic_add(team, mine + SLEEPS, -1)
        team[mine + SEEN] += 1
        if team[END] != 0:
            return
        call(entry, team[RECORD], me, threads)


SIGNATURE: jit.Signature = ("int64[1]", "int", "int", "int")


RECORD_WORD = 3  # of lead's record: after an array of two words and the entry point
FIRST_THREAD, ONE_THREAD = ctypes.c_int64(0), ctypes.c_int64(1)  # made once: ctypes converts integers slowly


def kernels(threads: int) -> list[tuple[jit.Kernel, jit.Signature]]:
    """Which entry points a team of that many threads needs."""
    others = [(lead, SIGNATURE), (follow, SIGNATURE)] if threads > 1 else []
    direct = [(call_arrays, jit.METHOD)] if calling.is_supported() else []
    return [(run_table, RUN_SIGNATURE), *direct, *others]


class Team:
    """Threads side by side with the caller. Its array is what run_table's records mention."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.array = np.zeros(FIRST + STEP * threads, np.int64)
        self._process = -1
        self._run = jit.native(run_table, RUN_SIGNATURE)

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
        entry = run_table.entry(RUN_SIGNATURE)
        self._lead_words = jit.pack((self.array, entry, 0, self.threads))
        self._lead_address = ctypes.c_void_p(jit.address(self._lead_words))
        self._lead = jit.native(lead, SIGNATURE)
        self._wake = [threading.Semaphore(0) for _ in range(1, self.threads)]
        for thread, wake in enumerate(self._wake, 1):
            words = jit.pack((self.array, entry, thread, self.threads))
            arguments = (self.array, words, jit.native(follow, SIGNATURE), wake)
            threading.Thread(target=_member, args=arguments, name=f"int8rt-{thread}", daemon=True).start()
        weakref.finalize(self, _dismiss, self.array, self._wake, self._process)


def _member(array: np.ndarray, words: np.ndarray, follow: Any, wake: threading.Semaphore) -> None:
    """What a thread does until the team is dismissed; it must not keep the team alive."""
    while not array[END]:
        follow(jit.address(words), 0, 1)
        if not array[END]:
            wake.acquire()


def _dismiss(array: np.ndarray, wake: list[threading.Semaphore], process: int) -> None:
    if process == os.getpid():
        array[END] = 1
        array[GENERATION] += 1
        for semaphore in wake:
            semaphore.release()
