"""The cases of the conformance run: models of one operator over types, shapes, options and extreme values.

``cases()`` yields all of them. A generator that is decorated with ``builds`` makes those of the operators named; it
tries every type that might exist, since that LiteRT refuses one is a result too.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import elementwise
import moves
import numpy as np
import products
import recurrent
import reductions
from flatbuffers import flexbuffers
from linear import Linear
from recurrent import Cell
from sparse import encode
from writer import NONE, REFLECT, RELU, RELU6, RELU_N1_TO_1, SAME, SYMMETRIC, VALID, Graph, Op, T, Table, model, network

I8, U8, I16, I32, I64, F32, BOOL = np.int8, np.uint8, np.int16, np.int32, np.int64, np.float32, np.bool_
TYPES: tuple[Any, ...] = (I8, U8, I16, I32, I64, F32, BOOL)
NUMBERS = TYPES[:-1]


@dataclass(frozen=True)
class Case:
    """A model of one operator and what it is fed with, in one run or in several."""

    op: str
    types: str
    model: bytes
    steps: Sequence[Sequence[np.ndarray]]
    ulps: int = 0  # by how many units in the last place float32 may differ
    relative: float = 0.0  # by how much results may differ, as a part of the largest


Builder = Callable[[str], Iterator[Case]]
BUILDERS: dict[str, list[Builder]] = {}


def builds(*operators: str) -> Callable[[Builder], Builder]:
    """Register what makes cases of these operators."""

    def register(builder: Builder) -> Builder:
        for op in operators:
            BUILDERS.setdefault(op, []).append(builder)
        return builder

    return register


def cases(operators: Sequence[str] = ()) -> Iterator[Case]:
    """All cases, or those of some operators."""
    for op in operators or sorted(BUILDERS):
        for builder in BUILDERS.get(op, []):
            yield from builder(op)


def name(dtype: Any) -> str:
    """A type's name."""
    return str(np.dtype(dtype).name)


# Quantizations and values

# {type: (scale, zero point) of tensors}
QUANTIZATIONS: dict[Any, list[tuple[Any, int]]] = {
    I8: [(0.05, -7), (0.1, -128), (0.021, 127), (2.0**-20, 3)],
    U8: [(0.05, 131), (0.1, 0), (0.021, 255), (2.0**-20, 3)],
    I16: [(0.001, 0), (3e-4, 0), (0.0047, 0), (2.0**-13, 0)],
}
PLAIN: list[tuple[Any, int]] = [(None, 0)]


def quantizations(dtype: Any) -> list[tuple[Any, int]]:
    """Ways to quantize a tensor of the type."""
    return QUANTIZATIONS.get(dtype, PLAIN)


def ends(dtype: Any, shape: Sequence[int]) -> np.ndarray:
    """Values that are the ends of the type's range only, alternating; of floats the extraordinary ones."""
    if np.dtype(dtype).kind == "f":
        some = np.array([0.0, -0.0, 1.0, -1.0, 1e30, -1e30, 1e-40, np.inf, -np.inf], dtype)
    elif dtype == BOOL:
        some = np.array([False, True])
    else:
        some = np.array([np.iinfo(dtype).min, np.iinfo(dtype).max, 0, 1], dtype)
    return np.resize(some, shape)


def drawn(dtype: Any, shape: Sequence[int], seed: int = 0) -> np.ndarray:
    """Values over the whole range of the type; normally distributed floats."""
    if dtype == BOOL:
        return moves.values(dtype, shape, seed)
    return elementwise.values(shape, dtype, seed)


def both(dtype: Any, shape: Sequence[int], seed: int = 0) -> Iterator[np.ndarray]:
    """Ordinary and extreme values."""
    yield drawn(dtype, shape, seed)
    yield ends(dtype, shape)


# Operators on one tensor

SHAPES = [(2, 37), (1, 5, 7, 3), (), (300,)]

# What LiteRT demands of outputs: {operator: {type: (scale, zero point)}}
OUTPUTS: dict[str, dict[Any, tuple[float, int]]] = {
    "LOGISTIC": {I8: (1 / 256, -128), U8: (1 / 256, 0), I16: (1 / 32768, 0)},
    "TANH": {I8: (1 / 128, 0), U8: (1 / 128, 128), I16: (1 / 32768, 0)},
    "SOFTMAX": {I8: (1 / 256, -128), U8: (1 / 256, 0), I16: (1 / 32768, 0)},
    "LOG_SOFTMAX": {I8: (1 / 16, 127), U8: (1 / 16, 255)},
    "L2_NORMALIZATION": {I8: (1 / 128, 0), U8: (1 / 128, 128)},
}
POSITIVE = ("LOG", "SQRT", "RSQRT")
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "LEAKY_RELU": [{"alpha": 0.1}, {"alpha": 1.7}],
    "GELU": [{"approximate": False}, {"approximate": True}],
    "SOFTMAX": [{"beta": 1.0}, {"beta": 0.5}],
    "L2_NORMALIZATION": [{"fused_activation_function": NONE}],
    "FAKE_QUANT": [{"min": -1.0, "max": 2.0, "num_bits": 8}, {"min": 0.0, "max": 6.0, "num_bits": 4}],
}


@builds(
    "ABS", "CEIL", "COS", "ELU", "EXP", "FLOOR", "GELU", "HARD_SWISH", "L2_NORMALIZATION", "LEAKY_RELU", "LOG",
    "LOGICAL_NOT", "LOGISTIC", "LOG_SOFTMAX", "NEG", "RELU", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1", "ROUND", "RSQRT",
    "SIGN", "SIN", "SOFTMAX", "SQRT", "SQUARE", "TANH", "ZEROS_LIKE", "FAKE_QUANT",
)  # fmt: skip
def unary(op: str) -> Iterator[Case]:
    for dtype in (F32,) if op == "FAKE_QUANT" else TYPES:
        given = quantizations(dtype)
        pairs = list(zip(given, given)) + list(itertools.pairwise(given))
        for number, (x_, y_) in enumerate(pairs):
            y_ = OUTPUTS.get(op, {}).get(dtype, y_)
            if op in POSITIVE and dtype == I8:
                x_ = x_[0], -128
            for fields in OPTIONS.get(op, [{}]):
                if fields.get("approximate") and dtype == F32:
                    continue  # its bound is not one in units of the last place: see test_gelu
                for shape, x in _inputs(op, dtype, number):
                    content = model(op, [T(dtype, shape, *x_)], [T(dtype, shape, *y_)], **fields)
                    yield Case(op, name(dtype), content, [[x]], ulps=16 if op == "GELU" else 0)


def _inputs(op: str, dtype: Any, number: int) -> Iterator[tuple[Any, np.ndarray]]:
    shape = SHAPES[number % len(SHAPES)]
    rows = ("SOFTMAX", "LOG_SOFTMAX", "L2_NORMALIZATION")
    if op in rows:
        shape = [(2, 37), (1, 5, 7, 3), (3, 10), (300,)][number % 4]
    for x in both(dtype, shape, number):
        if op in POSITIVE and dtype in (F32, I16):
            x = np.abs(np.where(x == np.iinfo(I16).min, 1, x)).astype(dtype)
        if op in rows and dtype == F32:
            x = np.nan_to_num(x, posinf=50, neginf=-50).clip(-50, 50)
        yield shape, x


