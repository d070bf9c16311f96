"""SUB: y = x1 - x2, with broadcasting and a fused activation. Quantized: three double roundings; see _sum."""

from __future__ import annotations

import numpy as np

from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops import _elementwise, _sum
from int8rt.steps import Call

operands = "x1 x2 -> y"
by_value = True


def shapes(node: Node) -> list[tuple[int, ...]]:
    return [_elementwise.shape(node)]


def reference(node: Node, x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
    return _sum.reference(node, x1, x2, -1)


def prepare(node: Node, numerics: Numerics) -> Call:
    return _sum.prepare(node, -1)
