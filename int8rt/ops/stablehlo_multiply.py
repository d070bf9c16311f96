"""STABLEHLO_MULTIPLY: y = x1 * x2 of stored values, without broadcasting; of bool, whether both are true."""

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
    return _stablehlo.computed(node, np.multiply, x1, x2)


def prepare(node: Node, numerics: Numerics) -> PythonCall:
    return _stablehlo.prepare(node, reference)
