"""What each kind of CPU has of its own: tables of {name: (CPU features, lowering)}, whose order is priority.

    DOT          products of bytes, four to a sum
    PAIRS        products of 16-bit numbers, two to a sum
    MULTIPLY_ADD a float32 product and sum; whether it is rounded once
    FLOAT16      float16 to float32
    NARROW       int32 to bytes, and in which order lanes come out
    LOOK_UP      tables of 256 bytes
    TILES        how large tiles are; SINGLE_ROWS: those of one row; FLOAT_TILES: those of one float32 per channel
    PRODUCTS, WEIGHT_ONLY_ROWS, SLIDING, SOFTMAX
                 which kernel is used where several compute the same

``CHOICES`` has them all, for tests and benchmarks. ``chosen(table)`` is the name that this CPU gets, ``lower(table)``
what stands there. A new CPU is a line in each table that it does better by.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from int8rt.simd import emit, llvm
from int8rt.simd.features import has

T = TypeVar("T")
Table = dict[str, tuple[tuple[str, ...], T]]


def chosen(table: Table[Any]) -> str:
    """The first name in a table of which the CPU has all features."""
    return next(name for name, (features, _) in table.items() if has(*features))


def lower(table: Table[T]) -> T:
    """What a table has for this CPU."""
    return table[chosen(table)][1]


# Products of bytes


def _dot_vnni_512(builder: Any, acc: Any, a: Any, b: Any) -> Any:
    return _accumulated(builder, "vpdpbusd.512", acc, a, b)


def _accumulated(builder: Any, instruction: str, *values: Any) -> Any:
    """A VNNI instruction. Up to LLVM 20 its intrinsic takes int32 whatever is multiplied; later ones take that too."""
    type_ = llvm.ir.VectorType(llvm.I32, values[0].type.count)
    function = emit.declare(builder, f"llvm.x86.avx512.{instruction}", type_, [type_] * 3)
    return builder.call(function, [builder.bitcast(v, type_) for v in values])


def _dot_vnni_256(builder: Any, acc: Any, a: Any, b: Any) -> Any:
    halves = ([emit.part(builder, v, i) for v in (acc, a, b)] for i in range(2))
    return emit.join(builder, *(_accumulated(builder, "vpdpbusd.256", *half) for half in halves))


def _dot_words(builder: Any, acc: Any, a: Any, b: Any, madd: Callable[..., Any]) -> Any:
    """Products of even and of odd bytes, widened to 16 bits, which the CPU adds in pairs without overflow."""
    for x, w in _evens_and_odds(builder, a, b):
        acc = builder.add(acc, madd(builder, x, w))
    return acc


def _evens_and_odds(builder: Any, a: Any, b: Any) -> list[tuple[Any, Any]]:
    """Bytes of a, unsigned, and of b, signed, as 16-bit numbers."""
    a, b, eight = builder.bitcast(a, llvm.WORDS), builder.bitcast(b, llvm.WORDS), emit.splat(llvm.WORDS, 8)
    evens = builder.and_(a, emit.splat(llvm.WORDS, 255)), builder.ashr(builder.shl(b, eight), eight)
    odds = builder.lshr(a, eight), builder.ashr(b, eight)
    return [evens, odds]


def _madd_512(builder: Any, x: Any, w: Any) -> Any:
    """pmaddwd: x[2 i] * w[2 i] + x[2 i + 1] * w[2 i + 1] of 16-bit numbers."""
    function = emit.declare(builder, "llvm.x86.avx512.pmaddw.d.512", llvm.INT32S, [llvm.WORDS, llvm.WORDS])
    return builder.call(function, [x, w])


def _madd_256(builder: Any, x: Any, w: Any) -> Any:
    """The same by halves."""
    words, sums = llvm.ir.VectorType(llvm.I16, llvm.LANES), llvm.ir.VectorType(llvm.I32, llvm.LANES // 2)
    function = emit.declare(builder, "llvm.x86.avx2.pmadd.wd", sums, [words, words])
    return emit.join(builder, *(builder.call(function, [emit.part(builder, v, i) for v in (x, w)]) for i in range(2)))


def _dot_portable(builder: Any, acc: Any, a: Any, b: Any) -> Any:
    a, b = builder.bitcast(a, llvm.INT32S), builder.bitcast(b, llvm.INT32S)
    top = emit.splat(llvm.INT32S, 24)
    for byte in range(4):
        left = emit.splat(llvm.INT32S, 24 - 8 * byte)
        x = builder.lshr(builder.shl(a, left), top)
        w = builder.ashr(builder.shl(b, left), top)
        acc = builder.add(acc, builder.mul(x, w))
    return acc


def _dot_neon(builder: Any, acc: Any, a: Any, b: Any, function: str) -> Any:
    """One instruction for four sums, of which there are 16."""
    sums, bytes_ = llvm.ir.VectorType(llvm.I32, 4), llvm.ir.VectorType(llvm.I8, 16)
    dot = emit.declare(builder, f"llvm.aarch64.neon.{function}.v4i32.v16i8", sums, [sums, bytes_, bytes_])
    return _quarters(builder, lambda *parts: builder.call(dot, parts), acc, a, b)


def _dot_words_neon(builder: Any, acc: Any, a: Any, b: Any) -> Any:
    """Products of even and of odd bytes, which fit 16 bits; the CPU adds them to 32 bits in pairs (sadalp).

    The portable lowering takes as many instructions for a row, but needs twice as many for widening what it
    multiplies, and registers for that.
    """
    sums, words = llvm.ir.VectorType(llvm.I32, 4), llvm.ir.VectorType(llvm.I16, 8)
    add_pairs = emit.declare(builder, "llvm.aarch64.neon.saddlp.v4i32.v8i16", sums, [words])

    def add(acc: Any, x: Any, w: Any) -> Any:
        return builder.add(acc, builder.call(add_pairs, [builder.mul(x, w)]))

    for x, w in _evens_and_odds(builder, a, b):
        acc = _quarters(builder, add, acc, x, w)
    return acc


def _quarters(builder: Any, function: Callable[..., Any], *vectors: Any) -> Any:
    """The results of a function of vectors of 128 bits, for the quarters of longer ones."""
    results = [function(*(emit.part(builder, v, i, 4) for v in vectors)) for i in range(4)]
    return emit.join(builder, emit.join(builder, *results[:2]), emit.join(builder, *results[2:]))


# acc[i] + the sum over j < 4 of a[4 i + j] * b[4 i + j]; a is unsigned (less ``offset()``, signed), b signed.
DOT: Table[Callable[..., Any]] = {
    "avx512vnni": (("avx512vnni", "avx512bw"), _dot_vnni_512),
    "avxvnni": (("avxvnni", "avx2"), _dot_vnni_256),
    "avx512bw": (("avx512bw",), functools.partial(_dot_words, madd=_madd_512)),
    "avx2": (("avx2",), functools.partial(_dot_words, madd=_madd_256)),
    "i8mm": (("i8mm",), functools.partial(_dot_neon, function="usdot")),
    "dotprod": (("dotprod",), functools.partial(_dot_neon, function="sdot")),
    "neon": (("neon",), _dot_words_neon),
    "portable": ((), _dot_portable),
}


def lowering() -> str:
    """The name of the lowering of dot in use."""
    return chosen(DOT)


def offset() -> int:
    """What ``dot`` takes from each byte of x. Who packs w adds as much times the sum of a column to its start.

    AArch64's dotprod multiplies bytes that are both signed or both unsigned. Bytes less 128 are signed, and one
    exclusive or for a row and step, shared by all its products, makes them so. What is left, 128 times the sum of the
    weights, is known when they are packed and joins the bias, as the zero point does. To add it up in the loop, by
    sdot of 128 and the weights, would take another row of products and of accumulators for each tile, and twice the
    time in depthwise convolutions and for single rows; udot, with weights plus 128 and sums of x, the same.
    """
    return 128 if lowering() == "dotprod" else 0


def less_offset(builder: Any, bytes_: Any) -> Any:
    """64 bytes as dot wants them."""
    return builder.xor(bytes_, emit.splat(llvm.BYTES, 128)) if offset() else bytes_


def add_fours(builder: Any, acc: Any, a: Any) -> Any:
    """acc[i] + a[4 i] + a[4 i + 1] + a[4 i + 2] + a[4 i + 3] of unsigned bytes, which sdot would not take."""
    dot = functools.partial(_dot_neon, function="udot") if has("dotprod") else lower(DOT)
    return dot(builder, acc, a, emit.splat(llvm.BYTES, 1))


# Products of 16-bit numbers


def _pairs_vnni_512(builder: Any, acc: Any, a: Any, b: Any) -> Any:
    return _accumulated(builder, "vpdpwssd.512", acc, a, b)


def _pairs_madd(builder: Any, acc: Any, a: Any, b: Any, madd: Callable[..., Any]) -> Any:
    return builder.add(acc, madd(builder, a, b))


def _pairs_portable(builder: Any, acc: Any, a: Any, b: Any) -> Any:
    a, b, half = builder.bitcast(a, llvm.INT32S), builder.bitcast(b, llvm.INT32S), emit.splat(llvm.INT32S, 16)
    for upper in (False, True):
        x, w = (builder.ashr(v if upper else builder.shl(v, half), half) for v in (a, b))
        acc = builder.add(acc, builder.mul(x, w))
    return acc


# acc[i] + a[2 i] * b[2 i] + a[2 i + 1] * b[2 i + 1], modulo 2**32. With avxvnni, LLVM itself makes vpdpwssd of pmaddwd
# and the addition, and spills less than where it is told to.
PAIRS: Table[Callable[..., Any]] = {
    "avx512vnni": (("avx512vnni", "avx512bw"), _pairs_vnni_512),
    "avx512bw": (("avx512bw",), functools.partial(_pairs_madd, madd=_madd_512)),
    "avx2": (("avx2",), functools.partial(_pairs_madd, madd=_madd_256)),
    "portable": ((), _pairs_portable),
}


def dot_pairs(builder: Any, acc: Any, a: Any, b: Any) -> Any:
    """acc[i] + a[2 i] * b[2 i] + a[2 i + 1] * b[2 i + 1] of 16-bit a and b."""
    return lower(PAIRS)(builder, acc, builder.bitcast(a, llvm.WORDS), builder.bitcast(b, llvm.WORDS))


def two_words(builder: Any, first: Any, second: Any) -> Any:
    """An int32 of two 16-bit numbers."""
    return builder.or_(builder.and_(first, llvm.I32(0xFFFF)), builder.shl(second, llvm.I32(16)))


# float32


def add_product(builder: Any, acc: Any, x: Any, w: Any) -> Any:
    """acc + x * w, rounded twice."""
    return builder.fadd(acc, builder.fmul(x, w))


def _add_product_once(builder: Any, acc: Any, x: Any, w: Any) -> Any:
    name = f"llvm.fma.v{llvm.LANES}f32" if isinstance(acc.type, llvm.ir.VectorType) else "llvm.fma.f32"
    return builder.call(emit.declare(builder, name, acc.type, [acc.type] * 3), [x, w, acc])


MULTIPLY_ADD: Table[Callable[..., Any]] = {
    "fma": (("fma", "avx"), _add_product_once),
    "neon": (("neon",), _add_product_once),
    "twice": ((), add_product),
}


def has_fused() -> bool:
    """Whether the CPU multiplies and adds in one instruction."""
    return lower(MULTIPLY_ADD) is _add_product_once


def add_fused(builder: Any, acc: Any, x: Any, w: Any) -> Any:
    """acc + x * w, of vectors or numbers, rounded once where the CPU can."""
    return lower(MULTIPLY_ADD)(builder, acc, x, w)


def _extended(builder: Any, halves: Any) -> Any:
    return builder.fpext(halves, llvm.FLOATS)


def _extended_by_bits(builder: Any, halves: Any) -> Any:
    """Finite values: their bits at float32's places are 2^-112 of them."""
    bits = builder.zext(builder.bitcast(halves, llvm.ir.VectorType(llvm.I16, llvm.LANES)), llvm.INT32S)
    sign = builder.shl(builder.and_(bits, emit.splat(llvm.INT32S, 0x8000)), emit.splat(llvm.INT32S, 16))
    rest = builder.shl(builder.and_(bits, emit.splat(llvm.INT32S, 0x7FFF)), emit.splat(llvm.INT32S, 13))
    scaled = builder.fmul(builder.bitcast(rest, llvm.FLOATS), emit.splat(llvm.FLOATS, 2.0**112))
    return builder.bitcast(builder.or_(builder.bitcast(scaled, llvm.INT32S), sign), llvm.FLOATS)


