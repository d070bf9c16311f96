"""From int32 accumulators to bytes: requantization, clamp, and the order in which CPUs narrow cheapest."""

from __future__ import annotations

from typing import Any

from int8rt.simd import emit, llvm
from int8rt.simd.lowerings import INTERLEAVED as INTERLEAVED
from int8rt.simd.lowerings import NARROW, chosen, lower


def column_order(vectors: int) -> list[int]:
    """Which column each lane of a tile's row stands for: the order in which the CPU narrows int32 to bytes cheapest."""
    if chosen(NARROW) != "packs":
        return list(range(llvm.LANES * vectors))
    if vectors > 4:
        groups = (column_order(min(4, vectors - first)) for first in range(0, vectors, 4))
        return [llvm.LANES * 4 * i + column for i, group in enumerate(groups) for column in group]
    return [4 * vectors * lane + 4 * v + d for v in range(vectors) for lane in range(4) for d in range(4)]


def narrow(builder: Any, vectors: list[Any], lo: Any, hi: Any, interleaved: bool = False) -> Any:
    """Vectors of int32 as bytes clamped to lo and hi, i8 scalars in 0 ... 255; lanes are in column_order or
    INTERLEAVED.
    """
    value = lower(NARROW)(builder, vectors, interleaved)
    lo, hi = (emit.spread(builder, limit, value.type.count) for limit in (lo, hi))
    value = builder.select(builder.icmp_unsigned("<", value, lo), lo, value)
    return builder.select(builder.icmp_unsigned(">", value, hi), hi, value)


def double(builder: Any, x: Any, low_scale: Any, high_scale: Any, zero_point: Any) -> Any:
    """round(x * scale) + zero point, the product in float64, halves away from zero; 2**30 bounds what is out of
    range.
    """
    bound, half = emit.splat(llvm.DOUBLES, 2.0**30), emit.splat(llvm.DOUBLES, 0.49999999999999994)
    sign = emit.declare(builder, "llvm.copysign.v8f64", llvm.DOUBLES, [llvm.DOUBLES, llvm.DOUBLES])
    parts = []
    for i, scale in enumerate((low_scale, high_scale)):
        real = builder.fmul(builder.sitofp(emit.part(builder, x, i), llvm.DOUBLES), scale)
        real = builder.fadd(real, builder.call(sign, [half, real]))
        real = builder.select(builder.fcmp_ordered("<", real, bound), real, bound)
        real = builder.select(builder.fcmp_ordered(">", real, builder.fneg(bound)), real, builder.fneg(bound))
        parts.append(builder.fptosi(real, llvm.ir.VectorType(llvm.I32, llvm.DOUBLES.count)))
    return builder.add(emit.join(builder, *parts), zero_point)


def fixed(builder: Any, x: Any, multiplier: Any, constant: Any, shift: Any, bias: Any) -> Any:
    """((x * multiplier) >> 32) + constant, less one where x < bias, shifted right: all unsigned up to the last."""
    q = builder.add(_high_product(builder, x, multiplier), constant)
    q = builder.select(builder.icmp_unsigned("<", x, bias), builder.add(q, emit.splat(llvm.INT32S, -1)), q)
    return builder.ashr(q, shift)


def plain(builder: Any, x: Any, multiplier: Any, constant: Any, shift: Any) -> Any:
    """``fixed`` without the correction of negative values."""
    return builder.ashr(builder.add(_high_product(builder, x, multiplier), constant), shift)


def _high_product(builder: Any, x: Any, multiplier: Any) -> Any:
    """(x * multiplier) >> 32, unsigned."""
    pairs = llvm.ir.VectorType(llvm.I64, llvm.LANES // 2)
    low = emit.splat(pairs, 0xFFFFFFFF)
    x2, m2 = builder.bitcast(x, pairs), builder.bitcast(multiplier, pairs)
    even = builder.mul(builder.and_(x2, low), builder.and_(m2, low))
    up = emit.splat(pairs, 32)
    odd = builder.mul(builder.lshr(x2, up), builder.lshr(m2, up))
    return builder.shuffle_vector(
        builder.bitcast(even, llvm.INT32S),
        builder.bitcast(odd, llvm.INT32S),
        emit.indices(i for pair in range(llvm.LANES // 2) for i in (2 * pair + 1, llvm.LANES + 2 * pair + 1)),
    )
