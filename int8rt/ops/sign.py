"""SIGN: 1, -1 or 0 by the sign of x: float32, float64 and int32. NaN stays."""

from __future__ import annotations

import numpy as np

from int8rt.graph import Node
from int8rt.native.kernel import inline
from int8rt.numerics.rules import Numerics
from int8rt.ops import _lookup
from int8rt.ops._lookup import check_types, each
from int8rt.steps import Step

operands = "x -> y"
by_value = True
shapes = _lookup.shapes


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    return np.where(x == x, (x > 0).astype(np.int8) - (x < 0), x).astype(x.dtype)


def prepare(node: Node, numerics: Numerics) -> Step:
    return each(sign, *check_types(node, ["int32", "float32", "float64"]))


@inline
def sign(v: float) -> float:
    """1, 0 or -1, or NaN."""
    return (v > 0) - (v < 0) if v == v else v
