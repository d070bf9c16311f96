"""Vectors for Numba kernels: the only module, beside jit, that speaks LLVM.

A vector has 16 lanes on every CPU, so that packed weights have one layout; LLVM splits it where registers are
narrower. What differs between CPUs is which tile of accumulators fits the registers (``tiles``) and how ``dot`` is
lowered (``DOT``, whose order is priority); every lowering gives the same bits. A lowering is chosen by the features
that the compiler is given, since an instruction that the target lacks would abort the process.

A tile is R rows by V vectors of int32 accumulators; ``tile(R, V)`` gives the words over it:

    rows  = t.rows(x, offsets, m)         addresses of R rows of bytes: x + offsets[m + r]
    acc   = t.start(bias, at)             V vectors, the same for every row
    acc   = t.dot(acc, rows, k, w, at)    acc[r, 16 v + i] += sum over j < 4 of x_j * w[at + 64 v + 4 i + j]
                                          with x_j = rows[r][k + j] - offset()
    t.requantize(acc, p, at, lo, hi, y, to, stride, columns)
    t.store(acc, scratch)                 R x 16 V int32

Bytes of x are unsigned (storage form), bytes of w signed.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from platform import machine
from types import SimpleNamespace
from typing import Any

from int8rt.jit import Word, before_words, cpu_features, cpu_name, target_machine

LANES = 16

# llvmlite.ir and types of its: there are none before a word is compiled, as planning needs them not.
ir: Any
I8: Any
I16: Any
I32: Any
I64: Any
BYTES: Any
WORDS: Any
INT32S: Any
DOUBLES: Any


@before_words
def _speak_llvm() -> None:
    global ir, I8, I16, I32, I64, BYTES, WORDS, INT32S, DOUBLES
    from llvmlite import ir

    I8, I16, I32, I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
    BYTES = ir.VectorType(I8, 4 * LANES)
    WORDS = ir.VectorType(I16, 2 * LANES)
    INT32S = ir.VectorType(I32, LANES)
    DOUBLES = ir.VectorType(ir.DoubleType(), 8)


def has(*features: str) -> bool:
    """Whether the compiler may use all of these CPU features."""
    return _has(cpu_name() if is_aarch64() else "", cpu_features(), features)


@functools.cache
def _has(arm: str, known: str, features: tuple[str, ...]) -> bool:
    given = _given(known)
    if arm:
        given = _on_aarch64(arm, known) if given.get("neon", True) else {}
    return all(given.get(f, False) and all(given.get(base, True) for base in _bases(f)) for f in features)


@functools.cache
def _given(features: str) -> dict[str, bool]:
    """Features as a table; the last word on one counts, as for LLVM."""
    return {word[1:]: word[0] == "+" for word in features.split(",") if word}


def is_aarch64() -> bool:
    """Whether kernels are compiled for a 64-bit ARM."""
    return machine() in ("aarch64", "arm64")


@functools.cache
def _on_aarch64(cpu: str, features: str) -> dict[str, bool]:
    """Those features of an AArch64 that lowerings ask for, as LLVM sees them.

    What it reports of a host leaves most out: on Linux it is "+neon,+crc,+lse,...", with Apple's CPUs nothing at all.
    The rest, such as dotprod of neoverse-n1 (Graviton 2) and apple-m1, i8mm of neoverse-v1 (Graviton 3) and apple-m2,
    it knows by the CPU's name. So it is asked what it makes of dot products, which takes 3 ms.
    """
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    found = {"neon": True}
    for feature, extend, instruction in (("dotprod", "zext", "udot"), ("i8mm", "sext", "usdot")):
        module = llvm.parse_assembly(_DOT_PRODUCT.format(extend=extend))
        found[feature] = f"\t{instruction}\t" in target_machine().emit_assembly(module)
    return found


# The sum of 16 products of unsigned bytes with unsigned or signed ones.
_DOT_PRODUCT = """
declare i32 @llvm.vector.reduce.add.v16i32(<16 x i32>)

