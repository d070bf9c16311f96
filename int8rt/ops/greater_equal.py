"""GREATER_EQUAL: y = (x1 >= x2), with broadcasting; see _comparison for the types and their scales."""

from __future__ import annotations

import numpy as np

from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops import _comparison
from int8rt.ops._elementwise import shape
from int8rt.steps import Call

operands = "x1 x2 -> y:bool"
by_value = True


def shapes(node: Node) -> list[tuple[int, ...]]:
    return [shape(node)]


def reference(node: Node, x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
    return _comparison.reference(node, x1, x2, np.greater_equal)


def prepare(node: Node, numerics: Numerics) -> Call:
    return _comparison.prepare(node, _comparison.less_equal, _comparison.less_equal_scaled, exchanged=True)
