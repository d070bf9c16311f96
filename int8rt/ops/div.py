"""DIV: y = x1 / x2, with broadcasting and a fused activation.

Quantized values, whose scale is computed in float32, are divided by a fixed-point reciprocal:

    y = z_y + R(s1 / (s2 s_y), (x1 - z1) / (x2 - z2))        clamped

R is double rounding (numerics 3.1). The reciprocal has 31 bits, by three steps of Newton's method; the dividend is
first shifted to the left as far as int32 allows. Its last shift would often be by more than 31 where the quotient is
tiny. That is undefined in C++; as x86-64 does, which counts shifts modulo 32 and takes the rounding mask to be zero,
such a result is that of the shift by 32 less, plus 1 unless it is negative. int32 truncates and saturates, float32 is
clamped to finite numbers.

A divisor that stands for zero is refused when the model is run, except in float32.

Sources: TFLite's div.cc, reference/div.h, gemmlowp's fixedpoint.h.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from int8rt import ops
from int8rt.graph import Node, Tensor
from int8rt.native.kernel import inline
from int8rt.numerics.fixedmath import bit_length, one_over_one_plus
from int8rt.numerics.fixedpoint import Multiplier, activation_range, high_product, multiplier_of, shift_half_away
from int8rt.numerics.rules import Numerics
from int8rt.numerics.storage import stored, stored_zero
from int8rt.ops._elementwise import (
    EIGHT_BITS,
    activation,
    call,
    check_nonzero,
    check_scales,
    checked,
    clamp,
    limits,
    nonzero,
    shape,
)
from int8rt.steps import Step

QUANTIZED = (*EIGHT_BITS, "int16")


operands = "x1 x2 -> y"
by_value = True


def shapes(node: Node) -> list[tuple[int, ...]]:
    return [shape(node)]


def reference(node: Node, x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
    a, b, y = _checked(node)
    if y.type == "float32":
        return clamp(np.asarray(x1 / x2), limits(node, y))
    check_nonzero(node, x2, _zero(b))
    if y.type == "int32":
        down = x1.astype(np.int64) // x2
        truncated = down + ((down < 0) & (down * x2 != x1))
        return truncated.clip(*limits(node, y))
    dividend, divisor = np.broadcast_arrays(x1.astype(np.int64) - a.zero_point, x2.astype(np.int64) - b.zero_point)
    dividend = np.where(divisor < 0, -dividend, dividend)
    divisor = np.abs(divisor)
    bits = [np.frexp(v.astype(np.float64))[1].astype(np.int64) for v in (dividend ^ (dividend >> 63), divisor)]
    q = quotient(dividend, divisor, *bits, *_multiplier(node, a, b, y)) + y.zero_point
    return q.clip(*activation_range(y, activation(node)))


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    a, b, y = _checked(node)
    if y.type == "float32":
        return [call(float_quotient, limits(node, y), a, b, y)]
    if y.type == "int32":
        return [*nonzero(node, b, 0), call(integer_quotient, limits(node, y), a, b, y)]
    s = stored(y, activation(node))
    p = [stored_zero(a), stored_zero(b), *_multiplier(node, a, b, y), s.zero_point, s.lo, s.hi]
    return [*nonzero(node, b, stored_zero(b)), call(scaled_quotient, p, a, b, y)]


def _checked(node: Node) -> tuple[Tensor, Tensor, Tensor]:
    x1, x2, y = checked(node, (*QUANTIZED, "int32", "float32"))
    if y.type in QUANTIZED:
        check_scales(node, x1, x2, y)
    return x1, x2, y


def _zero(x: Tensor) -> int:
    return x.zero_point if x.type in QUANTIZED else 0


def _multiplier(node: Node, x1: Tensor, x2: Tensor, y: Tensor) -> Multiplier:
    real = x1.scale / (x2.scale * y.scale)
    if not np.isfinite(real):
        raise ops.refuse(node, f"the scales give a multiplier of {real}")
    return multiplier_of(real)


@inline
def quotient(a: Any, b: Any, bits_a: Any, bits_b: Any, multiplier: Any, shift: Any) -> Any:
    """a / b times the multiplier, b > 0; of a, bits are those of its complement if it is negative."""
    inverse = one_over_one_plus((b << (32 - bits_b)) - 2147483648)
    product = high_product(high_product(a << (31 - bits_a), inverse), multiplier)
    right = 30 - bits_a + bits_b - shift
    left = np.minimum(np.maximum(-right, 0), 31)
    rounded = shift_half_away(product << left, np.minimum(np.maximum(right, 0), 31))
    beyond = (product >> (right & 31)) + (product >= 0)
    return rounded + (right > 31) * (beyond - rounded)


@inline
def scaled_quotient(a: Any, b: Any, p: Any) -> Any:
    z1, z2, m, e, z, lo, hi, _, _, _, _, _, _, _, _, _ = p
    dividend, divisor = np.int64(a) - z1, np.int64(b) - z2
    if divisor < 0:
        dividend, divisor = -dividend, -divisor
    q = quotient(dividend, divisor, bit_length(dividend ^ (dividend >> 63)), bit_length(divisor), m, e) + z
    return min(max(q, lo), hi)


@inline
def integer_quotient(a: Any, b: Any, p: Any) -> Any:
    dividend, divisor = np.int64(a), np.int64(b)
    down = dividend // divisor if divisor else np.int64(0)
    v = down + 1 if down < 0 and down * divisor != dividend else down
    return min(max(v, p[0]), p[1])


@inline
def float_quotient(a: Any, b: Any, p: Any) -> Any:
    v = a / b
    v = p[0] if v < p[0] else v
    return p[1] if p[1] < v else v
