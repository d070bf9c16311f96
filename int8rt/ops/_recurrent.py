"""Float32 arithmetic of LSTM, RNN and SVDF in the order in which LiteRT runs it, for kernels and for references.

LiteRT takes sigmoid and tanh from Eigen, products from Eigen (LSTM) or from its NEON code (RNN, SVDF), both of which
run on SSE: four lanes, no fused multiply-add. Which formula a sigmoid uses and in which order a product is summed
depend on where a value lies, and so do the last bits.

Sigmoid: in full vectors of four that begin at a multiple of 16 bytes, exp is a polynomial; before and after them it is
the C library's.

LSTM:

* product of a matrix and one vector: four sums, of every fourth term each, then the terms that are left over;
* product of a matrix and several vectors: one sum from left to right, unless the product is small; but where four
  vectors meet the rows behind the last full block of eight, terms go to two interleaved sums (blocks of four rows) or
  to four (the rest).

RNN and SVDF: four sums of every fourth term each are added up and then added to what is there, and after them each term
that is left over.

Sources: TFLite ``lstm_eval.cc``, ``kernel_utils.cc`` and ``neon_tensor_utils.cc``; Eigen's functors,
MathFunctionsImpl.h and GeneralBlockPanelKernel.h. Checked against LiteRT 2.3.0 on x86. Float32 LSTMs may differ in the
last bits where a matrix has one row (one cell, or a projection to one output), and where it multiplies several vectors
so deep (beyond 600) that Eigen divides them into blocks by the sizes of the CPU's caches.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from int8rt.errors import UnsupportedError
from int8rt.kernels import hybrid
from int8rt.native.kernel import inline, stage
from int8rt.numerics import libm
from int8rt.simd.floats import dot_widened
from int8rt.simd.memory import get, put
from int8rt.steps import scratch

OF_INPUT, OF_AUX, OF_STATE = range(3)  # the numbers of the matrices of a cell, by what they multiply

LANES = 4
SMALL_PRODUCT = 20  # sizes that sum to less are multiplied by lanes
BY_LANES = -1
# How four sums are added: ((a + b) + c) + d, (a + c) + (b + d), (a + b) + (c + d)
IN_ORDER, CROSSED, NEIGHBOURS = range(3)

NONE, RELU, RELU_N1_TO_1, RELU6, TANH, SIGN_BIT = range(6)
ACTIVATIONS = {RELU: "RELU", RELU_N1_TO_1: "RELU_N1_TO_1", RELU6: "RELU6", TANH: "TANH", SIGN_BIT: "SIGN_BIT"}

F = np.float32
SIGMOID_TOP, SIGMOID_BOTTOM = F(16.6355324), F(-104)
LOG2_E, LN2_HIGH, LN2_LOW = F(1.4426950408889634), F(-0.693359375), F(2.12194440e-4)
EXP_2, EXP_3, EXP_4, EXP_5 = (
    F(0.49999141693115234),
    F(0.16666877269744873),
    F(0.041898667812347412),
    F(0.0083347130566835403),
)
HALF, ONE, ZERO = F(0.5), F(1), F(0)
POWERS_FROM = -80
POWERS = np.exp2(np.arange(POWERS_FROM, 20, dtype=np.float32))

TANH_TOP = F(7.90738964080810547)
TANH_9, TANH_7, TANH_5, TANH_3 = F(1.394553628e-8), F(2.102733560e-5), F(3.520756727e-3), F(1.340216100e-1)
TANH_8, TANH_6, TANH_4, TANH_2 = F(8.015776984e-7), F(3.326951409e-4), F(2.597254514e-2), F(4.673548340e-1)


def vectors_in_fours(depth: int, rows: int, batch: int) -> int:
    """How many of ``batch`` vectors Eigen multiplies by [rows, depth] four at a time; BY_LANES: sums are by lanes."""
    return BY_LANES if batch == 1 or depth + rows + batch < SMALL_PRODUCT else batch // 4 * 4


def check_activation(activation: int, allow_none: bool = False) -> int:
    """The same number. Raises UnsupportedError where it is of no function known here."""
    if activation not in ACTIVATIONS and not (allow_none and activation == NONE):
        raise UnsupportedError(f"activation {activation} is not supported; known are {', '.join(ACTIVATIONS.values())}")
    return activation


# Weights and the vectors that they multiply


class Matrix(NamedTuple):
    """Weights of one gate or of several that multiply the same vectors."""

    w: np.ndarray  # float32 or int8 [gates, rows, depth]; empty where there is none
    scale: np.ndarray  # float32 [gates]
    in_fours: int = 0  # of those vectors: see vectors_in_fours


class Matrices(NamedTuple):
    """Several matrices, numbered from 0, as kernels take them."""

    weights: Any  # float32 or int8 [values]: one matrix behind another
    sums: Any  # int64 [values]: the sums of their rows; none of float32
    scale: Any  # float32 [matrices, gates]
    start: Any  # int64 [matrices]: where a matrix begins in weights
    sums_start: Any  # int64 [matrices]: where its rows begin in sums
    rows: Any  # int64 [matrices]
    depth: Any  # int64 [matrices]
    in_fours: Any  # int64 [matrices]


class Vectors(NamedTuple):
    """What matrices multiply, as kernels take it: scratch. Vector b of matrix n begins at n * distance + b * depth."""

    values: Any  # float32
    quantized: Any  # int16: the same, by add_quantized
    scale: Any  # float32 [matrices, batch]: of the quantized ones
    zero_point: Any  # int64 [matrices, batch]
    batch: int
    distance: int


def matrices(parts: Sequence[Matrix]) -> Matrices:
    """Matrices of one type with as many gates each."""
    is_int8 = parts[0].w.dtype == np.int8
    sums = [m.w.sum(axis=-1, dtype=np.int64).reshape(-1) if is_int8 else np.zeros(0, np.int64) for m in parts]
    starts, sums_starts = (np.cumsum([0, *sizes])[:-1] for sizes in ([m.w.size for m in parts], map(len, sums)))
    return Matrices(
        weights=np.concatenate([m.w.reshape(-1) for m in parts]),
        sums=np.concatenate(sums),
        scale=np.stack([m.scale for m in parts]),
        start=starts,
        sums_start=sums_starts,
        rows=np.array([m.w.shape[1] for m in parts]),
        depth=np.array([m.w.shape[2] for m in parts]),
        in_fours=np.array([m.in_fours for m in parts]),
    )


def vectors(name: str, m: Matrices, batch: int) -> Vectors:
    """Scratch for ``batch`` vectors of each matrix."""
    count, distance = len(m.depth), batch * int(m.depth.max())
    return Vectors(
        values=scratch(f"{name}/vectors", (count * distance,), np.float32),
        quantized=scratch(f"{name}/quantized", (count * distance,), np.int16),
        scale=scratch(f"{name}/scale", (count, batch), np.float32),
        zero_point=scratch(f"{name}/zero", (count, batch), np.int64),
        batch=batch,
        distance=distance,
    )


# References


def sigmoid(x: np.ndarray, offset: int) -> np.ndarray:
    """Of a vector whose first value is ``offset`` values behind a multiple of 16 bytes."""
    head = min(-offset % LANES, x.size)
    full = head + (x.size - head) // LANES * LANES
    at = np.arange(x.size)
    low = np.minimum(x, SIGMOID_TOP)
    e = libm.exp(low)
    half = np.maximum(low, SIGMOID_BOTTOM) * HALF
    m = np.floor(half * LOG2_E + HALF)
    r = m * LN2_LOW + (m * LN2_HIGH + half)
    r2 = r * r
    p = r2 * (r * (r2 * EXP_5 + EXP_3) + (r2 * EXP_4 + EXP_2)) + (r + ONE)
    root = p * POWERS[np.nan_to_num(m).astype(np.int64) - POWERS_FROM]
    squared = root * root
    in_vector = np.where(x < SIGMOID_BOTTOM, ZERO, squared / (ONE + squared))
    return np.where((at >= head) & (at < full), in_vector, e / (ONE + e))


def tanh(x: np.ndarray) -> np.ndarray:
    """A quotient of polynomials, odd over even."""
    x = np.minimum(np.maximum(x, -TANH_TOP), TANH_TOP)
    x2 = x * x
    p = ((TANH_9 * x2 + TANH_7) * x2 + TANH_5) * x2 + TANH_3
    q = (((TANH_8 * x2 + TANH_6) * x2 + TANH_4) * x2 + TANH_2) * x2 + ONE
    return np.asarray((x2 * x * p + x) / q)


def activated(x: np.ndarray, activation: int) -> np.ndarray:
    """The function of that number."""
    if activation == TANH:
        return tanh(x)
    if activation == SIGN_BIT:
        return np.signbit(x).astype(np.float32)
    if activation == NONE:
        return x
    low, high = {RELU: (0, np.inf), RELU_N1_TO_1: (-1, 1), RELU6: (0, 6)}[activation]
    return np.where(x > F(low), np.minimum(x, F(high)), F(low))  # what is not a number becomes the lower limit


def product(x: np.ndarray, w: np.ndarray, in_fours: int) -> np.ndarray:
    """x [batch, depth] times w [rows, depth] in Eigen's order: [batch, rows]."""
    terms = x[:, None, :] * w[None]
    if in_fours == BY_LANES:
        return interleaved_sums(terms, LANES, LANES, CROSSED)
    result = _sum(terms)
    eights, fours = len(w) // 8 * 8, len(w) // 4 * 4
    result[:in_fours, eights:fours] = interleaved_sums(terms[:in_fours, eights:fours], 2, 8)
    result[:in_fours, fours:] = interleaved_sums(terms[:in_fours, fours:], LANES, LANES, NEIGHBOURS)
    return result