define i32 @dot(<16 x i8> %a, <16 x i8> %b) {{
  %x = zext <16 x i8> %a to <16 x i32>
  %w = {extend} <16 x i8> %b to <16 x i32>
  %products = mul <16 x i32> %x, %w
  %sum = call i32 @llvm.vector.reduce.add.v16i32(<16 x i32> %products)
  ret i32 %sum
}}
"""


# Taking away a feature takes away those that are built on it.
_BUILT_ON = {
    "avx512vnni": ("avx512f",),
    "avx512vbmi": ("avx512bw",),
    "avx512bw": ("avx512f",),
    "avx512f": ("avx2",),
    "avxvnni": ("avx2",),
    "avx2": ("avx",),
    "avx": ("sse4.2", "sse4.1", "ssse3", "sse3", "sse2"),
}


def _bases(feature: str) -> list[str]:
    """All the features that one is built on."""
    below = _BUILT_ON.get(feature, ())
    return [*below, *(base for f in below for base in _bases(f))]


# Lowerings of dot: 16 sums of four products of an unsigned and a signed byte


def _dot_vnni_512(builder: Any, acc: Any, a: Any, b: Any) -> Any:
    function = _declare(builder, "llvm.x86.avx512.vpdpbusd.512", INT32S, [INT32S, BYTES, BYTES])
    return builder.call(function, [acc, a, b])


def _dot_vnni_256(builder: Any, acc: Any, a: Any, b: Any) -> Any:
    half_sum, half = ir.VectorType(I32, 8), ir.VectorType(I8, 32)
    function = _declare(builder, "llvm.x86.avx512.vpdpbusd.256", half_sum, [half_sum, half, half])
    parts = [
        builder.call(function, [_part(builder, v, i) for v in (acc, a, b)]) for i in range(2)
    ]  # fmt: skip
    return _join(builder, *parts)


def _dot_words(builder: Any, acc: Any, a: Any, b: Any, madd: str, parts: int) -> Any:
    """Products of even and of odd bytes, widened to 16 bits, which the CPU adds in pairs without overflow."""
    a, b = builder.bitcast(a, WORDS), builder.bitcast(b, WORDS)
    eight = _splat(WORDS, 8)
    evens = builder.and_(a, _splat(WORDS, 255)), builder.ashr(builder.shl(b, eight), eight)
    odds = builder.lshr(a, eight), builder.ashr(b, eight)
    for x, w in (evens, odds):
        acc = builder.add(acc, _multiply_add(builder, x, w, madd, parts))
    return acc


def _multiply_add(builder: Any, x: Any, w: Any, madd: str, parts: int) -> Any:
    words, sums = ir.VectorType(I16, 32 // parts), ir.VectorType(I32, 16 // parts)
    function = _declare(builder, madd, sums, [words, words])
    pieces = [builder.call(function, [_part(builder, v, i, parts) for v in (x, w)]) for i in range(parts)]
    while len(pieces) > 1:
        pieces = [_join(builder, *pieces[i : i + 2]) for i in range(0, len(pieces), 2)]
    return pieces[0]


def _dot_portable(builder: Any, acc: Any, a: Any, b: Any) -> Any:
    a, b = builder.bitcast(a, INT32S), builder.bitcast(b, INT32S)
    top = _splat(INT32S, 24)
    for byte in range(4):
        left = _splat(INT32S, 24 - 8 * byte)
        x = builder.lshr(builder.shl(a, left), top)
        w = builder.ashr(builder.shl(b, left), top)
        acc = builder.add(acc, builder.mul(x, w))
    return acc


def _dot_neon(builder: Any, acc: Any, a: Any, b: Any, function: str) -> Any:
    """One instruction for four sums, of which there are 16."""
    sums, bytes_ = ir.VectorType(I32, 4), ir.VectorType(I8, 16)
    dot = _declare(builder, f"llvm.aarch64.neon.{function}.v4i32.v16i8", sums, [sums, bytes_, bytes_])
    return _quarters(builder, lambda *parts: builder.call(dot, parts), acc, a, b)


def _dot_words_neon(builder: Any, acc: Any, a: Any, b: Any) -> Any:
    """Products of even and of odd bytes, which fit 16 bits; the CPU adds them to 32 bits in pairs (sadalp).

    The portable lowering takes as many instructions for a row, but needs twice as many for widening what it
    multiplies, and registers for that.
    """
    sums, words = ir.VectorType(I32, 4), ir.VectorType(I16, 8)
    add_pairs = _declare(builder, "llvm.aarch64.neon.saddlp.v4i32.v8i16", sums, [words])
    a, b, eight = builder.bitcast(a, WORDS), builder.bitcast(b, WORDS), _splat(WORDS, 8)
    evens = builder.and_(a, _splat(WORDS, 255)), builder.ashr(builder.shl(b, eight), eight)
    odds = builder.lshr(a, eight), builder.ashr(b, eight)

    def add(acc: Any, x: Any, w: Any) -> Any:
        return builder.add(acc, builder.call(add_pairs, [builder.mul(x, w)]))

    for x, w in (evens, odds):
        acc = _quarters(builder, add, acc, x, w)
    return acc


def _quarters(builder: Any, function: Callable[..., Any], *vectors: Any) -> Any:
    """The results of a function of vectors of 128 bits, for the quarters of longer ones."""
    results = [function(*(_part(builder, v, i, 4) for v in vectors)) for i in range(4)]
    return _join(builder, _join(builder, *results[:2]), _join(builder, *results[2:]))


DOT: dict[str, tuple[tuple[str, ...], Callable[..., Any]]] = {
    "avx512vnni": (("avx512vnni", "avx512bw"), _dot_vnni_512),
    "avxvnni": (("avxvnni", "avx2"), _dot_vnni_256),
    "avx512bw": (
        ("avx512bw",),
        functools.partial(_dot_words, madd="llvm.x86.avx512.pmaddw.d.512", parts=1),
    ),
    "avx2": (("avx2",), functools.partial(_dot_words, madd="llvm.x86.avx2.pmadd.wd", parts=2)),
    "i8mm": (("i8mm",), functools.partial(_dot_neon, function="usdot")),
    "dotprod": (("dotprod",), functools.partial(_dot_neon, function="sdot")),
    "neon": (("neon",), _dot_words_neon),
    "portable": ((), _dot_portable),
}


def lowering() -> str:
    """The name of the lowering of dot in use."""
    return next(name for name, (features, _) in DOT.items() if has(*features))


def offset() -> int:
    """What ``dot`` takes from each byte of x. Who packs w adds as much times the sum of a column to its start.

    AArch64's dotprod multiplies bytes that are both signed or both unsigned. Bytes less 128 are signed, and one
    exclusive or for a row and step, shared by all its products, makes them so. What is left, 128 times the sum of the
    weights, is known when they are packed and joins the bias, as the zero point does. To add it up in the loop, by
    sdot of 128 and the weights, would take another row of products and of accumulators for each tile, and twice the
    time in depthwise convolutions and for single rows; udot, with weights plus 128 and sums of x, the same.
    """
    return 128 if lowering() == "dotprod" else 0


def _less_offset(builder: Any, bytes_: Any) -> Any:
    """64 bytes as dot wants them."""
    return builder.xor(bytes_, _splat(BYTES, 128)) if offset() else bytes_


PREFETCH = 2048  # bytes; 1 to 8 KB were equally good, 512 useless


def tiles() -> dict[int, int]:
    """{vectors: rows} of the tiles whose accumulators fit this CPU's registers."""
    if has("avx512bw"):
        return {4: 6, 3: 8, 2: 8, 1: 12}
    if has("dotprod"):  # a vector takes four of 32 registers; with eight for weights, as 3 x 2 has them, LLVM spills
        return {1: 6}
    return {1: 6 if has("avx2") else 4}


def single_row() -> dict[int, int]:
    """The same for one row, which waits for its weights; on AArch64, more vectors would make it wait for spills too."""
    return {2: 1, 1: 1} if is_aarch64() else {8: 1, 4: 1, 2: 1, 1: 1}


# Building blocks in LLVM


def _declare(builder: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    known = builder.module.globals.get(name)
    return known or ir.Function(builder.module, ir.FunctionType(result, arguments), name)


def _splat(type_: Any, value: float) -> Any:
    return ir.Constant(type_, [value] * type_.count)


def _spread(builder: Any, scalar: Any, lanes: int = LANES) -> Any:
    """The vector that has the scalar in every lane."""
    type_ = ir.VectorType(scalar.type, lanes)
    one = builder.insert_element(ir.Constant(type_, ir.Undefined), scalar, I32(0))
    return builder.shuffle_vector(one, one, _splat(ir.VectorType(I32, lanes), 0))


def _indices(values: Any) -> Any:
    values = list(values)
    return ir.Constant(ir.VectorType(I32, len(values)), values)


def _part(builder: Any, v: Any, i: int, parts: int = 2) -> Any:
    size = v.type.count // parts
    return v if parts == 1 else builder.shuffle_vector(v, v, _indices(range(i * size, (i + 1) * size)))


def _join(builder: Any, *vectors: Any) -> Any:
    a, b = vectors
    return builder.shuffle_vector(a, b, _indices(range(2 * a.type.count)))


def _address(context: Any, builder: Any, type_: Any, array: Any, at: Any) -> Any:
    """Pointer to byte ``at`` elements after the start of an array of any dimension."""
    data = context.make_array(type_)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [at]), I8.as_pointer())


def _load(builder: Any, pointer: Any, type_: Any) -> Any:
    return builder.load(builder.bitcast(pointer, type_.as_pointer()), align=1)


def _store(builder: Any, value: Any, pointer: Any) -> None:
    builder.store(value, builder.bitcast(pointer, value.type.as_pointer()), align=1)


def _clamp(builder: Any, v: Any, lo: Any, hi: Any) -> Any:
    v = builder.select(builder.icmp_signed("<", v, lo), lo, v)
    return builder.select(builder.icmp_signed(">", v, hi), hi, v)


def _store_columns(builder: Any, values: list[Any], pointers: list[Any], columns: Any) -> None:
    """Store the first ``columns`` elements of each vector of bytes, int32 or floats."""
    lanes, element = values[0].type.count, values[0].type.element
    kind = f"i{element.width}" if isinstance(element, ir.IntType) else "f32"
    with builder.if_else(builder.icmp_signed(">=", columns, I64(lanes))) as (whole, some):
        with whole:
            for value, pointer in zip(values, pointers, strict=True):
                _store(builder, value, pointer)
        with some:
            order = ir.Constant(ir.VectorType(I8, lanes), list(range(lanes)))
            columns = builder.select(builder.icmp_signed("<", columns, I64(0)), I64(0), columns)
            keep = builder.icmp_unsigned("<", order, _spread(builder, builder.trunc(columns, I8), lanes))
            type_, mask = values[0].type, ir.VectorType(ir.IntType(1), lanes)
            name, target = f"llvm.masked.store.v{lanes}{kind}.p0", type_.as_pointer()
            function = _declare(builder, name, ir.VoidType(), [type_, target, I32, mask])
            for value, pointer in zip(values, pointers, strict=True):
                builder.call(function, [value, builder.bitcast(pointer, target), I32(1), keep])


