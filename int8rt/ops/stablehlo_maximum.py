"""STABLEHLO_MAXIMUM: the larger of two values, without broadcasting; the first where one is NaN."""

from __future__ import annotations

import numpy as np

from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops import _stablehlo
from int8rt.steps import PythonCall

operands = "x1 x2 -> y"
by_value = True


def shapes(node: Node) -> list[tuple[int, ...]]:
    return _stablehlo.shapes(node)


def reference(node: Node, x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
    return _stablehlo.computed(node, lambda a, b: np.where(a < b, b, a), x1, x2)


def prepare(node: Node, numerics: Numerics) -> PythonCall:
    return _stablehlo.prepare(node, reference)
