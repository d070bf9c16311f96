"""RSQRT: y = 1 / sqrt(x).

int8 is fixed point: an integer inverse root with 20 more bits, then double rounding with 1 / (sqrt(s_x) s_y). int16 is
a table with interpolation. Both give the output's largest value for 0, and here for negative numbers, with which LiteRT
fails at run time. float32 is a root and a quotient, each rounded.
"""

from __future__ import annotations

import math

import numpy as np

from int8rt.graph import Node
from int8rt.native.kernel import inline
from int8rt.numerics.fixedmath import inverse_sqrt
from int8rt.numerics.fixedpoint import quantize_multiplier, requantize_double_rounding
from int8rt.numerics.rules import Numerics
from int8rt.ops import _lookup
from int8rt.ops._lookup import centered, check, each, function_of, store, table, unary
from int8rt.steps import Step

MORE_BITS = 20

operands = "x -> y"
by_value = True
shapes = _lookup.shapes


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    if x.dtype == np.int8:
        return _int8(node, x)
    largest = np.float32(32767) * np.float32(node.outputs[0].scale)
    if x.dtype == np.float32:
        return np.float32(1) / np.sqrt(x)
    y = function_of(node, x, lambda real: np.where(real > 0, np.float32(1) / np.sqrt(real), largest))
    return np.where(x < 0, np.int16(32767), y)


def _int8(node: Node, x: np.ndarray) -> np.ndarray:
    """int8 outputs: 127 where the input is not positive."""
    x_, y_ = unary(node)
    multiplier, shift = quantize_multiplier(1.0 / np.float64(np.sqrt(np.float32(x_.scale)) * np.float32(y_.scale)))
    factors = np.array([inverse_sqrt(v) for v in range(256)], np.int64)
    value = centered(x, x_)
    inverse, exponent = np.moveaxis(factors[np.maximum(value, 0)], -1, 0)
    fine = requantize_double_rounding(1, inverse, exponent + MORE_BITS)
    q = requantize_double_rounding(fine, multiplier, shift - MORE_BITS)
    return np.where(value > 0, store(q, y_), np.int8(127))


def prepare(node: Node, numerics: Numerics) -> Step:
    x, y = check(node, ["int8", "int16", "float32"])
    return each(rsqrt, x, y) if x.dtype == np.float32 else table(node, reference)


@inline
def rsqrt(v: float) -> float:
    """1 / sqrt(v)."""
    return np.float32(1) / np.float32(math.sqrt(v))
