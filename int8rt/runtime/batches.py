"""Batches shared out by items: each thread runs whole items in memory of its own, and meets nobody in between.

A **lane** is what one item at a time runs in: an arena, and a table of calls on it. There are as many as threads. A
part of a batch, some items in a row, takes any lane that is free, so that a thread which the system puts aside delays
the items of one part only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from int8rt.memory import address
from int8rt.native.abi import Signature, argument_block, first_words
from int8rt.native.entries import entry_point
from int8rt.native.kernel import kernel
from int8rt.plan.program import Program
from int8rt.runtime.memory import Memory
from int8rt.runtime.native_run import TIMES, NativeCall, NativeRun, native_call, ports
from int8rt.runtime.pool import CALLER, LINE, NBYTES, RUN_SIGNATURE, ThreadPool, run_table
from int8rt.runtime.state import State
from int8rt.simd.threads import atomic_swap, call, put_word
from int8rt.steps import Call, Fault

PARTS = 8  # of a batch for each thread: a thread put aside holds up so small a share of it
PORT = 4 * 8  # bytes of a row of run_table's ports, which begins with the caller's address
TIMES_AT = 8 * TIMES  # in run_table's argument block, in bytes
IN_USE, BLOCK, INPUTS, OUTPUTS = range(4)  # of a lane: whether a thread has it, addresses of its block and its ports


@kernel
def run_items(thread: int, threads: int, lanes: Any, entry: int, inputs: Any, outputs: Any, count: int) -> None:
    """Run part ``thread`` of the ``threads`` parts of a batch in a lane that is free.

    lanes: int64, a line for each thread. entry: that of run_table. inputs, outputs: int64 [ports, 4] as run_table takes
    them, the caller's addresses those of the first of ``count`` items.
    """
    first = thread * count // threads
    items = (thread + 1) * count // threads - first
    if items == 0:
        return
    lane = 0
    while atomic_swap(lanes, lane + IN_USE, 1) != 0:
        lane += LINE
        if lane == lanes.shape[0]:
            lane = 0
    for i in range(inputs.shape[0]):
        put_word(lanes[lane + INPUTS] + PORT * i, inputs[i, CALLER] + first * inputs[i, NBYTES])
    for i in range(outputs.shape[0]):
        put_word(lanes[lane + OUTPUTS] + PORT * i, outputs[i, CALLER] + first * outputs[i, NBYTES])
    put_word(lanes[lane + BLOCK] + TIMES_AT, items)
    call(entry, lanes[lane + BLOCK], 0, 1)
    atomic_swap(lanes, lane + IN_USE, 0)


SIGNATURE: Signature = ("int64[1]", "int", "int64[2]", "int64[2]", "int")
_COUNT = first_words(("lanes", "entry", "inputs", "outputs", "count"), SIGNATURE)["count"]


class Lane(NamedTuple):
    """What one item at a time runs in."""

    memory: Memory
    run: NativeRun  # on one thread
    faults: Sequence[tuple[Fault, np.ndarray]]


class Batches:
    """Runs of a program without variables on several items at a time."""

    def __init__(self, program: Program, state: State, pool: ThreadPool, first: Memory) -> None:
        """``first`` is the memory of one lane. Raises LimitError where there is none for the others."""
        memories = [first, *(Memory(program, state) for _ in range(1, pool.threads))]
        self._lanes = [_lane(program, memory) for memory in memories]
        self.faults = [fault for lane in self._lanes for fault in lane.faults]
        rows = [(0, lane.run.address, address(lane.run.inputs), address(lane.run.outputs)) for lane in self._lanes]
        table = np.zeros((pool.threads, LINE), np.int64)
        table[:, : len(rows[0])] = rows
        self._inputs, self._outputs = self._lanes[0].run.inputs.copy(), self._lanes[0].run.outputs.copy()
        arguments = [table.reshape(-1), entry_point(run_table, RUN_SIGNATURE), self._inputs, self._outputs, 0]
        self._block = argument_block(arguments, SIGNATURE)
        entry = entry_point(run_items, SIGNATURE)
        self._run = NativeRun([NativeCall(entry, self._block, arguments, PARTS * pool.threads)], pool)

    def on(self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray], count: int) -> None:
        """Run on so many items that C-contiguous arrays hold one after another."""
        for table, arrays in ((self._inputs, inputs), (self._outputs, outputs)):
            for i, array in enumerate(arrays):
                table[i, CALLER] = address(array)
        self._block[_COUNT] = count
        self._run(each=count)


def _lane(program: Program, memory: Memory) -> Lane:
    calls = [native_call(step, memory) for step in program.calls if isinstance(step, Call)]
    run = NativeRun(calls, ThreadPool(1), ports(program.graph.inputs, memory), ports(program.graph.outputs, memory))
    return Lane(memory, run, [(t, memory.array(t)) for t in program.blocks if isinstance(t, Fault)])
