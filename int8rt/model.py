"""A model that can be called: NumPy arrays in, NumPy arrays out."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from int8rt import jit, reader
from int8rt.errors import InputError
from int8rt.fixedpoint import round_half_away_float
from int8rt.graph import Graph, Signature, Subgraph, Tensor
from int8rt.numerics import Numerics
from int8rt.numerics import numerics as find_numerics
from int8rt.program import Instance, Program, build

MAX_THREADS = 64

Arrays = np.ndarray | tuple[np.ndarray, ...]


@dataclass(frozen=True, eq=False)
class Port:
    """An input or output of a model: ``real = scale * (stored - zero_point)`` where it is quantized."""

    tensor: Tensor

    @property
    def name(self) -> str:
        """The tensor's name."""
        return self.tensor.name

    @property
    def index(self) -> int:
        """The tensor's number in the file, which Interpreter uses too."""
        return self.tensor.index

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape that the file declares; the first axis is usually the batch."""
        return self.tensor.shape

    @property
    def dtype(self) -> np.dtype:
        """The element type."""
        return self.tensor.dtype

    @property
    def scale(self) -> float:
        """The real value of one step; 0 where the tensor is not quantized."""
        return float(self.tensor.scale)

    @property
    def zero_point(self) -> int:
        """The stored value that stands for 0."""
        return self.tensor.zero_point

    @property
    def is_quantized(self) -> bool:
        """Whether stored integers stand for reals."""
        return self.tensor.dtype.kind in "iu" and bool(self.tensor.scale > 0)

    def quantize(self, real: Any) -> np.ndarray:
        """Reals as stored values: divided by scale in float32, rounded half away from zero, clamped (TFLite's QUANTIZE).

        Of a port that is not quantized, the values in its type.
        """
        real = np.asarray(real)
        if not self.is_quantized:
            return np.asarray(real, self.dtype)
        info = np.iinfo(self.dtype)
        steps = (real.astype(np.float32) / np.float32(self.tensor.scale)).clip(-(2.0**30), 2.0**30)
        return np.asarray((round_half_away_float(steps) + self.zero_point).clip(info.min, info.max), self.dtype)

    def dequantize(self, stored: Any) -> np.ndarray:
        """Stored values as float32 reals. Of a port that is not quantized, the values as they are."""
        stored = np.asarray(stored)
        if not self.is_quantized:
            return stored
        return (np.float64(self.tensor.scale) * (stored.astype(np.int64) - self.zero_point)).astype(np.float32)

    def __repr__(self) -> str:
        return f"<Port {repr(self.tensor)[1:]}"


class Trace(Mapping[str, np.ndarray]):
    """Every tensor of one run, in the order of execution, by name or by index. Names that recur have ``#index`` added."""

    def __init__(self, tensors: Sequence[Tensor], arrays: Sequence[np.ndarray]) -> None:
        counts: dict[str, int] = {}
        for t in tensors:
            counts[t.name] = counts.get(t.name, 0) + 1
        names = [t.name if counts[t.name] == 1 else f"{t.name}#{t.index}" for t in tensors]
        self.tensors = dict(zip(names, tensors, strict=True))
        self._arrays = dict(zip(names, arrays, strict=True))
        self._by_index = {t.index: a for t, a in zip(tensors, arrays, strict=True)}

    def __getitem__(self, key: str | int) -> np.ndarray:
        return self._by_index[key] if isinstance(key, int) else self._arrays[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __repr__(self) -> str:
        return f"<Trace of {len(self)} tensors: {', '.join(list(self)[:3])}, ...>"


class Model:
    """A model ready to run; make one with ``int8rt.load``. Several threads may call it at once.

    A model that keeps state between runs (variable tensors) runs one call at a time.
    """

    def __init__(
        self, graph: Graph, rules: Numerics, threads: int = 1, progress: jit.Progress | None = None, subgraph: int = 0
    ) -> None:
        self.graph, self.numerics, self.threads = graph, rules, threads
        self._subgraph: Subgraph = graph.subgraphs[subgraph]
        self.inputs = tuple(Port(t) for t in self._subgraph.inputs)
        self.outputs = tuple(Port(t) for t in self._subgraph.outputs)
        self._progress = progress
        self._pools: dict[tuple[tuple[int, ...], ...], _Pool] = {}
        self._lock = threading.Lock()
        self._pool(tuple(t.shape for t in self._subgraph.inputs))

    def __call__(self, *inputs: Any) -> Arrays:
        """The outputs for these inputs, in the order of ``model.inputs``: one array, or a tuple of several.

        An array has the input's shape and type. A leading batch that is k times the model's runs k times. Sizes that the
        model leaves open (-1 in its shape signature) may differ. Raises InputError.
        """
        results = self._run(self._checked(inputs))
        return results[0] if len(results) == 1 else tuple(results)

    def run(self, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """The outputs by name for inputs by name, by the names of the tensors or of the model's signature. Raises InputError."""
        signature = self._signature(inputs)
        names = list(signature.inputs) if signature else [p.name for p in self.inputs]
        if set(inputs) != set(names):
            raise InputError(f"inputs are named {sorted(inputs)}; {names} were expected")
        by_index = {t.index: n for n, t in signature.inputs.items()} if signature else {}
        ordered = [inputs[by_index.get(p.index, p.name)] for p in self.inputs]
        results = dict(zip((p.index for p in self.outputs), self._run(self._checked(ordered)), strict=True))
        if signature:
            return {name: results[t.index] for name, t in signature.outputs.items()}
        return {p.name: results[p.index] for p in self.outputs}

    def trace(self, *inputs: Any) -> Trace:
        """Every tensor that one run computes. The batch must be the model's own. State, if any, is that of a fresh model."""
        arrays, count = self._checked(inputs)
        if count != 1:
            raise InputError(f"a trace is of one run, and the inputs hold {count}")
        shapes = {t.index: x.shape for t, x in zip(self._subgraph.inputs, arrays, strict=True)}
        plan = build(self._subgraph, self.numerics, shapes, preserve=True, threads=self.threads)
        instance = Instance(plan, self._progress)
        instance.run(arrays)
        computed = [t for node in plan.graph.nodes for t in node.outputs]
        tensors = [t for t in dict.fromkeys([*plan.graph.inputs, *computed]) if instance.holds(t)]
        return Trace(tensors, [instance.read(t) for t in tensors])

    def reset(self) -> None:
        """Set all state to zero."""
        for pool in self._pools.values():
            pool.reset()

    @property
    def program(self) -> Program:
        """The plan that runs inputs of the declared shapes."""
        return next(iter(self._pools.values())).program

    def __repr__(self) -> str:
        return f"<Model: {', '.join(map(repr, self.inputs))} -> {', '.join(map(repr, self.outputs))}>"

    # Checking inputs

    def _signature(self, inputs: Mapping[str, Any]) -> Signature | None:
        for signature in self.graph.signatures:
            if signature.subgraph == self._subgraph.index and set(signature.inputs) == set(inputs):
                return signature
        return None

    def _checked(self, inputs: Sequence[Any]) -> tuple[list[np.ndarray], int]:
        """The inputs as C-contiguous arrays, and how many runs they hold."""
        if len(inputs) != len(self.inputs):
            raise InputError(f"{len(inputs)} inputs given; {len(self.inputs)} were expected: {list(self.inputs)}")
        arrays = [self._typed(port, x) for port, x in zip(self.inputs, inputs, strict=True)]
        counts = {self._count(port, x) for port, x in zip(self.inputs, arrays, strict=True)}
        if len(counts) > 1:
            raise InputError(f"the inputs hold different numbers of runs: {sorted(counts)}")
        return arrays, counts.pop() if counts else 1

    def _typed(self, port: Port, x: Any) -> np.ndarray:
        x = np.asarray(x)
        if x.dtype != port.dtype:
            hint = (
                " (its quantize() turns reals into stored values)" if port.is_quantized and x.dtype.kind == "f" else ""
            )
            raise InputError(f"input {port.name!r} has type {x.dtype}; {port.dtype} was expected{hint}")
        return np.ascontiguousarray(x).reshape(x.shape)

    def _count(self, port: Port, x: np.ndarray) -> int:
        shape = port.shape
        if len(x.shape) == len(shape) and self._fits(port.tensor, x.shape[1:]):
            if x.shape == shape or not shape:
                return 1
            if shape[0] and x.shape[0] and x.shape[0] % shape[0] == 0:
                return int(x.shape[0] // shape[0])
        raise InputError(f"input {port.name!r} has shape {list(x.shape)}; {_shape_text(port.tensor)} was expected")

    @staticmethod
    def _fits(t: Tensor, rest: tuple[int, ...]) -> bool:
        """Whether the sizes behind the batch are the tensor's, or such as its signature leaves open."""
        signature = (t.shape_signature or t.shape)[1:]
        return all(a == b or (s == -1 and a > 0) for a, b, s in zip(rest, t.shape[1:], signature, strict=True))

    # Running

    def _run(self, checked: tuple[list[np.ndarray], int]) -> list[np.ndarray]:
        arrays, count = checked
        with self.instance(arrays) as instance:
            return instance.run(arrays, count)

    @contextmanager
    def instance(self, inputs: Sequence[np.ndarray]) -> Iterator[Instance]:
        """What runs inputs of these shapes, for the caller alone."""
        shapes = tuple(t.shape[:1] + x.shape[1:] for t, x in zip(self._subgraph.inputs, inputs, strict=True))
        with self._pool(shapes).instance() as instance:
            yield instance

    def _pool(self, shapes: tuple[tuple[int, ...], ...]) -> _Pool:
        with self._lock:
            if shapes not in self._pools:
                by_index = {t.index: s for t, s in zip(self._subgraph.inputs, shapes, strict=True)}
                plan = build(self._subgraph, self.numerics, by_index, threads=self.threads)
                self._pools[shapes] = _Pool(plan, self._progress)
            return self._pools[shapes]


def _shape_text(t: Tensor) -> str:
    """How an error states the shapes that an input may have."""
    signature = t.shape_signature or t.shape
    rest = ["any" if s == -1 else str(d) for s, d in zip(signature[1:], t.shape[1:], strict=True)]
    return f"[{', '.join([str(t.shape[0]), *rest])}] (or a multiple of its first size)" if t.shape else "[]"


class _Pool:
    """Instances of one program: as many as callers at the same time need, one where there is state."""

    def __init__(self, plan: Program, progress: jit.Progress | None) -> None:
        self.program = plan
        self._free = [Instance(plan, progress)]
        self._stateful = any(t.is_variable for t in plan.blocks)
        self._turn = threading.Lock()

    @contextmanager
    def instance(self) -> Iterator[Instance]:
        """An instance that nobody else uses."""
        if self._stateful:
            with self._turn:
                yield self._free[0]
            return
        try:
            taken = self._free.pop()  # list operations are atomic
        except IndexError:
            taken = Instance(self.program)
        try:
            yield taken
        finally:
            self._free.append(taken)

    def reset(self) -> None:
        with self._turn:
            for instance in self._free:
                instance.reset()


def load(
    source: reader.Source, *, numerics: str = "reference", threads: int = 1, progress: jit.Progress | None = None
) -> Model:  # fmt: skip
    """A Model from a ``.tflite`` file: a path, bytes, a memoryview, or an open binary file.

    numerics names the runtime whose bits are wanted: ``reference`` is LiteRT's BUILTIN_REF. threads is the number of CPU
    cores that one run may use. progress is called as progress(kernel, done, total) while kernels are compiled.

    Raises ModelError where the file is malformed, UnsupportedError where it needs what int8rt does not have, and
    InputError where the arguments are wrong.
    """
    rules = find_numerics(numerics)
    if not isinstance(threads, int) or not 1 <= threads <= MAX_THREADS:
        raise InputError(f"threads is {threads!r}; a number from 1 to {MAX_THREADS} was expected")
    return Model(reader.read(source), rules, threads, progress)


def random_inputs(graph: Subgraph, seed: int = 0) -> list[np.ndarray]:
    """Seeded inputs that fit a model: integers over their whole range, normally distributed floats, indices 0 or 1."""
    generator = np.random.default_rng(seed)

    def random(t: Tensor) -> np.ndarray:
        if t.dtype in (np.int8, np.uint8, np.int16):
            info = np.iinfo(t.dtype)
            return generator.integers(info.min, info.max + 1, t.shape).astype(t.dtype)
        if t.dtype.kind == "f":
            return generator.standard_normal(t.shape).astype(t.dtype)
        return generator.integers(0, 2, t.shape).astype(t.dtype)

    return [random(t) for t in graph.inputs]
