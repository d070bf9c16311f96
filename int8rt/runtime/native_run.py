"""Calls that run one after another with no Python between them, in the form that ``pool.run_table`` takes them."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from int8rt.errors import InconsistentNode
from int8rt.graph import Tensor
from int8rt.memory import address
from int8rt.native.abi import argument_block
from int8rt.native.entries import entry_point
from int8rt.numerics.storage import storage_nbytes
from int8rt.plan.program import call_signature
from int8rt.runtime import calling
from int8rt.runtime.calling import Faults
from int8rt.runtime.memory import Memory
from int8rt.runtime.pace import Pace
from int8rt.runtime.pool import CALLER, FIRST, RUN_SIGNATURE, RUN_WORDS, Arguments, ThreadPool, phases, run_table
from int8rt.steps import Call

TIMES = RUN_WORDS["times"]
NO_PORTS = np.zeros((0, 4), np.int64)


class NativeCall(NamedTuple):
    """A kernel's entry point and its argument block."""

    entry: int
    block: np.ndarray
    arguments: list[Any]  # whose memory the block mentions
    parts: int  # in how many threads share it; 0 where they do not


def native_call(step: Call, memory: Memory, parts: int = 0) -> NativeCall:
    """A call on the memory of its tensors. Raises InconsistentNode where that is not what its kernel takes."""
    arguments, signature = memory.arguments(step), call_signature(step)
    try:
        block = argument_block(arguments, signature)
    except InconsistentNode as error:
        raise InconsistentNode(f"{step.name} would get {error}") from None
    return NativeCall(entry_point(step.kernel, signature), block, arguments, parts)


def ports(tensors: Sequence[Tensor], memory: Memory) -> np.ndarray:
    """What run_table copies in or out for tensors, int64 [tensors, 4]; whoever runs fills in the column CALLER."""
    rows = [(0, address(memory.array(t)), storage_nbytes(t), 0x80 if t.dtype == np.int8 else 0) for t in tensors]
    return np.array(rows, np.int64).reshape(-1, 4)


class NativeRun:
    """Calls as one native call, on the threads of a pool, with what is copied in before them and out after them."""

    def __init__(
        self,
        calls: Sequence[NativeCall],
        pool: ThreadPool,
        inputs: np.ndarray = NO_PORTS,
        outputs: np.ndarray = NO_PORTS,
    ) -> None:
        table = np.array([(call.entry, address(call.block)) for call in calls], np.int64).reshape(-1, 2)
        of_work = phases([call.parts for call in calls])
        items = int(of_work[-1, FIRST]) + 1
        self.inputs, self.outputs = inputs, outputs
        self._pool = pool
        arguments = Arguments(table, of_work, items, inputs, outputs, 1, pool.array)
        self._block = argument_block(arguments, RUN_SIGNATURE)
        self.address = address(self._block)
        self._address = ctypes.c_void_p(self.address)
        self._pace = Pace()
        self._kept = calls, table, of_work  # which the block mentions by address

    def __call__(self, times: int = 1, each: int = 1) -> None:
        """Run n times, each time on the next item of what the ports point to.

        each: how many items of a batch the calls themselves work on each time, so that times can be compared.
        """
        self._block[TIMES] = times
        if self._pool.threads == 1:
            self._pool.run_alone(self._address)
            return
        start = perf_counter()
        (self._pool.run_alone if self._pace.is_alone else self._pool.run)(self._address)
        self._pace.took(perf_counter() - start, times * each)

    def on(self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray], count: int) -> None:
        """Run on so many items that C-contiguous arrays hold one after another."""
        for table, arrays in ((self.inputs, inputs), (self.outputs, outputs)):
            for i, array in enumerate(arrays):  # one by one, since NumPy takes longer over a list of one or two
                table[i, CALLER] = address(array)
        self(count)

    def as_function(
        self, memory: Memory, inputs: Sequence[np.ndarray] = (), outputs: Sequence[np.ndarray] = (), faults: Faults = ()
    ) -> Callable[..., Any] | None:
        """``calling.bind`` of this run on arrays like these; it keeps alive what it needs."""
        run = entry_point(run_table, RUN_SIGNATURE)
        return calling.bind(run, self.address, self.inputs, inputs, outputs, faults, (self, memory))
