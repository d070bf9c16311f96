"""PRELU: y = x where x >= 0, else alpha x; alpha is broadcast to the shape of x.

Quantized, with scales computed in float32:

    y = z_y + R(s_x / s_y, x - z_x)                                     where x >= z_x
    y = z_y + R(s_x s_alpha / s_y, (x - z_x) (alpha - z_alpha))         elsewhere; clamped

R is double rounding (numerics 3.1). alpha of an int16 x may be int8. Sources: TFLite's activations.cc,
reference/prelu.h.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.native.kernel import inline
from int8rt.numerics.fixedpoint import Multiplier, activation_range, requantize_double_rounding, scale_float
from int8rt.numerics.rules import Numerics
from int8rt.numerics.storage import stored, stored_zero
from int8rt.ops._elementwise import EIGHT_BITS, call, check_scales, multiplier_for, shape
from int8rt.steps import Call

TYPES = (*EIGHT_BITS, "int16", "float32")


operands = "x alpha -> y"
by_value = True


def shapes(node: Node) -> list[tuple[int, ...]]:
    x, alpha = node.given
    whole = shape(node)
    if whole != tuple(x.shape):
        raise ModelError(f"{node.label}: alpha {list(alpha.shape)} cannot be broadcast to the input {list(x.shape)}")
    return [whole]


def reference(node: Node, x: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    x_, alpha_, y = _checked(node)
    if y.type == "float32":
        return np.where(x >= 0, x, x * alpha)
    positive, negative = _multipliers(node, x_, alpha_, y)
    v = x.astype(np.int64) - x_.zero_point
    scaled = v * (alpha.astype(np.int64) - alpha_.zero_point)
    q = np.where(v >= 0, requantize_double_rounding(v, *positive), requantize_double_rounding(scaled, *negative))
    return (q + y.zero_point).clip(*activation_range(y))


def prepare(node: Node, numerics: Numerics) -> Call:
    x, alpha, y = _checked(node)
    if y.type == "float32":
        return call(plain_prelu, np.zeros(0, np.float32), x, alpha, y)
    positive, negative = _multipliers(node, x, alpha, y)
    s = stored(y)
    p = [stored_zero(x), stored_zero(alpha), *positive, *negative, s.zero_point, s.lo, s.hi]
    return call(scaled_prelu, p, x, alpha, y)


def _checked(node: Node) -> tuple[Tensor, Tensor, Tensor]:
    x, alpha = node.given
    (y,) = node.outputs
    if y.type != x.type or (alpha.type != x.type and (x.type, alpha.type) != ("int16", "int8")):
        raise ModelError(f"{node.label} makes {y.type} of {x.type} and alpha {alpha.type}; one type was expected")
    if x.type not in TYPES:
        raise ops.refuse(node, f"supported are {', '.join(TYPES)}")
    return x, alpha, y


def _multipliers(node: Node, x: Tensor, alpha: Tensor, y: Tensor) -> tuple[Multiplier, Multiplier]:
    """Of x >= 0, and of x < 0 times alpha."""
    check_scales(node, x, alpha, y)
    reals = x.scale / y.scale, scale_float(x.scale, alpha.scale, y.scale)
    return multiplier_for(node, reals[0]), multiplier_for(node, reals[1])


@inline
def scaled_prelu(a: Any, b: Any, p: Any) -> Any:
    z1, z2, m1, e1, m2, e2, z, lo, hi, _, _, _, _, _, _, _ = p
    v = np.int64(a) - z1
    positive = requantize_double_rounding(v, m1, e1)
    negative = requantize_double_rounding(v * (np.int64(b) - z2), m2, e2)
    return min(max((positive if v >= 0 else negative) + z, lo), hi)


@inline
def plain_prelu(a: Any, b: Any, p: Any) -> Any:
    return a if a >= 0 else a * b
