"""A Program with memory: the arena, an argument block per call, and the table of calls that a compiled loop walks.

``pool`` has the loop and its threads.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from int8rt.errors import InputError
from int8rt.graph import Node, Tensor
from int8rt.memory import SLACK, address, allocate
from int8rt.native.abi import Signature, pack
from int8rt.native.entries import Progress, entry_point
from int8rt.native.helpers import compile_all
from int8rt.native.kernel import Kernel
from int8rt.numerics.storage import from_storage, storage_dtype, storage_nbytes, to_storage
from int8rt.plan.program import Program, call_signature
from int8rt.runtime import calling
from int8rt.runtime.pool import FIRST, RUN_SIGNATURE, RUN_WORDS, Arguments, ThreadPool, phases, run_table
from int8rt.runtime.pool import kernels as pool_kernels
from int8rt.runtime.state import State
from int8rt.steps import Call, Fault, Flat, PythonCall


def entry_points(program: Program) -> list[tuple[Kernel, Signature]]:
    """Which entry points running a program needs: those of its calls, and of the loop that makes them."""
    return [*pool_kernels(program.sharing.threads), *program.kernels()]


class Instance:
    """A program with memory of its own. One thread at a time may run it.

    ``state`` holds its variables, ``pool`` runs what threads share; both are its own if not given.
    """

    def __init__(
        self,
        program: Program,
        progress: Progress | None = None,
        state: State | None = None,
        pool: ThreadPool | None = None,
    ) -> None:
        compile_all(entry_points(program), progress)
        self.program = program
        self.state = state or State()
        self._memory = allocate(program.plan.nbytes + SLACK)
        self._arrays: dict[Tensor, np.ndarray] = {}
        self._keep: list[Any] = []  # records, which the table mentions by address
        self._stretches = self._make_stretches()
        self._inputs = self._ports(program.graph.inputs)
        self._outputs = self._ports(program.graph.outputs)
        is_shared = any(isinstance(s, Table) and len(s.phases) > 1 for s in self._stretches)
        self.pool = (pool or ThreadPool(program.sharing.threads)) if is_shared else ThreadPool(1)
        self._parts = [self._part(s) for s in self._stretches]
        self._whole = self._record(self._stretches[0], self._inputs, self._outputs) if self.is_native else None
        self._faults = [(t, self.array(t)) for t in program.blocks if isinstance(t, Fault)]
        self.direct = self._bind() if self.is_native else None

    @property
    def is_native(self) -> bool:
        """Whether a run is one native call."""
        return len(self._stretches) == 1 and isinstance(self._stretches[0], Table)

    # Memory

    def array(self, tensor: Tensor) -> np.ndarray:
        """The memory of a tensor, in storage form; a constant's is read-only."""
        if tensor not in self._arrays:
            self._arrays[tensor] = self._place(tensor)
        return self._arrays[tensor]

    def _place(self, tensor: Tensor) -> np.ndarray:
        root, start = self.program.place(tensor)
        if root is tensor and tensor in self.program.constants:
            return self.program.constants[tensor]
        raw = self._bytes(root)[start : start + storage_nbytes(tensor)]
        return raw.view(storage_dtype(tensor.dtype)).reshape(tensor.shape)

    def _bytes(self, root: Tensor) -> np.ndarray:
        """The memory of a tensor that lives in no other one."""
        if root in self.program.constants:
            return self.program.constants[root].reshape(-1).view(np.uint8)
        if root.is_variable:
            return self.state.array(self.program.graph.index, root).reshape(-1).view(np.uint8)
        start = self.program.plan.offsets[root]
        return self._memory[start : start + storage_nbytes(root)]

    def read(self, tensor: Tensor) -> np.ndarray:
        """A copy of a tensor's value in its own type."""
        return from_storage(self.array(tensor), tensor.dtype)

    def write(self, tensor: Tensor, value: np.ndarray) -> None:
        """Set the value of an input or a variable."""
        self.array(tensor)[...] = to_storage(np.asarray(value, tensor.dtype)).reshape(tensor.shape)

    def holds(self, tensor: Tensor) -> bool:
        """Whether the tensor has memory here."""
        root = self.program.root(tensor)
        program = self.program
        return root in program.constants or root in program.plan.offsets or root in program.variables

    def reset(self) -> None:
        """Set every variable tensor to zero."""
        self.state.reset_variables()

    # The table

    def _make_stretches(self) -> list[Any]:
        """The calls in order: tables of native ones, and between them those that run in Python."""
        stretches: list[Any] = [[]]
        for step in self.program.calls:
            if isinstance(step, PythonCall):
                stretches += [step, []]
            else:
                stretches[-1].append(self._row(step))
        return [
            _table(s) if isinstance(s, list) else s
            for s in stretches
            if not isinstance(s, list) or s or len(stretches) == 1
        ]

    def _row(self, step: Call) -> tuple[int, int, int]:
        args = self._arguments(step)
        record = pack(args)
        self._keep += [record, args]
        parts = self.program.sharing.parts_of(step)
        return entry_point(step.kernel, call_signature(step)), address(record), parts if parts > 1 else 0

    def _arguments(self, step: Call | PythonCall) -> list[Any]:
        return [self._argument(arg) for arg in step.args]

    def _argument(self, arg: Any) -> Any:
        if isinstance(arg, Flat):
            return self.array(arg.tensor).reshape(-1).view(arg.dtype)
        return self.array(arg) if isinstance(arg, Tensor) else arg

    def runners(self) -> list[tuple[Node, Call, Callable[[int], None]]]:
        """Every call by itself, as a function that runs it so many times on one thread on what is in memory."""
        return [(n, s, self._runner(s)) for n, s in self.program.steps if isinstance(s, Call)]

    def _runner(self, step: Call) -> Callable[[int], None]:
        if isinstance(step, PythonCall):
            function, args = step.function, self._arguments(step)

            def run_python(times: int) -> None:
                for _ in range(times):
                    function(*args)

            return run_python
        entry, address, _ = self._row(step)
        no_ports = np.zeros((0, 4), np.int64)
        record = self._record(_table([(entry, address, 0)]), no_ports, no_ports)
        alone = ThreadPool(1)

        def run_native(times: int) -> None:
            record.words[RUN_WORDS["times"]] = times
            alone.run(record.address)

        return run_native

    def _ports(self, tensors: Sequence[Tensor]) -> np.ndarray:
        rows = [(0, address(self.array(t)), storage_nbytes(t), 0x80 if t.dtype == np.int8 else 0) for t in tensors]
        return np.array(rows, np.int64).reshape(-1, 4)

    def _record(self, table: Table, inputs: np.ndarray, outputs: np.ndarray) -> Record:
        words = pack(Arguments(table.rows, table.phases, table.items, inputs, outputs, 1, self.pool.array))
        self._keep += [words, table, inputs, outputs]
        return Record(words, ctypes.c_void_p(address(words)))

    def _part(self, stretch: Any) -> Callable[[], None]:
        """What runs one stretch on what is in memory."""
        if isinstance(stretch, PythonCall):
            return functools.partial(stretch.function, *self._arguments(stretch))
        no_ports = np.zeros((0, 4), np.int64)
        record = self._record(stretch, no_ports, no_ports)
        if self.pool.threads > 1:
            return functools.partial(self._call, record)
        return self._function(record, no_ports) or functools.partial(self._call, record)

    def _bind(self) -> Callable[..., Any] | None:
        """A run on one item as a function of arrays, with which ``calling`` is faster than anything in Python.

        None where threads share the work, where outputs are so large that copying them costs more, and where a run
        that ends in an error could not be repeated: the function leaves errors to ``run``.
        """
        graph = self.program.graph
        if self._faults and self.program.variables:
            return None
        if self.pool.threads > 1 or sum(t.nbytes for t in graph.outputs) > COPIED_BYTES:
            return None
        inputs, outputs = ([np.zeros(t.shape, t.dtype) for t in ts] for ts in (graph.inputs, graph.outputs))
        tables = self._inputs.copy(), self._outputs.copy()
        tables[1][:, 0] = [address(y) for y in outputs]
        record = self._record(self._stretches[0], *tables)
        faults = [words for _, words in self._faults]
        return self._function(record, tables[0], inputs, outputs, faults)

    def _function(
        self, record: Record, places: np.ndarray, inputs: Sequence[np.ndarray] = (),
        outputs: Sequence[np.ndarray] = (), faults: Sequence[np.ndarray] = (),
    ) -> Callable[..., Any] | None:  # fmt: skip
        """``calling.bind`` of a record."""
        run, keep = entry_point(run_table, RUN_SIGNATURE), (self._keep, self._memory)
        return calling.bind(run, record.address.value or 0, places, inputs, outputs, faults, keep)

    # Running

    def run(self, inputs: Sequence[np.ndarray], count: int = 1) -> list[np.ndarray]:
        """The outputs for inputs that hold ``count`` items each, one after another along the first axis.

        Inputs must be C-contiguous arrays of the graph's types; results are new arrays. Those of rank 0 become one
        of rank 1 if count > 1. Raises InputError where inputs hold indices that are out of range.
        """
        if self.direct is not None and count == 1:
            found = self.direct(*inputs)
            if found is not None:
                return list(found) if isinstance(found, tuple) else [found]
        outputs = [self._new_output(t, count) for t in self.program.graph.outputs]
        if self._whole is not None:
            for table, arrays in ((self._inputs, inputs), (self._outputs, outputs)):
                for i, array in enumerate(arrays):  # one by one, since NumPy takes longer over a list of one or two
                    table[i, 0] = address(array)
            self._whole.words[RUN_WORDS["times"]] = count
            self._call(self._whole)
            self._raise_faults()
            return outputs
        for item in range(count):
            for t, x in zip(self.program.graph.inputs, inputs, strict=True):
                self.write(t, x.reshape(count, *t.shape)[item])
            self.invoke()
            for t, y in zip(self.program.graph.outputs, outputs, strict=True):
                y.reshape(count, *t.shape)[item] = self.read(t)
        return outputs

    def invoke(self) -> None:
        """Run once on the inputs that are in memory."""
        for part in self._parts:
            part()
        self._raise_faults()

    def _raise_faults(self) -> None:
        """Raise InputError where kernels found values out of range; what they computed is not to be used."""
        found = [(fault, int(words[1])) for fault, words in self._faults if words[0]]
        for _, words in self._faults:
            words[0] = 0
        if found:
            raise InputError("; ".join(fault.message.format(value) for fault, value in found))

    def _new_output(self, tensor: Tensor, count: int) -> np.ndarray:
        first, rest = tensor.shape[:1] or (1,), tensor.shape[1:]
        return np.empty(tensor.shape if count == 1 else (count * first[0], *rest), tensor.dtype)

    def _call(self, record: Record) -> None:
        self.pool.run(record.address)


class Table(NamedTuple):
    """The calls of one stretch for run_table."""

    rows: np.ndarray  # entry point, address of the argument block
    phases: np.ndarray
    items: int  # work items of a run


def _table(rows: list[tuple[int, int, int]]) -> Table:
    """The table of rows (entry, record, parts)."""
    calls = np.array([row[:2] for row in rows], np.int64).reshape(-1, 2)
    of_work = phases([parts for _, _, parts in rows])
    return Table(calls, of_work, int(of_work[-1, FIRST]) + 1)


class Record(NamedTuple):
    """Arguments of run_table."""

    words: np.ndarray
    address: ctypes.c_void_p


COPIED_BYTES = 1 << 15