def prefetch(builder: Any, pointer: Any, count: int) -> None:
    """Ask for the cache lines of ``count`` bytes that will be read soon."""
    function = _declare(builder, "llvm.prefetch.p0", ir.VoidType(), [I8.as_pointer(), I32, I32, I32])
    for line in range(0, count, 64):
        ahead = builder.gep(pointer, [I64(line + PREFETCH)])
        builder.call(function, [ahead, I32(0), I32(3), I32(1)])  # to read, keep near, data


# Types of Numba


def _array_type(name: str, element: Any, count: int) -> Any:
    """A Numba type for ``count`` values of an LLVM type, which live in registers."""
    return _vector_type(name, ir.ArrayType(element, count))


@functools.cache
def _vector_type(name: str, type_: Any) -> Any:
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


def _gather(builder: Any, values: list[Any]) -> Any:
    result = ir.Constant(ir.ArrayType(values[0].type, len(values)), ir.Undefined)
    for i, value in enumerate(values):
        result = builder.insert_value(result, value, i)
    return result


def _spread_out(builder: Any, values: Any) -> list[Any]:
    return [builder.extract_value(values, i) for i in range(values.type.count)]


# Single elements of an array of any dimension, by their position in memory


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


# Runs of elements


@Word
def sum_of_bytes(typing: Any, x: Any, at: Any, count: Any) -> Any:
    """x[at] + ... + x[at + count - 1] of a flattened array of bytes; 63 more may be read."""
    from numba.core import types

    add = functools.partial(_dot_neon, function="udot") if has("dotprod") else DOT[lowering()][1]

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        from numba.core.cgutils import alloca_once_value, for_range

        x, at, count = args
        pointer = _address(context, builder, sig.args[0], x, at)
        total = alloca_once_value(builder, _splat(INT32S, 0))
        with for_range(builder, builder.ashr(builder.add(count, I64(63)), I64(6))) as loop:
            start = builder.shl(loop.index, I64(6))
            keep = _first_bytes(builder, builder.sub(count, start))
            value = builder.select(keep, _load(builder, builder.gep(pointer, [start]), BYTES), _splat(BYTES, 0))
            builder.store(add(builder, builder.load(total), value, _splat(BYTES, 1)), total)
        function = _declare(builder, "llvm.vector.reduce.add.v16i32", I32, [INT32S])
        return builder.sext(builder.call(function, [builder.load(total)]), I64)

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
        pointers = [_address(context, builder, sig.args[i], *place) for i, place in ((0, (x, at)), (2, (w, w_at)))]
        sums = [alloca_once_value(builder, _splat(INT32S, 0)) for _ in range(STRIDE // 64)]  # none waits for another
        with for_range(builder, builder.udiv(count, I64(STRIDE))) as loop:
            start = builder.mul(loop.index, I64(STRIDE))
            for i, total in enumerate(sums):
                place = [builder.add(start, I64(64 * i))]
                a, b = (_load(builder, builder.gep(pointer, place), BYTES) for pointer in pointers)
                builder.store(lower(builder, builder.load(total), _less_offset(builder, a), b), total)
        first, second, third, fourth = (builder.load(total) for total in sums)
        total = builder.add(builder.add(first, second), builder.add(third, fourth))
        function = _declare(builder, "llvm.vector.reduce.add.v16i32", I32, [INT32S])
        return builder.sext(builder.call(function, [total]), I64)

    return types.int64(x, types.int64, w, types.int64, types.int64), generate


@Word
def largest_of_bytes(typing: Any, x: Any, at: Any, count: Any) -> Any:
    """The largest of x[at : at + count] of a flattened array of bytes, 0 of none; 63 more may be read."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        from numba.core.cgutils import alloca_once_value, for_range

        x, at, count = args
        pointer = _address(context, builder, sig.args[0], x, at)
        largest = alloca_once_value(builder, _splat(BYTES, 0))
        with for_range(builder, builder.ashr(builder.add(count, I64(63)), I64(6))) as loop:
            start = builder.shl(loop.index, I64(6))
            value = _load(builder, builder.gep(pointer, [start]), BYTES)
            best = builder.load(largest)
            better = builder.and_(
                builder.icmp_unsigned(">", value, best), _first_bytes(builder, builder.sub(count, start))
            )
            builder.store(builder.select(better, value, best), largest)
        function = _declare(builder, "llvm.vector.reduce.umax.v64i8", I8, [BYTES])
        return builder.zext(builder.call(function, [builder.load(largest)]), I64)

    return types.int64(x, types.int64, types.int64), generate


def _first_bytes(builder: Any, count: Any) -> Any:
    """Which of 64 lanes are below count."""
    count = builder.select(builder.icmp_signed("<", count, I64(64)), count, I64(64))
    order = ir.Constant(BYTES, list(range(64)))
    return builder.icmp_unsigned("<", order, _spread(builder, builder.trunc(count, I8), 64))


@Word
def copy_within(typing: Any, source: Any, start: Any, target: Any, at: Any, count: Any) -> Any:
    """target[at : at + count] = source[start : start + count], both flattened and of one type."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        from numba.core.cgutils import raw_memcpy

        source, start, target, at, count = args
        size = context.get_abi_sizeof(context.get_data_type(sig.args[0].dtype))
        from_, to = (
            _address(context, builder, sig.args[i], array, position)
            for i, array, position in ((0, source, start), (2, target, at))
        )
        raw_memcpy(builder, to, from_, builder.mul(count, I64(size)), 1)
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
        vector = ir.VectorType(element, lanes)
        tile = []
        for j in range(lanes):
            position = builder.add(at, builder.mul(x_stride, I64(j)))
            tile.append(_load(builder, _address(context, builder, sig.args[0], x, position), vector))
        for _ in range(lanes.bit_length() - 1):  # interleaving the halves of the tile turns one bit of row into column
            halves = list(zip(tile[: lanes // 2], tile[lanes // 2 :], strict=True))
            tile = [_interleave(builder, a, b, part) for a, b in halves for part in (0, lanes // 2)]
        for i in range(lanes):
            position = builder.add(to, builder.mul(y_stride, I64(i)))
            _store(builder, tile[i], _address(context, builder, sig.args[3], y, position))
        return context.get_dummy_value()

    if x.dtype != y.dtype:
        return None
    return types.none(x, types.int64, types.int64, y, types.int64, types.int64), generate


def _interleave(builder: Any, a: Any, b: Any, start: int) -> Any:
    """a[start], b[start], a[start + 1], b[start + 1], ..."""
    lanes = a.type.count
    return builder.shuffle_vector(a, b, _indices(i for k in range(lanes // 2) for i in (start + k, lanes + start + k)))


# 64 bytes side by side


@Word
def bytes_of(typing: Any, value: Any) -> Any:
    """One byte 64 times."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _spread(builder, builder.trunc(args[0], I8), 64)

    return _vector_type("Bytes64", BYTES)(types.int64), generate


@Word
def bytes_max(typing: Any, a: Any, x: Any, at: Any) -> Any:
    """The larger one of each byte of a and of x[at : at + 64]."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        a, x, at = args
        b = _load(builder, _address(context, builder, sig.args[1], x, at), BYTES)
        return builder.select(builder.icmp_unsigned(">", b, a), b, a)

    return a(a, x, types.int64), generate


@Word
def bytes_store(typing: Any, a: Any, hi: Any, y: Any, to: Any, count: Any) -> Any:
    """y[to + i] = min(a[i], hi) for the first ``count`` of the 64 bytes."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        a, hi, y, to, count = args
        most = _spread(builder, builder.trunc(hi, I8), 64)
        value = builder.select(builder.icmp_unsigned("<", a, most), a, most)
        _store_columns(builder, [value], [_address(context, builder, sig.args[2], y, to)], count)
        return context.get_dummy_value()

    return types.none(a, types.int64, y, types.int64, types.int64), generate


@Word
def look_up_within(typing: Any, table: Any, x: Any, start: Any, y: Any, at: Any, count: Any) -> Any:
    """y[at + i] = table[x[start + i]] for i below count, all of bytes; the table has 256, y may be x."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        from numba.core.cgutils import for_range

        table, x, start, y, at, count = args
        table = _address(context, builder, sig.args[0], table, I64(0))
        source = _address(context, builder, sig.args[1], x, start)
        target = _address(context, builder, sig.args[3], y, at)
        done = I64(0)
        if look_up := _look_up(builder, table):
            whole = builder.ashr(count, I64(6))
            done = builder.shl(whole, I64(6))
            with for_range(builder, whole) as loop:
                place = builder.shl(loop.index, I64(6))
                value = look_up(_load(builder, builder.gep(source, [place]), BYTES))
                _store(builder, value, builder.gep(target, [place]))
        with for_range(builder, count, start=done) as loop:
            index = builder.zext(builder.load(builder.gep(source, [loop.index])), I64)
            builder.store(builder.load(builder.gep(table, [index])), builder.gep(target, [loop.index]))
        return context.get_dummy_value()

    integers = types.int64
    return types.none(table, x, integers, y, integers, integers), generate


def _look_up(builder: Any, table: Any) -> Callable[[Any], Any] | None:
    """The function that looks up 64 bytes in registers that hold the table; None where a byte at a time is faster."""
    if has("avx512vbmi"):
        return _look_up_by_permutes(builder, table)
    if has("neon"):
        return _look_up_by_tables(builder, table)
    return _look_up_by_shuffles(builder, table) if has("avx2") else None


def _look_up_by_permutes(builder: Any, table: Any) -> Callable[[Any], Any]:
    """Two permutations of 128 bytes each."""
    quarters = [_load(builder, builder.gep(table, [I64(64 * i)]), BYTES) for i in range(4)]
    permute = _declare(builder, "llvm.x86.avx512.vpermi2var.qi.512", BYTES, [BYTES] * 3)

    def look_up(x: Any) -> Any:
        low, high = (builder.call(permute, [a, x, b]) for a, b in (quarters[:2], quarters[2:]))
        return builder.select(builder.icmp_signed("<", x, _splat(BYTES, 0)), high, low)

    return look_up


def _look_up_by_tables(builder: Any, table: Any) -> Callable[[Any], Any]:
    """Four look-ups in 64 bytes each, of which those out of range change nothing."""
    row = ir.VectorType(I8, 16)
    first = _declare(builder, "llvm.aarch64.neon.tbl4.v16i8", row, [row] * 5)
    other = _declare(builder, "llvm.aarch64.neon.tbx4.v16i8", row, [row] * 6)
    rows = [_load(builder, builder.gep(table, [I64(16 * i)]), row) for i in range(16)]

    def quarter(index: Any) -> Any:
        result = builder.call(first, [*rows[:4], index])
        for i in (4, 8, 12):
            index = builder.sub(index, _splat(row, 64))
            result = builder.call(other, [result, *rows[i : i + 4], index])
        return result

    return lambda x: _quarters(builder, quarter, x)


def _look_up_by_shuffles(builder: Any, table: Any) -> Callable[[Any], Any]:
    """Sixteen shuffles of 16 bytes each, as XNNPACK has it: a shuffle gives 0 where its index is negative.

    With row k of the table exclusive-ored to row k - 1, rows 0 ... x // 16, whose indices are not negative, add up to
    row x // 16.
    """
    half, row = ir.VectorType(I8, 32), ir.VectorType(I8, 16)
    shuffle = _declare(builder, "llvm.x86.avx2.pshuf.b", half, [half, half])
    subtract = _declare(builder, "llvm.ssub.sat.v32i8", half, [half, half])
    rows = [_load(builder, builder.gep(table, [I64(16 * i)]), row) for i in range(16)]
    steps = [v if i % 8 == 0 else builder.xor(v, rows[i - 1]) for i, v in enumerate(rows)]
    steps = [_join(builder, v, v) for v in steps]

    def look_up(x: Any) -> Any:
        results = []
        for v in (_part(builder, x, 0), _part(builder, x, 1)):
            total = _splat(half, 0)
            for first, index in ((0, v), (8, builder.xor(v, _splat(half, 128)))):
                for step in steps[first : first + 8]:
                    total = builder.xor(total, builder.call(shuffle, [step, index]))
                    index = builder.call(subtract, [index, _splat(half, 16)])
            results.append(total)
        return _join(builder, *results)

    return look_up


# What a program's run loop needs


@Word
def call(typing: Any, address: Any, record: Any, thread: Any, threads: Any) -> Any:
    """Call the entry point at an address."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        function = ir.FunctionType(ir.VoidType(), [I64, I64, I64])
        builder.call(builder.inttoptr(args[0], function.as_pointer()), args[1:])
        return context.get_dummy_value()

    return types.none(*[types.int64] * 4), generate


@Word
def word_at(typing: Any, address: Any) -> Any:
    """The int64 at an address."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.load(builder.inttoptr(args[0], I64.as_pointer()))

    return types.int64(types.int64), generate


@Word
def put_word(typing: Any, address: Any, value: Any) -> Any:
    """Store an int64 at an address."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.store(args[1], builder.inttoptr(args[0], I64.as_pointer()))
        return context.get_dummy_value()

    return types.none(types.int64, types.int64), generate


@Word
def invoke(typing: Any, address: Any, a: Any, b: Any, c: Any) -> Any:
    """Call a C function of up to three words, one that takes fewer leaves the others alone; its result, a word."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        function = builder.inttoptr(args[0], ir.FunctionType(I64, [I64] * 3).as_pointer())
        return builder.call(function, args[1:])

    return types.int64(*[types.int64] * 4), generate


@Word
def copy_bytes(typing: Any, target: Any, source: Any, count: Any, flip: Any) -> Any:
    """Copy ``count`` bytes from address to address, each with ``flip`` exclusive-ored."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        from numba.core.cgutils import for_range

        target, source = (builder.inttoptr(a, I8.as_pointer()) for a in args[:2])
        flip = builder.trunc(args[3], I8)
        whole = builder.ashr(args[2], I64(6))
        with for_range(builder, whole) as loop:
            at = builder.shl(loop.index, I64(6))
            value = _load(builder, builder.gep(source, [at]), BYTES)
            _store(builder, builder.xor(value, _spread(builder, flip, 64)), builder.gep(target, [at]))
        with for_range(builder, builder.sub(args[2], builder.shl(whole, I64(6)))) as loop:
            at = builder.add(builder.shl(whole, I64(6)), loop.index)
            value = builder.load(builder.gep(source, [at]))
            builder.store(builder.xor(value, flip), builder.gep(target, [at]))
        return context.get_dummy_value()

    return types.none(*[types.int64] * 4), generate


@Word
def atomic_add(typing: Any, array: Any, at: Any, value: Any) -> Any:
    """Add to an int64 element that other threads use too; gives what was there."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        return builder.atomic_rmw("add", builder.gep(data, [args[1]]), args[2], "seq_cst")

    return types.int64(array, types.int64, types.int64), generate


@Word
def atomic_swap(typing: Any, array: Any, at: Any, value: Any) -> Any:
    """Replace an int64 element that other threads use too; gives what was there."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        return builder.atomic_rmw("xchg", builder.gep(data, [args[1]]), args[2], "seq_cst")

    return types.int64(array, types.int64, types.int64), generate


@Word
def atomic_load(typing: Any, array: Any, at: Any) -> Any:
    """Read an int64 element that other threads write."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        return builder.load_atomic(builder.gep(data, [args[1]]), "acquire", 8)

    return types.int64(array, types.int64), generate


@Word
def pause(typing: Any) -> Any:
    """Let the CPU rest for a moment while spinning."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if machine() in ("x86_64", "AMD64"):
            builder.call(_declare(builder, "llvm.x86.sse2.pause", ir.VoidType(), []), [])
        elif is_aarch64():
            builder.call(_declare(builder, "llvm.aarch64.hint", ir.VoidType(), [I32]), [I32(1)])
        return context.get_dummy_value()

    return types.none(), generate


@Word
def give_way(typing: Any) -> Any:
    """Let another thread have the CPU."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if os.name == "posix":
            builder.call(_declare(builder, "sched_yield", I32, []), [])
        return context.get_dummy_value()

    return types.none(), generate


# Rows of 64 lanes, each a channel


def _unpack(builder: Any, a: Any, b: Any, size: int, high: int) -> Any:
    """Within each 128 bits, the low or high elements of ``size`` bytes of a and b by turns."""
    order = []
    for element in range(8 // size):
        for source in (0, 64):
            order += [source + 8 * high + element * size + i for i in range(size)]
    return builder.shuffle_vector(a, b, _indices(lane + i for lane in range(0, 64, 16) for i in order))


@Word
def lanes_start(typing: Any, p: Any, at: Any) -> Any:
    """64 int32 from element ``at`` of a flattened int32 array."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = _address(context, builder, sig.args[0], *args)
        return _gather(builder, [_load(builder, builder.gep(pointer, [I64(64 * v)]), INT32S) for v in range(4)])

    return _array_type("Lanes64", INT32S, 4)(p, types.int64), generate


@Word
def lanes_load(typing: Any, x: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """64 groups of four bytes, x[a + i], x[b + i], x[c + i], x[d + i], less offset(), in INTERLEAVED order."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        rows = [_load(builder, _address(context, builder, sig.args[0], args[0], start), BYTES) for start in args[1:]]
        return _gather(builder, _under_one_another(builder, [_less_offset(builder, row) for row in rows]))

    return _array_type("Groups64", BYTES, 4)(x, *[types.int64] * 4), generate


def _under_one_another(builder: Any, rows: list[Any]) -> list[Any]:
    """Groups of the bytes i of four rows, in INTERLEAVED order."""
    pairs = [[_unpack(builder, rows[i], rows[i + 1], 1, high) for high in (0, 1)] for i in (0, 2)]
    return [_unpack(builder, pairs[0][i], pairs[1][i], 2, high) for i in (0, 1) for high in (0, 1)]


@Word
def lanes_dot(typing: Any, acc: Any, groups: Any, w: Any, at: Any) -> Any:
    """acc[i] + the product of group i with four weights from w[at + 4 i:], for 64 lanes i in any one order."""
    from numba.core import types

    lower = DOT[lowering()][1]

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        acc, groups, w, at = args
        pointer = _address(context, builder, sig.args[2], w, at)
        sums = []
        for v, (value, four) in enumerate(
            zip(_spread_out(builder, acc), _spread_out(builder, groups), strict=True)
        ):  # fmt: skip
            sums.append(lower(builder, value, four, _load(builder, builder.gep(pointer, [I64(64 * v)]), BYTES)))
        return _gather(builder, sums)

    return acc(acc, groups, w, types.int64), generate


@Word
def lanes_save(typing: Any, acc: Any, sums: Any, at: Any) -> Any:
    """Store 64 int32 where ``lanes_start`` finds them."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = _address(context, builder, sig.args[1], *args[1:])
        for v, value in enumerate(_spread_out(builder, args[0])):
            _store(builder, value, builder.gep(pointer, [I64(64 * v)]))
        return context.get_dummy_value()

    return types.none(acc, sums, types.int64), generate


@functools.cache
def window(columns: int) -> SimpleNamespace:
    """Words over the columns of a window that slides: each is what ``lanes_load`` gives.

    window = start(); window = push(window, groups): without the first column, with another one behind the last;
    acc = dot(acc, window, w, at): every column as by ``lanes_dot``, its weights 256 bytes after those of the one before
    """

    def type_() -> Any:
        return _array_type(f"Window{columns}", BYTES, 4 * columns)

    def start(typing: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return ir.Constant(ir.ArrayType(BYTES, 4 * columns), ir.Undefined)

        return type_()(), generate

    def push(typing: Any, window: Any, groups: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return _gather(builder, [*_spread_out(builder, args[0])[4:], *_spread_out(builder, args[1])])

        return type_()(window, groups), generate

    def dot(typing: Any, acc: Any, window: Any, w: Any, at: Any) -> Any:
        from numba.core import types

        lower = DOT[lowering()][1]

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            acc, window, w, at = args
            pointer = _address(context, builder, sig.args[2], w, at)
            sums = _spread_out(builder, acc)
            for i, group in enumerate(_spread_out(builder, window)):
                weights = _load(builder, builder.gep(pointer, [I64(64 * i)]), BYTES)
                sums[i % 4] = lower(builder, sums[i % 4], group, weights)
            return _gather(builder, sums)

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
        value = _load(builder, _address(context, builder, sig.args[2], x, at), BYTES)
        index = builder.sub(_spread(builder, builder.trunc(top, I8), 64), value)
        keep = _first_bytes(builder, count)
        rows = []
        for i in range(4):
            look_up = _look_up_by_permutes(builder, _address(context, builder, sig.args[0], table, I64(256 * i)))
            rows.append(builder.select(keep, look_up(index), _splat(BYTES, 0)))
        return _gather(builder, [builder.bitcast(group, INT32S) for group in _under_one_another(builder, rows)])

    integers = types.int64
    return _array_type("Lanes64", INT32S, 4)(table, integers, x, integers, integers), generate


@Word
def lanes_sum(typing: Any, lanes: Any, shift: Any) -> Any:
    """The sum of 64 int32, none negative, each shifted right and rounded half up first."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        shift = builder.trunc(args[1], I32)
        half = _spread(builder, builder.lshr(builder.shl(I32(1), shift), I32(1)))
        shift = _spread(builder, shift)
        total = _splat(INT32S, 0)
        for v in _spread_out(builder, args[0]):
            total = builder.add(total, builder.lshr(builder.add(v, half), shift))
        function = _declare(builder, "llvm.vector.reduce.add.v16i32", I32, [INT32S])
        return builder.sext(builder.call(function, [total]), I64)

    return types.int64(lanes, types.int64), generate


@Word
def lanes_scale(typing: Any, lanes: Any, factor: Any, shift: Any, y: Any, to: Any, count: Any) -> Any:
    """Store the first ``count`` of 64 products of int32 with a factor in Q0.31, none negative, as bytes at y[to:].

    Each is shifted right by 31, then by ``shift``, below 64, and rounded half up both times.
    """
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        lanes, factor, shift, y, to, count = args
        pairs = ir.VectorType(I64, LANES // 2)
        half = _spread(builder, builder.lshr(builder.shl(I64(1), shift), I64(1)), LANES // 2)
        factor = builder.and_(factor, I64(0xFFFFFFFF))  # which says that a product of 32 bits will do
        factor, shift = (_spread(builder, v, LANES // 2) for v in (factor, shift))

        def scaled(v: Any) -> Any:
            v = builder.lshr(builder.add(builder.mul(v, factor), _splat(pairs, 1 << 30)), _splat(pairs, 31))
            return builder.lshr(builder.add(v, half), shift)

        results = []
        for v in _spread_out(builder, lanes):
            v = builder.bitcast(v, pairs)
            even = scaled(builder.and_(v, _splat(pairs, 0xFFFFFFFF)))
            odd = builder.shl(scaled(builder.lshr(v, _splat(pairs, 32))), _splat(pairs, 32))
            results.append(builder.bitcast(builder.or_(even, odd), INT32S))
        pointer = _address(context, builder, sig.args[3], y, to)
        bytes_ = _narrow(builder, results, I8(0), I8(255), interleaved=True)
        _store_columns(builder, [bytes_], [pointer], count)
        return context.get_dummy_value()

    integers = types.int64
    return types.none(lanes, integers, integers, y, integers, integers), generate


# Lane number 16 v + 4 l + d of interleaved rows stands for byte 16 l + 4 v + d.
INTERLEAVED = [16 * lane + 4 * v + d for v in range(4) for lane in range(4) for d in range(4)]


def _lanes_requantize(rows_used: int, rule: Callable[..., Any]) -> Word:
    def lanes_requantize(
        typing: Any, acc: Any, p: Any, at: Any, step: Any, lo: Any, hi: Any, y: Any, to: Any, count: Any
    ) -> Any:  # fmt: skip
        from numba.core import types

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            acc, p, at, step, lo, hi, y, to, count = args
            rows = []
            for _ in range(rows_used):
                rows.append(_address(context, builder, sig.args[1], p, at))
                at = builder.add(at, step)
            results = []
            for v, value in enumerate(_spread_out(builder, acc)):
                parameters = [_load(builder, builder.gep(row, [I64(64 * v)]), INT32S) for row in rows]
                results.append(rule(builder, value, *parameters))
            lo, hi = (builder.trunc(limit, I8) for limit in (lo, hi))
            pointer = _address(context, builder, sig.args[6], y, to)
            _store_columns(builder, [_narrow(builder, results, lo, hi, interleaved=True)], [pointer], count)
            return context.get_dummy_value()

        integers = types.int64
        return types.none(acc, p, *[integers] * 4, y, integers, integers), generate

    return Word(lanes_requantize)


@functools.cache
def tile(rows: int, vectors: int, streams: bool = False) -> SimpleNamespace:
    """The words over a tile of ``rows`` by ``16 * vectors`` int32 accumulators; see the module's docstring.

    streams: weights are read once, so that nothing but their way from memory takes time; so it is with one row.
    """
    return _Tile(rows, vectors, streams or rows == 1).words()


@functools.cache
def row_addresses(count: int) -> Word:
    """The word ``rows(x, offsets, m)``: the addresses of x + offsets[m + r], in elements of x, for r below count."""

    def rows(typing: Any, x: Any, offsets: Any, m: Any) -> Any:
        from numba.core import types

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            x, offsets, m = args
            first = _address(context, builder, sig.args[1], offsets, m)
            pointers = []
            for r in range(count):
                offset = _load(builder, builder.gep(first, [I64(4 * r)]), I32)
                pointers.append(_address(context, builder, sig.args[0], x, builder.sext(offset, I64)))
            return _gather(builder, pointers)

        return _array_type(f"Rows{count}", I8.as_pointer(), count)(x, offsets, types.int64), generate

    return Word(rows)


def accumulators(rows: int, vectors: int) -> Any:
    """The Numba type of a tile's int32 sums."""
    return _array_type(f"Tile{rows}x{vectors}", INT32S, rows * vectors)


class _Tile:
    def __init__(self, rows: int, vectors: int, streams: bool) -> None:
        self.rows, self.vectors, self.streams = rows, vectors, streams

    def words(self) -> SimpleNamespace:
        return SimpleNamespace(
            rows=row_addresses(self.rows), start=Word(self._start), start_rows=Word(self._start_rows),
            start_alike=Word(self._start_alike), dot=Word(self._dot), store=Word(self._store),
            requantize={
                "plain": Word(self._requantize_plain), "fixed": Word(self._requantize_fixed),
                "double": Word(self._requantize_double),
            },
        )  # fmt: skip

    @property
    def accumulators(self) -> Any:
        return accumulators(self.rows, self.vectors)

    def _start(self, typing: Any, bias: Any, at: Any) -> Any:
        from numba.core import types

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            pointer = _address(context, builder, sig.args[0], *args)
            row = [_load(builder, builder.gep(pointer, [I64(64 * v)]), INT32S) for v in range(self.vectors)]
            return _gather(builder, row * self.rows)

        return self.accumulators(bias, types.int64), generate

    def _start_alike(self, typing: Any, bias: Any, at: Any, sums: Any, m: Any) -> Any:
        """As start; with the arguments of start_rows, so that a kernel can choose."""
        from numba.core import types

        signature, generate = self._start(typing, bias, at)

        def generate_without(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return generate(context, builder, sig, args[:2])

        return signature.return_type(bias, types.int64, sums, types.int64), generate_without

    def _start_rows(self, typing: Any, bias: Any, at: Any, sums: Any, m: Any) -> Any:
        """As start, plus sums[m + r] in row r; sums is int32."""
        from numba.core import types

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            bias, at, sums, m = args
            pointer = _address(context, builder, sig.args[0], bias, at)
            row = [_load(builder, builder.gep(pointer, [I64(64 * v)]), INT32S) for v in range(self.vectors)]
            first = _address(context, builder, sig.args[2], sums, m)
            values = []
            for r in range(self.rows):
                more = _spread(builder, _load(builder, builder.gep(first, [I64(4 * r)]), I32))
                values += [builder.add(v, more) for v in row]
            return _gather(builder, values)

        return self.accumulators(bias, types.int64, sums, types.int64), generate

    def _dot(self, typing: Any, acc: Any, rows: Any, k: Any, w: Any, at: Any) -> Any:
        from numba.core import types

        lower = DOT[lowering()][1]

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            acc, rows, k, w, at = args
            acc, rows = _spread_out(builder, acc), _spread_out(builder, rows)
            pointer = _address(context, builder, sig.args[3], w, at)
            weights = [_load(builder, builder.gep(pointer, [I64(64 * v)]), BYTES) for v in range(self.vectors)]
            if self.streams:
                prefetch(builder, pointer, 64 * self.vectors)
            result = []
            for r, row in enumerate(rows):
                four = _load(builder, builder.gep(row, [k]), I32)
                if offset():  # before it is spread: other units than the vectors' do that
                    four = builder.xor(four, I32(0x80808080))
                bytes_ = builder.bitcast(_spread(builder, four), BYTES)
                result += [lower(builder, acc[r * self.vectors + v], bytes_, b) for v, b in enumerate(weights)]
            return _gather(builder, result)

        return self.accumulators(acc, rows, types.int64, w, types.int64), generate

    def _store(self, typing: Any, acc: Any, scratch: Any, at: Any) -> Any:
        from numba.core import types

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            acc, scratch, at = args
            pointer = _address(context, builder, sig.args[1], scratch, at)
            for i, value in enumerate(_spread_out(builder, acc)):
                _store(builder, value, builder.gep(pointer, [I64(64 * i)]))
            return context.get_dummy_value()

        return types.none(acc, scratch, types.int64), generate

    def _requantize_fixed(
        self, typing: Any, acc: Any, p: Any, at: Any, lo: Any, hi: Any, y: Any, to: Any, stride: Any, columns: Any
    ) -> Any:  # fmt: skip
        """The fixed-point formula of requantization, and a store of ``columns`` bytes per row, to y[to + r * stride:].

        p holds the formula's rows, 16 V int32 each, from ``at``.
        """

        return self._requantizing(acc, p, y, self._rows_of(4), _fixed)

    def _requantize_plain(
        self, typing: Any, acc: Any, p: Any, at: Any, lo: Any, hi: Any, y: Any, to: Any, stride: Any, columns: Any
    ) -> Any:  # fmt: skip
        """The fixed-point formula without its N, otherwise as ``_requantize_fixed``."""
        return self._requantizing(acc, p, y, self._rows_of(3), _plain)

    def _rows_of(self, count: int) -> Callable[..., list[Any]]:
        """A function that loads the first rows of a formula for vector v."""

        def constants(builder: Any, pointer: Any, v: int) -> list[Any]:
            places = [64 * (row * self.vectors + v) for row in range(count)]
            return [_load(builder, builder.gep(pointer, [I64(place)]), INT32S) for place in places]

        return constants

    def _requantize_double(
        self, typing: Any, acc: Any, p: Any, at: Any, lo: Any, hi: Any, y: Any, to: Any, stride: Any, columns: Any
    ) -> Any:  # fmt: skip
        """The float64 formula, otherwise as ``_requantize_fixed``."""

        def constants(builder: Any, pointer: Any, v: int) -> list[Any]:
            scales = [128 * v, 128 * v + 64]
            zero = _load(builder, builder.gep(pointer, [I64(64 * (2 * self.vectors + v))]), INT32S)
            return [*(_load(builder, builder.gep(pointer, [I64(place)]), DOUBLES) for place in scales), zero]

        return self._requantizing(acc, p, y, constants, _double)

    def _requantizing(self, acc: Any, p: Any, y: Any, constants: Any, rule: Any) -> Any:
        from numba.core import types

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            acc, p, at, lo, hi, y, to, stride, columns = args
            lo, hi = (builder.trunc(v, I8) for v in (lo, hi))
            parameters = _address(context, builder, sig.args[1], p, at)
            acc = _spread_out(builder, acc)
            results: list[list[Any]] = [[] for _ in range(self.rows)]
            for v in range(self.vectors):
                given = constants(builder, parameters, v)
                for r in range(self.rows):
                    results[r].append(rule(builder, acc[r * self.vectors + v], *given))
            start = _address(context, builder, sig.args[5], y, to)
            pointers = [builder.gep(start, [builder.mul(stride, I64(r))]) for r in range(self.rows)]
            for first in range(0, self.vectors, 4):  # one store takes four vectors
                bytes_ = [_narrow(builder, row[first : first + 4], lo, hi) for row in results]
                at = I64(LANES * first)
                places = [builder.gep(pointer, [at]) for pointer in pointers]
                _store_columns(builder, bytes_, places, builder.sub(columns, at))
            return context.get_dummy_value()

        integers = types.int64
        return types.none(acc, p, integers, integers, integers, y, *[integers] * 3), generate


def column_order(vectors: int) -> list[int]:
    """Which column each lane of a tile's row stands for: the order in which the CPU narrows int32 to bytes cheapest."""
    if not has("avx512bw"):
        return list(range(LANES * vectors))
    if vectors > 4:
        groups = (column_order(min(4, vectors - first)) for first in range(0, vectors, 4))
        return [LANES * 4 * i + column for i, group in enumerate(groups) for column in group]
    return [4 * vectors * lane + 4 * v + d for v in range(vectors) for lane in range(4) for d in range(4)]


def _narrow(builder: Any, vectors: list[Any], lo: Any, hi: Any, interleaved: bool = False) -> Any:
    """Vectors of int32 as bytes clamped to lo and hi, i8 scalars in 0 ... 255; lanes are in column_order or
    INTERLEAVED.
    """
    count = len(vectors)
    if has("avx512bw"):
        value = _narrow_by_packs(builder, vectors)
    else:
        bytes_ = ir.VectorType(I8, LANES)
        zero, top = _splat(INT32S, 0), _splat(INT32S, 255)
        value = _concatenate(builder, [builder.trunc(_clamp(builder, v, zero, top), bytes_) for v in vectors])
        if interleaved:
            value = builder.shuffle_vector(value, value, _indices(INTERLEAVED))  # the order is its own inverse
    lo, hi = (_spread(builder, limit, count * LANES) for limit in (lo, hi))
    value = builder.select(builder.icmp_unsigned("<", value, lo), lo, value)
    return builder.select(builder.icmp_unsigned(">", value, hi), hi, value)


def _concatenate(builder: Any, vectors: list[Any]) -> Any:
    """One vector of the elements of up to four vectors of one type."""
    if len(vectors) == 1:
        return vectors[0]
    if len(vectors) == 3:
        pair = _join(builder, vectors[2], vectors[2])
        both = _join(builder, _join(builder, *vectors[:2]), pair)
        return builder.shuffle_vector(both, both, _indices(range(3 * vectors[0].type.count)))
    half = len(vectors) // 2
    return _join(builder, _concatenate(builder, vectors[:half]), _concatenate(builder, vectors[half:]))


def _narrow_by_packs(builder: Any, vectors: list[Any]) -> Any:
    """x86's packs work within lanes of 128 bits: byte 4 v + d of lane l comes from vector v, lane l, element d."""
    count = len(vectors)
    to_words = _declare(builder, "llvm.x86.avx512.packssdw.512", WORDS, [INT32S, INT32S])
    to_bytes = _declare(builder, "llvm.x86.avx512.packuswb.512", BYTES, [WORDS, WORDS])
    low = builder.call(to_words, [vectors[0], vectors[min(1, count - 1)]])
    high = builder.call(to_words, [vectors[2], vectors[count - 1]]) if count > 2 else low
    packed = builder.bitcast(builder.call(to_bytes, [low, high]), INT32S)
    if count < 4:
        packed = builder.shuffle_vector(
            packed, packed, _indices(4 * lane + v for lane in range(4) for v in range(count))
        )
    return builder.bitcast(packed, ir.VectorType(I8, count * LANES))


def _double(builder: Any, x: Any, low_scale: Any, high_scale: Any, zero_point: Any) -> Any:
    """round(x * scale) + zero point, the product in float64, halves away from zero; 2**30 bounds what is out of
    range.
    """
    bound, half = ir.Constant(DOUBLES, [2.0**30] * 8), ir.Constant(DOUBLES, [0.49999999999999994] * 8)
    sign = _declare(builder, "llvm.copysign.v8f64", DOUBLES, [DOUBLES, DOUBLES])
    parts = []
    for i, scale in enumerate((low_scale, high_scale)):
        real = builder.fmul(builder.sitofp(_part(builder, x, i), DOUBLES), scale)
        real = builder.fadd(real, builder.call(sign, [half, real]))
        real = builder.select(builder.fcmp_ordered("<", real, bound), real, bound)
        real = builder.select(builder.fcmp_ordered(">", real, builder.fneg(bound)), real, builder.fneg(bound))
        parts.append(builder.fptosi(real, ir.VectorType(I32, 8)))
    return builder.add(_join(builder, *parts), zero_point)


def _fixed(builder: Any, x: Any, multiplier: Any, constant: Any, shift: Any, bias: Any) -> Any:
    """((x * multiplier) >> 32) + constant, less one where x < bias, shifted right: all unsigned up to the last."""
    q = builder.add(_high_product(builder, x, multiplier), constant)
    q = builder.select(builder.icmp_unsigned("<", x, bias), builder.add(q, _splat(INT32S, -1)), q)
    return builder.ashr(q, shift)


def _plain(builder: Any, x: Any, multiplier: Any, constant: Any, shift: Any) -> Any:
    """``_fixed`` without the correction of negative values."""
    return builder.ashr(builder.add(_high_product(builder, x, multiplier), constant), shift)


def _high_product(builder: Any, x: Any, multiplier: Any) -> Any:
    """(x * multiplier) >> 32, unsigned."""
    pairs = ir.VectorType(I64, LANES // 2)
    low = _splat(pairs, 0xFFFFFFFF)
    x2, m2 = builder.bitcast(x, pairs), builder.bitcast(multiplier, pairs)
    even = builder.mul(builder.and_(x2, low), builder.and_(m2, low))
    up = _splat(pairs, 32)
    odd = builder.mul(builder.lshr(x2, up), builder.lshr(m2, up))
    return builder.shuffle_vector(
        builder.bitcast(even, INT32S),
        builder.bitcast(odd, INT32S),
        _indices(i for pair in range(LANES // 2) for i in (2 * pair + 1, LANES + 2 * pair + 1)),
    )


@Word
def weighted_sum(typing: Any, x1: Any, x2: Any, at: Any, p: Any, y: Any, count: Any) -> Any:
    """y[i] = clamp((x1[i] k1 + x2[i] k2 + c) >> (15 + s)) for ``count`` of the 64 bytes from ``at``; y may be x1 or x2.

    p: int32, the digits of k1, k2 and c, high (those above 15 bits) before low, then the clamp and s. High digits of k1
    and k2 fit 16 bits.
    """
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        x1, x2, at, p, y, count = args
        bytes1, bytes2 = (
            _load(builder, _address(context, builder, type_, x, at), BYTES)
            for type_, x in ((sig.args[0], x1), (sig.args[1], x2))
        )
        parameters = _address(context, builder, sig.args[3], p, I64(0))
        high1, low1, high2, low2, high, low, lo, hi, shift = (
            _load(builder, builder.gep(parameters, [I64(4 * i)]), I32) for i in range(9)
        )
        factors = [_spread(builder, _two_words(builder, *k)) for k in ((high1, high2), (low1, low2))]
        high, low, shift = (_spread(builder, v) for v in (high, low, shift))
        zero = _splat(BYTES, 0)
        results = []
        for half in (0, 1):
            mixed = _unpack(builder, bytes1, bytes2, 1, half)
            for quarter in (0, 1):
                pairs = builder.bitcast(_unpack(builder, mixed, zero, 1, quarter), WORDS)
                carry = builder.ashr(_dot_pairs(builder, low, pairs, factors[1]), _splat(INT32S, 15))
                total = _dot_pairs(builder, builder.add(high, carry), pairs, factors[0])
                results.append(builder.ashr(total, shift))
        lo, hi = (builder.trunc(limit, I8) for limit in (lo, hi))
        pointer = _address(context, builder, sig.args[4], y, at)
        _store_columns(builder, [_narrow(builder, results, lo, hi, interleaved=True)], [pointer], count)
        return context.get_dummy_value()

    return types.none(x1, x2, types.int64, p, y, types.int64), generate


def _scaled_product(rows_used: int, rule: Callable[..., Any]) -> Word:
    def scaled_product(
        typing: Any, x1: Any, at1: Any, x2: Any, at2: Any, p: Any, lo: Any, hi: Any, y: Any, to: Any, count: Any
    ) -> Any:  # fmt: skip
        from numba.core import types

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            x1, at1, x2, at2, p, lo, hi, y, to, count = args
            numbers = _address(context, builder, sig.args[4], p, I64(0))
            zero1, zero2, *rows = (_load(builder, builder.gep(numbers, [I64(4 * i)]), I32) for i in range(7))
            *rows, start = (_spread(builder, row) for row in rows)
            operands = []
            for type_, x, at, zero in ((sig.args[0], x1, at1, zero1), (sig.args[2], x2, at2, zero2)):
                value = _load(builder, _address(context, builder, type_, x, at), BYTES)
                operands.append(_centered_words(builder, value, zero))
            results = []
            for a, b in zip(*operands, strict=True):
                for quarter in (0, 1):  # a's words alternate with 0, so that b's others do not matter
                    pairs = _unpack(builder, builder.bitcast(a, BYTES), _splat(BYTES, 0), 2, quarter)
                    twice = _unpack(builder, builder.bitcast(b, BYTES), builder.bitcast(b, BYTES), 2, quarter)
                    pairs, twice = builder.bitcast(pairs, WORDS), builder.bitcast(twice, INT32S)
                    results.append(rule(builder, _dot_pairs(builder, start, pairs, twice), *rows[:rows_used]))
            lo, hi = (builder.trunc(limit, I8) for limit in (lo, hi))
            pointer = _address(context, builder, sig.args[7], y, to)
            _store_columns(builder, [_narrow(builder, results, lo, hi, interleaved=True)], [pointer], count)
            return context.get_dummy_value()

        integers = types.int64
        return types.none(x1, integers, x2, integers, p, integers, integers, y, integers, integers), generate

    return Word(scaled_product)


def _centered_words(builder: Any, bytes_: Any, zero: Any) -> list[Any]:
    """64 bytes as two vectors of 16-bit numbers, the low and the high ones of each 128 bits, less zero."""
    zeros = _spread(builder, builder.trunc(zero, I16), 2 * LANES)
    return [
        builder.sub(builder.bitcast(_unpack(builder, bytes_, _splat(BYTES, 0), 1, half), WORDS), zeros)
        for half in (0, 1)
    ]


def _two_words(builder: Any, first: Any, second: Any) -> Any:
    """An int32 of two 16-bit numbers."""
    return builder.or_(builder.and_(first, I32(0xFFFF)), builder.shl(second, I32(16)))


def _dot_pairs(builder: Any, acc: Any, a: Any, b: Any) -> Any:
    """acc[i] + a[2 i] * b[2 i] + a[2 i + 1] * b[2 i + 1] of 16-bit a and b (b as 16 int32)."""
    if has("avx512vnni", "avx512bw"):
        function = _declare(builder, "llvm.x86.avx512.vpdpwssd.512", INT32S, [INT32S, WORDS, WORDS])
        return builder.call(function, [acc, a, builder.bitcast(b, WORDS)])
    a, sixteen = builder.bitcast(a, INT32S), _splat(INT32S, 16)
    for upper in (False, True):
        x, w = (v if upper else builder.shl(v, sixteen) for v in (a, b))
        acc = builder.add(acc, builder.mul(builder.ashr(x, sixteen), builder.ashr(w, sixteen)))
    return acc


@Word
def _lanes_store(
    typing: Any, acc: Any, p: Any, at: Any, step: Any, lo: Any, hi: Any, y: Any, to: Any, count: Any
) -> Any:  # fmt: skip
    """The accumulators themselves, int32."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        acc, *_, y, to, count = args
        vectors = _spread_out(builder, acc)
        low, high = (_join(builder, *vectors[i : i + 2]) for i in (0, 2))
        for lane in range(4):  # of 128 bits; it holds the lanes of this number of all vectors
            places = _indices(16 * v + 4 * lane + d for v in range(2) for d in range(4))
            row = _join(builder, *(builder.shuffle_vector(pair, pair, places) for pair in (low, high)))
            pointer = _address(context, builder, sig.args[6], y, builder.add(to, I64(LANES * lane)))
            _store_columns(builder, [row], [pointer], builder.sub(count, I64(LANES * lane)))
        return context.get_dummy_value()

    integers = types.int64
    return types.none(acc, p, *[integers] * 4, y, integers, integers), generate


# lanes_requantize[kind](acc, p, at, step, lo, hi, y, to, count): store the first ``count`` of 64 accumulators at
# y[to:] by a formula of that kind, whose rows are ``step`` apart in p; "sums": as they are.
lanes_requantize = {
    "fixed": _lanes_requantize(4, _fixed),
    "plain": _lanes_requantize(3, _plain),
    "sums": _lanes_store,
}

# scaled_products[kind](x1, at1, x2, at2, p, lo, hi, y, to, count): store the first ``count`` of the 64 products of
# bytes x1[at1:] and x2[at2:], rescaled by a formula of that kind, at y[to:]. p: int32, zero points of x1 and x2,
# formula's rows.
scaled_products = {"fixed": _scaled_product(4, _fixed), "plain": _scaled_product(3, _plain)}