FLOAT16: Table[Callable[..., Any]] = {
    "avx512f": (("avx512f",), _extended),
    "f16c": (("f16c", "avx"), _extended),
    "portable": ((), _extended_by_bits),
}


# From int32 to bytes


def _narrow_by_packs(builder: Any, vectors: list[Any], interleaved: bool) -> Any:
    """x86's packs work within lanes of 128 bits: byte 4 v + d of lane l comes from vector v, lane l, element d."""
    count = len(vectors)
    to_words = emit.declare(builder, "llvm.x86.avx512.packssdw.512", llvm.WORDS, [llvm.INT32S, llvm.INT32S])
    to_bytes = emit.declare(builder, "llvm.x86.avx512.packuswb.512", llvm.BYTES, [llvm.WORDS, llvm.WORDS])
    low = builder.call(to_words, [vectors[0], vectors[min(1, count - 1)]])
    high = builder.call(to_words, [vectors[2], vectors[count - 1]]) if count > 2 else low
    packed = builder.bitcast(builder.call(to_bytes, [low, high]), llvm.INT32S)
    if count < 4:
        order = emit.indices(4 * lane + v for lane in range(4) for v in range(count))
        packed = builder.shuffle_vector(packed, packed, order)
    return builder.bitcast(packed, llvm.ir.VectorType(llvm.I8, count * llvm.LANES))


