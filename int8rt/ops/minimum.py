"""MINIMUM: the smaller of two values, with broadcasting; the second where the first is NaN.

Stored values are compared as they are: TFLite takes it for granted that the tensors have one scale and zero point.

Source: TFLite's maximum_minimum.cc.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from int8rt.graph import Node
from int8rt.native.kernel import inline
from int8rt.numerics.rules import Numerics
from int8rt.ops._elementwise import EIGHT_BITS, PLAIN, call, checked, full_first, shape
from int8rt.steps import Call

TYPES = (*EIGHT_BITS, "int16", *PLAIN)


operands = "x1 x2 -> y"
by_value = True


def shapes(node: Node) -> list[tuple[int, ...]]:
    return [shape(node)]


def reference(node: Node, x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
    checked(node, TYPES)
    return np.where(x1 < x2, x1, x2)


def prepare(node: Node, numerics: Numerics) -> Call:
    x1, x2, y = checked(node, TYPES)
    if y.type != "float32":  # whose zeros and NaN tell the operands apart
        x1, x2 = full_first(x1, x2)
    return call(smaller, [], x1, x2, y)


@inline
def smaller(a: Any, b: Any, p: Any) -> Any:
    return a if a < b else b
