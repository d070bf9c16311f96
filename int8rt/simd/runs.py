"""Runs of bytes: sums, products, largest ones."""

from __future__ import annotations

from int8rt.simd import emit, llvm
from int8rt.simd.intrinsics import Array, Builder, Value, intrinsic
from int8rt.simd.lowerings import DOT, add_fours, less_offset, lower

STRIDE = 256  # bytes that dot_of_bytes takes at a time


@intrinsic("int64(uint8[], int64, int64)", reads_past=63)
def sum_of_bytes(builder: Builder, x: Array, at: Value, count: Value) -> Value:
    """x[at] + ... + x[at + count - 1]."""
    pointer = x.at(at)
    total = emit.variable(builder, emit.splat(llvm.INT32S, 0))
    with emit.loop(builder, _vectors(builder, count)) as loop:
        start = builder.shl(loop.index, llvm.I64(6))
        keep = emit.first_bytes(builder, builder.sub(count, start))
        value = emit.load(builder, builder.gep(pointer, [start]), llvm.BYTES)
        value = builder.select(keep, value, emit.splat(llvm.BYTES, 0))
        builder.store(add_fours(builder, builder.load(total), value), total)
    return builder.sext(emit.reduce(builder, builder.load(total), "add"), llvm.I64)


def _vectors(builder: Builder, count: Value) -> Value:
    """How many vectors hold so many bytes."""
    return builder.ashr(builder.add(count, llvm.I64(llvm.VECTOR_NBYTES - 1)), llvm.I64(6))


@intrinsic("int64(uint8[], int64, int8[], int64, int64)", reads_past=STRIDE - 1)
def dot_of_bytes(builder: Builder, x: Array, at: Value, w: Array, w_at: Value, count: Value) -> Value:
    """The int32 sum of (x[at + i] - offset()) w[w_at + i] for i below count, a multiple of STRIDE.

    Where w is padded with zeros to that, what is read of x beside them does not matter.
    """
    pointers = x.at(at), w.at(w_at)
    vectors = range(STRIDE // llvm.VECTOR_NBYTES)
    sums = [emit.variable(builder, emit.splat(llvm.INT32S, 0)) for _ in vectors]  # none waits for another
    dot = lower(DOT)
    with emit.loop(builder, builder.udiv(count, llvm.I64(STRIDE))) as loop:
        start = builder.mul(loop.index, llvm.I64(STRIDE))
        for i, total in enumerate(sums):
            place = [builder.add(start, llvm.I64(llvm.VECTOR_NBYTES * i))]
            a, b = (emit.load(builder, builder.gep(pointer, place), llvm.BYTES) for pointer in pointers)
            builder.store(dot(builder, builder.load(total), less_offset(builder, a), b), total)
    first, second, third, fourth = (builder.load(total) for total in sums)
    total = builder.add(builder.add(first, second), builder.add(third, fourth))
    return builder.sext(emit.reduce(builder, total, "add"), llvm.I64)


@intrinsic("int64(uint8[], int64, int64)", reads_past=63)
def largest_of_bytes(builder: Builder, x: Array, at: Value, count: Value) -> Value:
    """The largest of x[at : at + count], 0 of none."""
    pointer = x.at(at)
    largest = emit.variable(builder, emit.splat(llvm.BYTES, 0))
    with emit.loop(builder, _vectors(builder, count)) as loop:
        start = builder.shl(loop.index, llvm.I64(6))
        value = emit.load(builder, builder.gep(pointer, [start]), llvm.BYTES)
        best = builder.load(largest)
        keep = emit.first_bytes(builder, builder.sub(count, start))
        better = builder.and_(builder.icmp_unsigned(">", value, best), keep)
        builder.store(builder.select(better, value, best), largest)
    return builder.zext(emit.reduce(builder, builder.load(largest), "umax"), llvm.I64)


@intrinsic("bytes(int64)")
def bytes_of(builder: Builder, value: Value) -> Value:
    """One byte 64 times."""
    return emit.spread_byte(builder, value)


@intrinsic("bytes(bytes, uint8[], int64)", reads_past=63)
def bytes_max(builder: Builder, a: Value, x: Array, at: Value) -> Value:
    """The larger one of each byte of a and of x[at : at + 64], at least one of which exists."""
    b = emit.load(builder, x.at(at), llvm.BYTES)
    return builder.select(builder.icmp_unsigned(">", b, a), b, a)


@intrinsic("none(bytes, int64, uint8[], int64, int64)")
def bytes_store(builder: Builder, a: Value, hi: Value, y: Array, to: Value, count: Value) -> None:
    """y[to + i] = min(a[i], hi) for the first ``count`` of the 64 bytes."""
    most = emit.spread_byte(builder, hi)
    value = builder.select(builder.icmp_unsigned("<", a, most), a, most)
    emit.store_columns(builder, [value], [y.at(to)], count)
