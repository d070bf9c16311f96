"""LOG: y = log(x).

int8 goes through float32, int16 through a table with interpolation; of values that are not positive they give the
output's smallest. float32 is the C library's ``logf``.
"""

from __future__ import annotations

import math

import numpy as np

from int8rt.graph import Node
from int8rt.native.kernel import inline
from int8rt.numerics import libm
from int8rt.numerics.rules import Numerics
from int8rt.ops import _lookup
from int8rt.ops._lookup import check, each, function_of, table
from int8rt.steps import Step

operands = "x -> y"
by_value = True
shapes = _lookup.shapes


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    (y,) = node.outputs
    if x.dtype == np.float32:
        return libm.log(x)
    least = np.float32(np.iinfo(y.dtype).min - y.zero_point) * np.float32(y.scale)
    return function_of(node, x, lambda real: np.where(real > 0, libm.log(np.where(real > 0, real, 1)), least))


def prepare(node: Node, numerics: Numerics) -> Step:
    x, y = check(node, ["int8", "int16", "float32"])
    return each(log, x, y) if x.dtype == np.float32 else table(node, reference)


@inline
def log(v: float) -> float:
    """log(v)."""
    return math.log(v)
