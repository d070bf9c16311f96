"""Single elements of an array of any dimension, by their position in memory, and runs of them."""

from __future__ import annotations

from int8rt.simd import emit, llvm
from int8rt.simd.intrinsics import Array, Builder, Value, intrinsic


@intrinsic("T(T[], int64)")
def get(builder: Builder, array: Array, at: Value) -> Value:
    """Element number ``at`` of the flattened array."""
    return array.get(at)


@intrinsic("none(T[], int64, T)")
def put(builder: Builder, array: Array, at: Value, value: Value) -> None:
    """Store the value, cast to the array's type, as element number ``at`` of the flattened array."""
    array.put(at, value)


@intrinsic("T(T, T)")
def as_type_of(builder: Builder, other: Value, value: Value) -> Value:
    """The value cast to the type of another one; integers wrap."""
    return value


@intrinsic("none(T[], int64, T[], int64, int64)")
def copy_within(builder: Builder, source: Array, start: Value, target: Array, at: Value, count: Value) -> None:
    """target[at : at + count] = source[start : start + count], both flattened."""
    from numba.core.cgutils import raw_memcpy

    from_, to = source.at(start), target.at(at)
    raw_memcpy(builder, to, from_, builder.mul(count, llvm.I64(source.itemsize)), 1)


@intrinsic("none(T[], int64, int64, T)")
def fill_within(builder: Builder, target: Array, at: Value, count: Value, value: Value) -> None:
    """target[at : at + count] = value, flattened."""
    behind = target.behind(at)
    with emit.loop(builder, count) as loop:
        behind.put(loop.index, value)


@intrinsic("none(T[], int64, int64, T[], int64, int64)")
def transpose_tile(
    builder: Builder, x: Array, at: Value, x_stride: Value, y: Array, to: Value, y_stride: Value
) -> None:  # fmt: skip
    """y[to + i * y_stride + j] = x[at + i + j * x_stride] for i and j below 16 // itemsize, of integers."""
    lanes = 128 // x.element.width
    vector = llvm.ir.VectorType(x.element, lanes)
    tile = []
    for j in range(lanes):
        place = x.at(builder.add(at, builder.mul(x_stride, llvm.I64(j))))
        tile.append(emit.load(builder, place, vector))
    for _ in range(lanes.bit_length() - 1):  # interleaving the halves of the tile turns one bit of row into column
        halves = list(zip(tile[: lanes // 2], tile[lanes // 2 :], strict=True))
        tile = [emit.interleave(builder, a, b, part) for a, b in halves for part in (0, lanes // 2)]
    for i in range(lanes):
        emit.store(builder, tile[i], y.at(builder.add(to, builder.mul(y_stride, llvm.I64(i)))))
