"""SQRT: y = sqrt(x).

    q = clamp(z_y + trunc(sqrt(s_x (x - z_x)) / s_y))       of int8 and int16, in float32

LiteRT fails at run time where an integer stands for a negative number; here its root is 0.
"""

from __future__ import annotations

import math

import numpy as np

from int8rt.graph import Node
from int8rt.native.kernel import inline
from int8rt.numerics.rules import Numerics
from int8rt.ops import _lookup
from int8rt.ops._lookup import centered, check, each, store, table, unary
from int8rt.steps import Step

operands = "x -> y"
by_value = True
shapes = _lookup.shapes


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    x_, y_ = unary(node)
    if x.dtype == np.float32:
        return np.sqrt(x)
    real = np.float32(x_.scale) * np.maximum(centered(x, x_), 0).astype(np.float32)
    steps = np.trunc(np.sqrt(real) / np.float32(y_.scale))
    return store(np.minimum(steps, np.float32(2**20)).astype(np.int64), y_)


def prepare(node: Node, numerics: Numerics) -> Step:
    x, y = check(node, ["int8", "int16", "float32"])
    return each(sqrt, x, y) if x.dtype == np.float32 else table(node, reference)


@inline
def sqrt(v: float) -> float:
    """The square root of v."""
    return math.sqrt(v)