def _narrow_by_clamps(builder: Any, vectors: list[Any], interleaved: bool) -> Any:
    bytes_ = llvm.ir.VectorType(llvm.I8, llvm.LANES)
    zero, top = emit.splat(llvm.INT32S, 0), emit.splat(llvm.INT32S, 255)
    value = emit.concatenate(builder, [builder.trunc(emit.clamp(builder, v, zero, top), bytes_) for v in vectors])
    if interleaved:
        value = builder.shuffle_vector(value, value, emit.indices(INTERLEAVED))  # the order is its own inverse
    return value


# Lane number 16 v + 4 l + d of interleaved rows stands for byte 16 l + 4 v + d.
INTERLEAVED = [16 * lane + 4 * v + d for v in range(4) for lane in range(4) for d in range(4)]

# One to four vectors of int32 as bytes, limited to 0 ... 255. Lanes come as the CPU has it cheapest, which is the order
# of ``narrow.column_order``; or, of four vectors that are interleaved, as the bytes that they stand for.
NARROW: Table[Callable[..., Any]] = {
    "packs": (("avx512bw",), _narrow_by_packs),
    "clamps": ((), _narrow_by_clamps),
}


# Look-ups


def look_up_by_permutes(builder: Any, table: Any) -> Callable[[Any], Any]:
    """Two permutations of 128 bytes each."""
    quarters = emit.load_vectors(builder, table, llvm.BYTES, 4)
    permute = emit.declare(builder, "llvm.x86.avx512.vpermi2var.qi.512", llvm.BYTES, [llvm.BYTES] * 3)

    def look_up(x: Any) -> Any:
        low, high = (builder.call(permute, [a, x, b]) for a, b in (quarters[:2], quarters[2:]))
        return builder.select(builder.icmp_signed("<", x, emit.splat(llvm.BYTES, 0)), high, low)

    return look_up


