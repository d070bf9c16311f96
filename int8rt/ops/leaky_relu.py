"""LEAKY_RELU: y = x where x > 0, else alpha * x.

    y = z_y + R(s_x / s_y, x - z_x)              where x >= z_x
    y = z_y + R(s_x alpha / s_y, x - z_x)        elsewhere, by the magnitude of alpha and then its sign

R is double rounding (numerics 3.1); both multipliers are computed in float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from int8rt.graph import Node
from int8rt.native.kernel import kernel
from int8rt.numerics.fixedpoint import quantize_multiplier, requantize_double_rounding
from int8rt.numerics.rules import Numerics
from int8rt.ops import _lookup
from int8rt.ops._lookup import EIGHT_BITS, centered, check, elementwise, store, table, unary
from int8rt.simd.memory import get, put
from int8rt.steps import Step

operands = "x -> y"
by_value = True
shapes = _lookup.shapes


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    x_, y_ = unary(node)
    alpha = np.float32(node.options.alpha)
    if x.dtype == np.float32:
        return np.where(x > 0, x, x * alpha)
    s_x, s_y = np.float32(x_.scale), np.float32(y_.scale)
    slope = s_x * alpha / s_y
    value = centered(x, x_)
    positive = requantize_double_rounding(value, *quantize_multiplier(s_x / s_y))
    negative = requantize_double_rounding(value, *quantize_multiplier(abs(slope)))
    return store(np.where(value >= 0, positive, -negative if slope < 0 else negative), y_)


def prepare(node: Node, numerics: Numerics) -> Step:
    x, y = check(node, (*EIGHT_BITS, "int16", "float32"))
    if x.dtype == np.float32:
        return elementwise(leaky_relu_float, x, np.float32(node.options.alpha), y)
    return table(node, reference)


@kernel
def leaky_relu_float(thread: int, threads: int, x: Any, alpha: float, y: Any) -> None:
    """y[i] = x[i] where it is positive, else alpha * x[i]."""
    for i in range(x.size * thread // threads, x.size * (thread + 1) // threads):
        v = get(x, i)
        put(y, i, v if v > 0 else v * alpha)
