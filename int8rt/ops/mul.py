"""MUL: y = x1 x2, with broadcasting and a fused activation.

Quantized values, whose scale is computed in float32:

    y = z_y + A(s1 s2 / s_y, (x1 - z1) (x2 - z2))        clamped

A is rule A. Other types are multiplied as they are; integers wrap before they are clamped to the fused activation.

Sources: TFLite's mul.cc, reference/integer_ops/mul.h, reference/mul.h.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from int8rt import ops
from int8rt.fixedpoint import Multiplier, activation_range, requantize_double_rounding, scale_float
from int8rt.graph import Node, Tensor
from int8rt.jit import inline
from int8rt.numerics import Numerics
from int8rt.ops import Call
from int8rt.ops._elementwise import (
    EIGHT_BITS,
    PLAIN,
    activation,
    call,
    check_scales,
    checked,
    clamp,
    full_first,
    is_quantized,
    limits,
    multiplier_for,
    shape,
)
from int8rt.simd import as_type_of


def shapes(node: Node) -> list[tuple[int, ...]]:
    return [shape(node)]


def reference(node: Node, x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
    a, b, y = _checked(node)
    if not _scaled(y):
        with np.errstate(all="ignore"):
            return clamp(np.asarray(x1 * x2), limits(node, y))
    product = (x1.astype(np.int64) - a.zero_point) * (x2.astype(np.int64) - b.zero_point)
    multiplier = _multiplier(node, a, b, y)
    q = requantize_double_rounding(product, *multiplier) + y.zero_point
    return q.clip(*activation_range(y, activation(node)))


def prepare(node: Node, numerics: Numerics) -> Call:
    a, b, y = _checked(node)
    a, b = full_first(a, b)
    if not _scaled(y):
        return call(plain_product, limits(node, y), a, b, y)
    s = ops.stored(y, activation(node))
    multiplier = _multiplier(node, a, b, y)
    p = [ops.stored_zero(a), ops.stored_zero(b), *multiplier, s.zero_point, s.lo, s.hi]
    return call(scaled_product, p, a, b, y)


def _checked(node: Node) -> tuple[Tensor, Tensor, Tensor]:
    x1, x2, y = checked(node, (*EIGHT_BITS, "int16", *PLAIN, "uint32"))
    if _scaled(y):
        check_scales(node, x1, x2, y)
    if y.type == "int16" and any(t.zero_point for t in (x1, x2, y)):
        raise ops.refuse(node, "int16 tensors must have zero point 0")
    return x1, x2, y


def _scaled(y: Tensor) -> bool:
    """Whether the product is rescaled: int16 is where the output has a scale."""
    return y.type in EIGHT_BITS or (y.type == "int16" and is_quantized(y))


def _multiplier(node: Node, x1: Tensor, x2: Tensor, y: Tensor) -> Multiplier:
    with np.errstate(over="ignore"):
        return multiplier_for(node, scale_float(x1.scale, x2.scale, y.scale))


@inline
def scaled_product(a: Any, b: Any, p: Any) -> Any:
    z1, z2, m, e, z, lo, hi, _, _, _, _, _, _, _, _, _ = p
    q = requantize_double_rounding((np.int64(a) - z1) * (np.int64(b) - z2), m, e) + z
    return min(max(q, lo), hi)


@inline
def plain_product(a: Any, b: Any, p: Any) -> Any:
    v = as_type_of(a, a * b)
    v = p[0] if v < p[0] else v
    return p[1] if p[1] < v else v