@builds("LOCAL_RESPONSE_NORMALIZATION")
def local_response(op: str) -> Iterator[Case]:
    for shape, radius in itertools.product([(1, 3, 3, 8), (2, 1, 4, 17)], [1, 2, 5]):
        fields = {"radius": radius, "bias": 1.0, "alpha": 0.1, "beta": 0.5}
        content = model(op, [T(F32, shape)], [T(F32, shape)], **fields)
        yield Case(op, "float32", content, [[drawn(F32, shape)]], ulps=2)


# Operators on two tensors

ARITHMETIC = ("ADD", "SUB", "MUL", "DIV")
DIVIDES = ("DIV", "FLOOR_DIV", "FLOOR_MOD")


@builds(
    "ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "FLOOR_DIV", "FLOOR_MOD", "POW",
    "LOGICAL_AND", "LOGICAL_OR", "ATAN2", "BITWISE_XOR", "RIGHT_SHIFT", "STABLEHLO_ADD", "STABLEHLO_MULTIPLY",
    "STABLEHLO_MAXIMUM", "STABLEHLO_MINIMUM", "STABLEHLO_AND", "STABLEHLO_SHIFT_LEFT",
)  # fmt: skip
def binary(op: str) -> Iterator[Case]:
    shapes = [
        ((1, 4, 5, 8), (1, 4, 5, 8)),
        ((1, 4, 5, 8), (8,)),
        ((2, 3, 7), (1, 3, 1)),
        ((3, 37), ()),
        ((2, 1, 5), (1, 3, 1)),
    ]
    if op.startswith("STABLEHLO") or op == "ATAN2":
        shapes = shapes[:1]
    for dtype in TYPES:
        given = quantizations(dtype)[:3]
        for number, (a, b) in enumerate(shapes):
            for which, scheme in enumerate(_three(op, given)):
                activations = [NONE, RELU, RELU6, RELU_N1_TO_1] if op in ARITHMETIC and number == 0 else [NONE]
                for activation in activations:
                    fields = {"fused_activation_function": activation} if op in ARITHMETIC else {}
                    content = (
                        model(op, [T(dtype, a), T(dtype, b)], [T(dtype, a)], options=None)
                        if op.startswith("STABLEHLO")
                        else elementwise.binary(op, dtype, a, b, *scheme, **fields)
                    )
                    for x1, x2 in _operands(op, dtype, a, b, scheme[1][1], 10 * number + which):
                        yield Case(op, name(dtype), content, [[x1, x2]])


def _three(op: str, given: list[tuple[Any, int]]) -> Iterator[tuple[Any, Any]]:
    """Scales and zero points of both inputs and the output."""
    if given[0][0] is None:
        yield (), (0, 0, 0)
        return
    for i in range(3):
        x1, x2, y = (given[0],) * 3 if i == 0 or op in ("MAXIMUM", "MINIMUM") else (given[i], given[i - 1], given[0])
        y = (y[0] * 20, y[1]) if op in ("DIV", "SQUARED_DIFFERENCE") else y
        yield (x1[0], x2[0], y[0]), (x1[1], x2[1], y[1])


