"""What RELU, RELU6, RELU_N1_TO_1 and RELU_0_TO_1 share: y = x clamped to [lo, hi].

    y = clamp(z_y + R(s_x / s_y, x - z_x)) to the stored forms of lo and hi

R is double rounding (numerics 3.1), its multiplier a float32 quotient. Of float32, NaN and -0 pass through.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from int8rt.graph import Node
from int8rt.native.kernel import kernel
from int8rt.numerics.fixedpoint import quantize_multiplier, requantize_double_rounding, stored_range
from int8rt.ops._lookup import EIGHT_BITS, centered, check, elementwise, table, unary
from int8rt.simd.memory import get, put
from int8rt.steps import Step

WITH_INT16 = (*EIGHT_BITS, "int16", "float32")
WITHOUT_INT16 = (*EIGHT_BITS, "float32")


def clamped(node: Node, x: np.ndarray, lo: float, hi: float) -> np.ndarray:
    """The reference of the operator with these limits."""
    x_, y_ = unary(node)
    if x.dtype == np.float32:
        return np.where(x < lo, np.float32(lo), np.where(x > hi, np.float32(hi), x))
    scale = np.float32(x_.scale) / np.float32(y_.scale)
    q = requantize_double_rounding(centered(x, x_), *quantize_multiplier(scale)) + y_.zero_point
    return q.clip(*stored_range(y_, lo, hi)).astype(y_.dtype)


def step(node: Node, lo: float, hi: float, types: tuple[str, ...]) -> Step:
    """What the operator with these limits runs, for inputs of these types."""
    x, y = check(node, types)
    if x.dtype == np.float32:
        return elementwise(clamp_float, x, np.float32(lo), np.float32(hi), y)
    return table(node, lambda node, x: clamped(node, x, lo, hi))


@kernel
def clamp_float(thread: int, threads: int, x: Any, lo: float, hi: float, y: Any) -> None:
    """y[i] = x[i], or the limit beyond which it lies."""
    for i in range(x.size * thread // threads, x.size * (thread + 1) // threads):
        v = get(x, i)
        v = lo if v < lo else v
        put(y, i, hi if v > hi else v)
