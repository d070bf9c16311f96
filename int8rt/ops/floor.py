"""FLOOR: the largest integer that is not above x, of float16 and float32."""

from __future__ import annotations

import numpy as np

from int8rt.graph import Node
from int8rt.native.kernel import inline
from int8rt.numerics.rules import Numerics
from int8rt.ops import _lookup
from int8rt.ops._lookup import reals
from int8rt.steps import Step

operands = "x -> y"
by_value = True
shapes = _lookup.shapes


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    return np.floor(x)


def prepare(node: Node, numerics: Numerics) -> Step:
    return reals(node, floor, reference)


@inline
def floor(v: float) -> float:
    """The largest integer not above v."""
    return np.floor(v)
