"""64 lanes, each a channel: what depthwise convolutions multiply and sum."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from int8rt.native.kernel import Word
from int8rt.simd import emit, llvm
from int8rt.simd.lookup import look_up_by_permutes
from int8rt.simd.lowerings import DOT, less_offset, lowering
from int8rt.simd.narrow import fixed, narrow, plain


@Word
def lanes_start(typing: Any, p: Any, at: Any) -> Any:
    """64 int32 from element ``at`` of a flattened int32 array."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = emit.address(context, builder, sig.args[0], *args)
        return emit.gather(
            builder, [emit.load(builder, builder.gep(pointer, [llvm.I64(64 * v)]), llvm.INT32S) for v in range(4)]
        )

    return emit.array_type("Lanes64", llvm.INT32S, 4)(p, types.int64), generate


@Word
def lanes_load(typing: Any, x: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """64 groups of four bytes, x[a + i], x[b + i], x[c + i], x[d + i], less offset(), in INTERLEAVED order."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        rows = [
            emit.load(builder, emit.address(context, builder, sig.args[0], args[0], start), llvm.BYTES)
            for start in args[1:]
        ]
        return emit.gather(builder, _under_one_another(builder, [less_offset(builder, row) for row in rows]))

    return emit.array_type("Groups64", llvm.BYTES, 4)(x, *[types.int64] * 4), generate


def _under_one_another(builder: Any, rows: list[Any]) -> list[Any]:
    """Groups of the bytes i of four rows, in INTERLEAVED order."""
    pairs = [[emit.unpack(builder, rows[i], rows[i + 1], 1, high) for high in (0, 1)] for i in (0, 2)]
    return [emit.unpack(builder, pairs[0][i], pairs[1][i], 2, high) for i in (0, 1) for high in (0, 1)]


@Word
def lanes_dot(typing: Any, acc: Any, groups: Any, w: Any, at: Any) -> Any:
    """acc[i] + the product of group i with four weights from w[at + 4 i:], for 64 lanes i in any one order."""
    from numba.core import types

    lower = DOT[lowering()][1]

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        acc, groups, w, at = args
        pointer = emit.address(context, builder, sig.args[2], w, at)
        sums = []
        for v, (value, four) in enumerate(
            zip(emit.spread_out(builder, acc), emit.spread_out(builder, groups), strict=True)
        ):  # fmt: skip
            sums.append(
                lower(builder, value, four, emit.load(builder, builder.gep(pointer, [llvm.I64(64 * v)]), llvm.BYTES))
            )
        return emit.gather(builder, sums)

    return acc(acc, groups, w, types.int64), generate


@Word
def lanes_save(typing: Any, acc: Any, sums: Any, at: Any) -> Any:
    """Store 64 int32 where ``lanes_start`` finds them."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = emit.address(context, builder, sig.args[1], *args[1:])
        for v, value in enumerate(emit.spread_out(builder, args[0])):
            emit.store(builder, value, builder.gep(pointer, [llvm.I64(64 * v)]))
        return context.get_dummy_value()

    return types.none(acc, sums, types.int64), generate


@functools.cache
def window(columns: int) -> SimpleNamespace:
    """Words over the columns of a window that slides: each is what ``lanes_load`` gives.

    window = start(); window = push(window, groups): without the first column, with another one behind the last;
    acc = dot(acc, window, w, at): every column as by ``lanes_dot``, its weights 256 bytes after those of the one before
    """

    def type_() -> Any:
        return emit.array_type(f"Window{columns}", llvm.BYTES, 4 * columns)

    def start(typing: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return llvm.ir.Constant(llvm.ir.ArrayType(llvm.BYTES, 4 * columns), llvm.ir.Undefined)

        return type_()(), generate

    def push(typing: Any, window: Any, groups: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return emit.gather(builder, [*emit.spread_out(builder, args[0])[4:], *emit.spread_out(builder, args[1])])

        return type_()(window, groups), generate

    def dot(typing: Any, acc: Any, window: Any, w: Any, at: Any) -> Any:
        from numba.core import types

        lower = DOT[lowering()][1]

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            acc, window, w, at = args
            pointer = emit.address(context, builder, sig.args[2], w, at)
            sums = emit.spread_out(builder, acc)
            for i, group in enumerate(emit.spread_out(builder, window)):
                weights = emit.load(builder, builder.gep(pointer, [llvm.I64(64 * i)]), llvm.BYTES)
                sums[i % 4] = lower(builder, sums[i % 4], group, weights)
            return emit.gather(builder, sums)

        return acc(acc, window, w, types.int64), generate

    return SimpleNamespace(start=Word(start), push=Word(push), dot=Word(dot))


@Word
def lanes_look_up(typing: Any, table: Any, top: Any, x: Any, at: Any, count: Any) -> Any:
    """64 int32 of a table, number top - x[at + i] for the first ``count``, others 0; with avx512vbmi only.

    table: uint8 [4, 256], the least significant bytes of the int32 first. Lanes come in INTERLEAVED order.
    """
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        table, top, x, at, count = args
        value = emit.load(builder, emit.address(context, builder, sig.args[2], x, at), llvm.BYTES)
        index = builder.sub(emit.spread(builder, builder.trunc(top, llvm.I8), 64), value)
        keep = emit.first_bytes(builder, count)
        rows = []
        for i in range(4):
            look_up = look_up_by_permutes(
                builder, emit.address(context, builder, sig.args[0], table, llvm.I64(256 * i))
            )
            rows.append(builder.select(keep, look_up(index), emit.splat(llvm.BYTES, 0)))
        return emit.gather(
            builder, [builder.bitcast(group, llvm.INT32S) for group in _under_one_another(builder, rows)]
        )

    integers = types.int64
    return emit.array_type("Lanes64", llvm.INT32S, 4)(table, integers, x, integers, integers), generate


@Word
def lanes_sum(typing: Any, lanes: Any, shift: Any) -> Any:
    """The sum of 64 int32, none negative, each shifted right and rounded half up first."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        shift = builder.trunc(args[1], llvm.I32)
        half = emit.spread(builder, builder.lshr(builder.shl(llvm.I32(1), shift), llvm.I32(1)))
        shift = emit.spread(builder, shift)
        total = emit.splat(llvm.INT32S, 0)
        for v in emit.spread_out(builder, args[0]):
            total = builder.add(total, builder.lshr(builder.add(v, half), shift))
        function = emit.declare(builder, "llvm.vector.reduce.add.v16i32", llvm.I32, [llvm.INT32S])
        return builder.sext(builder.call(function, [total]), llvm.I64)

    return types.int64(lanes, types.int64), generate


@Word
def lanes_scale(typing: Any, lanes: Any, factor: Any, shift: Any, y: Any, to: Any, count: Any) -> Any:
    """Store the first ``count`` of 64 products of int32 with a factor in Q0.31, none negative, as bytes at y[to:].

    Each is shifted right by 31, then by ``shift``, below 64, and rounded half up both times.
    """
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        lanes, factor, shift, y, to, count = args
        pairs = llvm.ir.VectorType(llvm.I64, llvm.LANES // 2)
        half = emit.spread(builder, builder.lshr(builder.shl(llvm.I64(1), shift), llvm.I64(1)), llvm.LANES // 2)
        factor = builder.and_(factor, llvm.I64(0xFFFFFFFF))  # which says that a product of 32 bits will do
        factor, shift = (emit.spread(builder, v, llvm.LANES // 2) for v in (factor, shift))

        def scaled(v: Any) -> Any:
            v = builder.lshr(builder.add(builder.mul(v, factor), emit.splat(pairs, 1 << 30)), emit.splat(pairs, 31))
            return builder.lshr(builder.add(v, half), shift)

        results = []
        for v in emit.spread_out(builder, lanes):
            v = builder.bitcast(v, pairs)
            even = scaled(builder.and_(v, emit.splat(pairs, 0xFFFFFFFF)))
            odd = builder.shl(scaled(builder.lshr(v, emit.splat(pairs, 32))), emit.splat(pairs, 32))
            results.append(builder.bitcast(builder.or_(even, odd), llvm.INT32S))
        pointer = emit.address(context, builder, sig.args[3], y, to)
        bytes_ = narrow(builder, results, llvm.I8(0), llvm.I8(255), interleaved=True)
        emit.store_columns(builder, [bytes_], [pointer], count)
        return context.get_dummy_value()

    integers = types.int64
    return types.none(lanes, integers, integers, y, integers, integers), generate


def _lanes_requantize(rows_used: int, rule: Callable[..., Any]) -> Word:
    def lanes_requantize(
        typing: Any, acc: Any, p: Any, at: Any, step: Any, lo: Any, hi: Any, y: Any, to: Any, count: Any
    ) -> Any:  # fmt: skip
        from numba.core import types

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            acc, p, at, step, lo, hi, y, to, count = args
            rows = []
            for _ in range(rows_used):
                rows.append(emit.address(context, builder, sig.args[1], p, at))
                at = builder.add(at, step)
            results = []
            for v, value in enumerate(emit.spread_out(builder, acc)):
                parameters = [emit.load(builder, builder.gep(row, [llvm.I64(64 * v)]), llvm.INT32S) for row in rows]
                results.append(rule(builder, value, *parameters))
            lo, hi = (builder.trunc(limit, llvm.I8) for limit in (lo, hi))
            pointer = emit.address(context, builder, sig.args[6], y, to)
            emit.store_columns(builder, [narrow(builder, results, lo, hi, interleaved=True)], [pointer], count)
            return context.get_dummy_value()

        integers = types.int64
        return types.none(acc, p, *[integers] * 4, y, integers, integers), generate

    return Word(lanes_requantize)


@Word
def _lanes_store(
    typing: Any, acc: Any, p: Any, at: Any, step: Any, lo: Any, hi: Any, y: Any, to: Any, count: Any
) -> Any:  # fmt: skip
    """The accumulators themselves, int32."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        acc, *_, y, to, count = args
        vectors = emit.spread_out(builder, acc)
        low, high = (emit.join(builder, *vectors[i : i + 2]) for i in (0, 2))
        for lane in range(4):  # of 128 bits; it holds the lanes of this number of all vectors
            places = emit.indices(16 * v + 4 * lane + d for v in range(2) for d in range(4))
            row = emit.join(builder, *(builder.shuffle_vector(pair, pair, places) for pair in (low, high)))
            pointer = emit.address(context, builder, sig.args[6], y, builder.add(to, llvm.I64(llvm.LANES * lane)))
            emit.store_columns(builder, [row], [pointer], builder.sub(count, llvm.I64(llvm.LANES * lane)))
        return context.get_dummy_value()

    integers = types.int64
    return types.none(acc, p, *[integers] * 4, y, integers, integers), generate


# lanes_requantize[kind](acc, p, at, step, lo, hi, y, to, count): store the first ``count`` of 64 accumulators at
# y[to:] by a formula of that kind, whose rows are ``step`` apart in p; "sums": as they are.
lanes_requantize = {
    "fixed": _lanes_requantize(4, fixed),
    "plain": _lanes_requantize(3, plain),
    "sums": _lanes_store,
}
