"""Runs of bytes: sums, products, largest ones."""

from __future__ import annotations

import functools
from typing import Any

from int8rt.native.kernel import Word
from int8rt.simd import emit, llvm
from int8rt.simd.features import has
from int8rt.simd.lowerings import DOT, dot_neon, less_offset, lowering


@Word
def sum_of_bytes(typing: Any, x: Any, at: Any, count: Any) -> Any:
    """x[at] + ... + x[at + count - 1] of a flattened array of bytes; 63 more may be read."""
    from numba.core import types

    add = functools.partial(dot_neon, function="udot") if has("dotprod") else DOT[lowering()][1]

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        from numba.core.cgutils import alloca_once_value, for_range

        x, at, count = args
        pointer = emit.address(context, builder, sig.args[0], x, at)
        total = alloca_once_value(builder, emit.splat(llvm.INT32S, 0))
        with for_range(builder, builder.ashr(builder.add(count, llvm.I64(63)), llvm.I64(6))) as loop:
            start = builder.shl(loop.index, llvm.I64(6))
            keep = emit.first_bytes(builder, builder.sub(count, start))
            value = builder.select(
                keep, emit.load(builder, builder.gep(pointer, [start]), llvm.BYTES), emit.splat(llvm.BYTES, 0)
            )
            builder.store(add(builder, builder.load(total), value, emit.splat(llvm.BYTES, 1)), total)
        function = emit.declare(builder, "llvm.vector.reduce.add.v16i32", llvm.I32, [llvm.INT32S])
        return builder.sext(builder.call(function, [builder.load(total)]), llvm.I64)

    return types.int64(x, types.int64, types.int64), generate


STRIDE = 256  # bytes that dot_of_bytes takes at a time


@Word
def dot_of_bytes(typing: Any, x: Any, at: Any, w: Any, w_at: Any, count: Any) -> Any:
    """The int32 sum of (x[at + i] - offset()) w[w_at + i] for i below count, a multiple of STRIDE; w is signed."""
    from numba.core import types

    lower = DOT[lowering()][1]

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        from numba.core.cgutils import alloca_once_value, for_range

        x, at, w, w_at, count = args
        pointers = [emit.address(context, builder, sig.args[i], *place) for i, place in ((0, (x, at)), (2, (w, w_at)))]
        sums = [
            alloca_once_value(builder, emit.splat(llvm.INT32S, 0)) for _ in range(STRIDE // 64)
        ]  # none waits for another
        with for_range(builder, builder.udiv(count, llvm.I64(STRIDE))) as loop:
            start = builder.mul(loop.index, llvm.I64(STRIDE))
            for i, total in enumerate(sums):
                place = [builder.add(start, llvm.I64(64 * i))]
                a, b = (emit.load(builder, builder.gep(pointer, place), llvm.BYTES) for pointer in pointers)
                builder.store(lower(builder, builder.load(total), less_offset(builder, a), b), total)
        first, second, third, fourth = (builder.load(total) for total in sums)
        total = builder.add(builder.add(first, second), builder.add(third, fourth))
        function = emit.declare(builder, "llvm.vector.reduce.add.v16i32", llvm.I32, [llvm.INT32S])
        return builder.sext(builder.call(function, [total]), llvm.I64)

    return types.int64(x, types.int64, w, types.int64, types.int64), generate


@Word
def largest_of_bytes(typing: Any, x: Any, at: Any, count: Any) -> Any:
    """The largest of x[at : at + count] of a flattened array of bytes, 0 of none; 63 more may be read."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        from numba.core.cgutils import alloca_once_value, for_range

        x, at, count = args
        pointer = emit.address(context, builder, sig.args[0], x, at)
        largest = alloca_once_value(builder, emit.splat(llvm.BYTES, 0))
        with for_range(builder, builder.ashr(builder.add(count, llvm.I64(63)), llvm.I64(6))) as loop:
            start = builder.shl(loop.index, llvm.I64(6))
            value = emit.load(builder, builder.gep(pointer, [start]), llvm.BYTES)
            best = builder.load(largest)
            better = builder.and_(
                builder.icmp_unsigned(">", value, best), emit.first_bytes(builder, builder.sub(count, start))
            )
            builder.store(builder.select(better, value, best), largest)
        function = emit.declare(builder, "llvm.vector.reduce.umax.v64i8", llvm.I8, [llvm.BYTES])
        return builder.zext(builder.call(function, [builder.load(largest)]), llvm.I64)

    return types.int64(x, types.int64, types.int64), generate


@Word
def bytes_of(typing: Any, value: Any) -> Any:
    """One byte 64 times."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return emit.spread(builder, builder.trunc(args[0], llvm.I8), 64)

    return emit.vector_type("Bytes64", llvm.BYTES)(types.int64), generate


@Word
def bytes_max(typing: Any, a: Any, x: Any, at: Any) -> Any:
    """The larger one of each byte of a and of x[at : at + 64]."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        a, x, at = args
        b = emit.load(builder, emit.address(context, builder, sig.args[1], x, at), llvm.BYTES)
        return builder.select(builder.icmp_unsigned(">", b, a), b, a)

    return a(a, x, types.int64), generate


@Word
def bytes_store(typing: Any, a: Any, hi: Any, y: Any, to: Any, count: Any) -> Any:
    """y[to + i] = min(a[i], hi) for the first ``count`` of the 64 bytes."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        a, hi, y, to, count = args
        most = emit.spread(builder, builder.trunc(hi, llvm.I8), 64)
        value = builder.select(builder.icmp_unsigned("<", a, most), a, most)
        emit.store_columns(builder, [value], [emit.address(context, builder, sig.args[2], y, to)], count)
        return context.get_dummy_value()

    return types.none(a, types.int64, y, types.int64, types.int64), generate
