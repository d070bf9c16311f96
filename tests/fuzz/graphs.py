"""Random valid graphs: a seed gives one of 20 and more nodes, of all operators, with control flow and state.

Nodes are **parts**: the cases of the conformance run (``conformance_cases``), each a model of one operator that is
known to be sound in its types, options and quantization. A part's inputs are drawn from the tensors that are there
already, and are made to fit: in type and quantization (QUANTIZE, DEQUANTIZE, CAST), in range where values mean
something (MAXIMUM, MINIMUM), and in shape (RESHAPE, SLICE, SPLIT_V, CONCATENATION, BROADCAST_TO, SQUEEZE).
What makes them fit is what planning has to get right: views, aliases, copies, results in place, tensors
that live long or are used often.

So a new operator joins by its conformance cases. Only where values of its inputs mean something (places, divisors) has
it to say so in ``MEANING``; what stays out, and why, is ``LEFT_OUT``.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from conformance_cases import BOOL, BUILDERS, F32, I8, I16, I32, I64, QUANTIZATIONS, U8, Case, cases, drawn, ends
from moves import indices
from writer import NONE, Graph, Op, T, Table, network

from int8rt import ops
from int8rt.errors import Error
from int8rt.format import reader
from int8rt.graph import Subgraph
from int8rt.plan.infer import shaped
from int8rt.runtime.evaluator import reference
from int8rt.runtime.state import State
from int8rt.tools import checked

SMALLEST, LARGEST = 20, 40  # nodes of a graph, roughly: a part and what makes its inputs fit stay together
MOST_VALUES = 4096  # of a tensor, so that a graph takes milliseconds
RUNS = 3  # in a row, so that state shows

# Operators that are in no graph, and why.
LEFT_OUT: dict[str, str] = dict.fromkeys(ops.CUSTOM, "a custom operator, with tests of its own")

# What values of inputs mean: {operator: {position among the inputs that are fed: ...}}
FIXED = "fixed"  # they are those of the case
LIKE = "like"  # they lie between the lowest and the highest of the case
POSITIVE = "positive"  # they are above zero and stand for numbers above zero, as divisors do
EVERY = -1  # position
MEANING: dict[str, dict[int, str]] = {
    "BROADCAST_ARGS": {EVERY: FIXED},
    "SPARSE_TO_DENSE": {0: FIXED},
    "HASHTABLE_LOOKUP": {1: FIXED},
    "STABLEHLO_SCATTER": {1: FIXED},
    "STABLEHLO_GATHER": {1: LIKE},
    "STABLEHLO_SHIFT_LEFT": {1: LIKE},
    "EMBEDDING_LOOKUP": {0: LIKE},
    "EMBEDDING_LOOKUP_SPARSE": {0: LIKE, 1: FIXED},
    "NON_MAX_SUPPRESSION_V4": {0: LIKE, 1: FIXED},
    "NON_MAX_SUPPRESSION_V5": {0: LIKE, 1: FIXED},
    **{op: {1: POSITIVE} for op in ("DIV", "FLOOR_DIV", "FLOOR_MOD")},
    # Floats that LiteRT leaves undefined (NaN to compare, what no integer holds), loops, and bounds of small values.
    **{
        op: {EVERY: LIKE}
        for op in (
            "POW", "LOG", "SQRT", "RSQRT", "SOFTMAX", "LOG_SOFTMAX", "L2_NORMALIZATION", "CAST", "QUANTIZE", "GELU",
            "BUCKETIZE", "ARG_MAX", "ARG_MIN", "TOPK_V2", "UNIQUE", "WHILE", "FAKE_QUANT", "RFFT2D", "RNN", "SVDF",
            "LOCAL_RESPONSE_NORMALIZATION", "LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_LSTM",
            "UNIDIRECTIONAL_SEQUENCE_RNN", "BIDIRECTIONAL_SEQUENCE_RNN",
        )
    },
}  # fmt: skip

# Operators that map values one by one, so that a case in one shape is one in any.
ANY_SHAPE = {
    "ABS", "CEIL", "COS", "ELU", "EXP", "FLOOR", "GELU", "HARD_SWISH", "LEAKY_RELU", "LOG", "LOGICAL_NOT", "LOGISTIC",
    "NEG", "RELU", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1", "ROUND", "RSQRT", "SIGN", "SIN", "SQRT", "SQUARE", "TANH",
    "ZEROS_LIKE", "CAST", "QUANTIZE", "DEQUANTIZE", "ATAN2", "STABLEHLO_ADD", "STABLEHLO_MULTIPLY", "ADD_N",
    "STABLEHLO_MAXIMUM", "STABLEHLO_MINIMUM",
}  # fmt: skip
KEEP_STATE = {
    "LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_LSTM", "RNN", "UNIDIRECTIONAL_SEQUENCE_RNN",
    "BIDIRECTIONAL_SEQUENCE_RNN", "SVDF", "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE",
}  # fmt: skip
NUMBERS = (I8, U8, I16, I32, I64, F32)  # which MAXIMUM and MINIMUM take
INTEGERS = (I32, I64)
QUANTIZED = (I8, U8, I16)
ORDINARY = (*NUMBERS, BOOL)


@dataclass(frozen=True, eq=False)
class Part:
    """A conformance case with the true shapes of its outputs; None stands for a shape that depends on values."""

    case: Case
    main: Graph
    subgraphs: Sequence[Graph]
    shapes: Sequence[tuple[int, ...] | None]
    is_compared: bool  # whether LiteRT's reference is an oracle for it

    @property
    def is_bounded(self) -> bool:
        """Whether LiteRT may differ from it in the last places."""
        return bool(self.case.ulps or self.case.relative)

    def meaning(self, position: int) -> str | None:
        """What values of an input mean; None where any will do."""
        t, given = self.main.inputs[position], MEANING.get(self.case.op, {})
        if t.type_name is not None or np.dtype(t.dtype) in (object, np.complex128):
            return FIXED  # CAST makes none
        if " x " in self.case.types and self.case.types.startswith("float32"):
            return LIKE  # hybrid
        meaning = given.get(position, given.get(EVERY))
        if meaning == POSITIVE and np.dtype(t.dtype).kind in "iu" and np.max(t.zero_point) == np.iinfo(t.dtype).max:
            return FIXED  # nothing stands for a number above zero
        return meaning

    def values(self, position: int) -> list[np.ndarray]:
        """What the case feeds, run by run."""
        return [self.case.steps[run % len(self.case.steps)][position] for run in range(RUNS)]


@functools.cache
def parts(op: str) -> dict[str, list[Part | Case]]:
    """{types: cases of an operator that are small enough}; ``part`` makes parts of those that are drawn."""
    found: dict[str, list[Part | Case]] = {}
    for case in cases([op]):
        graphs = case.model.graphs  # type: ignore[attr-defined]
        sizes = [math.prod(t.shape or ()) for g in graphs for n in g.nodes for t in n.inputs if t is not None]
        if max(sizes, default=0) <= MOST_VALUES:
            found.setdefault(case.types, []).append(case)
    return found


@functools.cache
def oracles() -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """(operator, types) of which LiteRT's reference is right, and all that int8rt computes."""
    right, known = set(), set()
    for row in checked.operators():
        known |= {(row.op, types) for types in row.types}
        if row.against == "BUILTIN_REF":
            right |= {(row.op, types) for types in row.types if types not in row.wrong}
    return right, known


