"""SQUARED_DIFFERENCE: y = (x1 - x2)^2, with broadcasting.

int8 is brought to a common scale, that of twice the larger one, with 7 more bits:

    v_i = R(s_i / (2 max(s1, s2)), (x_i - z_i) 2^7)
    y   = z_y + R((2 max(s1, s2))^2 / (2^14 s_y), (v1 - v2)^2)        clamped

R is double rounding (numerics 3.1). int32 wraps.

Source: TFLite's squared_difference.cc.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from int8rt import ops
from int8rt.graph import Node, Tensor
from int8rt.native.kernel import inline
from int8rt.numerics.fixedpoint import multiplier_of, requantize_double_rounding
from int8rt.numerics.rules import Numerics
from int8rt.numerics.storage import stored, stored_zero
from int8rt.ops._elementwise import call, check_scales, checked, full_first, shape
from int8rt.simd.memory import as_type_of
from int8rt.steps import Call

TYPES = ("int8", "int32", "float32")
LEFT = 7


operands = "x1 x2 -> y"
by_value = True


def shapes(node: Node) -> list[tuple[int, ...]]:
    return [shape(node)]


def reference(node: Node, x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
    a, b, y = _checked(node)
    if y.type != "int8":
        difference = x1 - x2
        return np.asarray(difference * difference)
    m1, m2, m = _multipliers(node, a, b, y)
    v1 = requantize_double_rounding((x1.astype(np.int64) - a.zero_point) << LEFT, *m1)
    v2 = requantize_double_rounding((x2.astype(np.int64) - b.zero_point) << LEFT, *m2)
    q = requantize_double_rounding((v1 - v2) ** 2, *m) + y.zero_point
    return q.clip(-128, 127)


def prepare(node: Node, numerics: Numerics) -> Call:
    a, b, y = _checked(node)
    a, b = full_first(a, b)
    if y.type != "int8":
        return call(plain_square, [], a, b, y)
    m1, m2, m = _multipliers(node, a, b, y)
    s = stored(y)
    p = [stored_zero(a), *m1, stored_zero(b), *m2, *m, s.zero_point, s.lo, s.hi]
    return call(scaled_square, p, a, b, y)


def _checked(node: Node) -> tuple[Tensor, Tensor, Tensor]:
    x1, x2, y = checked(node, TYPES)
    if y.type == "int8":
        check_scales(node, x1, x2, y)
    return x1, x2, y


def _multipliers(node: Node, x1: Tensor, x2: Tensor, y: Tensor) -> list[Any]:
    common = np.float64(np.float32(2) * max(x1.scale, x2.scale))
    out = common * common / np.float64(np.float32(1 << 2 * LEFT) * y.scale)
    if not out < 1:  # LiteRT aborts
        raise ops.refuse(node, f"output scale {y.scale} is too small for input scales {x1.scale} and {x2.scale}")
    return [multiplier_of(real) for real in (x1.scale / common, x2.scale / common, out)]


@inline
def scaled_square(a: Any, b: Any, p: Any) -> Any:
    z1, m1, e1, z2, m2, e2, m, e, z, lo, hi, _, _, _, _, _ = p
    v1 = requantize_double_rounding((np.int64(a) - z1) << LEFT, m1, e1)
    v2 = requantize_double_rounding((np.int64(b) - z2) << LEFT, m2, e2)
    q = requantize_double_rounding((v1 - v2) * (v1 - v2), m, e) + z
    return min(max(q, lo), hi)


@inline
def plain_square(a: Any, b: Any, p: Any) -> Any:
    difference = a - b
    return as_type_of(a, difference * difference)
