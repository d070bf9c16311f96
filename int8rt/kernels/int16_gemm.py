"""y = requantize(x @ w.T + b) for int16 (GEMM): two products to a step, in int32 sums.

Before these can overflow they are added to int64 totals, which pass through a thread's scratch.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from int8rt.graph import Tensor
from int8rt.kernels.packing import pack_pairs
from int8rt.kernels.product import GroupedEpilogue, RowSegments, Step, grouped_products, widest
from int8rt.native.kernel import Kernel, inline, kernel, kernel_factory, stage
from int8rt.numerics.fixedpoint import requantize_double, requantize_double_rounding, requantize_int64, wrap_int32
from int8rt.simd.floats import wide_tile
from int8rt.simd.llvm import LANES
from int8rt.simd.memory import fill_within, get, put
from int8rt.steps import Call, scratch_per_thread

MOST = 65535  # int16 values times weights that sum to no more than this in magnitude stay within int32
DOUBLE_ROUNDING, DOUBLE_PRECISION, INT64 = 0, 1, 2


class Int16Rounding(NamedTuple):
    """How accumulators become int16; kernels take the fields in this order."""

    rule: int  # DOUBLE_ROUNDING, DOUBLE_PRECISION or INT64
    bias: np.ndarray  # int64 [columns]
    multiplier: np.ndarray  # int64 [columns]
    shift: np.ndarray  # int64 [columns]
    scale: np.ndarray  # float64 [columns]
    bits: int  # of an accumulator, 32 or 64
    lo: int
    hi: int

    def part(self, columns: Any) -> Int16Rounding:
        """The same for some of the columns."""
        chosen = {name: getattr(self, name)[columns] for name in ("bias", "multiplier", "shift", "scale")}
        return self._replace(**chosen)

    def apply(self, acc: np.ndarray) -> np.ndarray:
        """int16 outputs of sums without bias, int64 [..., columns]."""
        acc = acc + self.bias
        acc = wrap_int32(acc) if self.bits == 32 else acc
        if self.rule == DOUBLE_ROUNDING:
            q = requantize_double_rounding(acc, self.multiplier, self.shift)
        elif self.rule == DOUBLE_PRECISION:
            q = requantize_double(acc, self.scale).astype(np.int64)
        else:
            q = requantize_int64(acc, self.multiplier, self.shift)
        return np.asarray(q).clip(self.lo, self.hi).astype(np.int16)


@inline
def _rescaled(acc: Any, rule: int, multiplier: int, shift: int, scale: float, bits: int) -> int:
    """An accumulator by one of the roundings, not clamped."""
    acc = wrap_int32(acc) if bits == 32 else acc
    if rule == 0:
        return requantize_double_rounding(acc, multiplier, shift)
    if rule == 1:
        return np.int64(requantize_double(acc, scale))
    return requantize_int64(acc, multiplier, shift)


@stage
def requantized(sum_: int, r: Any, c: int) -> int:
    """What is stored of a sum of column c, by the fields of ``Int16Rounding``: its ``apply`` for kernels."""
    acc = sum_ + get(r.bias, c)
    q = _rescaled(acc, r.rule, get(r.multiplier, c), get(r.shift, c), get(r.scale, c), r.bits)
    return min(max(q, r.lo), r.hi)


class Totalling(NamedTuple):
    """The arguments of the epilogue: Int16Rounding, scratch [threads, rows * 16 vectors], and where y goes."""

    rule: int
    bias: Any
    multiplier: Any
    shift: Any
    scale: Any
    bits: int
    lo: int
    hi: int
    sums: Any  # int32
    totals: Any  # int64
    y: Any
    first: int
    stride: int


@kernel_factory
def int16_dot(rows: int, vectors: int) -> Kernel:
    """The kernel for tiles of rows x 16 vectors; sums of a group of segments fit into int32.

    w: int16 [panel, steps, 16 vectors, 2]; then ``Totalling``.
    """
    tile = wide_tile("int16", rows, vectors)
    t_start, t_store = tile.start, tile.store
    width = LANES * vectors
    size = rows * width

    @stage
    def begin(a: Any, thread: int) -> int:
        fill_within(a.totals, thread * size, size, 0)
        return 0  # totals are in memory

    @stage
    def start(a: Any, panel: int, number: int) -> Any:
        return t_start()

    @stage
    def add(total: int, acc: Any, a: Any, panel: int, number: int, thread: int) -> int:
        t_store(acc, a.sums, thread * size)
        for i in range(thread * size, thread * size + size):
            put(a.totals, i, get(a.totals, i) + np.int64(get(a.sums, i)))
        return total

    @stage
    def finish(total: int, a: Any, panel: int, m: int, thread: int) -> None:
        column = panel * width
        for r in range(rows):
            to, at = a.first + (m + r) * a.stride, thread * size + r * width
            for c in range(column, min(column + width, a.bias.size)):
                put(a.y, to + c, requantized(get(a.totals, at + c - column), a, c))

    step = Step(tile.rows, tile.dot, 2, 2 * width)
    epilogue = GroupedEpilogue(Totalling, begin, start, add, finish)
    return grouped_products("int16_dot", rows, step, epilogue)


def call(
    x: Tensor, segments: RowSegments, w: np.ndarray, rounding: Int16Rounding, y: Tensor, first: int = 0, stride: int = 0
) -> Call:
    """The Call for y[first + m * stride + c] = requantize(x[m] @ w[c]); w: int16 [columns, whole depth], of 8 bits."""
    rows, vectors = widest(len(segments.offsets), len(w))
    width = vectors * LANES
    parts, w = _split(segments, w)
    limit = MOST // max(1, int(np.abs(w).max()))
    group = max(1, limit // parts.depth)
    packed = pack_pairs(w, len(parts.starts), vectors, list(range(width)))
    sums = scratch_per_thread(f"{y.name}/sums", rows * width, np.int32)
    totals = scratch_per_thread(f"{y.name}/totals", rows * width, np.int64)
    given = Totalling(*rounding, sums, totals, y, first, stride or len(w))
    work = len(segments.offsets) * w.size
    return Call(int16_dot(rows, vectors), x, *parts, group, packed, *given, writes=[y, sums, totals], work=work)


def _split(segments: RowSegments, w: np.ndarray) -> tuple[RowSegments, np.ndarray]:
    """The same with segments so short that one cannot overflow int32 sums.

    All parts of a segment are equally long: the last one begins early, and what it shares with the one before weighs
    nothing there.
    """
    limit = MOST // max(1, int(np.abs(w).max()))
    starts, depth = np.asarray(segments.starts, np.int64), segments.depth
    if depth <= limit:
        return segments._replace(starts=starts), w
    count = -(-depth // limit)
    size = -(-depth // count)
    begins = np.minimum(np.arange(count) * size, depth - size)
    w = w.reshape(len(w), len(starts), depth)
    pieces = np.stack([w[:, :, b : b + size] for b in begins], axis=2)
    pieces[:, :, -1, : (count - 1) * size - begins[-1]] = 0
    shorter = RowSegments(segments.offsets, (starts[:, None] + begins).reshape(-1), int(size))
    return shorter, pieces.reshape(len(w), -1)


@kernel
def requantize_sums(thread: int, threads: int, sums: Any, r: Int16Rounding, y: Any) -> None:
    """y = requantize(sums + bias), channels innermost."""
    channels = r.bias.size
    rows = y.size // channels
    for row in range(rows * thread // threads, rows * (thread + 1) // threads):
        for c in range(channels):
            put(y, row * channels + c, requantized(np.int64(get(sums, row * channels + c)), r, c))
