"""ELU: y = x where it is not negative, else exp(x) - 1, of float32, and of int8 through float32.

BUILTIN_REF has no such operator, LiteRT's BUILTIN has: the C library's ``expm1f``.
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
    return function_of(node, x, lambda real: np.where(real < 0, libm.expm1(real), real))


def prepare(node: Node, numerics: Numerics) -> Step:
    x, y = check(node, ["int8", "float32"])
    return each(elu, x, y) if x.dtype == np.float32 else table(node, reference)


@inline
def elu(v: float) -> float:
    """v, or exp(v) - 1 of a negative one."""
    return math.expm1(v) if v < 0 else v
