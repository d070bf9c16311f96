"""CEIL: the smallest integer that is not below x, float32. BUILTIN_REF has no such operator, LiteRT's BUILTIN has."""

from __future__ import annotations

import numpy as np

from int8rt.graph import Node
from int8rt.native.kernel import inline
from int8rt.numerics.rules import Numerics
from int8rt.ops import _lookup
from int8rt.ops._lookup import check, each
from int8rt.steps import Step

operands = "x -> y"
by_value = True
shapes = _lookup.shapes


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    return np.ceil(x)


def prepare(node: Node, numerics: Numerics) -> Step:
    return each(ceil, *check(node, ["float32"]))


@inline
def ceil(v: float) -> float:
    """The smallest integer not below v."""
    return np.ceil(v)