def part(op: str, types: str, number: int) -> Part | None:
    """A part; None where int8rt refuses the case, as it does what LiteRT refuses too."""
    listed = parts(op)[types]
    found = listed[number]
    if isinstance(found, Case):
        made = _part(found)
        if made is None:
            return None
        listed[number] = found = made
    return found


def _part(case: Case) -> Part | None:
    graph = reader.read(case.model).main
    try:
        values = reference(graph, *case.steps[0], state=State())
    except Error:
        return None
    main, *others = case.model.graphs  # type: ignore[attr-defined]
    known = _known_shapes(graph, values)
    return Part(case, main, others, [known[t.index] for t in graph.outputs], (case.op, case.types) in oracles()[0])


def _known_shapes(graph: Subgraph, values: Mapping[int, np.ndarray]) -> dict[int, tuple[int, ...] | None]:
    """Shapes by index, None where values decide."""
    shapes: dict[int, tuple[int, ...] | None] = {i: v.shape for i, v in values.items()}
    for node in graph.nodes:
        operator = ops.find(node.op)
        if operator.control is None and shaped(operator, node) is None:
            shapes |= {t.index: None for t in node.outputs}
    return shapes


@dataclass(eq=False)
class Made:
    """A graph, what it is fed with run by run, and how far its tensors are compared with LiteRT's."""

    nodes: list[Op]
    inputs: list[T]
    outputs: list[T]
    values: dict[T, list[np.ndarray]]  # of inputs, run by run
    subgraphs: list[Graph]
    operators: set[str] = field(default_factory=set)
    bounds: dict[T, Case] = field(default_factory=dict)  # of tensors that may differ in the last places
    is_compared: bool = True  # whether LiteRT's reference runs all of it, and rightly

    def file(self) -> Any:
        """The file's content, a ``writer.File``."""
        return network(self.nodes, self.inputs, self.outputs, subgraphs=self.subgraphs)

    def steps(self) -> list[list[np.ndarray]]:
        """The inputs of each run."""
        return [[self.values[t][run] for t in self.inputs] for run in range(RUNS)]


