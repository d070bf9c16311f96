"""Single elements of an array of any dimension, by their position in memory, and runs of them."""

from __future__ import annotations

from typing import Any

from int8rt.native.kernel import Word
from int8rt.simd import emit, llvm


@Word
def get(typing: Any, array: Any, at: Any) -> Any:
    """Element number ``at`` of the flattened array."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        return context.unpack_value(builder, sig.args[0].dtype, builder.gep(data, [args[1]]))

    return array.dtype(array, types.int64), generate


@Word
def put(typing: Any, array: Any, at: Any, value: Any) -> Any:
    """Store the value, cast to the array's type, as element number ``at`` of the flattened array."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        context.pack_value(builder, sig.args[0].dtype, args[2], builder.gep(data, [args[1]]))
        return context.get_dummy_value()

    return types.none(array, types.int64, array.dtype), generate


@Word
def as_type_of(typing: Any, other: Any, value: Any) -> Any:
    """The value cast to the type of another one; integers wrap."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return context.cast(builder, args[1], sig.args[1], sig.return_type)

    return other(other, value), generate


@Word
def copy_within(typing: Any, source: Any, start: Any, target: Any, at: Any, count: Any) -> Any:
    """target[at : at + count] = source[start : start + count], both flattened and of one type."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        from numba.core.cgutils import raw_memcpy

        source, start, target, at, count = args
        size = context.get_abi_sizeof(context.get_data_type(sig.args[0].dtype))
        from_, to = (
            emit.address(context, builder, sig.args[i], array, position)
            for i, array, position in ((0, source, start), (2, target, at))
        )
        raw_memcpy(builder, to, from_, builder.mul(count, llvm.I64(size)), 1)
        return context.get_dummy_value()

    if source.dtype != target.dtype:
        return None
    return types.none(source, types.int64, target, *[types.int64] * 2), generate


@Word
def fill_within(typing: Any, target: Any, at: Any, count: Any, value: Any) -> Any:
    """target[at : at + count] = value, flattened."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        from numba.core.cgutils import for_range

        target, at, count, value = args
        data = builder.gep(context.make_array(sig.args[0])(context, builder, target).data, [at])
        with for_range(builder, count) as loop:
            context.pack_value(builder, sig.args[0].dtype, value, builder.gep(data, [loop.index]))
        return context.get_dummy_value()

    return types.none(target, *[types.int64] * 2, target.dtype), generate


@Word
def transpose_tile(typing: Any, x: Any, at: Any, x_stride: Any, y: Any, to: Any, y_stride: Any) -> Any:
    """y[to + i * y_stride + j] = x[at + i + j * x_stride] for i and j below 16 // itemsize; x and y have one type."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        x, at, x_stride, y, to, y_stride = args
        element = context.get_data_type(sig.args[0].dtype)
        lanes = 128 // element.width
        vector = llvm.ir.VectorType(element, lanes)
        tile = []
        for j in range(lanes):
            position = builder.add(at, builder.mul(x_stride, llvm.I64(j)))
            tile.append(emit.load(builder, emit.address(context, builder, sig.args[0], x, position), vector))
        for _ in range(lanes.bit_length() - 1):  # interleaving the halves of the tile turns one bit of row into column
            halves = list(zip(tile[: lanes // 2], tile[lanes // 2 :], strict=True))
            tile = [emit.interleave(builder, a, b, part) for a, b in halves for part in (0, lanes // 2)]
        for i in range(lanes):
            position = builder.add(to, builder.mul(y_stride, llvm.I64(i)))
            emit.store(builder, tile[i], emit.address(context, builder, sig.args[3], y, position))
        return context.get_dummy_value()

    if x.dtype != y.dtype:
        return None
    return types.none(x, types.int64, types.int64, y, types.int64, types.int64), generate
