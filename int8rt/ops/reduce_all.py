"""REDUCE_ALL: whether all of the elements over some of the axes are true."""

from __future__ import annotations

import numpy as np

from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops._reduce import call, checked, output_shape, rows, smaller
from int8rt.steps import Call

operands = "x axes:int32 -> y"


def shapes(node: Node) -> list[tuple[int, ...]]:
    return [output_shape(node)]


def reference(node: Node, x: np.ndarray, axes: np.ndarray) -> np.ndarray:
    checked(node, ("bool",))
    return np.asarray(rows(node, x).all(axis=1))


def prepare(node: Node, numerics: Numerics) -> Call:
    _, y = checked(node, ("bool",))
    return call(node, smaller, y, 1)