def interleaved_sums(terms: np.ndarray, sums: int, block: int, how: int = IN_ORDER) -> np.ndarray:
    """Sum over the last axis: term i goes to sum i % sums, those behind the last full block to the total at the end."""
    full = terms.shape[-1] // block * block
    parts = _sum(np.moveaxis(terms[..., :full].reshape(*terms.shape[:-1], full // sums, sums), -1, -2))
    if how == IN_ORDER:
        total = _sum(parts)
    else:
        first, second, third, last = np.moveaxis(parts, -1, 0)
        total = (first + third) + (second + last) if how == CROSSED else (first + second) + (third + last)
    return _sum(np.concatenate([total[..., None], terms[..., full:]], axis=-1))


def added(value: np.ndarray, terms: np.ndarray) -> np.ndarray:
    """value [...] plus terms [..., depth]: first those of full vectors, by lanes, then the others one by one."""
    full = terms.shape[-1] // LANES * LANES
    value = value + interleaved_sums(terms[..., :full], LANES, LANES)
    for k in range(full, terms.shape[-1]):
        value = value + terms[..., k]
    return value


def _sum(x: np.ndarray) -> np.ndarray:
    """Over the last axis, from left to right."""
    zero = np.zeros((*x.shape[:-1], 1), np.float32)
    return np.asarray(np.add.accumulate(np.concatenate([zero, x], axis=-1), axis=-1, dtype=np.float32)[..., -1])


def hybrid_product(
    x: np.ndarray, w: np.ndarray, w_scale: np.float32, is_symmetric: bool
) -> np.ndarray:  # fmt: skip
    """float32 x [batch, depth], quantized row by row, times int8 w [rows, depth]: [batch, rows]."""
    q, scale, zero_point = hybrid.quantized_rows(x, is_symmetric)
    acc = q @ w.T.astype(np.int64) - zero_point[:, None] * w.sum(axis=1, dtype=np.int64)
    return np.asarray(acc.astype(np.float32) * (scale * F(w_scale))[:, None])


# Kernels


@inline
def copy_floats(x: Any, start: int, count: int, y: Any, at: int) -> None:
    """y[at : at + count] = x[start : start + count]."""
    for i in range(count):
        put(y, at + i, get(x, start + i))


@stage
def add_product(value: Any, m: Matrices, v: Vectors, n: int, gate: int, row: int, b: int) -> Any:
    """value + a row of a gate's float32 matrix n times vector b of those that it multiplies, as ``product``."""
    depth, rows = get(m.depth, n), get(m.rows, n)
    at = get(m.start, n) + (gate * rows + row) * depth
    return value + dot(
        m.weights, at, v.values, n * v.distance + b * depth, depth, row, rows, b, get(m.in_fours, n)
    )  # fmt: skip


@stage
def add_lanes_product(value: Any, m: Matrices, v: Vectors, n: int, gate: int, row: int, b: int) -> Any:
    """The same as ``added``: in the order of RNN and SVDF; of one gate."""
    depth = get(m.depth, n)
    return add_lanes(value, m.weights, get(m.start, n) + row * depth, v.values, n * v.distance + b * depth, depth)


@stage
def add_quantized(value: Any, m: Matrices, v: Vectors, n: int, gate: int, row: int, b: int) -> Any:
    """The same of an int8 matrix and vectors that quantize_vectors has quantized."""
    depth, k = get(m.depth, n), gate * get(m.rows, n) + row
    acc = dot_quantized(m.weights, get(m.start, n) + k * depth, v.quantized, n * v.distance + b * depth, depth)
    acc -= get(v.zero_point, n * v.batch + b) * get(m.sums, get(m.sums_start, n) + k)
    return value + F(acc) * (get(v.scale, n * v.batch + b) * m.scale[n, gate])


@stage
def add_widened(value: Any, m: Matrices, v: Vectors, n: int, gate: int, row: int, b: int) -> Any:
    """The same of an int8 matrix and float32 vectors."""
    depth = get(m.depth, n)
    at = get(m.start, n) + (gate * get(m.rows, n) + row) * depth
    return value + dot_widened(m.weights, at, v.values, n * v.distance + b * depth, depth) * m.scale[n, gate]


@stage
def take_vectors(
    ready: Any, x: Any, aux: Any, row: int, h: Any, h_at: int, m: Matrices, v: Vectors, is_symmetric: int
) -> int:  # fmt: skip
    """Copy what the matrices of x, aux and h multiply: rows of x and aux from ``row``, h from h[h_at].

    ``ready`` prepares the vectors of a matrix and says whether they are to be multiplied; gives these answers as bits.
    """
    used = 0
    for n in range(OF_STATE + 1):
        depth = get(m.depth, n)
        source = x if n == OF_INPUT else aux if n == OF_AUX else h
        start = h_at if n == OF_STATE else row * depth
        copy_floats(source, start, v.batch * depth, v.values, n * v.distance)
        used |= ready(v, n, depth, is_symmetric) << n
    return used


@stage
def quantize_vectors(v: Vectors, n: int, depth: int, is_symmetric: int) -> int:
    """Quantize the vectors of matrix n each by itself, unless all are 0; gives whether they are not."""
    if is_zero(v.values, n * v.distance, v.batch * depth):
        return 0
    for b in range(v.batch):
        at = n * v.distance + b * depth
        quantize_row(v.values, at, depth, is_symmetric, v.quantized, at, v.scale, v.zero_point, n * v.batch + b)
    return 1


@stage
def exist(v: Vectors, n: int, depth: int, is_symmetric: int) -> int:
    """Whether matrix n has any vectors."""
    return 1 if depth > 0 else 0


# How RNN and SVDF multiply by weights of a kind, and what makes the vectors ready: see take_vectors.
PRODUCTS = {
    "float": (add_lanes_product, exist),
    "dynamic": (add_quantized, quantize_vectors),
    "weight_only": (add_widened, exist),
}


@inline
def sigmoid_all(x: Any, at: int, count: int, offset: int) -> None:
    """``sigmoid`` of count values from x[at], in place."""
    head = min(-offset & (LANES - 1), count)
    full = head + (count - head) // LANES * LANES
    for i in range(count):
        v = get(x, at + i)
        if head <= i < full:
            put(x, at + i, sigmoid_in_vector(v))
        else:
            e = math.exp(min(v, SIGMOID_TOP))
            put(x, at + i, e / (ONE + e))


@inline
def sigmoid_in_vector(x: Any) -> Any:
    """exp(x / 2) by a polynomial, squared, over one plus itself."""
    if x < SIGMOID_BOTTOM:
        return ZERO
    if np.isnan(x):
        return x
    x = min(x, SIGMOID_TOP)
    half = x * HALF
    m = np.floor(half * LOG2_E + HALF)
    r = m * LN2_LOW + (m * LN2_HIGH + half)
    r2 = r * r
    p = r2 * (r * (r2 * EXP_5 + EXP_3) + (r2 * EXP_4 + EXP_2)) + (r + ONE)
    root = p * POWERS[np.int64(m) - POWERS_FROM]
    squared = root * root
    return squared / (ONE + squared)


@inline
def activate(x: Any, activation: int) -> Any:
    """``activated`` of one value."""
    if activation == TANH:
        x = min(max(x, -TANH_TOP), TANH_TOP)
        x2 = x * x
        p = ((TANH_9 * x2 + TANH_7) * x2 + TANH_5) * x2 + TANH_3
        q = (((TANH_8 * x2 + TANH_6) * x2 + TANH_4) * x2 + TANH_2) * x2 + ONE
        return (x2 * x * p + x) / q
    if activation == RELU:
        return x if x > ZERO else ZERO
    if activation == RELU_N1_TO_1:
        return min(x, ONE) if x > -ONE else -ONE
    if activation == RELU6:
        return min(x, F(6)) if x > ZERO else ZERO
    if activation == SIGN_BIT:
        return ONE if np.copysign(ONE, x) < ZERO else ZERO
    return x


@inline
def dot_chain(w: Any, w_at: int, x: Any, x_at: int, count: int) -> Any:
    """The sum of count products, from left to right."""
    total = ZERO
    for k in range(count):
        total += get(w, w_at + k) * get(x, x_at + k)
    return total


@inline
def dot_lanes(w: Any, w_at: int, x: Any, x_at: int, count: int, how: int) -> Any:
    """The sum of count products by four sums, which are added in the order ``how``."""
    a, b, c, d = ZERO, ZERO, ZERO, ZERO
    full = count // LANES * LANES
    for k in range(0, full, LANES):
        a += get(w, w_at + k) * get(x, x_at + k)
        b += get(w, w_at + k + 1) * get(x, x_at + k + 1)
        c += get(w, w_at + k + 2) * get(x, x_at + k + 2)
        d += get(w, w_at + k + 3) * get(x, x_at + k + 3)
    if how == CROSSED:
        total = (a + c) + (b + d)
    else:
        total = (a + b) + (c + d) if how == NEIGHBOURS else ((a + b) + c) + d
    for k in range(full, count):
        total += get(w, w_at + k) * get(x, x_at + k)
    return total


@inline
def add_lanes(value: Any, w: Any, w_at: int, x: Any, x_at: int, count: int) -> Any:
    """value plus count products: first those of full vectors, by lanes, then the others one by one."""
    full = count // LANES * LANES
    value += dot_lanes(w, w_at, x, x_at, full, IN_ORDER)
    for k in range(full, count):
        value += get(w, w_at + k) * get(x, x_at + k)
    return value


@inline
def dot_two(w: Any, w_at: int, x: Any, x_at: int, count: int) -> Any:
    """The sum of count products by two sums up to the last full block of eight."""
    a, b = ZERO, ZERO
    full = count // 8 * 8
    for k in range(0, full, 2):
        a += get(w, w_at + k) * get(x, x_at + k)
        b += get(w, w_at + k + 1) * get(x, x_at + k + 1)
    total = a + b
    for k in range(full, count):
        total += get(w, w_at + k) * get(x, x_at + k)
    return total


@inline
def dot(w: Any, w_at: int, x: Any, x_at: int, count: int, row: int, rows: int, vector: int, in_fours: int) -> Any:
    """The sum of count products in the order of ``product``, for one row of w and one vector."""
    if in_fours == BY_LANES:
        return dot_lanes(w, w_at, x, x_at, count, CROSSED)
    if vector >= in_fours or row < rows // 8 * 8:
        return dot_chain(w, w_at, x, x_at, count)
    if row < rows // 4 * 4:
        return dot_two(w, w_at, x, x_at, count)
    return dot_lanes(w, w_at, x, x_at, count, NEIGHBOURS)


@inline
def dot_quantized(w: Any, w_at: int, q: Any, q_at: int, count: int) -> int:
    """The sum of count products of integers, modulo 2**32: in int32, so that loops run in full vectors."""
    total = np.int32(0)
    for k in range(count):
        total = np.int32(total + np.int32(get(w, w_at + k)) * np.int32(get(q, q_at + k)))
    return np.int64(total)


@inline
def is_zero(x: Any, at: int, count: int) -> int:
    """Whether count values from x[at] are all zero."""
    for i in range(at, at + count):
        if get(x, i) != ZERO:
            return 0
    return 1


@inline
def quantize_row(
    x: Any, at: int, count: int, is_symmetric: int, q: Any, q_at: int, scale: Any, zero: Any, slot: int
) -> None:
    """``hybrid.quantized`` of one row; its scale goes to scale[slot] and its zero point to zero[slot]."""
    low, high, is_finite = ZERO, ZERO, True
    for i in range(at, at + count):
        v = get(x, i)
        low, high, is_finite = min(low, v), max(high, v), is_finite & (abs(v) <= hybrid.MOST)
    inverse, zero_point, least, largest = ZERO, np.int64(0), -128, max(-low, high)
    put(scale, slot, ONE)
    if not is_finite:
        put(scale, slot, F(np.nan))
        put(zero, slot, 0)
        for i in range(count):
            put(q, q_at + i, 0)
        return
    if low < high and is_symmetric:
        put(scale, slot, largest / F(127))
        inverse, least = F(127) / largest, -127
    elif low < high:
        step = np.float64(high - low) / 255.0
        below, above = np.float64(low) / step, np.float64(high) / step
        real = -128.0 - below if 128.0 + abs(below) < 127.0 + abs(above) else 127.0 - above
        real = np.trunc(real + np.copysign(0.49999999999999994, real))
        zero_point = np.int64(min(max(real, -128.0), 127.0))
        put(scale, slot, F(step))
        if F(step) > ZERO:
            inverse = F(1.0 / np.float64(F(step)))
    put(zero, slot, zero_point)
    full = count // hybrid.GROUP * hybrid.GROUP
    for i in range(count):
        v = get(x, at + i) * inverse
        v = min(max(v, F(-512)), F(512))  # what is beyond is clamped below
        v = np.trunc(v + np.copysign(HALF if i < full else F(0.49999997), v))
        put(q, q_at + i, min(max(np.int64(v) + zero_point, least), 127))
