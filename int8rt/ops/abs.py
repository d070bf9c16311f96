"""ABS: y = |x|.

    q = clamp(z_y + R(s_x / s_y, |x - z_x|))      of int8 and int16, the quotient in float32

R is double rounding (numerics 3.1). int16 without quantization, int32 and float32 are computed as they are; the
smallest integer stays what it is.
"""

from __future__ import annotations

import numpy as np

from int8rt.graph import Node, Tensor
from int8rt.native.kernel import inline
from int8rt.numerics.fixedpoint import quantize_multiplier, requantize_double_rounding
from int8rt.numerics.rules import Numerics
from int8rt.ops import _lookup
from int8rt.ops._lookup import centered, check, check_types, each, store, table, unary
from int8rt.steps import Step

operands = "x -> y"
by_value = True
shapes = _lookup.shapes


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    x_, y_ = unary(node)
    if not _is_quantized(x_):
        return np.abs(x)
    multiplier = quantize_multiplier(np.float32(x_.scale) / np.float32(y_.scale))
    return store(requantize_double_rounding(np.abs(centered(x, x_)), *multiplier), y_)


def _is_quantized(x: Tensor) -> bool:
    return x.dtype == np.int8 or (x.dtype == np.int16 and x.quantization is not None)


def prepare(node: Node, numerics: Numerics) -> Step:
    x, y = check_types(node, ["int8", "int16", "int32", "float32"])
    if _is_quantized(x):
        check(node, ["int8", "int16"])
        return table(node, reference)
    return each(absolute, x, y)


@inline
def absolute(v: float) -> float:
    """The magnitude of v."""
    return abs(v)
