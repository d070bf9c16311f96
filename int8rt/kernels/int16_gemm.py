"""y = requantize(x @ w.T + b) for int16 (GEMM): two products to a step, in int32 sums.

Before these can overflow they are added to int64 totals, which pass through a thread's scratch.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from int8rt.graph import Tensor
from int8rt.kernels.packing import pack_pairs
from int8rt.kernels.product import GroupedEpilogue, RowSegments, Step, grouped_products, widest
from int8rt.native.kernel import Kernel, Stage, kernel_factory, stage
from int8rt.numerics.fixedpoint import (
    requantize_double,
    requantize_double_rounding,
    requantize_int64,
    rescale_int64,
    wrap_int32,
)
from int8rt.simd.floats import wide_tile
from int8rt.simd.llvm import LANES
from int8rt.simd.memory import fill_within, get, put
from int8rt.steps import Call, scratch_per_thread

MOST = 65535  # int16 values times weights that sum to no more than this in magnitude stay within int32
DOUBLE_ROUNDING, DOUBLE_PRECISION, INT64 = "double_rounding", "double", "int64"
INT64_IN_RANGE = "int64 in range"  # the same where no result is beyond int32


class Rescaling(NamedTuple):
    """What kernels take of an Int16Rounding, in this order."""

    bias: Any  # int64 [columns]
    multiplier: Any  # int64 [columns]
    shift: Any  # int64 [columns]
    scale: Any  # float64 [columns]
    lo: int
    hi: int


class Int16Rounding(NamedTuple):
    """How accumulators become int16."""

    rule: str  # DOUBLE_ROUNDING, DOUBLE_PRECISION or INT64
    bits: int  # of an accumulator, 32 or 64
    rescaling: Rescaling

    def part(self, columns: Any) -> Int16Rounding:
        """The same for some of the columns."""
        chosen = {name: getattr(self.rescaling, name)[columns] for name in ("bias", "multiplier", "shift", "scale")}
        return self._replace(rescaling=self.rescaling._replace(**chosen))

    def apply(self, acc: np.ndarray) -> np.ndarray:
        """int16 outputs of sums without bias, int64 [..., columns]."""
        r = self.rescaling
        acc = acc + r.bias
        acc = wrap_int32(acc) if self.bits == 32 else acc
        if self.rule == DOUBLE_ROUNDING:
            q = requantize_double_rounding(acc, r.multiplier, r.shift)
        elif self.rule == DOUBLE_PRECISION:
            q = requantize_double(acc, r.scale).astype(np.int64)
        else:
            q = requantize_int64(acc, r.multiplier, r.shift)
        return np.asarray(q).clip(r.lo, r.hi).astype(np.int16)

    def kernel_rule(self, w: np.ndarray) -> str:
        """The rule for sums over weights [columns, depth]: without the wrap where no int16 row needs it."""
        r = self.rescaling
        largest = 32768.0 * np.abs(w.astype(np.int64)).sum(axis=1) + np.abs(r.bias.astype(np.float64))
        if self.rule == INT64 and (largest * np.abs(r.scale) < 2**30).all():
            return INT64_IN_RANGE
        return self.rule


def requantized(rule: str, bits: int) -> Stage:
    """``Int16Rounding.apply`` for kernels: (sum, Rescaling, column) to what is stored."""
    is_narrow, is_double, is_single = bits == 32, rule == DOUBLE_ROUNDING, rule == DOUBLE_PRECISION
    fits = rule == INT64_IN_RANGE

    @stage
    def requantized(sum_: int, r: Any, c: int) -> int:
        acc = sum_ + get(r.bias, c)
        if is_narrow:
            acc = wrap_int32(acc)
        if is_double:
            q = requantize_double_rounding(acc, get(r.multiplier, c), get(r.shift, c))
        elif is_single:
            q = np.int64(requantize_double(acc, get(r.scale, c)))
        elif fits:
            q = rescale_int64(acc, get(r.multiplier, c), get(r.shift, c))
        else:
            q = requantize_int64(acc, get(r.multiplier, c), get(r.shift, c))
        return min(max(q, r.lo), r.hi)

    return requantized


class Totalling(NamedTuple):
    """The arguments of the epilogue: Rescaling, scratch [threads, rows * 16 vectors], and where y goes."""

    bias: Any
    multiplier: Any
    shift: Any
    scale: Any
    lo: int
    hi: int
    sums: Any  # int32
    totals: Any  # int64
    y: Any
    first: int
    stride: int


@kernel_factory
def int16_dot(rows: int, vectors: int, rule: str, bits: int) -> Kernel:
    """The kernel for tiles of rows x 16 vectors by that rounding; sums of a group of segments fit into int32.

    w: int16 [panel, steps, 16 vectors, 2]; then ``Totalling``.
    """
    tile = wide_tile("int16", rows, vectors)
    t_start, t_store = tile.start, tile.store
    width = LANES * vectors
    size = rows * width
    requantize = requantized(rule, bits)

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
                put(a.y, to + c, requantize(get(a.totals, at + c - column), a, c))

    step = Step(tile.rows, tile.dot, 2, 2 * width)
    epilogue = GroupedEpilogue(Totalling, begin, start, add, finish)
    return grouped_products("int16_dot", rows, step, epilogue)


def call(
    x: Tensor, segments: RowSegments, w: np.ndarray, rounding: Int16Rounding, y: Tensor, first: int = 0, stride: int = 0
) -> Call:
    """The Call for y[first + m * stride + c] = requantize(x[m] @ w[c]); w: int16 [columns, whole depth], of 8 bits."""
    rows, vectors = widest(len(segments.offsets), len(w))
    width = vectors * LANES
    kernel = int16_dot(rows, vectors, rounding.kernel_rule(w), rounding.bits)
    parts, w = _split(segments, w)
    limit = MOST // max(1, int(np.abs(w).max()))
    group = max(1, limit // parts.depth)
    packed = pack_pairs(w, len(parts.starts), vectors, list(range(width)))
    sums = scratch_per_thread(f"{y.name}/sums", rows * width, np.int32)
    totals = scratch_per_thread(f"{y.name}/totals", rows * width, np.int64)
    given = Totalling(*rounding.rescaling, sums, totals, y, first, stride or len(w))
    work = len(segments.offsets) * w.size
    return Call(kernel, x, *parts, group, packed, *given, writes=[y, sums, totals], work=work)


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


@kernel_factory
def requantize_sums(rule: str, bits: int) -> Kernel:
    """The kernel for y = requantize(sums + bias), channels innermost."""
    requantize = requantized(rule, bits)

    def requantize_sums(thread: int, threads: int, sums: Any, r: Rescaling, y: Any) -> None:
        channels = r.bias.size
        rows = y.size // channels
        for row in range(rows * thread // threads, rows * (thread + 1) // threads):
            for c in range(channels):
                put(y, row * channels + c, requantize(np.int64(get(sums, row * channels + c)), r, c))

    return Kernel(requantize_sums)
