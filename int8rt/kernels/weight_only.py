"""Float activations times narrow weights in float32: weights become float32 in registers, never as a copy in memory.

    y[m, c] = clamp(bias[c] + scale[c] * (sum over k of x[m, k] * w[c, k]))        int8 weights, 4 and 2 bits unpacked
    y[m, c] = clamp(bias[c] + sum over k of x[m, k] * w[c, k])                     float16 weights

w converts to float32 exactly, and products are added in the order of k by fused multiply-add, so that with u = 2^-24,
half a unit in the last place, and to first order in u

    |y - exact| <= (K + B + 2) u (|bias[c]| + sum over k of |x[m, k] * w[c, k] * scale[c]|)

where K is the number of products and B that of blocks with a scale of their own, usually 1. Where the CPU has no fused
multiply-add, K and B count twice. The sum before the scale must not overflow: |x| up to 2^120 / K is safe.

**A single row** meets every weight once, and to make float32 of a weight takes twice as long as to multiply it. Where
the CPU has dot products of bytes, it is x that changes instead: into a fixed point of 24 bits, three bytes whose
products with w are summed as integers, exactly. A unit is at most 2^-22 of the greatest |x|, and half of one is lost:

    |y - exact| <= u |y| + 2 u max |x| * sum over k of |w[c, k] * scale[c]|

which for K above some dozens is the better bound for all but rows of which a few values outweigh all others, and even
then far less than what rounding to int8 has done to w. Rows of fewer than ``DEEP`` products have a fourth byte, which
makes the second term 2^-8 of that. Rows that are not finite are multiplied in float32.

Row segments are counted in elements of x; the panels are those of ``float_gemm``, or of ``dot``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from int8rt.graph import Tensor
from int8rt.kernels import depthwise_float
from int8rt.kernels.depthwise_float import Taps
from int8rt.kernels.packing import matrix_panels, pack
from int8rt.kernels.product import GroupedEpilogue, RowSegments, Step, grouped_products, widest
from int8rt.native.kernel import Kernel, inline, kernel, kernel_factory, stage
from int8rt.simd.floats import multiply_add, wide_tile
from int8rt.simd.llvm import LANES
from int8rt.simd.lowerings import WEIGHT_ONLY_ROWS, lower
from int8rt.simd.memory import as_type_of, fill_within, get, put
from int8rt.simd.tiles import byte_tile
from int8rt.steps import Call, Flat, scratch, scratch_per_thread

KINDS = {np.dtype(np.int8): "from int8", np.dtype(np.uint16): "from float16"}  # {packed weights: kind of tile}


class ScaledGroups(NamedTuple):
    """The arguments of the epilogue; a group of segments is a block with a scale of its own."""

    scale: Any  # float32 [panel, block, lane]
    bias: Any  # float32 [panel, lane]
    limits: Any  # float32 [2]
    columns: int
    y: Any
    first: int
    stride: int


@kernel_factory
def dot(kind: str, rows: int, vectors: int) -> Kernel:
    """The kernel for tiles of rows x 16 vectors; behind w it takes ``ScaledGroups``.

    w: [panel, depth, 16 vectors], int8 or float16 (as uint16), by the kind of ``wide_tile``.
    """
    tile = wide_tile(kind, rows, vectors)
    t_start, t_add_scaled, t_finish = tile.start, tile.add_scaled, tile.finish
    width = LANES * vectors

    @stage
    def begin(a: Any, thread: int) -> Any:
        return t_start()

    @stage
    def start(a: Any, panel: int, number: int) -> Any:
        return t_start()

    @stage
    def add(total: Any, acc: Any, a: Any, panel: int, number: int, thread: int) -> Any:
        return t_add_scaled(total, acc, a.scale, (panel * a.scale.shape[1] + number) * width)

    @stage
    def finish(total: Any, a: Any, panel: int, m: int, thread: int) -> None:
        c = panel * width
        t_finish(total, a.bias, c, a.limits, a.y, a.first + m * a.stride + c, a.stride, a.columns - c)

    step = Step(tile.rows, tile.dot, 1, width)
    epilogue = GroupedEpilogue(ScaledGroups, begin, start, add, finish)
    return grouped_products("weight_only", rows, step, epilogue)


def call(
    x: Tensor, segments: RowSegments, w: np.ndarray, scale: np.ndarray, bias: np.ndarray, limits: np.ndarray, y: Tensor,
    first: int = 0, stride: int = 0,
) -> list[Call]:  # fmt: skip
    """The Calls for column c of row m at y[first + m * stride + c].

    w: int8 or float16 [columns, whole depth]; scale: float32 [columns] or [columns, blocks], a block being one segment;
    bias: float32 [columns].
    """
    columns = len(w)
    scale = scale.reshape(columns, -1)
    if w.dtype == np.int8 and scale.shape[1] == 1 and _is_single(segments):
        return _single(x, segments, w, scale[:, 0], bias, limits, y, first)
    rows, vectors = widest(len(segments.offsets), columns)
    width = vectors * LANES
    starts = np.asarray(segments.starts, np.int64)
    packed = matrix_panels(w if w.dtype == np.int8 else w.view(np.uint16), width)
    scales, biases = (matrix_panels(np.asarray(v, np.float32), width) for v in (scale, bias.reshape(-1, 1)))
    group = len(starts) // scale.shape[1]
    given = ScaledGroups(scales, biases, limits, columns, y, first, stride or columns)
    args = (x, *segments._replace(starts=starts), group, packed, *given)
    work = len(segments.offsets) * w.size
    return [Call(dot(KINDS[packed.dtype], rows, vectors), *args, writes=[y], work=work)]


# A single row


DEEP = 256  # products from which on three bytes of x are enough
MOST_PRODUCTS = 2**16  # of 255 and -128, whose sum an int32 holds


def _is_single(segments: RowSegments) -> bool:
    """Whether there is one row, and the CPU multiplies bytes faster than it makes floats of them."""
    is_one = len(segments.offsets) == len(segments.starts) == 1 and segments.depth <= MOST_PRODUCTS
    return is_one and lower(WEIGHT_ONLY_ROWS) == "limbs"


def _single(
    x: Tensor, segments: RowSegments, w: np.ndarray, scale: np.ndarray, bias: np.ndarray, limits: np.ndarray, y: Tensor,
    first: int,
) -> list[Call]:  # fmt: skip
    """The Calls for a row by itself."""
    vectors = 4 if len(w) > 2 * LANES else 2
    width = vectors * LANES
    packed, _ = pack(w, 1, vectors, list(range(width)))
    depth = packed.shape[1] * 4
    count = 3 if segments.depth >= DEEP else 4
    limbs, unit = scratch(f"{y.name}/limbs", (count, depth), np.uint8), scratch(f"{y.name}/unit", (1,), np.float64)
    at = int(segments.offsets[0] + segments.starts[0])
    floats, bits = Flat(x, np.dtype(np.float32)), Flat(x, np.dtype(np.int32))
    splitting = Call(split_row, floats, bits, at, segments.depth, limbs, unit, writes=[limbs, unit])
    sums = scratch_per_thread(f"{y.name}/sums", count * width, np.int32)
    offsets, zeros = np.arange(count, dtype=np.int32) * np.int32(depth), np.zeros(width, np.int32)
    taken = 2.0 ** (8 * count - 1) * w.sum(axis=1, dtype=np.int64).astype(np.float64)
    tables = limbs, offsets, zeros, packed, taken, scale, bias, limits
    args = (*tables, unit, floats, at, segments.depth, sums, y, first)
    return [splitting, Call(dot_limbs(count, vectors), *args, writes=[y, sums], work=w.size)]


INFINITE = 255  # the exponent of float32 that is not finite


@kernel
def split_row(x: Any, bits: Any, at: int, depth: int, limbs: Any, unit: Any) -> None:
    """x[at : at + depth] as fixed-point numbers of as many bytes as there are limbs, byte r of each in limbs[r].

    A half of their range is added, so that none is negative. bits: x as int32, of which those of the greatest magnitude
    are the greatest. unit is 0 where x is not finite.
    """
    top = np.int32(0)
    for k in range(at, at + depth):
        top = max(top, np.int32(get(bits, k) & 0x7FFFFFFF))
    exponent = np.int64(top) >> 23
    count, width = limbs.shape
    half = np.int64(1) << (8 * count - 1)
    step = 2.0 ** (np.float64(max(exponent, 1)) - 126.0) / np.float64(half)  # |x| is below half of them
    put(unit, 0, 0.0 if exponent == INFINITE else step)
    inverse = 0.0 if exponent == INFINITE else 1.0 / step
    most = 2 * half - 1
    for k in range(depth):
        v = np.uint32(min(np.int64(np.rint(np.float64(get(x, at + k)) * inverse)) + half, most))
        put(limbs, k, v & 255)
        put(limbs, width + k, v >> 8 & 255)
        put(limbs, 2 * width + k, v >> 16 & 255)
        if count == 4:
            put(limbs, 3 * width + k, v >> 24)


@kernel_factory
def dot_limbs(count: int, vectors: int) -> Kernel:
    """The kernel for x of so many limbs and panels of 16 V columns.

    taken: float64 [columns], what the half that was added to each x adds to their sums.
    """
    t = byte_tile(count, vectors, streams=True)
    t_rows, t_start, t_dot, t_store = t.rows, t.start, t.dot, t.store
    width, deep = LANES * vectors, 4 * LANES * vectors

    def dot_limbs(
        thread: int, threads: int, limbs: Any, offsets: Any, zeros: Any, w: Any, taken: Any, scale: Any, bias: Any,
        limits: Any, unit: Any, x: Any, first_x: int, depth: int, sums: Any, y: Any, first: int,
    ) -> None:  # fmt: skip
        mine = thread * count * width
        lo, hi = limits[0], limits[1]
        pointers = t_rows(limbs, offsets, 0)
        for panel in range(w.shape[0] * thread // threads, w.shape[0] * (thread + 1) // threads):
            c, at = panel * width, panel * w.shape[1] * deep
            columns = min(width, scale.size - c)
            if unit[0] == 0:
                for i in range(columns):
                    put(y, first + c + i, plain_sum(x, first_x, depth, w, at + 4 * i, deep, scale[c + i], bias[c + i]))
            else:
                acc = t_start(zeros, 0)
                for k in range(0, limbs.shape[1], 4):
                    acc = t_dot(acc, pointers, k, w, at)
                    at += deep
                t_store(acc, sums, mine)
                for i in range(columns):
                    v = np.float64(get(sums, mine + (count - 1) * width + i))
                    for limb in range(count - 2, -1, -1):
                        v = v * 256.0 + np.float64(get(sums, mine + limb * width + i))
                    v = (v - get(taken, c + i)) * (unit[0] * np.float64(get(scale, c + i)))
                    put(y, first + c + i, np.float32(v + np.float64(get(bias, c + i))))
            for i in range(first + c, first + c + columns):
                v = get(y, i)
                v = lo if v < lo else v
                v = hi if hi < v else v
                put(y, i, v)

    return Kernel(dot_limbs)


@inline
def plain_sum(x: Any, first: int, depth: int, w: Any, at: int, deep: int, scale: Any, bias: Any) -> Any:
    """One output for an x that is not finite, with the weights four to a row of a panel from w[at]."""
    total = np.float32(0)
    for k in range(depth):
        total = multiply_add(total, get(x, first + k), np.float32(get(w, at + k // 4 * deep + k % 4)))
    return multiply_add(bias, total, scale)


@kernel
def depthwise(
    thread: int, threads: int, x: Any, taps: Any, row_step: int, col_step: int, w: Any, times: int, scale: Any,
    bias: Any, limits: Any, y: Any,
) -> None:  # fmt: skip
    """As ``depthwise_sums``, int8 w, then scale, bias and limits: several outputs to a channel. Sums stay in y."""
    batch, out_h, out_w, channels = y.shape
    image = x.shape[1] * x.shape[2] * x.shape[3]
    lo, hi = limits[0], limits[1]
    for line in range(batch * out_h * thread // threads, batch * out_h * (thread + 1) // threads):
        n = line // out_h
        start = n * image + (line - n * out_h) * row_step
        for col in range(out_w):
            at, to = start + col * col_step, (line * out_w + col) * channels
            fill_within(y, to, channels, np.float32(0))
            for tap in range(taps.size):
                place, row = at + taps[tap], tap * channels
                for c in range(channels):
                    acc = get(y, to + c)
                    put(y, to + c, multiply_add(acc, get(x, place + c // times), as_type_of(acc, get(w, row + c))))
            for c in range(channels):
                v = multiply_add(get(bias, c), get(y, to + c), get(scale, c))
                v = lo if v < lo else v
                v = hi if hi < v else v
                put(y, to + c, v)


def depthwise_call(
    x: Tensor, taps: Taps, w: np.ndarray, scale: np.ndarray, bias: np.ndarray, limits: np.ndarray, y: Tensor
) -> Call:
    """The Call into y, [n, out_h, out_w, c], from a padded image; w: int8 [taps, c]; scale and bias: float32 [c]."""
    times = y.shape[3] // x.shape[3]
    if times == 1:
        return depthwise_float.call(x, taps, w, scale, bias, limits, y)
    tables = np.ascontiguousarray(w), times, scale, bias, limits
    return Call(depthwise, x, *taps, *tables, y, writes=[y], work=y.size * len(taps.taps))