def _look_up_by_tables(builder: Any, table: Any) -> Callable[[Any], Any]:
    """Four look-ups in 64 bytes each, of which those out of range change nothing."""
    row = llvm.ir.VectorType(llvm.I8, 16)
    first = emit.declare(builder, "llvm.aarch64.neon.tbl4.v16i8", row, [row] * 5)
    other = emit.declare(builder, "llvm.aarch64.neon.tbx4.v16i8", row, [row] * 6)
    rows = [emit.load(builder, emit.beyond(builder, table, 16 * i), row) for i in range(16)]

    def quarter(index: Any) -> Any:
        result = builder.call(first, [*rows[:4], index])
        for i in (4, 8, 12):
            index = builder.sub(index, emit.splat(row, 64))
            result = builder.call(other, [result, *rows[i : i + 4], index])
        return result

    return lambda x: _quarters(builder, quarter, x)


def _look_up_by_shuffles(builder: Any, table: Any) -> Callable[[Any], Any]:
    """Sixteen shuffles of 16 bytes each, as XNNPACK has it: a shuffle gives 0 where its index is negative.

    With row k of the table exclusive-ored to row k - 1, rows 0 ... x // 16, whose indices are not negative, add up to
    row x // 16.
    """
    half, row = llvm.ir.VectorType(llvm.I8, 32), llvm.ir.VectorType(llvm.I8, 16)
    shuffle = emit.declare(builder, "llvm.x86.avx2.pshuf.b", half, [half, half])
    subtract = emit.declare(builder, "llvm.ssub.sat.v32i8", half, [half, half])
    rows = [emit.load(builder, emit.beyond(builder, table, 16 * i), row) for i in range(16)]
    steps = [v if i % 8 == 0 else builder.xor(v, rows[i - 1]) for i, v in enumerate(rows)]
    steps = [emit.join(builder, v, v) for v in steps]

    def look_up(x: Any) -> Any:
        results = []
        for v in (emit.part(builder, x, 0), emit.part(builder, x, 1)):
            total = emit.splat(half, 0)
            for first, index in ((0, v), (8, builder.xor(v, emit.splat(half, 128)))):
                for step in steps[first : first + 8]:
                    total = builder.xor(total, builder.call(shuffle, [step, index]))
                    index = builder.call(subtract, [index, emit.splat(half, 16)])
            results.append(total)
        return emit.join(builder, *results)

    return look_up