def _operands(op: str, dtype: Any, a: Any, b: Any, zero: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for x1, x2 in zip(both(dtype, a, seed), both(dtype, b, seed + 1)):
        if op in DIVIDES and dtype != BOOL:
            x2 = np.where(x2 == zero, 3, x2).astype(dtype) if op == "DIV" else np.where(x2 == 0, 3, x2).astype(dtype)
            x2 = np.where(x2 == zero, 5, x2).astype(dtype)
            x2 = np.where(x2 == -1, 7, x2).astype(dtype) if np.dtype(dtype).kind == "i" else x2
        if op == "POW" and dtype != BOOL:
            x1, x2 = (np.abs(np.nan_to_num(v, posinf=3, neginf=2) % n).astype(dtype) for v, n in ((x1, 5), (x2, 4)))
        if op == "STABLEHLO_SHIFT_LEFT" and np.dtype(dtype).kind in "iu":
            x2 = (x2 % (8 * np.dtype(dtype).itemsize)).astype(dtype)  # what else is undefined
        yield x1, x2


@builds("EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL")
def comparison(op: str) -> Iterator[Case]:
    for dtype in TYPES:
        given = quantizations(dtype)
        for (a, b), x1_, x2_ in itertools.product(
            [((2, 30), (2, 30)), ((1, 4, 5, 8), (8,)), ((3, 37), ())], given[:2], given[1:3] or given
        ):
            content = model(op, [T(dtype, a, *x1_), T(dtype, b, *x2_)], [T(BOOL, a)])
            yield Case(op, name(dtype), content, [[drawn(dtype, a), drawn(dtype, b, 1)]])
            few = [np.resize(np.arange(3), s).astype(dtype) for s in (a, b)]
            yield Case(op, name(dtype), content, [few])


@builds("PRELU")
def prelu(op: str) -> Iterator[Case]:
    for dtype in (I8, U8, F32):
        for x_, a_ in itertools.product(quantizations(dtype)[:3], repeat=2):
            for shape, alpha in [((1, 4, 5, 8), (8,)), ((1, 4, 5, 8), (1, 1, 8)), ((2, 3), (1, 1))]:
                inputs = [T(dtype, shape, *x_), T(dtype, alpha, *a_, data=drawn(dtype, alpha, 2))]
                content = model(op, inputs, [T(dtype, shape, *quantizations(dtype)[0])])
                for x in both(dtype, shape):
                    yield Case(op, name(dtype), content, [[x]])


@builds("ADD_N")
def add_n(op: str) -> Iterator[Case]:
    for dtype, count in itertools.product((I32, F32, I8), (2, 3, 5)):
        tensors = [T(dtype, (3, 7)) for _ in range(count)]
        for seed in range(3):
            values = [drawn(dtype, (3, 7), seed + i) for i in range(count)]
            yield Case(op, name(dtype), model(op, tensors, [T(dtype, (3, 7))]), [values])


@builds("SELECT", "SELECT_V2")
def select(op: str) -> Iterator[Case]:
    shapes = [((2, 5), (2, 5), (2, 5)), ((2,), (2, 5), (2, 5)) if op == "SELECT" else ((2, 1), (2, 5), (5,))]
    for dtype in TYPES:
        for c, a, b in shapes:
            content = model(op, [T(BOOL, c), _t(dtype, a), _t(dtype, b)], [_t(dtype, (2, 5))])
            for seed in range(2):
                fed = [drawn(BOOL, c, seed), moves.values(dtype, a, seed), moves.values(dtype, b, seed + 1)]
                yield Case(op, name(dtype), content, [fed])


# Reductions


@builds("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "REDUCE_ANY", "REDUCE_ALL")
def reduction(op: str) -> Iterator[Case]:
    for dtype in TYPES:
        for number, (shape, axes) in enumerate(reductions.SHAPES_AND_AXES[:11]):
            x_, y_ = quantizations(dtype)[number % 3 if len(quantizations(dtype)) > 1 else 0], quantizations(dtype)[0]
            y_ = x_ if op in ("REDUCE_MAX", "REDUCE_MIN") else y_
            for x in itertools.islice(both(dtype, shape, number), 1 if dtype == F32 else 2):
                for keep in (False, True):
                    content = reductions.reduction(op, x, axes, keep, (x_[0], y_[0]), (x_[1], y_[1]))
                    yield Case(op, name(dtype), content, [[x]])


@builds("ARG_MAX", "ARG_MIN")
def arg(op: str) -> Iterator[Case]:
    for dtype in TYPES:
        for shape, axis in [((3, 5, 7), 1), ((3, 5, 7), 2), ((1, 40), -1), ((17,), 0)]:
            for out, x in itertools.product((I32, I64), both(dtype, shape)):
                fields = {"output_type": 2 if out == I32 else 4}
                content = model(op, [_t(dtype, shape), moves.indices(axis)], [T(out, (1,))], **fields)
                yield Case(op, name(dtype), content, [[x]])


@builds("CUMSUM")
def cumsum(op: str) -> Iterator[Case]:
    for dtype, axis, exclusive, reverse in itertools.product(TYPES, (0, 1), (False, True), (False, True)):
        content = model(
            op, [_t(dtype, (3, 5)), moves.indices(axis)], [_t(dtype, (3, 5))], exclusive=exclusive, reverse=reverse
        )
        yield Case(op, name(dtype), content, [[drawn(dtype, (3, 5))]])


@builds("TOPK_V2")
def top(op: str) -> Iterator[Case]:
    for dtype, shape, k in itertools.product(TYPES, [(3, 20), (9,), (2, 2, 5)], (1, 4)):
        content = model(op, [_t(dtype, shape), moves.indices(k)], [_t(dtype), T(I32, (1,))])
        yield Case(op, name(dtype), content, [[drawn(dtype, shape)]])


@builds("SEGMENT_SUM", "UNSORTED_SEGMENT_PROD", "UNSORTED_SEGMENT_MAX", "UNSORTED_SEGMENT_SUM", "UNSORTED_SEGMENT_MIN")
def segments(op: str) -> Iterator[Case]:
    for dtype in (I32, F32, I8, I64):
        for shape in [(6,), (6, 3)]:
            ids = moves.indices([0, 0, 1, 2, 2, 3])
            count = [] if op == "SEGMENT_SUM" else [moves.indices(5)]
            content = model(op, [_t(dtype, shape), ids, *count], [_t(dtype)])
            yield Case(op, name(dtype), content, [[drawn(dtype, shape)]])


# Moves


def _t(dtype: Any, shape: Any = (1,), **fields: Any) -> T:
    return moves.tensor(dtype, shape, **fields)


def _moved(
    op: str, shape: Sequence[int], parameters: Sequence[Any], outputs: int = 1, first: bool = True, **fields: Any
) -> Iterator[Case]:
    """Cases of all types: x and constant parameters, x first or last."""
    for dtype in TYPES:
        x = _t(dtype, shape)
        constants = [p if isinstance(p, T) else moves.indices(p) for p in parameters]
        content = model(
            op, [x, *constants] if first else [*constants, x], [_t(dtype) for _ in range(outputs)], **fields
        )
        for seed in range(2):
            yield Case(op, name(dtype), content, [[moves.values(dtype, shape, seed)]])


@builds("RESHAPE")
def reshape(op: str) -> Iterator[Case]:
    for shape, to in [((2, 3, 4), [6, 4]), ((2, 3, 4), [-1]), ((1,), [1, 1, 1])]:
        yield from _moved(op, shape, [to], new_shape=to)


@builds("SQUEEZE")
def squeeze(op: str) -> Iterator[Case]:
    for shape, axes in [((1, 3, 1, 4), [0, 2]), ((1, 3, 1, 4), []), ((3, 1), [-1])]:
        yield from _moved(op, shape, [], squeeze_dims=axes)


@builds("EXPAND_DIMS")
def expand(op: str) -> Iterator[Case]:
    for axis in (0, -1, 1):
        yield from _moved(op, (2, 3), [axis])


@builds("TRANSPOSE")
def transpose(op: str) -> Iterator[Case]:
    for shape, order in [
        ((2, 3), [1, 0]),
        ((2, 3, 4, 5), [0, 3, 1, 2]),
        ((17, 33), [1, 0]),
        ((1, 2, 3, 2, 2), [4, 1, 0, 3, 2]),
    ]:
        yield from _moved(op, shape, [order])


@builds("SLICE")
def slice_(op: str) -> Iterator[Case]:
    for begin, size, to in [([0, 1, 1], [2, 2, -1], (2, 2, 3)), ([1, 0, 0], [1, 3, 2], (1, 3, 2))]:
        for dtype in TYPES:
            content = model(op, [_t(dtype, (2, 3, 4)), moves.indices(begin), moves.indices(size)], [_t(dtype, to)])
            yield Case(op, name(dtype), content, [[moves.values(dtype, (2, 3, 4))]])


@builds("STRIDED_SLICE")
def strided(op: str) -> Iterator[Case]:
    for begin, end, strides, masks in [
        ([0, 1, 0], [2, 3, 4], [1, 1, 2], {}),
        ([1, -1, 0], [2, -4, 3], [1, -1, 1], {}),
        ([0, 0, 1], [2, 3, 2], [1, 1, 1], {"shrink_axis_mask": 4}),
        ([0, 1], [9, 9], [1, 1], {"begin_mask": 1, "end_mask": 3}),
    ]:
        yield from _moved(op, (2, 3, 4), [begin, end, strides], **masks)


@builds("SPLIT", "SPLIT_V", "UNPACK")
def split(op: str) -> Iterator[Case]:
    for shape, axis in [((4, 6), 0), ((2, 4, 3), 1)]:
        if op == "SPLIT":
            yield from _moved(op, shape, [axis], 2, first=False, num_splits=2)
        elif op == "SPLIT_V":
            yield from _moved(op, shape, [[1, 3], axis], 2, num_splits=2)
        else:
            yield from _moved(op, shape, [], shape[axis], num=shape[axis], axis=axis)


@builds("PACK", "CONCATENATION")
def joined(op: str) -> Iterator[Case]:
    for dtype, axis in itertools.product(TYPES, (0, 1)):
        fields = (
            {"values_count": 3, "axis": axis} if op == "PACK" else {"axis": axis, "fused_activation_function": NONE}
        )
        content = model(op, [_t(dtype, (2, 3)) for _ in range(3)], [_t(dtype)], **fields)
        for seed in range(2):
            yield Case(op, name(dtype), content, [[moves.values(dtype, (2, 3), seed + i) for i in range(3)]])
    if op == "CONCATENATION":
        for axis, scale in itertools.product((0, 1), (0.05, 0.021, 0.3)):
            inputs = [T(U8, (2, 3), scale, 5), T(U8, (2, 3), 0.05, 131)]
            fed = [moves.values(U8, (2, 3), i) for i in range(2)]
            yield Case(op, "uint8", model(op, inputs, [T(U8, (1,), 0.05, 131)], axis=axis), [fed])


@builds("PAD", "PADV2", "MIRROR_PAD")
def pad(op: str) -> Iterator[Case]:
    for shape, widths in [
        ((3, 4), [[1, 2], [0, 1]]),
        ((1, 3, 4, 2), [[0, 0], [1, 1], [2, 1], [0, 0]]),
        ((5,), [[0, 3]]),
    ]:
        for dtype in TYPES:
            value = [] if op != "PADV2" else [_t(dtype, (1,), data=moves.values(dtype, (1,), 9))]
            for mode in (REFLECT, SYMMETRIC) if op == "MIRROR_PAD" else (None,):
                fields = {} if mode is None else {"mode": mode}
                content = model(op, [_t(dtype, shape), moves.indices(widths), *value], [_t(dtype)], **fields)
                yield Case(op, name(dtype), content, [[moves.values(dtype, shape)]])


@builds("TILE")
def tile(op: str) -> Iterator[Case]:
    for shape, times in [((2, 3), [2, 1]), ((1, 4, 2), [3, 1, 2])]:
        yield from _moved(op, shape, [times])


@builds("FILL")
def fill(op: str) -> Iterator[Case]:
    for dims in ([2, 3], [5], [1, 2, 3, 4]):
        yield from _moved(op, (), [dims], first=False)


@builds("BROADCAST_TO")
def broadcast(op: str) -> Iterator[Case]:
    for shape, to in [((1, 3), [4, 3]), ((2, 1, 3), [2, 5, 3]), ((3,), [2, 2, 3])]:
        yield from _moved(op, shape, [to], version=2)


@builds("REVERSE_V2")
def reverse(op: str) -> Iterator[Case]:
    for axes in ([0], [1], [2]):
        yield from _moved(op, (2, 3, 4), [axes])


@builds("SHAPE", "RANK")
def shape_of(op: str) -> Iterator[Case]:
    for dtype, shape in itertools.product(TYPES, [(2, 3), (1, 2, 3, 4)]):
        fields = {"out_type": 2} if op == "SHAPE" else {}
        content = model(op, [_t(dtype, shape)], [T(I32, (1,))], **fields)
        yield Case(op, name(dtype), content, [[moves.values(dtype, shape)]])


@builds("SPACE_TO_DEPTH", "DEPTH_TO_SPACE")
def depth(op: str) -> Iterator[Case]:
    for shape, block in [((1, 4, 6, 8), 2), ((2, 4, 4, 16), 4)]:
        yield from _moved(op, shape, [], block_size=block)


@builds("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND")
def batch(op: str) -> Iterator[Case]:
    for shape, ends_ in [((4, 4, 4, 3), [[0, 0], [0, 0]]), ((8, 2, 6, 1), [[0, 2], [2, 0]])]:
        yield from _moved(op, shape, [[2, 2], ends_])


@builds("GATHER")
def gather(op: str) -> Iterator[Case]:
    for axis, at in itertools.product((0, 1, -1), ([0, 1, 1], [[1], [0]])):
        yield from _moved(op, (2, 3, 4), [at], axis=axis, batch_dims=0)
    yield from _moved(op, (2, 3, 4), [[[0, 2], [1, 1]]], axis=1, batch_dims=1)


@builds("GATHER_ND")
def gather_nd(op: str) -> Iterator[Case]:
    for at in ([[0, 1], [1, 2]], [[1]], [[0, 1, 3]]):
        yield from _moved(op, (2, 3, 4), [at])


@builds("SCATTER_ND")
def scatter(op: str) -> Iterator[Case]:
    for dtype in TYPES:
        for at, updates, to in [([[0], [2]], (2,), [4]), ([[1], [1]], (2, 3), [2, 3])]:
            content = model(op, [moves.indices(at), _t(dtype, updates), moves.indices(to)], [_t(dtype)])
            yield Case(op, name(dtype), content, [[drawn(dtype, updates)]])


@builds("REVERSE_SEQUENCE")
def reverse_sequence(op: str) -> Iterator[Case]:
    for lengths in ([1, 3], [4, 2]):
        yield from _moved(op, (2, 4, 3), [lengths], seq_dim=1, batch_dim=0)


@builds("MATRIX_DIAG", "MATRIX_SET_DIAG")
def diagonal(op: str) -> Iterator[Case]:
    for dtype, shape in itertools.product(TYPES, [(3,), (2, 4)]):
        if op == "MATRIX_DIAG":
            yield Case(op, name(dtype), model(op, [_t(dtype, shape)], [_t(dtype)]), [[moves.values(dtype, shape)]])
        else:
            whole = (*shape, shape[-1])
            content = model(op, [_t(dtype, whole), _t(dtype, shape)], [_t(dtype)])
            yield Case(op, name(dtype), content, [[moves.values(dtype, whole), moves.values(dtype, shape)]])


@builds("ONE_HOT")
def one_hot(op: str) -> Iterator[Case]:
    for dtype, axis in itertools.product(TYPES, (-1, 0, 1)):
        content = model(op, [T(I32, (2, 3)), moves.indices(4), _t(dtype, ()), _t(dtype, ())], [_t(dtype)], axis=axis)
        at = np.array([[0, 3, 5], [-1, 1, 2]], I32)
        yield Case(op, name(dtype), content, [[at, moves.values(dtype, (), 1), moves.values(dtype, (), 2)]])


@builds("DYNAMIC_UPDATE_SLICE")
def update_slice(op: str) -> Iterator[Case]:
    for dtype, at in itertools.product(TYPES, ([0, 0], [1, 2], [9, -3])):
        content = model(op, [_t(dtype, (3, 5)), _t(dtype, (2, 2)), T(I32, (2,))], [_t(dtype, (3, 5))])
        fed = [moves.values(dtype, (3, 5)), moves.values(dtype, (2, 2), 1), np.array(at, I32)]
        yield Case(op, name(dtype), content, [fed])


@builds("SPARSE_TO_DENSE")
def sparse_to_dense(op: str) -> Iterator[Case]:
    for dtype, index in itertools.product(TYPES, (I32, I64)):
        at = np.array([[0, 1], [2, 2]], index)
        content = model(
            op, [T(index, at.shape), moves.indices([3, 4], index), _t(dtype, (2,)), _t(dtype, ())], [_t(dtype)]
        )
        yield Case(op, name(dtype), content, [[at, moves.values(dtype, (2,)), moves.values(dtype, (), 1)]])


@builds("WHERE")
def where(op: str) -> Iterator[Case]:
    for dtype, shape in itertools.product(TYPES, [(7,), (2, 3, 4)]):
        x = drawn(dtype, shape) * drawn(BOOL, shape, 1)
        yield Case(op, name(dtype), model(op, [_t(dtype, shape)], [T(I64, (1, 1))]), [[x.astype(dtype)]])


@builds("UNIQUE")
def unique(op: str) -> Iterator[Case]:
    for dtype, out in itertools.product(TYPES, (I32, I64)):
        content = model(op, [_t(dtype, (9,))], [_t(dtype), T(out, (1,))], idx_out_type=2 if out == I32 else 4)
        x = np.array([3, 1, 3, 2, 1, 0, 0, 5, 3]).astype(dtype)
        yield Case(op, name(dtype), content, [[x]])


@builds("RANGE")
def range_(op: str) -> Iterator[Case]:
    for dtype, (start, limit, delta) in itertools.product(NUMBERS, [(0, 10, 3), (10, -5, -4), (2, 9, 1)]):
        parameters = [T(dtype, (), data=np.array(v, dtype)) for v in (start, limit, delta)] if dtype != U8 else None
        if parameters is not None:
            yield Case(op, name(dtype), model(op, parameters, [T(dtype, (1,))]), [[]])


@builds("BROADCAST_ARGS")
def broadcast_args(op: str) -> Iterator[Case]:
    for dtype, (a, b) in itertools.product((I32, I64), [([2, 1], [3]), ([4], [2, 1, 4]), ([1, 5], [7, 1])]):
        content = model(op, [T(dtype, (len(a),)), T(dtype, (len(b),))], [T(dtype, (1,))])
        yield Case(op, name(dtype), content, [[np.array(a, dtype), np.array(b, dtype)]])


@builds("BUCKETIZE")
def bucketize(op: str) -> Iterator[Case]:
    for dtype in (F32, np.float64, I32, I64):
        content = model(op, [T(dtype, (20,))], [T(I32, (20,))], boundaries=np.array([-2.0, 0, 1.5, 7], F32))
        for seed in range(3):
            yield Case(op, name(dtype), content, [[np.random.default_rng(seed).normal(0, 5, 20).astype(dtype)]])


@builds("EMBEDDING_LOOKUP")
def embedding(op: str) -> Iterator[Case]:
    ids = np.array([2, 0, 4, 4], I32)
    for dtype, out, type_name in [
        (F32, F32, None), (I8, F32, None), (I8, I8, None), (U8, F32, None), (I16, I16, None), (I8, F32, "INT4"),
        (I8, F32, "INT2"),
    ]:  # fmt: skip
        limit = {"INT4": 7, "INT2": 1}.get(type_name or "", 100)
        for per_row in (False, True):
            table = np.random.default_rng(0).integers(-limit, limit + 1, (5, 8)).astype(dtype)
            scale = None if dtype == F32 else np.full(5, 0.03) if per_row else 0.05
            w = T(dtype, (5, 8), scale, data=table, type_name=type_name)
            y = T(out, (4, 8), 0.05 if out != F32 else None)
            label = f"{type_name.lower() if type_name else name(dtype)} -> {name(out)}" if out != dtype else name(dtype)
            yield Case(op, label, model(op, [T(I32, (4,)), w], [y]), [[ids]])


@builds("EMBEDDING_LOOKUP_SPARSE")
def embedding_sparse(op: str) -> Iterator[Case]:
    at = np.array([[0, 0], [0, 1], [2, 0]], I32)
    for combiner in (0, 1, 2):
        inputs = [T(I32, (3,)), T(I32, at.shape), moves.indices([3, 2]), T(F32, (3,)), T(F32, (5, 2))]
        fed = [np.array([1, 3, 0], I32), at, np.array([1.5, 2, -1], F32), drawn(F32, (5, 2))]
        yield Case(op, "float32", model(op, inputs, [T(F32, (1,))], combiner=combiner), [fed])


@builds("HASHTABLE_LOOKUP")
def hashtable_lookup(op: str) -> Iterator[Case]:
    for dtype in TYPES:
        keys, queries = np.array([-3, 0, 7, 9], I32), np.array([7, 8, -3], I32)
        content = model(op, [T(I32, (3,)), T(I32, (4,)), _t(dtype, (4, 2))], [_t(dtype), T(U8, (1,))])
        yield Case(op, name(dtype), content, [[queries, keys, moves.values(dtype, (4, 2))]])


# Types


@builds("CAST")
def cast(op: str) -> Iterator[Case]:
    types = (*TYPES, np.float64, np.float16, np.uint16, np.uint32, np.complex64)
    for source, target in itertools.product(types, repeat=2):
        x = np.array([0, 1, 2, 3, 100, 7]).astype(source)
        yield Case(op, f"{name(source)} -> {name(target)}", model(op, [T(source, (6,))], [T(target, (6,))]), [[x]])


@builds("BITCAST")
def bitcast(op: str) -> Iterator[Case]:
    for source, target in [(F32, I32), (I32, F32), (I8, U8), (I32, I16), (I16, I32), (I64, I32)]:
        a, b = np.dtype(source).itemsize, np.dtype(target).itemsize
        shape, to = (3, *([b // a] if b > a else [])), (3, *([a // b] if a > b else []))
        content = model(op, [T(source, shape)], [T(target, to)])
        yield Case(op, f"{name(source)} -> {name(target)}", content, [[moves.values(source, shape)]])


@builds("QUANTIZE")
def quantize(op: str) -> Iterator[Case]:
    for source, target in itertools.product((F32, I8, U8, I16, I32), (I8, U8, I16, I32)):
        given = QUANTIZATIONS.get(source, [(0.003, 0)] if source == I32 else PLAIN)
        label = f"{name(source)} -> {name(target)}"
        for x_, y_ in itertools.product(given[:3], QUANTIZATIONS.get(target, [(0.003, 0)])[:3]):
            content = model(op, [T(source, (5, 60), *x_)], [T(target, (5, 60), *y_)])
            x = drawn(source, (5, 60)) if source != I32 else drawn(I16, (5, 60)).astype(I32)
            yield Case(op, label, content, [[x]])


@builds("DEQUANTIZE")
def dequantize(op: str) -> Iterator[Case]:
    for source in (I8, U8, I16, np.float16, I32):
        given = QUANTIZATIONS.get(source, PLAIN if source == np.float16 else [(0.01, 0)])
        for x_ in given:
            content = model(op, [T(source, (3, 100), *x_)], [T(F32, (3, 100))])
            x = drawn(source, (3, 100))
            yield Case(op, f"{name(source)} -> float32", content, [[x]])


# Products


def _labelled(p: products.Product) -> str:
    weights = p.weights.lower()
    return name(p.activations) if weights == "float32" else f"{name(p.activations)} x {weights}"


@builds("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
def product(op: str) -> Iterator[Case]:
    geometries = products.GEOMETRIES
    names = [n for n in geometries if n == op or (n == "GROUPED" and op == "CONV_2D")]
    for activations, weights, bias in [
        (F32, "float32", F32), (F32, "int8", F32), (F32, "INT4", F32), (I16, "int8", I64), (I16, "int8", I32),
        (I16, "INT4", I64), (I8, "int8", I32), (I8, "INT4", I32), (I8, "INT2", I32), (I16, "INT2", I64),
        (F32, "INT2", F32),
    ]:  # fmt: skip
        for geometry, per_channel in itertools.product((g for n in names for g in geometries[n][::2]), (True, False)):
            zeros = (-7, 3) if activations == I8 else (0, 0)
            extra = (
                {"quantized_bias_type": 2} if activations == I16 and bias == I32 and op != "DEPTHWISE_CONV_2D" else {}
            )
            case = products.Product(
                **{**geometry, "options": {**geometry["options"], **extra}}, activations=activations, weights=weights,
                bias=bias, per_channel=per_channel, zero_points=zeros,
            )  # fmt: skip
            content, fed = case.model()
            yield Case(op, _labelled(case), content, [fed])
            if activations != F32 and per_channel:
                extreme = products.Product(**{**vars(case), "values": "ends"})
                content, fed = extreme.model()
                yield Case(op, _labelled(case), content, [fed])


@builds("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
def eight_bits(op: str) -> Iterator[Case]:
    shapes: dict[str, list[tuple[Any, Any, dict[str, Any]]]] = {
        "CONV_2D": [((1, 8, 8, 3), (16, 3, 3, 3), {"padding": SAME}), ((2, 5, 5, 64), (20, 1, 1, 64), {})],
        "DEPTHWISE_CONV_2D": [((1, 8, 8, 16), (1, 3, 3, 16), {"padding": SAME}), ((1, 9, 9, 64), (1, 3, 3, 64), {})],
        "FULLY_CONNECTED": [((3, 70), (10, 70), {}), ((1, 64), (33, 64), {})],
    }
    for (x, w, options), dtype, activation, extreme in itertools.product(
        shapes[op], (I8, U8), (NONE, RELU, RELU6, RELU_N1_TO_1), (False, True)
    ):
        case = Linear(op, x, w, dtype=dtype, activation=activation, extreme=extreme, options=options)
        content, fed = case.model()
        yield Case(op, f"{name(dtype)} x {name(dtype)}" if dtype == U8 else "int8 x int8", content, [[fed]])


@builds("BATCH_MATMUL")
def batch_matmul(op: str) -> Iterator[Case]:
    for dtype, other in [(I8, I8), (I16, I16), (F32, F32), (I16, I8), (F32, I8), (U8, U8), (I32, I32)]:
        for (a, b), adj_x, adj_y in itertools.product(
            [((2, 3, 5), (2, 5, 4)), ((1, 7, 33), (1, 33, 20)), ((2, 1, 4, 8), (1, 3, 8, 6)), ((4, 6), (6, 9))],
            (False, True),
            (False, True),
        ):  # fmt: skip
            a_ = (*a[:-2], a[-1], a[-2]) if adj_x else a
            b_ = (*b[:-2], b[-1], b[-2]) if adj_y else b
            hybrid = dtype == F32 and other == I8
            x1 = _t(dtype, a_)
            x2 = T(other, b_, 0.02, 0, data=drawn(other, b_, 1)) if hybrid else _t(other, b_)
            if dtype == I16 and other == I8:
                x2 = T(other, b_, 0.02, 0)  # LiteRT wants no zero point
            batch_ = np.broadcast_shapes(a[:-2], b[:-2])
            y = T(
                dtype, (*batch_, a[-2], b[-1]), *((0.5, 3) if dtype == I8 else (0.01, 0) if dtype == I16 else (None, 0))
            )
            content = model(op, [x1, x2], [y], adj_x=adj_x, adj_y=adj_y, asymmetric_quantize_inputs=hybrid)
            fed = [drawn(dtype, a_)] if hybrid else [drawn(dtype, a_), drawn(other, b_, 1)]
            label = name(dtype) if dtype == other else f"{name(dtype)} x {name(other)}"
            yield Case(op, label, content, [fed])


@builds("CONV_3D", "CONV_3D_TRANSPOSE")
def volume(op: str) -> Iterator[Case]:
    for padding, stride in itertools.product((SAME, VALID), (1, 2)):
        w = T(
            F32,
            (2, 3, 2, 3, 4) if op == "CONV_3D" else (2, 3, 2, 4, 3),
            data=drawn(F32, (2, 3, 2, 3, 4) if op == "CONV_3D" else (2, 3, 2, 4, 3)),
        )
        x = T(F32, (1, 4, 5, 6, 3))
        fields = {
            "padding": padding, "stride_d": stride, "stride_h": stride, "stride_w": stride, "dilation_d_factor": 1,
            "dilation_h_factor": 1, "dilation_w_factor": 1, "fused_activation_function": NONE,
        }  # fmt: skip
        inputs = [x, w]
        if op == "CONV_3D_TRANSPOSE":
            reach = [n * stride if padding == SAME else (n - 1) * stride + k for n, k in zip((4, 5, 6), (2, 3, 2))]
            inputs = [moves.indices([1, *reach, 4]), w, x]
        yield Case(op, "float32", model(op, inputs, [T(F32, (1,))], **fields), [[drawn(F32, (1, 4, 5, 6, 3))]])


# Windows and sizes


@builds("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D")
def pool(op: str) -> Iterator[Case]:
    geometries = [((1, 6, 6, 3), (2, 2), (2, 2)), ((2, 7, 5, 17), (3, 3), (1, 2)), ((1, 4, 4, 64), (4, 4), (1, 1))]
    for dtype, (shape, size, stride), padding, activation in itertools.product(
        (I8, U8, I16, F32, I32), geometries, (SAME, VALID), (NONE, RELU6)
    ):
        x_ = quantizations(dtype)[0]
        fields = {
            "padding": padding, "stride_h": stride[0], "stride_w": stride[1], "filter_height": size[0],
            "filter_width": size[1], "fused_activation_function": activation,
        }  # fmt: skip
        content = model(op, [T(dtype, shape, *x_)], [T(dtype, (1, 1, 1, 1), *x_)], **fields)
        for x in itertools.islice(both(dtype, shape), 1 if dtype == F32 else 2):
            yield Case(op, name(dtype), content, [[x]])


@builds("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")
def resize(op: str) -> Iterator[Case]:
    modes = [(False, False), (True, False), (False, True)]
    for dtype, size, (corners, centers) in itertools.product(TYPES, [(8, 8), (3, 2), (7, 11)], modes):
        inputs = [_t(dtype, (1, 4, 5, 3)), moves.indices(size)]
        content = model(op, inputs, [_t(dtype, (1, *size, 3))], align_corners=corners, half_pixel_centers=centers)
        yield Case(op, name(dtype), content, [[drawn(dtype, (1, 4, 5, 3))]])


# Complex numbers


@builds("REAL", "IMAG", "COMPLEX_ABS")
def complex_part(op: str) -> Iterator[Case]:
    for dtype, out in [(np.complex64, F32), (np.complex128, np.float64)]:
        x = (drawn(F32, (4, 5)) + 1j * drawn(F32, (4, 5), 1)).astype(dtype)
        yield Case(op, name(dtype), model(op, [T(dtype, (4, 5))], [T(out, (4, 5))]), [[x]])


# Recurrent


@builds("LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM")
def lstm(op: str) -> Iterator[Case]:
    shape = (2, 8) if op == "LSTM" else (3, 2, 8)
    fields = {} if op == "LSTM" else {"time_major": True}
    for cifg, peephole, norm, outputs in itertools.product((False, True), (False, True), (False, True), (None, 4)):
        for kind in ("float32", "float32 x int8", "int8"):
            rng = np.random.default_rng(len(kind))
            cell = Cell(rng, 2, cifg=cifg, peephole=peephole, norm=norm, outputs=outputs)
            if kind == "int8":
                content, steps = recurrent.int8_lstm(rng, op, shape, cell, **fields), recurrent.int8_steps(rng, shape)
            else:
                content = recurrent.float_lstm(op, shape, cell, kind != "float32", **fields)
                steps = recurrent.float_steps(rng, shape)
            yield Case(op, kind, content, steps, ulps=0 if kind == "int8" else 4)


@builds("SVDF")
def svdf(op: str) -> Iterator[Case]:
    for rank, batch_ in itertools.product((1, 2), (1, 3)):
        rng = np.random.default_rng(rank)
        units, memory, depth_ = 4, 5, 6
        filters = units * rank
        x, y = T(F32, (batch_, depth_)), T(F32, (batch_, units))
        weights, times = rng.normal(size=(filters, depth_)).astype(F32), rng.normal(size=(filters, memory)).astype(F32)
        steps = [[rng.normal(size=(batch_, depth_)).astype(F32)] for _ in range(4)]
        inputs = [
            x, T(F32, weights.shape, data=weights), T(F32, times.shape, data=times),
            T(F32, (units,), data=rng.normal(size=units).astype(F32)),
            T(F32, (batch_, memory * filters), is_variable=True),
        ]  # fmt: skip
        yield Case(op, "float32", model(op, inputs, [y], rank=rank, fused_activation_function=RELU), steps, ulps=4)
        narrow = [
            T(I8, (batch_, depth_), 0.02, 0), T(I8, weights.shape, 0.01, data=rng.integers(-127, 128, weights.shape)),
            T(I16, times.shape, 0.01, data=rng.integers(-300, 300, times.shape)),
            T(I32, (units,), 1e-4, data=rng.integers(-500, 500, units)),
            T(I16, (batch_, memory * filters), 0.01, is_variable=True),
        ]  # fmt: skip
        fields = {"rank": rank, "fused_activation_function": RELU}
        many = [[drawn(I8, (batch_, depth_), i)] for i in range(4)]
        yield Case(op, "int8", model(op, narrow, [T(I8, (batch_, units), 0.05, -128)], **fields), many)


@builds("RNN", "UNIDIRECTIONAL_SEQUENCE_RNN")
def rnn(op: str) -> Iterator[Case]:
    for batch_, activation in itertools.product((1, 3), (RELU, 4)):
        rng = np.random.default_rng(batch_)
        depth_, units = 6, 5
        shape = (batch_, depth_) if op == "RNN" else (2, batch_, depth_)
        tables = [rng.normal(0, 0.4, s).astype(F32) for s in ((units, depth_), (units, units), (units,))]
        fields: dict[str, Any] = {"fused_activation_function": activation} | (
            {} if op == "RNN" else {"time_major": True}
        )
        inputs = [T(F32, shape), *(T(F32, t.shape, data=t) for t in tables), T(F32, (batch_, units), is_variable=True)]
        steps = [[rng.normal(size=shape).astype(F32)] for _ in range(3)]
        yield Case(op, "float32", model(op, inputs, [T(F32, (*shape[:-1], units))], **fields), steps, ulps=4)


# State and control


@builds("IF", "WHILE")
def branches(op: str) -> Iterator[Case]:
    for dtype in (F32, I32):

        def tensors(count: int, dtype: Any = dtype) -> list[T]:
            return [T(dtype, (3,)) for _ in range(count)]

        a, b, c, d = tensors(4)
        one = T(dtype, (), data=np.array(1, dtype))
        limit = T(dtype, (3,), data=np.array([100, 100, 100], dtype))
        add, multiply = (
            Graph([Op(o, [x, one if o == "ADD" else x], [y])], [x], [y]) for o, x, y in [("ADD", a, b), ("MUL", c, d)]
        )
        x, y = tensors(2)
        if op == "IF":
            p = T(BOOL, ())
            node = Op(op, [p, x], [y], then_subgraph_index=1, else_subgraph_index=2)
            content = network([node], [p, x], [y], subgraphs=[add, multiply])
            for flag in (True, False):
                yield Case(op, name(dtype), content, [[np.array(flag), np.array([1, 2, 3], dtype)]])
        else:
            e, less, all_ = T(dtype, (3,)), T(BOOL, (3,)), T(BOOL, ())
            condition = Graph(
                [Op("LESS", [e, limit], [less]), Op("REDUCE_ALL", [less, moves.indices([0])], [all_], keep_dims=False)],
                [e],
                [all_],
            )
            node = Op(op, [x], [y], cond_subgraph_index=1, body_subgraph_index=2)
            content = network([node], [x], [y], subgraphs=[condition, add])
            yield Case(op, name(dtype), content, [[np.array([1, 2, 3], dtype)]])


@builds("VAR_HANDLE", "ASSIGN_VARIABLE", "READ_VARIABLE", "CALL_ONCE")
def variables(op: str) -> Iterator[Case]:
    """A value that grows from run to run, first set by a subgraph that runs once."""
    for dtype in (I8, I32, F32):

        def handle() -> T:
            return T(I32, (1,), type_name="RESOURCE")

        first, main = handle(), handle()
        begin = T(dtype, (3,), *quantizations(dtype)[0], data=np.array([1, 2, 3], dtype))
        once = Graph([_handle(first), Op("ASSIGN_VARIABLE", [first, begin], [])], [], [])
        x, held, y = (T(dtype, (3,), *quantizations(dtype)[0]) for _ in range(3))
        nodes = [
            Op("CALL_ONCE", [], [], init_subgraph_index=1), _handle(main), Op("READ_VARIABLE", [main], [held]),
            Op("ADD", [held, x], [y]), Op("ASSIGN_VARIABLE", [main, y], []),
        ]  # fmt: skip
        content = network(nodes, [x], [y], subgraphs=[once])
        yield Case(op, name(dtype), content, [[np.array([1, 2, i]).astype(dtype)] for i in range(3)])


def _handle(t: T) -> Op:
    return Op("VAR_HANDLE", [], [t], container="", shared_name="v")


# StableHLO


@builds("STABLEHLO_COMPOSITE")
def composite(op: str) -> Iterator[Case]:
    for dtype in (F32, I32):
        a, b, x, y = (T(dtype, (3,)) for _ in range(4))
        inner = Graph([Op("MUL", [a, a], [b])], [a], [b])
        attributes = np.frombuffer(flexbuffers.Dumps({}), np.uint8)
        fields = Table(
            "StableHLOCompositeOptions", name="square", decomposition_subgraph_index=1, composite_attributes=attributes
        )
        node = Op(op, [x], [y], fields)
        yield Case(op, name(dtype), network([node], [x], [y], subgraphs=[inner]), [[drawn(dtype, (3,))]])


@builds("DILATE")
def dilate(op: str) -> Iterator[Case]:
    for dtype, dilations in itertools.product(TYPES, [(1, 1, 1), (2, 1, 3), (1, 4, 1)]):
        inputs = [T(dtype, (2, 3, 4)), T(I32, (3,), data=np.array(dilations, I32)), T(dtype, ())]
        content = model(op, inputs, [T(dtype, (1, 1, 1))], options=None)
        yield Case(op, name(dtype), content, [[drawn(dtype, (2, 3, 4)), drawn(dtype, (), 1)]])


@builds("STABLEHLO_PAD")
def stablehlo_pad(op: str) -> Iterator[Case]:
    paddings = [((1, 0), (0, 2), (0, 0)), ((-1, 2), (3, -1), (0, 1)), ((0, 0), (0, 0), (2, 1))]
    for dtype, (low, high, interior) in itertools.product(TYPES, paddings):
        fields = {"edge_padding_low": low, "edge_padding_high": high, "interior_padding": interior}
        inputs = [T(dtype, (3, 4)), T(dtype, ())]
        content = model(op, inputs, [T(dtype, (1, 1))], "StablehloPadOptions", **fields)
        yield Case(op, name(dtype), content, [[drawn(dtype, (3, 4)), drawn(dtype, (), 1)]])


@builds("STABLEHLO_GATHER")
def stablehlo_gather(op: str) -> Iterator[Case]:
    fields = {"offset_dims": [2, 3], "collapsed_slice_dims": [0], "start_index_map": [1, 0], "index_vector_dim": 2}
    for dtype, index, low in itertools.product(TYPES, (I32, I64), (0, -2, 5)):
        places = np.array([[[0, 0], [1, 0], [2, 1]], [[0, 1], [1, 1], [0, 2]]], index) + index(low)
        inputs = [T(dtype, (3, 4, 2)), T(index, places.shape)]
        content = model(op, inputs, [T(dtype, [1] * 4)], "StablehloGatherOptions", **fields, slice_sizes=[1, 2, 2])
        yield Case(op, name(dtype), content, [[drawn(dtype, (3, 4, 2)), places]])


@builds("STABLEHLO_SCATTER")
def stablehlo_scatter(op: str) -> Iterator[Case]:
    computations = (None, "STABLEHLO_ADD", "STABLEHLO_MULTIPLY", "STABLEHLO_MAXIMUM", "STABLEHLO_MINIMUM")
    for dtype, index, computation in itertools.product(TYPES, (I32, I64), computations):
        a, b, c = (T(dtype, ()) for _ in range(3))
        nodes = [Op(computation, [a, b], [c], options=None)] if computation else []
        x, places, updates, y = T(dtype, (4, 2)), T(index, (3, 1)), T(dtype, (3, 2)), T(dtype, (4, 2))
        options = Table(
            "StablehloScatterOptions", update_computation_subgraph_index=1, update_window_dims=[1],
            inserted_window_dims=[0], scatter_dims_to_operand_dims=[0], index_vector_dim=1,
        )  # fmt: skip
        node, inner = Op(op, [x, places, updates], [y], options), Graph(nodes, [a, b], [c if nodes else b])
        content = network([node], [x, places, updates], [y], subgraphs=[inner])
        inputs = [drawn(dtype, (4, 2)), np.array([[1], [3], [1]], index), drawn(dtype, (3, 2), 1)]
        yield Case(op, name(dtype), content, [inputs])


@builds("REDUCE_WINDOW")
def reduce_window(op: str) -> Iterator[Case]:
    for dtype, function, (stride, dilation) in itertools.product(TYPES, range(1, 7), [(1, 1), (2, 1), (1, 2)]):
        if dtype == BOOL and function == 1:
            continue  # LiteRT adds bytes: see test_reduce_window
        measures = [np.array(v, I64) for v in ((2, 2), (stride, 1), (1, dilation))]
        inputs = [T(dtype, (4, 5)), T(dtype, ()), *(T(I64, (2,), data=m) for m in measures)]
        content = model(op, inputs, [T(dtype, (1, 1))], "ReduceWindowOptions", reduce_function=function)
        yield Case(op, name(dtype), content, [[drawn(dtype, (4, 5)), drawn(dtype, (), 1)]])


@builds("STABLEHLO_REDUCE_WINDOW")
def stablehlo_reduce_window(op: str) -> Iterator[Case]:
    for dtype, inner, fields in itertools.product(
        TYPES[:-1], ("ADD", "STABLEHLO_MULTIPLY", "MAXIMUM"), ({}, {"padding": [1, 0, -1, 2], "base_dilations": [2, 1]})
    ):
        content = stablehlo_windows(dtype, (3, 4), inner, **fields)
        yield Case(op, name(dtype), content, [[drawn(dtype, (3, 4)), drawn(dtype, (), 1)]])


def stablehlo_windows(dtype: Any, shape: Sequence[int], inner: str, **fields: Any) -> bytes:
    """STABLEHLO_REDUCE_WINDOW with windows of size 2 along every axis unless the fields say otherwise."""
    a, b, c = (T(dtype, ()) for _ in range(3))
    ones = [1] * len(shape)
    given = dict.fromkeys(("window_strides", "base_dilations", "window_dilations"), ones)
    given |= {"window_dimensions": [2] * len(shape), "padding": [0] * 2 * len(shape), **fields}
    options = Table("StablehloReduceWindowOptions", body_subgraph_index=1, **given)
    body = Op(inner, [a, b], [c], options=None) if inner.startswith("STABLEHLO") else Op(inner, [a, b], [c])
    x, init, y = T(dtype, shape), T(dtype, ()), T(dtype, ones)
    node = Op("STABLEHLO_REDUCE_WINDOW", [x, init], [y], options)
    return network([node], [x, init], [y], subgraphs=[Graph([body], [a, b], [c])])


# Several outputs


@builds("BIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_RNN")
def bidirectional(op: str) -> Iterator[Case]:
    for is_hybrid, merge, batch_ in itertools.product((False, True), (False, True), (1, 3)):
        rng, shape = np.random.default_rng(batch_), (4, batch_, 8)
        if op.endswith("LSTM"):
            cells = [Cell(rng, batch_), Cell(rng, batch_)]
            content = recurrent.bidirectional_lstm(shape, cells, is_hybrid, merge, time_major=True)
        else:
            content = recurrent.bidirectional_rnn(rng, shape, batch_, (6, 5), is_hybrid, merge, time_major=True)
        label = "float32 x int8" if is_hybrid else "float32"
        yield Case(op, label, content, recurrent.float_steps(rng, shape), ulps=4)


@builds("NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5")
def suppression(op: str) -> Iterator[Case]:
    for count, most, overlap, sigma in itertools.product((1, 30), (3, 40), (0.2, 0.7), (0.0, 0.5)):
        rng = np.random.default_rng(count)
        corners = rng.uniform(0, 10, (count, 2)).astype(F32)
        boxes = np.concatenate([corners, corners + rng.uniform(1, 5, (count, 2)).astype(F32)], 1)
        scores = rng.permutation(count).astype(F32) / F32(count)
        limits = [overlap, 0.1, *([sigma] if op.endswith("5") else [])]
        inputs = [T(F32, (count, 4)), T(F32, (count,)), T(I32, (), data=np.array(most, I32))]
        inputs += [T(F32, (), data=np.array(v, F32)) for v in limits]
        outputs = [T(I32, (1,)), *([T(F32, (1,))] if op.endswith("5") else []), T(I32, ())]
        if op.endswith("5") or sigma == 0:
            yield Case(op, "float32", model(op, inputs, outputs), [[boxes, scores]])


# Sparse constants and spectra


@builds("DENSIFY")
def densify(op: str) -> Iterator[Case]:
    """The second of two axes is sparse: of each row, which columns are stored."""
    for dtype, density in itertools.product((I8, np.float16, F32, I16), (0.1, 0.5)):
        rng = np.random.default_rng(1)
        is_stored = rng.random((6, 9)) < density
        dense = np.zeros((6, 9), dtype)
        dense[is_stored] = rng.integers(1, 100, int(is_stored.sum()))
        values, sparsity = encode(dense, (0, 1), {1})
        q = quantizations(dtype)[0]
        x, y = T(dtype, (6, 9), *q, data=values, sparsity=sparsity), T(dtype, (6, 9), *q)
        yield Case(op, name(dtype), model(op, [x], [y]), [[]])


@builds("RFFT2D")
def transform(op: str) -> Iterator[Case]:
    for shape, lengths in itertools.product([(4, 8), (20, 70), (2, 1, 512)], [(1, 8), (4, 2), (16, 64), (1, 512)]):
        out = (*shape[:-2], lengths[0], lengths[1] // 2 + 1)
        content = model(op, [T(F32, shape), moves.indices(lengths)], [T(np.complex64, out)])
        yield Case(op, "float32 -> complex64", content, [[drawn(F32, shape)]], relative=1e-7)
