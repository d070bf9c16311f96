"""A model that can be called: NumPy arrays in, NumPy arrays out."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from int8rt import limits, locks
from int8rt.arguments import as_array, as_count, as_flag, as_mapping, as_numbers, as_tuple, listed, shown
from int8rt.errors import InputError
from int8rt.format import reader
from int8rt.format.source import Source
from int8rt.frozen import frozen
from int8rt.graph import Graph, Subgraph, Tensor
from int8rt.native.entries import Progress
from int8rt.numerics.fixedpoint import round_half_away_float
from int8rt.numerics.rules import Numerics
from int8rt.numerics.rules import numerics as find_numerics
from int8rt.plan.program import Program
from int8rt.plan.sharing import ONE_THREAD, Sharing
from int8rt.plan.subgraphs import keeps_state
from int8rt.runtime.session import Session
from int8rt.runtime.state import Resources

MAX_THREADS = 64
OTHER_SHAPES = 8  # than the declared ones: for how many a program is kept

Arrays = np.ndarray | tuple[np.ndarray, ...]
Shapes = tuple[tuple[int, ...], ...]


@frozen
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
        """Whether stored integers stand for real values."""
        return self.tensor.dtype.kind in "iu" and bool(self.tensor.scale > 0)

    def quantize(self, real: Any) -> np.ndarray:
        """Real values as stored ones, as by TFLite's QUANTIZE: ``clamp(zero_point + round(real / scale))`` in float32.

        Halves are rounded away from zero; NaN counts as 0. Of a port that is not quantized, the values in its type.
        Raises InputError for what are no numbers, and for those that such a type cannot hold.
        """
        if not self.is_quantized:
            return self._converted(real)
        real = as_numbers(real, f"what is quantized for {self.name!r}")
        bounds = np.iinfo(self.dtype)
        with np.errstate(over="ignore"):
            steps = np.nan_to_num(real.astype(np.float32) / self.tensor.scale, nan=0.0, posinf=np.inf, neginf=-np.inf)
        steps = round_half_away_float(steps.clip(np.float32(-(2**31)), np.float32(2**31)))
        return np.asarray((steps.astype(np.int64) + self.zero_point).clip(bounds.min, bounds.max), self.dtype)

    def dequantize(self, stored: Any) -> np.ndarray:
        """Stored values as real ones, float32, rounded once as by TFLite's DEQUANTIZE; as they are if not quantized.

        Raises InputError for what are no integers where it is quantized.
        """
        what = f"what is dequantized of {self.name!r}"
        if not self.is_quantized:
            return as_array(stored, what)
        steps = as_numbers(stored, what, kinds="biu").astype(np.int64) - self.zero_point
        with np.errstate(over="ignore", under="ignore"):
            return np.asarray(np.float64(self.tensor.scale) * steps, np.float32)

    def _converted(self, values: Any) -> np.ndarray:
        """Values in the type of a port that is not quantized. Raises InputError where it does not hold them."""
        what = f"what is quantized for {self.name!r}"
        if self.dtype == object:
            return np.asarray(as_array(values, what), object)
        given = as_numbers(values, what, kinds="biufc" if self.dtype.kind == "c" else "biuf")
        if self.dtype.kind not in "iu":
            with np.errstate(over="ignore", under="ignore"):
                return given.astype(self.dtype, copy=False)
        bounds = np.iinfo(self.dtype)
        with np.errstate(over="ignore"):
            given = given if given.dtype.kind in "biu" else given.astype(np.float64)
        if given.size and not (bounds.min <= given.min().item() and given.max().item() < bounds.max + 1):
            raise InputError(f"{what} has values that {self.dtype} cannot hold, expected {bounds.min} to {bounds.max}")
        return given.astype(self.dtype, copy=False)

    def __repr__(self) -> str:
        return f"<Port {repr(self.tensor)[1:]}"


def unique_names(tensors: Iterable[Tensor]) -> dict[Tensor, str]:
    """The names of tensors; those that recur have ``#index`` added."""
    distinct = list(dict.fromkeys(tensors))
    counts = Counter(t.name for t in distinct)
    return {t: t.name if counts[t.name] == 1 else f"{t.name}#{t.index}" for t in distinct}


