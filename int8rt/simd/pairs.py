"""Elementwise sums and products of bytes, as products of 16-bit pairs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from int8rt.native.kernel import Intrinsic
from int8rt.simd import emit, llvm
from int8rt.simd.intrinsics import Array, Builder, Value, Vectors, intrinsic
from int8rt.simd.lowerings import dot_pairs, two_words
from int8rt.simd.narrow import fixed, narrow, plain


@intrinsic("none(uint8[], uint8[], int64, int32[], uint8[], int64)", reads_past=63)
def weighted_sum(
    builder: Builder, x1: Array, x2: Array, at: Value, p: Array, y: Array, count: Value
) -> None:  # fmt: skip
    """y[i] = clamp((x1[i] k1 + x2[i] k2 + c) >> (15 + s)) for ``count`` of the 64 bytes from ``at``; y may be x1 or x2.

    p: the digits of k1, k2 and c, high (those above 15 bits) before low, then the clamp and s. High digits of k1 and k2
    fit 16 bits.
    """
    bytes1, bytes2 = (emit.load(builder, x.at(at), llvm.BYTES) for x in (x1, x2))
    high1, low1, high2, low2, high, low, lo, hi, shift = _numbers(builder, p, 9)
    factors = [emit.spread(builder, two_words(builder, *k)) for k in ((high1, high2), (low1, low2))]
    high, low, shift = (emit.spread(builder, v) for v in (high, low, shift))
    zero = emit.splat(llvm.BYTES, 0)
    results = []
    for half in (0, 1):
        mixed = emit.unpack(builder, bytes1, bytes2, 1, half)
        for quarter in (0, 1):
            pairs = emit.unpack(builder, mixed, zero, 1, quarter)
            carry = builder.ashr(dot_pairs(builder, low, pairs, factors[1]), emit.splat(llvm.INT32S, 15))
            total = dot_pairs(builder, builder.add(high, carry), pairs, factors[0])
            results.append(builder.ashr(total, shift))
    lo, hi = (builder.trunc(limit, llvm.I8) for limit in (lo, hi))
    emit.store_columns(builder, [narrow(builder, results, lo, hi, interleaved=True)], [y.at(at)], count)


def _scaled_product(rows_used: int, rule: Callable[..., Any]) -> Intrinsic:
    signature = "none(uint8[], int64, uint8[], int64, int32[], int64, int64, uint8[], int64, int64)"

    @intrinsic(signature, reads_past=63)
    def scaled_product(
        builder: Builder, x1: Array, at1: Value, x2: Array, at2: Value, p: Array, lo: Value, hi: Value, y: Array,
        to: Value, count: Value,
    ) -> None:  # fmt: skip
        """The first ``count`` of 64 products."""
        zero1, zero2, *rows = _numbers(builder, p, 7)
        *rows, start = (emit.spread(builder, row) for row in rows)
        a_halves = _centered_words(builder, emit.load(builder, x1.at(at1), llvm.BYTES), zero1)
        b_halves = _centered_words(builder, emit.load(builder, x2.at(at2), llvm.BYTES), zero2)
        zero = emit.splat(llvm.BYTES, 0)
        results = []
        for a, b in zip(a_halves, b_halves, strict=True):
            for quarter in (0, 1):  # a's words alternate with 0, so that b's others do not matter
                pairs, twice = (emit.unpack(builder, *of, 2, quarter) for of in ((a, zero), (b, b)))
                results.append(rule(builder, dot_pairs(builder, start, pairs, twice), *rows[:rows_used]))
        lo, hi = (builder.trunc(limit, llvm.I8) for limit in (lo, hi))
        emit.store_columns(builder, [narrow(builder, results, lo, hi, interleaved=True)], [y.at(to)], count)

    return scaled_product


def _numbers(builder: Builder, p: Array, count: int) -> Vectors:
    """The first int32 of p."""
    return [emit.load(builder, p.at(i), llvm.I32) for i in range(count)]


def _centered_words(builder: Builder, bytes_: Value, zero: Value) -> Vectors:
    """64 bytes as two vectors of 16-bit numbers, the low and the high ones of each 128 bits, less zero; as bytes."""
    zeros = emit.spread(builder, builder.trunc(zero, llvm.I16), 2 * llvm.LANES)
    halves = (emit.unpack(builder, bytes_, emit.splat(llvm.BYTES, 0), 1, half) for half in (0, 1))
    return [builder.bitcast(builder.sub(builder.bitcast(half, llvm.WORDS), zeros), llvm.BYTES) for half in halves]


# scaled_products[kind](x1, at1, x2, at2, p, lo, hi, y, to, count): store the first ``count`` of the 64 products of
# bytes x1[at1:] and x2[at2:], rescaled by a formula of that kind, at y[to:]. p: int32, zero points of x1 and x2,
# formula's rows.
scaled_products = {"fixed": _scaled_product(4, fixed), "plain": _scaled_product(3, plain)}