# What makes the function that looks up 64 bytes in registers that hold the table; None where one at a time is faster.
LOOK_UP: Table[Callable[..., Callable[[Any], Any]] | None] = {
    "avx512vbmi": (("avx512vbmi",), look_up_by_permutes),
    "neon": (("neon",), _look_up_by_tables),
    "avx2": (("avx2",), _look_up_by_shuffles),
    "bytewise": ((), None),
}


# Tiles

# {vectors: rows} of the tiles of int32 sums that fit the registers beside their weights.
TILES: Table[dict[int, int]] = {
    "avx512bw": (("avx512bw",), {4: 6, 3: 8, 2: 8, 1: 12}),
    # A vector takes four of 32 registers; with eight for weights, as 3 x 2 has them, LLVM spills.
    "dotprod": (("dotprod",), {1: 6}),
    "avx2": (("avx2",), {1: 6}),
    "portable": ((), {1: 4}),
}

# The same for one row, which waits for its weights; on AArch64, more vectors would make it wait for spills too.
SINGLE_ROWS: Table[dict[int, int]] = {
    "neon": (("neon",), {2: 1, 1: 1}),
    "x86": ((), {8: 1, 4: 1, 2: 1, 1: 1}),
}

# The same for float32 sums, of which each lane has an x of its own, beside a row of weights.
FLOAT_TILES: Table[dict[int, int]] = {
    "avx512f": (("avx512f",), {4: 4, 3: 6, 2: 8, 1: 8}),
    "avx2": (("avx2",), {1: 4}),
    "portable": ((), {1: 2}),
}


# Kernels

# How rows of bytes are multiplied with many columns: as they are, or as 16-bit numbers, where bytes would be widened in
# every step. One row at a time is always multiplied as it is.
PRODUCTS: Table[str] = {
    "avx512vnni": (("avx512vnni", "avx512bw"), "bytes"),
    "avxvnni": (("avxvnni", "avx2"), "bytes"),
    "avx512bw": (("avx512bw",), "widened"),
    "avx2": (("avx2",), "widened"),
    "portable": ((), "bytes"),
}

# A row of float32 times weights of bytes: as three bytes of fixed point where these are multiplied faster than weights
# become float32.
WEIGHT_ONLY_ROWS: Table[str] = {
    "avx512vnni": (("avx512vnni", "avx512bw"), "limbs"),
    "avxvnni": (("avxvnni", "avx2"), "limbs"),
    "portable": ((), "floats"),
}


class Sliding(NamedTuple):
    """How wide windows may be that slide in registers, and whether the last block of channels may be a part."""

    columns: tuple[int, ...]
    masks: bool


SLIDING: Table[Sliding] = {
    "avx512bw": (("avx512bw",), Sliding((3, 5), masks=True)),
    "portable": ((), Sliding((3,), masks=False)),
}

# Where the exponentials of a SOFTMAX of bytes are looked up.
SOFTMAX: Table[str] = {
    "avx512vbmi": (("avx512vbmi",), "registers"),
    "portable": ((), "memory"),
}

CHOICES: dict[str, Table[Any]] = {
    "dot": DOT,
    "pairs": PAIRS,
    "multiply_add": MULTIPLY_ADD,
    "float16": FLOAT16,
    "narrow": NARROW,
    "look_up": LOOK_UP,
    "tiles": TILES,
    "single_rows": SINGLE_ROWS,
    "float_tiles": FLOAT_TILES,
    "products": PRODUCTS,
    "weight_only_rows": WEIGHT_ONLY_ROWS,
    "sliding": SLIDING,
    "softmax": SOFTMAX,
}
