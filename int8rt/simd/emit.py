"""Building blocks of intrinsics: LLVM IR that several of them emit."""

from __future__ import annotations

import functools
from typing import Any

from int8rt.memory import CACHE_LINE
from int8rt.simd import llvm

PREFETCH = 2048  # bytes; 1 to 8 KB were equally good, 512 useless


def declare(builder: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    known = builder.module.globals.get(name)
    return known or llvm.ir.Function(builder.module, llvm.ir.FunctionType(result, arguments), name)


def splat(type_: Any, value: float) -> Any:
    return llvm.ir.Constant(type_, [value] * type_.count)


def spread(builder: Any, scalar: Any, lanes: int = llvm.LANES) -> Any:
    """The vector that has the scalar in every lane."""
    type_ = llvm.ir.VectorType(scalar.type, lanes)
    one = builder.insert_element(llvm.ir.Constant(type_, llvm.ir.Undefined), scalar, llvm.I32(0))
    return builder.shuffle_vector(one, one, splat(llvm.ir.VectorType(llvm.I32, lanes), 0))


def spread_byte(builder: Any, number: Any) -> Any:
    """The vector that has the low byte of an int64 in every byte."""
    return spread(builder, builder.trunc(number, llvm.I8), llvm.VECTOR_NBYTES)


def indices(values: Any) -> Any:
    values = list(values)
    return llvm.ir.Constant(llvm.ir.VectorType(llvm.I32, len(values)), values)


def part(builder: Any, v: Any, i: int, parts: int = 2) -> Any:
    size = v.type.count // parts
    return v if parts == 1 else builder.shuffle_vector(v, v, indices(range(i * size, (i + 1) * size)))


def join(builder: Any, *vectors: Any) -> Any:
    a, b = vectors
    return builder.shuffle_vector(a, b, indices(range(2 * a.type.count)))


def load(builder: Any, pointer: Any, type_: Any) -> Any:
    return builder.load(builder.bitcast(pointer, type_.as_pointer()), align=1)


def store(builder: Any, value: Any, pointer: Any) -> None:
    builder.store(value, builder.bitcast(pointer, value.type.as_pointer()), align=1)


def beyond(builder: Any, pointer: Any, nbytes: int) -> Any:
    """The pointer so many bytes further on."""
    return builder.gep(pointer, [llvm.I64(nbytes)])


def load_vector(builder: Any, pointer: Any, type_: Any, number: int) -> Any:
    """The vector of 64 bytes before which lie so many others."""
    return load(builder, beyond(builder, pointer, llvm.VECTOR_NBYTES * number), type_)


def load_vectors(builder: Any, pointer: Any, type_: Any, count: int) -> list[Any]:
    """Vectors of 64 bytes that lie one after the other."""
    return [load_vector(builder, pointer, type_, v) for v in range(count)]


def store_vectors(builder: Any, values: list[Any], pointer: Any) -> None:
    """Store vectors of 64 bytes one after the other."""
    for v, value in enumerate(values):
        store(builder, value, beyond(builder, pointer, llvm.VECTOR_NBYTES * v))


def loop(builder: Any, count: Any, start: Any = None) -> Any:
    """A context whose ``index`` counts from start, 0 if not given, to ``count``."""
    from numba.core.cgutils import for_range

    return for_range(builder, count, start=start)


def variable(builder: Any, value: Any) -> Any:
    """The pointer to a variable of the function that begins as the value."""
    from numba.core.cgutils import alloca_once_value

    return alloca_once_value(builder, value)


def reduce(builder: Any, v: Any, operation: str) -> Any:
    """All lanes as one number: "add" or "umax"."""
    name = f"llvm.vector.reduce.{operation}.v{v.type.count}i{v.type.element.width}"
    return builder.call(declare(builder, name, v.type.element, [v.type]), [v])


def clamp(builder: Any, v: Any, lo: Any, hi: Any) -> Any:
    v = builder.select(builder.icmp_signed("<", v, lo), lo, v)
    return builder.select(builder.icmp_signed(">", v, hi), hi, v)


def store_columns(builder: Any, values: list[Any], pointers: list[Any], columns: Any) -> None:
    """Store the first ``columns`` elements of each vector of bytes, int32 or floats."""
    lanes, element = values[0].type.count, values[0].type.element
    kind = f"i{element.width}" if isinstance(element, llvm.ir.IntType) else "f32"
    with builder.if_else(builder.icmp_signed(">=", columns, llvm.I64(lanes))) as (whole, some):
        with whole:
            for value, pointer in zip(values, pointers, strict=True):
                store(builder, value, pointer)
        with some:
            order = llvm.ir.Constant(llvm.ir.VectorType(llvm.I8, lanes), list(range(lanes)))
            columns = builder.select(builder.icmp_signed("<", columns, llvm.I64(0)), llvm.I64(0), columns)
            keep = builder.icmp_unsigned("<", order, spread(builder, builder.trunc(columns, llvm.I8), lanes))
            type_, mask = values[0].type, llvm.ir.VectorType(llvm.ir.IntType(1), lanes)
            name, target = f"llvm.masked.store.v{lanes}{kind}.p0", type_.as_pointer()
            function = declare(builder, name, llvm.ir.VoidType(), [type_, target, llvm.I32, mask])
            for value, pointer in zip(values, pointers, strict=True):
                builder.call(function, [value, builder.bitcast(pointer, target), llvm.I32(1), keep])


def prefetch(builder: Any, pointer: Any, count: int) -> None:
    """Ask for the cache lines of ``count`` bytes that will be read soon."""
    function = declare(
        builder, "llvm.prefetch.p0", llvm.ir.VoidType(), [llvm.I8.as_pointer(), llvm.I32, llvm.I32, llvm.I32]
    )
    for line in range(0, count, CACHE_LINE):
        ahead = builder.gep(pointer, [llvm.I64(line + PREFETCH)])
        builder.call(function, [ahead, llvm.I32(0), llvm.I32(3), llvm.I32(1)])  # to read, keep near, data


def array_type(name: str, element: Any, count: int) -> Any:
    """A Numba type for ``count`` values of an LLVM type, which live in registers."""
    return vector_type(name, llvm.ir.ArrayType(element, count))


@functools.cache
def vector_type(name: str, type_: Any) -> Any:
    """A Numba type for a value of an LLVM type."""
    from numba.core import types
    from numba.extending import models, register_model

    class Registers(types.Type):
        pass

    @register_model(Registers)
    class RegistersModel(models.PrimitiveModel):
        def __init__(self, manager: Any, numba_type: Any) -> None:
            super().__init__(manager, numba_type, type_)

    return Registers(name)


def gather(builder: Any, values: list[Any]) -> Any:
    result = llvm.ir.Constant(llvm.ir.ArrayType(values[0].type, len(values)), llvm.ir.Undefined)
    for i, value in enumerate(values):
        result = builder.insert_value(result, value, i)
    return result


def spread_out(builder: Any, values: Any) -> list[Any]:
    return [builder.extract_value(values, i) for i in range(values.type.count)]


def first_bytes(builder: Any, count: Any) -> Any:
    """Which lanes of a vector of bytes are below count."""
    most = llvm.I64(llvm.VECTOR_NBYTES)
    count = builder.select(builder.icmp_signed("<", count, most), count, most)
    order = llvm.ir.Constant(llvm.BYTES, list(range(llvm.VECTOR_NBYTES)))
    return builder.icmp_unsigned("<", order, spread_byte(builder, count))


def interleave(builder: Any, a: Any, b: Any, start: int) -> Any:
    """a[start], b[start], a[start + 1], b[start + 1], ..."""
    lanes = a.type.count
    return builder.shuffle_vector(a, b, indices(i for k in range(lanes // 2) for i in (start + k, lanes + start + k)))


def unpack(builder: Any, a: Any, b: Any, size: int, high: int) -> Any:
    """Within each 128 bits, the low or high elements of ``size`` bytes of a and b, interleaved."""
    order = []
    for element in range(8 // size):
        for source in (0, llvm.VECTOR_NBYTES):
            order += [source + 8 * high + element * size + i for i in range(size)]
    lanes = range(0, llvm.VECTOR_NBYTES, 16)
    return builder.shuffle_vector(a, b, indices(lane + i for lane in lanes for i in order))


def concatenate(builder: Any, vectors: list[Any]) -> Any:
    """One vector of the elements of up to four vectors of one type."""
    if len(vectors) == 1:
        return vectors[0]
    if len(vectors) == 3:
        pair = join(builder, vectors[2], vectors[2])
        both = join(builder, join(builder, *vectors[:2]), pair)
        return builder.shuffle_vector(both, both, indices(range(3 * vectors[0].type.count)))
    half = len(vectors) // 2
    return join(builder, concatenate(builder, vectors[:half]), concatenate(builder, vectors[half:]))