class Trace(Mapping[str, np.ndarray]):
    """Every tensor of one run in order of execution, by name or by index; names that recur have ``#index`` added."""

    def __init__(self, arrays: Mapping[Tensor, np.ndarray]) -> None:
        names = unique_names(arrays)
        self.tensors = {names[t]: t for t in arrays}
        self._arrays = {names[t]: a for t, a in arrays.items()}
        self._by_index = {t.index: a for t, a in arrays.items()}

    def __getitem__(self, key: str | int) -> np.ndarray:
        return self._by_index[key] if isinstance(key, int) else self._arrays[key]

    def __contains__(self, key: object) -> bool:
        return key in self._by_index or key in self._arrays

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __repr__(self) -> str:
        names = list(self)
        return f"<Trace of {len(self)} tensors: {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}>"


class Model:
    """A model ready to run; make one with ``int8rt.load``. Several threads may call it at once.

    A model that keeps state between runs runs one call at a time; one from within its own run, as by a signal
    handler, raises CallError. After a fork the child has the state as it was, half of a run where another thread
    was in one. Variable tensors belong to the shapes of the inputs: inputs of other shapes start from zero.
    Resources, which have names, do not.
    """

    def __init__(
        self,
        graph: Graph,
        rules: Numerics,
        sharing: Sharing = ONE_THREAD,
        progress: Progress | None = None,
        subgraph: int = 0,
        budget: limits.Budget | None = None,
    ) -> None:
        budget = limits.Budget() if budget is None else budget
        for value, kind in ((graph, Graph), (rules, Numerics), (sharing, Sharing), (budget, limits.Budget)):
            if not isinstance(value, kind):
                raise InputError(f"a Model is made of a {kind.__name__}, found {shown(value)}: expected int8rt.load()")
        if progress is not None and not callable(progress):
            raise InputError(f"progress is {shown(progress)}, expected a function of kernel, done and total")
        self.budget = budget
        self.graph, self.numerics, self.sharing = graph, rules, sharing
        self._subgraph: Subgraph = graph.subgraphs[as_count(subgraph, "subgraph", 0, len(graph.subgraphs) - 1)]
        self.inputs = tuple(Port(t) for t in self._subgraph.inputs)
        self.outputs = tuple(Port(t) for t in self._subgraph.outputs)
        self._progress = progress
        self._lock = locks.lock()
        self._turn = locks.lock() if keeps_state(self._subgraph) else None
        self._resources = Resources()
        self._declared = tuple(t.shape for t in self._subgraph.inputs)
        self._sessions = limits.within(self.budget, self._build, self._declared, is_timed=False)
        self._others: dict[Shapes, _Sessions] = {}  # for inputs of other shapes

    def __call__(self, *inputs: Any) -> Arrays:
        """The outputs for these inputs, in the order of ``model.inputs``: one array, or a tuple of several.

        An array has the input's shape and type. A leading batch that is k times the model's runs k times. Sizes that
        the model leaves open (-1 in its shape signature) may differ. Raises InputError, and LimitError where the run
        takes more than the model was loaded with.
        """
        found: Arrays | None = self._sessions.direct(inputs)
        if found is not None:
            return found
        results = self._run(inputs)
        return results[0] if len(results) == 1 else tuple(results)

    def run(self, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """The outputs by name for inputs by name. Raises InputError.

        The names are those of a signature where the inputs' names are, else those of the tensors. Names of tensors that
        recur have ``#index`` added.
        """
        named_inputs, named_outputs = self.names(inputs)
        results = dict(zip(self._subgraph.outputs, self._run([inputs[named_inputs[p.tensor]] for p in self.inputs])))
        return {name: results[t] for t, name in named_outputs}

    def trace(self, *inputs: Any) -> Trace:
        """Every tensor that one run computes, and its inputs.

        The batch must be the model's own. State, if any, is that of a fresh model. Raises InputError and LimitError.
        """
        return limits.within(self.budget, self._traced, inputs)

    def _traced(self, inputs: Sequence[Any]) -> Trace:
        arrays, count = self.checked(inputs)
        if count != 1:
            raise InputError(f"a trace is of one run, and the inputs hold {count}")
        session = self.session([x.shape for x in arrays], preserve=True)
        session.run(arrays)
        inferred = session.graph.tensors
        computed = [t for node in self._subgraph.nodes for t in node.outputs if t.dtype != object]
        values = {inferred[t.index]: session.read_tensor(t.index) for t in [*self._subgraph.inputs, *computed]}
        return Trace({t: value for t, value in values.items() if value is not None})

    def session(self, shapes: Sequence[Sequence[int]] | None = None, preserve: bool = False) -> Session:
        """What runs the model, with state of its own; for inputs of the declared shapes if none are given.

        With preserve, every tensor can be read after a run.
        """
        keep = as_flag(preserve, "preserve")
        sizes = self._declared if shapes is None else self._checked_shapes(shapes)
        return limits.within(self.budget, self._session, sizes, keep)

    def _session(self, shapes: Sequence[Sequence[int]], preserve: bool) -> Session:
        session = Session(self._subgraph, self.numerics, preserve, self.sharing, progress=self._progress)
        session.prepare(shapes)
        return session

    def reset(self) -> None:
        """Set all state to zero."""
        for sessions in [self._sessions, *self._others.values()]:
            sessions.reset()

    @property
    def program(self) -> Program:
        """The plan that runs inputs of the declared shapes."""
        return self._sessions.program

    def __repr__(self) -> str:
        return f"<Model: {', '.join(map(repr, self.inputs))} -> {', '.join(map(repr, self.outputs))}>"

    # Checking inputs

    def names(self, inputs: Mapping[str, Any]) -> tuple[dict[Tensor, str], list[tuple[Tensor, str]]]:
        """The caller's names of the inputs, and of the outputs in order. Raises InputError where they are neither's."""
        as_mapping(inputs, "inputs")
        expected = []
        for signature in self.graph.signatures:
            if signature.subgraph == self._subgraph.index:
                if set(signature.inputs) == set(inputs):
                    outputs = [(t, name) for name, t in signature.outputs.items()]
                    return {t: name for name, t in signature.inputs.items()}, outputs
                expected.append(sorted(signature.inputs))
        names = unique_names(self._subgraph.inputs)
        if set(names.values()) == set(inputs):
            return names, list(unique_names(self._subgraph.outputs).items())
        expected.append(sorted(names.values()))
        raise InputError(f"inputs are named {listed(inputs)}; expected {' or '.join(map(str, expected))}")

    def checked(self, inputs: Sequence[Any]) -> tuple[list[np.ndarray], int]:
        """The inputs as C-contiguous arrays, and how many runs they hold. Raises InputError."""
        inputs = as_tuple(inputs, "inputs", "an array for each input")
        if len(inputs) != len(self.inputs):
            names = ", ".join(repr(p.name) for p in self.inputs)
            raise InputError(f"{len(inputs)} inputs given, {len(self.inputs)} expected: {names}")
        arrays = [_typed(port, x) for port, x in zip(self.inputs, inputs, strict=True)]
        counts = [_count(port, x) for port, x in zip(self.inputs, arrays, strict=True)]
        if len(set(counts)) > 1:
            held = ", ".join(f"{p.name!r} {n}" for p, n in zip(self.inputs, counts, strict=True))
            raise InputError(f"the inputs hold different numbers of runs: {held}; expected the same")
        return arrays, counts[0] if counts else 1

    def _checked_shapes(self, shapes: Any) -> Shapes:
        """One shape for each input. Raises InputError."""
        try:
            found = tuple(tuple(map(operator.index, shape)) for shape in shapes)
        except Exception:
            found = ()
        if len(found) != len(self.inputs) or any(size < 0 for shape in found for size in shape):
            raise InputError(f"shapes is {shown(shapes)}, expected a shape for each of {len(self.inputs)} inputs")
        return found

    # Running

    def _run(self, inputs: Sequence[Any]) -> list[np.ndarray]:
        return limits.within(self.budget, self._run_limited, inputs)

    def _run_limited(self, inputs: Sequence[Any]) -> list[np.ndarray]:
        arrays, count = self.checked(inputs)
        return self._sessions_of(arrays).run(arrays, count)

    def _sessions_of(self, arrays: Sequence[np.ndarray]) -> _Sessions:
        """What runs inputs of these shapes. The programs of the shapes that came last are kept."""
        shapes = tuple(t.shape[:1] + x.shape[1:] for t, x in zip(self._subgraph.inputs, arrays, strict=True))
        if shapes == self._declared:
            return self._sessions
        with self._lock:
            sessions = self._others.pop(shapes, None) or self._build(shapes)
            self._others[shapes] = sessions
            if len(self._others) > OTHER_SHAPES:
                del self._others[next(iter(self._others))]
            return sessions

    def _build(self, shapes: Shapes) -> _Sessions:
        session = Session(
            self._subgraph, self.numerics, sharing=self.sharing, resources=self._resources, progress=self._progress
        )
        session.prepare(shapes)
        return _Sessions(session, self._turn)


def _typed(port: Port, x: Any) -> np.ndarray:
    """x as a C-contiguous array of the port's type."""
    x = as_array(x, f"input {port.name!r}")
    if x.dtype != port.dtype:
        hint = ""
        if port.is_quantized and x.dtype.kind == "f":
            hint = " (the input's quantize() turns real values into stored values)"
        raise InputError(f"input {port.name!r} has type {x.dtype}, expected {port.dtype}{hint}")
    if not x.flags.c_contiguous:
        limits.need(x.nbytes)
    return np.ascontiguousarray(x).reshape(x.shape)


def _count(port: Port, x: np.ndarray) -> int:
    """How many runs x holds."""
    t = port.tensor
    signature = t.shape_signature or t.shape
    if x.ndim == len(t.shape):
        rest = zip(x.shape[1:], t.shape[1:], signature[1:], strict=True)
        fits = all(size == declared or (open_ == -1 and size > 0) for size, declared, open_ in rest)
        if fits and x.shape[:1] == t.shape[:1]:
            return 1
        if fits and x.shape[0] and t.shape[0] and x.shape[0] % t.shape[0] == 0:
            return int(x.shape[0] // t.shape[0])
    raise InputError(f"input {port.name!r} has shape {list(x.shape)}, expected {_shape_text(t.shape, signature)}")


def _shape_text(shape: tuple[int, ...], signature: tuple[int, ...]) -> str:
    """How an error states the shapes that an input may have."""
    if not shape:
        return "[]"
    rest = ["any" if s == -1 else str(d) for s, d in zip(signature[1:], shape[1:], strict=True)]
    return f"[{', '.join([str(shape[0]), *rest])}], or a multiple of its first size"


class _Sessions:
    """Sessions for one set of shapes: as many as callers at the same time need, one where there is state."""

    def __init__(self, session: Session, turn: Any) -> None:
        self.program, self._turn = session.program, turn
        self._first, self._free = session, [session]

    def direct(self, inputs: Sequence[Any]) -> Any:
        """``Session.direct`` of a session that nobody else uses; None where all are in use."""
        if self._turn is not None:
            with self._own_turn():
                return self._first.direct(*inputs)
        try:
            session = self._free.pop()  # list operations are atomic
        except IndexError:
            return None
        try:
            return session.direct(*inputs)
        finally:
            self._free.append(session)

    def run(self, inputs: Sequence[np.ndarray], count: int) -> list[np.ndarray]:
        """What a session that nobody else uses gives."""
        if self._turn is not None:
            with self._own_turn():
                return self._first.run(inputs, count)
        try:
            session = self._free.pop()
        except IndexError:
            session = self._first.fork()
        try:
            return session.run(inputs, count)
        finally:
            self._free.append(session)

    def _own_turn(self) -> Any:
        """The lock of a model that keeps state, to be taken. Raises CallError where this thread has it."""
        locks.check_turn(self._turn, "the model")
        return self._turn

    def reset(self) -> None:
        if self._turn is not None:
            with self._own_turn():
                self._first.reset()


def load(
    source: Source, *, numerics: str = "reference", hybrid: str = "dynamic", threads: int = 1,
    progress: Progress | None = None, max_memory: int | str | None = None, max_iterations: int | None = None,
    timeout: float | None = None,
) -> Model:  # fmt: skip
    """A Model from a ``.tflite`` file: a path, bytes, a memoryview, or an open binary file.

    numerics names the runtime whose bits are wanted: ``reference`` is LiteRT's BUILTIN_REF. hybrid says how float
    activations meet integer weights: ``dynamic`` quantizes them as they come, as TFLite does; ``weight_only``
    dequantizes the weights on the fly and computes in float32. threads is the number of CPU cores that one run may
    use. progress is called as progress(kernel, done, total) while kernels are compiled.

    What the model may take, so that a small file cannot take all: max_memory is in bytes, or a text such as "2G", and
    counts constants, packed weights, memory of tensors and results; by default half of what is free when it is loaded.
    max_iterations is how many trips all WHILE loops of a run may make together, 1,000,000 by default. timeout is how
    many seconds a run may take, without end by default; it is looked at between items of a batch, trips of a loop and
    operators that run in Python, and a run may exceed it by what lies between two of these.

    Raises ModelError where the file is malformed, UnsupportedError where it needs what int8rt does not have,
    LimitError where it needs more memory than it may have, and InputError where the arguments are wrong.
    """
    budget = limits.Budget(max_memory, max_iterations, timeout)
    rules = find_numerics(numerics, hybrid)
    sharing = Sharing(as_count(threads, "threads", 1, MAX_THREADS))
    return Model(limits.within(budget, reader.read, source, is_timed=False), rules, sharing, progress, budget=budget)


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
