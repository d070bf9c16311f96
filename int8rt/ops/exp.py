"""EXP: y = exp(x).

int8 goes through float32, int16 through a table with interpolation, symmetric in both. float32 is the C library's
``expf``.
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
    return function_of(node, x, libm.exp)


def prepare(node: Node, numerics: Numerics) -> Step:
    x, y = check(node, ["int8", "int16", "float32"])
    return each(exp, x, y) if x.dtype == np.float32 else table(node, reference)


@inline
def exp(v: float) -> float:
    """exp(v)."""
    return math.exp(v)
