"""A Program with memory: what runs it, as one native call where no node needs Python.

``memory`` has the arrays, ``native_run`` the tables of calls, ``pool`` the compiled loop that walks them.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any, TypeAlias

import numpy as np

from int8rt import limits
from int8rt.errors import LimitError
from int8rt.graph import Node, Tensor
from int8rt.memory import address
from int8rt.native.abi import Signature
from int8rt.native.entries import Progress
from int8rt.native.helpers import compile_all
from int8rt.native.kernel import Kernel
from int8rt.plan.program import Program
from int8rt.runtime.batches import SIGNATURE, Batches, run_items
from int8rt.runtime.calling import raise_faults
from int8rt.runtime.memory import Memory
from int8rt.runtime.native_run import NativeCall, NativeRun, native_call, ports
from int8rt.runtime.pool import CALLER, ThreadPool
from int8rt.runtime.pool import kernels as pool_kernels
from int8rt.runtime.state import State
from int8rt.steps import Call, Fault, PythonCall, View

Arrays: TypeAlias = Sequence[np.ndarray]

COPIED_BYTES = 1 << 15  # of outputs: to copy more takes longer than a built-in function saves
WORK_OF_CALL = 1 << 27  # operations of the first native call for several items: a tenth of a second, were they slow
LEAST_TIME, MOST_TIME = 0.05, 0.2  # seconds of a native call for several items, which cannot be interrupted


def entry_points(program: Program) -> list[tuple[Kernel, Signature]]:
    """Which entry points running a program needs: those of its calls, and of the loop that makes them."""
    threads = program.sharing.threads
    batches = [(run_items, SIGNATURE)] if threads > 1 and not program.variables else []
    return [*pool_kernels(threads), *batches, *program.kernels()]


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
        self.memory = Memory(program, self.state)
        self._calls = [self._call(step) for step in program.calls]
        self._faults = [(t, self.memory.array(t)) for t in program.blocks if isinstance(t, Fault)]
        native = [call for call in self._calls if isinstance(call, NativeCall)]
        is_shared = any(call.parts for call in native)
        self.pool = pool or ThreadPool(program.sharing.threads)
        self._pool_of_run = self.pool if is_shared else ThreadPool(1)
        self._work = sum(call.work for call in program.calls)
        self._items = max(1, WORK_OF_CALL // max(self._work, 1))  # of one native call, for each thread that runs some
        is_native = len(native) == len(self._calls)
        self._whole = NativeRun(native, self._pool_of_run, *self._ports()) if is_native else None
        self.direct = self._direct(native) if is_native else None

    @property
    def is_native(self) -> bool:
        """Whether a run is one native call."""
        return self._whole is not None

    def _call(self, step: Call | PythonCall) -> NativeCall | PythonCall:
        """A step in the form in which it runs."""
        if isinstance(step, PythonCall):
            return step
        parts = self.program.sharing.parts_of(step)
        return native_call(step, self.memory, parts if parts > 1 else 0)

    def _ports(self) -> tuple[np.ndarray, np.ndarray]:
        """Of the inputs and of the outputs, for a run of its own."""
        graph = self.program.graph
        return ports(graph.inputs, self.memory), ports(graph.outputs, self.memory)

    @functools.cached_property
    def _parts(self) -> list[Callable[[], object]]:
        """What runs on what is in memory, in order: native runs, and the functions between them."""
        parts: list[Callable[[], object]] = []
        for is_native, calls in itertools.groupby(self._calls, lambda call: isinstance(call, NativeCall)):
            if is_native:
                parts.append(self._native_part([call for call in calls if isinstance(call, NativeCall)]))
            else:
                parts += [self._python_part(call) for call in calls if isinstance(call, PythonCall)]
        return parts

    def _native_part(self, calls: Sequence[NativeCall]) -> Callable[[], object]:
        run = NativeRun(calls, self._pool_of_run)
        function = run.as_function(self.memory) if self._pool_of_run.threads == 1 else None
        return function or run

    def _python_part(self, call: PythonCall) -> Callable[[], object]:
        arguments = self.memory.arguments(call)

        def run() -> None:
            with np.errstate(all="ignore"):  # as in ``infer.located``
                call.function(*arguments)

        return run

    def _direct(self, calls: Sequence[NativeCall]) -> Callable[..., Any] | None:
        """A run on one item as a function of arrays, with which ``calling`` is faster than anything in Python.

        None where threads share the work, and where outputs are so large that copying them takes longer.
        """
        graph = self.program.graph
        if self._pool_of_run.threads > 1 or sum(t.nbytes for t in graph.outputs) > COPIED_BYTES:
            return None
        inputs, outputs = ([np.zeros(t.shape, t.dtype) for t in ts] for ts in (graph.inputs, graph.outputs))
        run = NativeRun(calls, self._pool_of_run, *self._ports())
        run.outputs[:, CALLER] = [address(y) for y in outputs]
        return run.as_function(self.memory, inputs, outputs, self._faults)

    # Running

    def run(self, inputs: Sequence[np.ndarray], count: int = 1) -> list[np.ndarray]:
        """The outputs for inputs that hold ``count`` items each, one after another along the first axis.

        Inputs must be C-contiguous arrays of the graph's types; results are new arrays. Those of rank 0 become one
        of rank 1 if count > 1. Raises InputError where inputs hold indices that are out of range; what variables hold
        is what the run left.
        """
        if self.direct is not None and count == 1:
            found = self.direct(*inputs)
            if found is not None:
                return list(found) if isinstance(found, tuple) else [found]
        limits.need(count * sum(t.nbytes for t in self.program.graph.outputs))
        outputs = [limits.hold(_new_output(t, count)) for t in self.program.graph.outputs]
        if self._whole is not None:
            self._run_whole(self._whole, inputs, outputs, count)
            return outputs
        for item in range(count):
            limits.check_time()
            for t, x in zip(self.program.graph.inputs, inputs, strict=True):
                self.memory.write(t, x.reshape(count, *t.shape)[item])
            self.invoke()
            for t, y in zip(self.program.graph.outputs, outputs, strict=True):
                y.reshape(count, *t.shape)[item] = self.memory.read(t)
        return outputs

    def _run_whole(self, run: NativeRun, inputs: Arrays, outputs: Arrays, count: int) -> None:
        """Whole items on threads of their own, as many as divide by the threads; the rest one after another."""
        shared = count - count % self.pool.threads if self._is_worth_sharing(count) else 0
        if shared and (batches := self._batches) is not None:
            self._in_steps(batches.on, _items(inputs, 0, shared, count), _items(outputs, 0, shared, count), shared)
            raise_faults(batches.faults)
            inputs, outputs = (_items(arrays, shared, count - shared, count) for arrays in (inputs, outputs))
            count -= shared
        self._in_steps(run.on, inputs, outputs, count)
        raise_faults(self._faults)

    def _is_worth_sharing(self, count: int) -> bool:
        """Whether threads gain more by so many items than it takes to wake them."""
        sharing = self.program.sharing
        return 1 < sharing.threads <= count and count * self._work >= sharing.threads * sharing.least_work

    @functools.cached_property
    def _batches(self) -> Batches | None:
        """What shares out batches; None where items depend on those before, or memory is too little."""
        if self.program.variables:
            return None
        try:
            return Batches(self.program, self.state, self.pool, self.memory)
        except LimitError:
            return None

    def _in_steps(self, run: Callable[..., None], inputs: Arrays, outputs: Arrays, count: int) -> None:
        """In native calls of so many items that Ctrl-C and a timeout are seen to between them."""
        first = 0
        while first < count:
            limits.check_time()
            items = min(self._items * self.pool.threads, count - first)
            start = perf_counter()
            run(_items(inputs, first, items, count), _items(outputs, first, items, count), items)
            seconds = perf_counter() - start
            if seconds < LEAST_TIME:
                self._items = max(self._items, -(-2 * items // self.pool.threads))
            elif seconds > MOST_TIME:
                self._items = max(1, self._items // 2)
            first += items

    def invoke(self) -> None:
        """Run once on the inputs that are in memory."""
        for part in self._parts:
            limits.check_time()
            part()
        raise_faults(self._faults)

    def runners(self) -> list[tuple[Node, Call | PythonCall, Callable[[int], None]]]:
        """Every call by itself, as a function that runs it so many times on one thread on what is in memory."""
        return [(n, s, self._runner(s)) for n, s in self.program.steps if not isinstance(s, View)]

    def _runner(self, step: Call | PythonCall) -> Callable[[int], None]:
        if isinstance(step, Call):
            return NativeRun([native_call(step, self.memory)], ThreadPool(1))
        run = self._python_part(step)

        def repeat(count: int) -> None:
            for _ in range(count):
                run()

        return repeat


def _items(arrays: Arrays, first: int, items: int, count: int) -> list[np.ndarray]:
    """The elements of so many items of arrays that hold ``count``."""
    if items == count:
        return list(arrays)
    sizes = [array.size // count for array in arrays]
    return [array.reshape(-1)[first * n : (first + items) * n] for array, n in zip(arrays, sizes, strict=True)]


def _new_output(tensor: Tensor, count: int) -> np.ndarray:
    first, rest = tensor.shape[:1] or (1,), tensor.shape[1:]
    return np.empty(tensor.shape if count == 1 else (count * first[0], *rest), tensor.dtype)