def make(seed: int, operators: Sequence[str] = ()) -> Made:
    """The graph of a seed, of these operators or of all."""
    rng = np.random.default_rng(seed)
    return _Main(rng, operators or drawable()).graph()


@functools.cache
def drawable() -> tuple[str, ...]:
    """The operators that graphs are made of."""
    return tuple(sorted(op for op in BUILDERS if op not in LEFT_OUT))


class _Builder:
    """Nodes that follow one another, and the tensors that they may read."""

    depth = 0

    def __init__(self, rng: np.random.Generator, operators: Sequence[str]) -> None:
        self.rng, self.operators = rng, operators
        self.nodes: list[Op] = []
        self.pool: list[T] = []  # tensors of known shapes
        self.subgraphs: list[Graph] = []  # of the whole file, shared with the builders of subgraphs
        self.used: set[str] = set()
        self.is_strict = True  # whether every part is one that LiteRT's reference runs rightly
        self.keeps_state = False  # whether parts with state may come

    # Chance

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def pick(self, items: Sequence[Any]) -> Any:
        return items[int(self.rng.integers(len(items)))]

    # Nodes

    def op(self, name: str, inputs: Sequence[T | None], y: T, **fields: Any) -> T:
        """Add a node with one output, which others may read."""
        self.nodes.append(Op(name, inputs, [y], **fields))
        self.used.add(name)
        self.keep(y)
        return y

    def keep(self, t: T) -> None:
        if t.type_name is None and t.dtype != np.complex128 and 0 < math.prod(t.shape or ()) <= MOST_VALUES:
            self.pool.append(t)

    # Making a tensor fit

    def fitted(self, x: T, to: T, low: Any = None, high: Any = None) -> T:
        """A tensor with the type, quantization and shape of ``to`` and values of x, between low and high if given."""
        x = self.limited(self.converted(x, to), low, high)
        return self.shaped(x, tuple(to.shape or ()))

    def converted(self, x: T, to: T) -> T:
        """x in another type and quantization."""
        if x.dtype == to.dtype and _parameters(x) == _parameters(to):
            return x
        y = replace(to, shape=x.shape, data=None, name=None, is_variable=False, shape_signature=None)
        if x.dtype == to.dtype and (to.dtype not in QUANTIZED or None in (x.scale, to.scale) or self.chance(0.5)):
            return self.reshaped(x, tuple(x.shape or ()), y)  # the same bytes, which mean something else
        if to.dtype in QUANTIZED and to.scale is not None:
            return self.quantized(x, y)
        if x.dtype in QUANTIZED and x.scale is not None and to.dtype == F32:
            return self.op("DEQUANTIZE", [x], y)
        if to.dtype not in ORDINARY:
            middle = T(F32 if np.dtype(to.dtype).kind in "fc" else I32, x.shape)
            x = self.limited(self.converted(x, middle), 0, 200)
        elif x.dtype == F32 and to.dtype != BOOL:
            x = self.limited(x, -100, 100)
        return self.op("CAST", [x], y, in_data_type=x.type, out_data_type=to.type)

    def quantized(self, x: T, y: T) -> T:
        """x as 8 or 16 bits."""
        if x.dtype in QUANTIZED and x.scale is not None:
            if x.dtype == I16 and y.dtype == U8:
                x = self.op("QUANTIZE", [x], T(I8, x.shape, *QUANTIZATIONS[I8][0]))
            return self.op("QUANTIZE", [x], y)
        real = x if x.dtype == F32 else self.op("CAST", [x], T(F32, x.shape), in_data_type=x.type, out_data_type=0)
        return self.op("QUANTIZE", [self.limited(real, -200, 200)], y)

    def limited(self, x: T, low: Any, high: Any) -> T:
        """x between bounds, in stored units; the bounds come second, so that NaN becomes the lower one."""
        if x.dtype not in NUMBERS:
            return x
        for op, bound in (("MAXIMUM", low), ("MINIMUM", high)):
            if bound is not None:
                constant = replace(x, shape=(), data=np.array(bound, x.dtype), name=None)
                x = self.op(op, [x, constant], replace(x, data=None, name=None))
        return x

    def shaped(self, x: T, shape: tuple[int, ...]) -> T:
        """x in another shape: the same values, a part of them, or some of them again."""
        size, wanted = math.prod(x.shape or ()), math.prod(shape)
        if x.shape is not None and tuple(x.shape) == shape:
            return x
        if size != wanted:
            x = self.shortened(self.lengthened(self.reshaped(x, (size,)), wanted), wanted)
        return self.reshaped(x, shape)

    def reshaped(self, x: T, shape: tuple[int, ...], y: T | None = None) -> T:
        y = replace(x, shape=shape, data=None, name=None, is_variable=False) if y is None else y
        if x is not y and y.scale is x.scale and tuple(x.shape or ()) == shape and x.dtype == y.dtype:
            return x
        if shape:
            return self.op("RESHAPE", [x, indices(shape)], y, new_shape=list(shape))
        one = self.reshaped(x, (1,))  # [] as a constant is one without data
        return self.op("SQUEEZE", [one], y, squeeze_dims=[0])

    def lengthened(self, x: T, size: int) -> T:
        """At least so many of x's values in a row, others of its kind among them."""
        (length,) = x.shape  # type: ignore[misc]
        if length >= size:
            return x
        times = -(-size // length)
        if times <= 6 and x.dtype in NUMBERS and self.chance(0.7):
            row = [x]
            while sum(t.shape[0] for t in row) < size:  # type: ignore[index]
                others = [t for t in self.pool if _same_kind(t, x) and len(t.shape or ()) == 1]
                row.append(self.pick(others) if others and self.chance(0.5) else x)
            total = sum(t.shape[0] for t in row)  # type: ignore[index]
            y = replace(x, shape=(total,), data=None, name=None)
            return self.op("CONCATENATION", row, y, axis=0, fused_activation_function=NONE)
        column = self.reshaped(x, (1, length))
        y = replace(x, shape=(times, length), data=None, name=None)
        return self.reshaped(
            self.op("BROADCAST_TO", [column, indices([times, length])], y, version=2), (times * length,)
        )

    def shortened(self, x: T, size: int) -> T:
        """So many of x's values in a row."""
        (length,) = x.shape  # type: ignore[misc]
        if length == size:
            return x
        start = int(self.rng.integers(length - size + 1))
        if x.dtype in NUMBERS and self.chance(0.4):
            sizes = [n for n in (start, size, length - start - size) if n]
            outputs = [replace(x, shape=(n,), data=None, name=None) for n in sizes]
            self.nodes.append(Op("SPLIT_V", [x, indices(sizes), indices(0)], outputs, num_splits=len(sizes)))
            self.used.add("SPLIT_V")
            self.pool += outputs
            return outputs[1 if start else 0]
        y = replace(x, shape=(size,), data=None, name=None)
        return self.op("SLICE", [x, indices([start]), indices([size])], y)

    # Parts

    def add_part(self) -> None:
        """A random part, fed from what there is."""
        drawn_part = self.draw()
        if drawn_part is None:
            return
        resized = self.resized(drawn_part)
        fed = [self.input_of(drawn_part, i, resized) for i in range(len(drawn_part.main.inputs))]
        self.graft(drawn_part, fed, resized)

    def draw(self) -> Part | None:
        op = self.pick(self.operators)
        right, known = oracles()
        allowed = right if self.is_strict else known
        kinds = [types for types in parts(op) if (op, types) in allowed]
        if not kinds or (op in KEEP_STATE and not self.keeps_state):
            return None
        types = self.pick(kinds)
        return part(op, types, int(self.rng.integers(len(parts(op)[types]))))

    def resized(self, drawn_part: Part) -> tuple[int, ...] | None:
        """Another shape for all tensors of a part that maps values one by one, that of a tensor which is there."""
        shapes = {tuple(t.shape or ()) for t in (*drawn_part.main.inputs, *drawn_part.main.outputs)}
        fits = [t for t in self.pool if t.dtype == drawn_part.main.inputs[0].dtype] if drawn_part.main.inputs else []
        if drawn_part.case.op not in ANY_SHAPE or len(shapes) > 1 or not fits:
            return None
        return tuple(self.pick(fits).shape)

    def input_of(self, drawn_part: Part, position: int, resized: tuple[int, ...] | None) -> T:
        """A tensor for an input of a part."""
        t = drawn_part.main.inputs[position]
        wanted = replace(t, name=None, shape_signature=None, shape=t.shape if resized is None else resized)
        meaning, values = drawn_part.meaning(position), drawn_part.values(position)
        candidates = [p for p in self.pool if p.dtype in ORDINARY or p.dtype == t.dtype]
        if meaning == FIXED or not candidates or self.chance(0.1):
            if resized is not None and resized != tuple(t.shape or ()):
                values = [np.resize(v, resized) for v in values]
            return self.given(wanted, values)
        kin = [p for p in candidates if _same_kind(p, t)]
        same = [p for p in kin if p.shape is not None and tuple(p.shape) == tuple(wanted.shape or ())]
        x = self.pick(same if same and self.chance(0.5) else kin if kin and self.chance(0.6) else candidates)
        return self.fitted(x, wanted, *_bounds(meaning, wanted, values))

    def given(self, t: T, values: list[np.ndarray]) -> T:
        """A tensor that holds these values, run by run."""
        raise NotImplementedError

    def graft(self, drawn_part: Part, fed: Sequence[T], resized: tuple[int, ...] | None) -> list[T]:
        """Add the nodes of a part that reads these tensors; returns its outputs."""
        main, first = drawn_part.main, len(self.subgraphs) + 1
        own = dict(zip(main.inputs, fed, strict=True))
        shapes = dict(zip(main.outputs, drawn_part.shapes, strict=True))
        label = f"v{len(self.nodes)}"

        def mine(t: T | None) -> T | None:
            if t is None or t.data is not None:
                return t
            if t not in own:
                true = shapes.get(t)
                shape = t.shape if true is None else true
                own[t] = replace(t, name=None, shape=shape if resized is None or t.is_variable else resized)
            return own[t]

        self.subgraphs += [
            replace(g, nodes=[_moved(n, lambda t: t, first, label) for n in g.nodes]) for g in drawn_part.subgraphs
        ]
        self.nodes += [_moved(node, mine, first, label) for node in main.nodes]
        self.used.add(drawn_part.case.op)
        outputs = [own[t] for t in main.outputs]
        for t in main.outputs:
            self.grafted(drawn_part, own[t], shapes[t] if resized is None else resized)
        return outputs

    def grafted(self, drawn_part: Part, y: T, shape: tuple[int, ...] | None) -> None:
        """Decide who may read an output of a part."""
        if shape is None:
            self.summed(drawn_part, y)
        elif np.dtype(y.dtype) != object:
            self.keep(y)

    def summed(self, drawn_part: Part, y: T) -> None:
        """Of a tensor whose size depends on values, the sum: its shape does not."""
        if y.dtype not in (I32, I64, F32) or drawn_part.case.op not in ("WHERE", "UNIQUE"):
            return
        shape = (len(drawn_part.main.inputs[0].shape or ()),)
        self.op("SUM", [y, indices([0])], T(y.dtype, shape if drawn_part.case.op == "WHERE" else ()), keep_dims=False)

    # Control flow

    def add_branch(self) -> None:
        """IF, with random branches."""
        carried, results = self.carried(), [self.form() for _ in range(int(self.rng.integers(1, 3)))]
        condition = self.fitted(self.pick(self.pool), T(BOOL, ()))
        fields = {}
        for name in ("then", "else"):
            inner = self.inner(carried)
            outputs = [inner.fitted(self.pick(inner.pool), r) for r in results]
            fields[f"{name}_subgraph_index"] = self.enclosed(inner, inner.distinct(outputs))
        outputs = [replace(r) for r in results]
        self.nodes.append(Op("IF", [condition, *carried], outputs, **fields))
        self.used.add("IF")
        self.pool += outputs

    def add_loop(self) -> None:
        """WHILE with a counter, for some trips or none."""
        carried = [T(I32, (), data=np.array(0, I32)), *self.carried()]
        body = self.inner(carried)
        counter, *values = body.inputs
        following = [replace(t, data=None, name=None) for t in carried]
        body.op("ADD", [counter, T(I32, (), data=np.array(1, I32))], following[0], fused_activation_function=NONE)
        others = [body.fitted(body.pick([*values, *body.pool]), t) for t in following[1:]]
        test = [replace(t, data=None, name=None) for t in carried]
        goes_on = T(BOOL, ())
        limit = T(I32, (), data=np.array(self.rng.integers(0, 4), I32))
        self.subgraphs.append(Graph([Op("LESS", [test[0], limit], [goes_on])], test, [goes_on], "cond"))
        condition = len(self.subgraphs)
        # LiteRT overwrites an input of the body before it hands it on in another place: section 7 of numerics.
        index = self.enclosed(body, body.distinct([following[0], *others], body.inputs))
        outputs = [replace(t, data=None, name=None) for t in carried]
        node = Op("WHILE", carried, outputs, cond_subgraph_index=condition, body_subgraph_index=index)
        self.nodes.append(node)
        self.used.add("WHILE")
        self.pool += outputs

    def carried(self) -> list[T]:
        """Tensors that a subgraph is given."""
        few = [t for t in self.pool if t.dtype in ORDINARY]
        return [self.pick(few) for _ in range(int(self.rng.integers(1, 4)))]

    def form(self) -> T:
        """A type, quantization and shape: those of a tensor that is there."""
        return replace(self.pick([t for t in self.pool if t.dtype in ORDINARY]), data=None, name=None)

    def inner(self, carried: Sequence[T]) -> _Inner:
        """What builds a subgraph that is given these."""
        inner = _Inner(self, [replace(t, data=None, name=None, is_variable=False) for t in carried])
        inner.grow(int(self.rng.integers(1, 9)))
        return inner

    def enclosed(self, inner: _Inner, outputs: list[T]) -> int:
        """The index of a subgraph, which is complete."""
        self.subgraphs.append(Graph(inner.nodes, inner.inputs, outputs, f"inner{len(self.subgraphs)}"))
        self.used |= inner.used
        return len(self.subgraphs)

    def grow(self, size: int) -> None:
        """Add parts until there are so many nodes."""
        end = len(self.nodes) + size
        for _ in range(4 * size):
            if len(self.nodes) >= end:
                return
            self.step()

    def step(self) -> None:
        """Add something."""
        flow = 0.12 if self.depth < 2 and {"IF", "WHILE"} <= set(self.operators) else 0.0
        usable = any(t.dtype in ORDINARY for t in self.pool)
        if usable and self.chance(flow):
            self.add_branch() if self.chance(0.5) else self.add_loop()
        else:
            self.add_part()


class _Inner(_Builder):
    """A subgraph, whose inputs are all that it knows."""

    def __init__(self, outer: _Builder, inputs: list[T]) -> None:
        super().__init__(outer.rng, outer.operators)
        self.inputs, self.pool, self.subgraphs = inputs, [t for t in inputs if t.shape is not None], outer.subgraphs
        self.depth, self.is_strict = outer.depth + 1, outer.is_strict

    def given(self, t: T, values: list[np.ndarray]) -> T:
        return replace(t, data=values[0])

    def draw(self) -> Part | None:
        """What LiteRT computes but for the last places would spread beyond the subgraph."""
        found = super().draw()
        return None if found is None or found.is_bounded else found

    def distinct(self, outputs: Sequence[T], inputs: Sequence[T] = ()) -> list[T]:
        """Outputs of which none is there twice, nor is one of these inputs in another place."""
        found: list[T] = []
        for place, t in enumerate(outputs):
            is_moved = t in inputs and inputs[place] is not t
            found.append(self.copied(t) if t in found or is_moved else t)
        return found

    def copied(self, t: T) -> T:
        """Another tensor of the same values."""
        row = T(t.dtype, (1, *(t.shape or ())), t.scale, t.zero_point)
        return self.op(
            "SQUEEZE",
            [self.op("EXPAND_DIMS", [t, indices(0)], row)],
            replace(t, data=None, name=None),
            squeeze_dims=[0],
        )


class _Main(_Builder):
    """The main subgraph, with state."""

    def __init__(self, rng: np.random.Generator, operators: Sequence[str]) -> None:
        super().__init__(rng, operators)
        self.inputs: list[T] = []
        self.values: dict[T, list[np.ndarray]] = {}
        self.bounds: dict[T, Case] = {}
        self.resources: list[tuple[str, T]] = []  # names, and the form of their values
        self.is_strict = not self.chance(0.04)
        self.keeps_state = self.chance(0.5)

    def graph(self) -> Made:
        """The whole."""
        for _ in range(int(self.rng.integers(2, 5))):
            dtype = self.pick(ORDINARY)
            shape = self.pick([(1, 4, 5, 8), (2, 3, 4), (6,), (2, 37), (1, 6, 6, 3), (3, 5)])
            t = T(dtype, shape, *self.pick(QUANTIZATIONS.get(dtype, [(None, 0)])[:3]))
            self.given(t, [self.random(dtype, shape) for _ in range(RUNS)])
        self.grow(int(self.rng.integers(SMALLEST, LARGEST + 1)))
        return Made(
            self.nodes, self.inputs, self.outputs(), self.values, self.subgraphs, self.used, self.bounds, self.is_strict
        )

    def random(self, dtype: Any, shape: Any) -> np.ndarray:
        if self.chance(0.06):
            return ends(dtype, shape)
        return drawn(dtype, shape, int(self.rng.integers(1 << 30)))

    def given(self, t: T, values: list[np.ndarray]) -> T:
        """A constant, or an input of the graph."""
        if self.chance(0.2) and np.dtype(t.dtype) != object:
            constant = replace(t, data=values[0])
            self.keep(constant)
            return constant
        self.inputs.append(t)
        self.values[t] = values
        self.keep(t)
        return t

    def grafted(self, drawn_part: Part, y: T, shape: tuple[int, ...] | None) -> None:
        """Nobody reads what LiteRT computes but for the last places: differences would spread."""
        if drawn_part.is_bounded:
            self.bounds[y] = drawn_part.case
        else:
            super().grafted(drawn_part, y, shape)

    def step(self) -> None:
        usable = [t for t in self.pool if t.dtype in (I8, I32, F32)]
        if self.keeps_state and usable and self.chance(0.15) and "VAR_HANDLE" in self.operators:
            self.add_variable(usable)
        else:
            super().step()

    def add_variable(self, usable: Sequence[T]) -> None:
        """A resource: a new one, set by a subgraph that runs once, or one that is there, read or assigned."""
        if not self.resources or self.chance(0.4):
            form = replace(self.pick(usable), data=None, name=None)
            self.resources.append((f"r{len(self.resources)}", form))
            first, begin = _handle(), replace(form, data=drawn(form.dtype, form.shape or (), len(self.nodes)))
            once = [
                _handle_node(first, self.resources[-1][0]),
                Op("ASSIGN_VARIABLE", [first, begin], []),
            ]
            self.subgraphs.append(Graph(once, [], [], f"once{len(self.subgraphs)}"))
            self.nodes.append(Op("CALL_ONCE", [], [], init_subgraph_index=len(self.subgraphs)))
        name, form = self.pick(self.resources)
        value = self.fitted(self.pick(self.pool), form) if self.chance(0.6) else None
        handle = _handle()
        self.nodes.append(_handle_node(handle, name))
        if value is None or self.chance(0.5):
            self.op("READ_VARIABLE", [handle], replace(form))
        if value is not None:
            self.nodes.append(Op("ASSIGN_VARIABLE", [handle, value], []))
        self.used |= {"VAR_HANDLE", "CALL_ONCE", "ASSIGN_VARIABLE"}

    def outputs(self) -> list[T]:
        """Most of what nobody reads, some of what is read, and now and then an input or a constant."""
        read = {t for node in self.nodes for t in node.inputs if t is not None}
        written = [t for node in self.nodes for t in node.outputs if t is not None and t.type_name is None]
        found = [t for t in written if t in self.bounds or self.chance(0.1 if t in read else 0.8)]
        if self.chance(0.1):
            found.append(self.pick(self.inputs) if self.inputs and self.chance(0.7) else self.pick(self.pool))
        found = list(dict.fromkeys(found))
        return found or written[-1:]


def _handle() -> T:
    return T(I32, (1,), type_name="RESOURCE")


def _handle_node(t: T, name: str) -> Op:
    return Op("VAR_HANDLE", [], [t], container="", shared_name=name)


def _moved(node: Op, mine: Callable[[T | None], T | None], first: int, label: str) -> Op:
    """A node with other tensors, whose subgraphs are ``first`` and those behind it, and with names of its own."""
    moved = copy.copy(node)
    moved.inputs, moved.outputs = [mine(t) for t in node.inputs], [mine(t) for t in node.outputs]
    if node.options is not None:
        fields = {
            name: value + first - 1 if name.endswith("subgraph_index") else label if name == "shared_name" else value
            for name, value in node.options.fields.items()
        }
        moved.options = Table(node.options.table, **fields)
    return moved


def _parameters(t: T) -> tuple[Any, Any]:
    scale = None if t.scale is None else float(np.float32(np.max(t.scale))) if not isinstance(t.scale, T) else t.scale
    return scale, 0 if scale is None else int(np.max(t.zero_point))


def _same_kind(a: T, b: T) -> bool:
    return bool(a.dtype == b.dtype and _parameters(a) == _parameters(b))


def _bounds(meaning: str | None, t: T, values: Sequence[np.ndarray]) -> Iterator[Any]:
    """The lowest and the highest value, in stored units, or None each."""
    info = None if np.dtype(t.dtype).kind not in "iu" else np.iinfo(t.dtype)
    if meaning is None or t.dtype not in NUMBERS:
        return iter((None, None))
    if meaning == POSITIVE:
        return iter((max(int(np.max(t.zero_point)), 0) + 1 if info else 0.25, None))
    low, high = (f(v) for f, v in ((np.min, np.stack(values)), (np.max, np.stack(values))))
    if info:
        return iter((None if low == info.min else int(low), None if high == info.max else int(high)))
    finite = np.stack(values)[np.isfinite(np.stack(values))].clip(-100, 100)
    return iter((float(finite.min()), float(finite.max())) if finite.size else (-1.0, 1.0))
