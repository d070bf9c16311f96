"""The products of bytes and of 16-bit pairs, as each kind of CPU has them: ``DOT``, whose order is priority."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from int8rt.simd import emit, llvm
from int8rt.simd.features import has


def _dot_vnni_512(builder: Any, acc: Any, a: Any, b: Any) -> Any:
    function = emit.declare(builder, "llvm.x86.avx512.vpdpbusd.512", llvm.INT32S, [llvm.INT32S, llvm.BYTES, llvm.BYTES])
    return builder.call(function, [acc, a, b])


def _dot_vnni_256(builder: Any, acc: Any, a: Any, b: Any) -> Any:
    half_sum, half = llvm.ir.VectorType(llvm.I32, 8), llvm.ir.VectorType(llvm.I8, 32)
    function = emit.declare(builder, "llvm.x86.avx512.vpdpbusd.256", half_sum, [half_sum, half, half])
    parts = [
        builder.call(function, [emit.part(builder, v, i) for v in (acc, a, b)]) for i in range(2)
    ]  # fmt: skip
    return emit.join(builder, *parts)


def _dot_words(builder: Any, acc: Any, a: Any, b: Any, madd: str, parts: int) -> Any:
    """Products of even and of odd bytes, widened to 16 bits, which the CPU adds in pairs without overflow."""
    a, b = builder.bitcast(a, llvm.WORDS), builder.bitcast(b, llvm.WORDS)
    eight = emit.splat(llvm.WORDS, 8)
    evens = builder.and_(a, emit.splat(llvm.WORDS, 255)), builder.ashr(builder.shl(b, eight), eight)
    odds = builder.lshr(a, eight), builder.ashr(b, eight)
    for x, w in (evens, odds):
        acc = builder.add(acc, _multiply_add(builder, x, w, madd, parts))
    return acc


def _multiply_add(builder: Any, x: Any, w: Any, madd: str, parts: int) -> Any:
    words, sums = llvm.ir.VectorType(llvm.I16, 32 // parts), llvm.ir.VectorType(llvm.I32, 16 // parts)
    function = emit.declare(builder, madd, sums, [words, words])
    pieces = [builder.call(function, [emit.part(builder, v, i, parts) for v in (x, w)]) for i in range(parts)]
    while len(pieces) > 1:
        pieces = [emit.join(builder, *pieces[i : i + 2]) for i in range(0, len(pieces), 2)]
    return pieces[0]


def _dot_portable(builder: Any, acc: Any, a: Any, b: Any) -> Any:
    a, b = builder.bitcast(a, llvm.INT32S), builder.bitcast(b, llvm.INT32S)
    top = emit.splat(llvm.INT32S, 24)
    for byte in range(4):
        left = emit.splat(llvm.INT32S, 24 - 8 * byte)
        x = builder.lshr(builder.shl(a, left), top)
        w = builder.ashr(builder.shl(b, left), top)
        acc = builder.add(acc, builder.mul(x, w))
    return acc


def dot_neon(builder: Any, acc: Any, a: Any, b: Any, function: str) -> Any:
    """One instruction for four sums, of which there are 16."""
    sums, bytes_ = llvm.ir.VectorType(llvm.I32, 4), llvm.ir.VectorType(llvm.I8, 16)
    dot = emit.declare(builder, f"llvm.aarch64.neon.{function}.v4i32.v16i8", sums, [sums, bytes_, bytes_])
    return quarters(builder, lambda *parts: builder.call(dot, parts), acc, a, b)


def _dot_words_neon(builder: Any, acc: Any, a: Any, b: Any) -> Any:
    """Products of even and of odd bytes, which fit 16 bits; the CPU adds them to 32 bits in pairs (sadalp).

    The portable lowering takes as many instructions for a row, but needs twice as many for widening what it
    multiplies, and registers for that.
    """
    sums, words = llvm.ir.VectorType(llvm.I32, 4), llvm.ir.VectorType(llvm.I16, 8)
    add_pairs = emit.declare(builder, "llvm.aarch64.neon.saddlp.v4i32.v8i16", sums, [words])
    a, b, eight = builder.bitcast(a, llvm.WORDS), builder.bitcast(b, llvm.WORDS), emit.splat(llvm.WORDS, 8)
    evens = builder.and_(a, emit.splat(llvm.WORDS, 255)), builder.ashr(builder.shl(b, eight), eight)
    odds = builder.lshr(a, eight), builder.ashr(b, eight)

    def add(acc: Any, x: Any, w: Any) -> Any:
        return builder.add(acc, builder.call(add_pairs, [builder.mul(x, w)]))

    for x, w in (evens, odds):
        acc = quarters(builder, add, acc, x, w)
    return acc


def quarters(builder: Any, function: Callable[..., Any], *vectors: Any) -> Any:
    """The results of a function of vectors of 128 bits, for the quarters of longer ones."""
    results = [function(*(emit.part(builder, v, i, 4) for v in vectors)) for i in range(4)]
    return emit.join(builder, emit.join(builder, *results[:2]), emit.join(builder, *results[2:]))


DOT: dict[str, tuple[tuple[str, ...], Callable[..., Any]]] = {
    "avx512vnni": (("avx512vnni", "avx512bw"), _dot_vnni_512),
    "avxvnni": (("avxvnni", "avx2"), _dot_vnni_256),
    "avx512bw": (
        ("avx512bw",),
        functools.partial(_dot_words, madd="llvm.x86.avx512.pmaddw.d.512", parts=1),
    ),
    "avx2": (("avx2",), functools.partial(_dot_words, madd="llvm.x86.avx2.pmadd.wd", parts=2)),
    "i8mm": (("i8mm",), functools.partial(dot_neon, function="usdot")),
    "dotprod": (("dotprod",), functools.partial(dot_neon, function="sdot")),
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


def less_offset(builder: Any, bytes_: Any) -> Any:
    """64 bytes as dot wants them."""
    return builder.xor(bytes_, emit.splat(llvm.BYTES, 128)) if offset() else bytes_


def two_words(builder: Any, first: Any, second: Any) -> Any:
    """An int32 of two 16-bit numbers."""
    return builder.or_(builder.and_(first, llvm.I32(0xFFFF)), builder.shl(second, llvm.I32(16)))


def dot_pairs(builder: Any, acc: Any, a: Any, b: Any) -> Any:
    """acc[i] + a[2 i] * b[2 i] + a[2 i + 1] * b[2 i + 1] of 16-bit a and b (b as 16 int32)."""
    if has("avx512vnni", "avx512bw"):
        function = emit.declare(
            builder, "llvm.x86.avx512.vpdpwssd.512", llvm.INT32S, [llvm.INT32S, llvm.WORDS, llvm.WORDS]
        )
        return builder.call(function, [acc, a, builder.bitcast(b, llvm.WORDS)])
    a, sixteen = builder.bitcast(a, llvm.INT32S), emit.splat(llvm.INT32S, 16)
    for upper in (False, True):
        x, w = (v if upper else builder.shl(v, sixteen) for v in (a, b))
        acc = builder.add(acc, builder.mul(builder.ashr(x, sixteen), builder.ashr(w, sixteen)))
    return acc
