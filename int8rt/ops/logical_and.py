"""LOGICAL_AND: y = x1 and x2, with broadcasting, of bool."""

from __future__ import annotations

from typing import Any

import numpy as np

from int8rt.graph import Node
from int8rt.native.kernel import inline
from int8rt.numerics.rules import Numerics
from int8rt.ops._elementwise import call, checked, full_first, shape
from int8rt.steps import Call

operands = "x1 x2 -> y"
by_value = True


def shapes(node: Node) -> list[tuple[int, ...]]:
    return [shape(node)]


def reference(node: Node, x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
    checked(node, ("bool",))
    return np.asarray(x1 & x2)


def prepare(node: Node, numerics: Numerics) -> Call:
    a, b, y = checked(node, ("bool",))
    return call(both, [], *full_first(a, b), y)


@inline
def both(a: Any, b: Any, p: Any) -> Any:
    return a & b
