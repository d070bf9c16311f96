"""64 lanes, each a channel: what depthwise convolutions multiply and sum."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from int8rt.native.kernel import Intrinsic
from int8rt.simd import emit, llvm
from int8rt.simd.intrinsics import Array, Builder, Value, Vectors, intrinsic
from int8rt.simd.lowerings import DOT, less_offset, look_up_by_permutes, lower
from int8rt.simd.narrow import fixed, narrow, plain


@intrinsic("lanes(int32[], int64)")
def lanes_start(builder: Builder, p: Array, at: Value) -> Vectors:
    """64 int32 from element ``at`` of a flattened array."""
    return emit.load_vectors(builder, p.at(at), llvm.INT32S, 4)


@intrinsic("groups(uint8[], int64, int64, int64, int64)", reads_past=63)
def lanes_load(builder: Builder, x: Array, a: Value, b: Value, c: Value, d: Value) -> Vectors:
    """64 groups of four bytes, x[a + i], x[b + i], x[c + i], x[d + i], less offset(), in INTERLEAVED order.

    At least the first group exists.
    """
    rows = [emit.load(builder, x.at(start), llvm.BYTES) for start in (a, b, c, d)]
    return _under_one_another(builder, [less_offset(builder, row) for row in rows])


def _under_one_another(builder: Builder, rows: Vectors) -> Vectors:
    """Groups of the bytes i of four rows, in INTERLEAVED order."""
    pairs = [[emit.unpack(builder, rows[i], rows[i + 1], 1, high) for high in (0, 1)] for i in (0, 2)]
    return [emit.unpack(builder, pairs[0][i], pairs[1][i], 2, high) for i in (0, 1) for high in (0, 1)]


@intrinsic("lanes(lanes, groups, int8[], int64)")
def lanes_dot(builder: Builder, acc: Vectors, groups: Vectors, w: Array, at: Value) -> Vectors:
    """acc[i] + the product of group i with four weights from w[at + 4 i:], for 64 lanes i in any one order."""
    dot, pointer = lower(DOT), w.at(at)
    return [dot(builder, acc[v], groups[v], emit.load_vector(builder, pointer, llvm.BYTES, v)) for v in range(4)]


@intrinsic("none(lanes, int32[], int64)")
def lanes_save(builder: Builder, acc: Vectors, sums: Array, at: Value) -> None:
    """Store 64 int32 where ``lanes_start`` finds them."""
    emit.store_vectors(builder, acc, sums.at(at))


@functools.cache
def window(columns: int) -> Window:
    """The intrinsics over a window of so many columns."""
    return Window(columns)


class Window:
    """Intrinsics over the columns of a window that slides: each is what ``lanes_load`` gives.

    window = start(); window = push(window, groups); acc = dot(acc, window, w, at)
    """

    def __init__(self, columns: int) -> None:
        self.columns = columns

    def registers(self) -> dict[str, Callable[[], Any]]:
        """The types of vectors in signatures."""
        return {"window": lambda: emit.array_type(f"Window{self.columns}", llvm.BYTES, 4 * self.columns)}

    @intrinsic("window()")
    def start(self, builder: Builder) -> Value:
        """A window of any values."""
        return llvm.ir.Constant(llvm.ir.ArrayType(llvm.BYTES, 4 * self.columns), llvm.ir.Undefined)

    @intrinsic("window(window, groups)")
    def push(self, builder: Builder, window: Vectors, groups: Vectors) -> Vectors:
        """Without the first column, with another one behind the last."""
        return [*window[4:], *groups]

    @intrinsic("lanes(lanes, window, int8[], int64)")
    def dot(self, builder: Builder, acc: Vectors, window: Vectors, w: Array, at: Value) -> Vectors:
        """Every column as by ``lanes_dot``, its weights 256 bytes after those of the one before."""
        dot, pointer, sums = lower(DOT), w.at(at), list(acc)
        for i, group in enumerate(window):
            sums[i % 4] = dot(builder, sums[i % 4], group, emit.load_vector(builder, pointer, llvm.BYTES, i))
        return sums


@intrinsic("lanes(uint8[], int64, uint8[], int64, int64)", reads_past=63)
def lanes_look_up(builder: Builder, table: Array, top: Value, x: Array, at: Value, count: Value) -> Vectors:
    """64 int32 of a table, number top - x[at + i] for the first ``count``, others 0; with avx512vbmi only.

    table: [4, 256], the least significant bytes of the int32 first. Lanes come in INTERLEAVED order.
    """
    value = emit.load(builder, x.at(at), llvm.BYTES)
    index = builder.sub(emit.spread_byte(builder, top), value)
    keep = emit.first_bytes(builder, count)
    rows = []
    for i in range(4):
        look_up = look_up_by_permutes(builder, table.at(256 * i))
        rows.append(builder.select(keep, look_up(index), emit.splat(llvm.BYTES, 0)))
    return [builder.bitcast(group, llvm.INT32S) for group in _under_one_another(builder, rows)]


@intrinsic("int64(lanes, int64)")
def lanes_sum(builder: Builder, lanes: Vectors, shift: Value) -> Value:
    """The sum of 64 int32, none negative, each shifted right and rounded half up first."""
    shift = builder.trunc(shift, llvm.I32)
    half = emit.spread(builder, builder.lshr(builder.shl(llvm.I32(1), shift), llvm.I32(1)))
    shift = emit.spread(builder, shift)
    total = emit.splat(llvm.INT32S, 0)
    for v in lanes:
        total = builder.add(total, builder.lshr(builder.add(v, half), shift))
    return builder.sext(emit.reduce(builder, total, "add"), llvm.I64)


@intrinsic("none(lanes, int64, int64, uint8[], int64, int64)")
def lanes_scale(
    builder: Builder, lanes: Vectors, factor: Value, shift: Value, y: Array, to: Value, count: Value
) -> None:  # fmt: skip
    """Store the first ``count`` of 64 products of int32 with a factor in Q0.31, none negative, as bytes at y[to:].

    Each is shifted right by 31, then by ``shift``, below 64, and rounded half up both times.
    """
    pairs = llvm.ir.VectorType(llvm.I64, llvm.LANES // 2)
    half = emit.spread(builder, builder.lshr(builder.shl(llvm.I64(1), shift), llvm.I64(1)), pairs.count)
    factor = builder.and_(factor, llvm.I64(0xFFFFFFFF))  # which says that a product of 32 bits will do
    factor, shift = (emit.spread(builder, v, pairs.count) for v in (factor, shift))

    def scaled(v: Value) -> Value:
        v = builder.lshr(builder.add(builder.mul(v, factor), emit.splat(pairs, 1 << 30)), emit.splat(pairs, 31))
        return builder.lshr(builder.add(v, half), shift)

    results = []
    for v in lanes:
        v = builder.bitcast(v, pairs)
        even = scaled(builder.and_(v, emit.splat(pairs, 0xFFFFFFFF)))
        odd = builder.shl(scaled(builder.lshr(v, emit.splat(pairs, 32))), emit.splat(pairs, 32))
        results.append(builder.bitcast(builder.or_(even, odd), llvm.INT32S))
    bytes_ = narrow(builder, results, llvm.I8(0), llvm.I8(255), interleaved=True)
    emit.store_columns(builder, [bytes_], [y.at(to)], count)


LANES_REQUANTIZE = "none(lanes, int32[], int64, int64, int64, int64, {0}[], int64, int64)"


def _lanes_requantize(rows_used: int, rule: Callable[..., Any]) -> Intrinsic:
    @intrinsic(LANES_REQUANTIZE.format("uint8"))
    def lanes_requantize(
        builder: Builder, acc: Vectors, p: Array, at: Value, step: Value, lo: Value, hi: Value, y: Array, to: Value,
        count: Value,
    ) -> None:  # fmt: skip
        """The first ``count`` of 64 accumulators as bytes."""
        rows = []
        for _ in range(rows_used):
            rows.append(p.at(at))
            at = builder.add(at, step)
        results = []
        for v, value in enumerate(acc):
            parameters = (emit.load_vector(builder, row, llvm.INT32S, v) for row in rows)
            results.append(rule(builder, value, *parameters))
        lo, hi = (builder.trunc(limit, llvm.I8) for limit in (lo, hi))
        emit.store_columns(builder, [narrow(builder, results, lo, hi, interleaved=True)], [y.at(to)], count)

    return lanes_requantize


@intrinsic(LANES_REQUANTIZE.format("int32"))
def _lanes_store(
    builder: Builder, acc: Vectors, p: Array, at: Value, step: Value, lo: Value, hi: Value, y: Array, to: Value,
    count: Value,
) -> None:  # fmt: skip
    """The accumulators themselves."""
    low, high = (emit.join(builder, *acc[i : i + 2]) for i in (0, 2))
    for lane in range(4):  # of 128 bits; it holds the lanes of this number of all vectors
        places = emit.indices(16 * v + 4 * lane + d for v in range(2) for d in range(4))
        row = emit.join(builder, *(builder.shuffle_vector(pair, pair, places) for pair in (low, high)))
        done = llvm.I64(llvm.LANES * lane)
        emit.store_columns(builder, [row], [y.at(builder.add(to, done))], builder.sub(count, done))


# lanes_requantize[kind](acc, p, at, step, lo, hi, y, to, count): store the first ``count`` of 64 accumulators at
# y[to:] by a formula of that kind, whose rows are ``step`` apart in p; "sums": as they are.
lanes_requantize = {
    "fixed": _lanes_requantize(4, fixed),
    "plain": _lanes_requantize(3, plain),
    "sums": _lanes_store,
}
