"""ARG_MAX: where along an axis the largest value is; the first of equal ones. NaN counts as smaller than anything."""

from __future__ import annotations

import numpy as np

from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops import _arg
from int8rt.steps import Call

operands = "x axis:int32|int64 -> y"


def shapes(node: Node) -> list[tuple[int, ...]]:
    return [_arg.shape(node)]


def reference(node: Node, x: np.ndarray, axis: np.ndarray) -> np.ndarray:
    return _arg.reference(node, x, np.greater)


def prepare(node: Node, numerics: Numerics) -> Call:
    return _arg.prepare(node, _arg.greater)
