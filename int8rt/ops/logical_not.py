"""LOGICAL_NOT: y = not x, of booleans."""

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
    return ~x


def prepare(node: Node, numerics: Numerics) -> Step:
    return each(inverted, *check_types(node, ["bool"]))


@inline
def inverted(v: int) -> bool:
    """Whether v is 0."""
    return v == 0
