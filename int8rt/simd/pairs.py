"""Elementwise sums and products of bytes, as products of 16-bit pairs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from int8rt.native.kernel import Word
from int8rt.simd import emit, llvm
from int8rt.simd.lowerings import dot_pairs, two_words
from int8rt.simd.narrow import fixed, narrow, plain


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
            emit.load(builder, emit.address(context, builder, type_, x, at), llvm.BYTES)
            for type_, x in ((sig.args[0], x1), (sig.args[1], x2))
        )
        parameters = emit.address(context, builder, sig.args[3], p, llvm.I64(0))
        high1, low1, high2, low2, high, low, lo, hi, shift = (
            emit.load(builder, builder.gep(parameters, [llvm.I64(4 * i)]), llvm.I32) for i in range(9)
        )
        factors = [emit.spread(builder, two_words(builder, *k)) for k in ((high1, high2), (low1, low2))]
        high, low, shift = (emit.spread(builder, v) for v in (high, low, shift))
        zero = emit.splat(llvm.BYTES, 0)
        results = []
        for half in (0, 1):
            mixed = emit.unpack(builder, bytes1, bytes2, 1, half)
            for quarter in (0, 1):
                pairs = builder.bitcast(emit.unpack(builder, mixed, zero, 1, quarter), llvm.WORDS)
                carry = builder.ashr(dot_pairs(builder, low, pairs, factors[1]), emit.splat(llvm.INT32S, 15))
                total = dot_pairs(builder, builder.add(high, carry), pairs, factors[0])
                results.append(builder.ashr(total, shift))
        lo, hi = (builder.trunc(limit, llvm.I8) for limit in (lo, hi))
        pointer = emit.address(context, builder, sig.args[4], y, at)
        emit.store_columns(builder, [narrow(builder, results, lo, hi, interleaved=True)], [pointer], count)
        return context.get_dummy_value()

    return types.none(x1, x2, types.int64, p, y, types.int64), generate


def _scaled_product(rows_used: int, rule: Callable[..., Any]) -> Word:
    def scaled_product(
        typing: Any, x1: Any, at1: Any, x2: Any, at2: Any, p: Any, lo: Any, hi: Any, y: Any, to: Any, count: Any
    ) -> Any:  # fmt: skip
        from numba.core import types

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            x1, at1, x2, at2, p, lo, hi, y, to, count = args
            numbers = emit.address(context, builder, sig.args[4], p, llvm.I64(0))
            zero1, zero2, *rows = (
                emit.load(builder, builder.gep(numbers, [llvm.I64(4 * i)]), llvm.I32) for i in range(7)
            )
            *rows, start = (emit.spread(builder, row) for row in rows)
            operands = []
            for type_, x, at, zero in ((sig.args[0], x1, at1, zero1), (sig.args[2], x2, at2, zero2)):
                value = emit.load(builder, emit.address(context, builder, type_, x, at), llvm.BYTES)
                operands.append(_centered_words(builder, value, zero))
            results = []
            for a, b in zip(*operands, strict=True):
                for quarter in (0, 1):  # a's words alternate with 0, so that b's others do not matter
                    pairs = emit.unpack(builder, builder.bitcast(a, llvm.BYTES), emit.splat(llvm.BYTES, 0), 2, quarter)
                    twice = emit.unpack(
                        builder, builder.bitcast(b, llvm.BYTES), builder.bitcast(b, llvm.BYTES), 2, quarter
                    )
                    pairs, twice = builder.bitcast(pairs, llvm.WORDS), builder.bitcast(twice, llvm.INT32S)
                    results.append(rule(builder, dot_pairs(builder, start, pairs, twice), *rows[:rows_used]))
            lo, hi = (builder.trunc(limit, llvm.I8) for limit in (lo, hi))
            pointer = emit.address(context, builder, sig.args[7], y, to)
            emit.store_columns(builder, [narrow(builder, results, lo, hi, interleaved=True)], [pointer], count)
            return context.get_dummy_value()

        integers = types.int64
        return types.none(x1, integers, x2, integers, p, integers, integers, y, integers, integers), generate

    return Word(scaled_product)


def _centered_words(builder: Any, bytes_: Any, zero: Any) -> list[Any]:
    """64 bytes as two vectors of 16-bit numbers, the low and the high ones of each 128 bits, less zero."""
    zeros = emit.spread(builder, builder.trunc(zero, llvm.I16), 2 * llvm.LANES)
    return [
        builder.sub(
            builder.bitcast(emit.unpack(builder, bytes_, emit.splat(llvm.BYTES, 0), 1, half), llvm.WORDS), zeros
        )
        for half in (0, 1)
    ]


# scaled_products[kind](x1, at1, x2, at2, p, lo, hi, y, to, count): store the first ``count`` of the 64 products of
# bytes x1[at1:] and x2[at2:], rescaled by a formula of that kind, at y[to:]. p: int32, zero points of x1 and x2,
# formula's rows.
scaled_products = {"fixed": _scaled_product(4, fixed), "plain": _scaled_product(3, plain)}
