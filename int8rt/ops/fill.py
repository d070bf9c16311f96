"""FILL: a tensor of the shape that the first input holds, every element being the second input's only one."""

from __future__ import annotations

import numpy as np

from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops._index import known_shape
from int8rt.ops._move import copy, operand, same_scale, same_type, strides
from int8rt.steps import Step

operands = "shape[1] value[0] -> y"


def shapes(node: Node) -> list[tuple[int, ...]] | None:
    shape = known_shape(node, 0)
    return None if shape is None else [shape]


def reference(node: Node, shape: np.ndarray, value: np.ndarray) -> np.ndarray:
    _check(node)
    return np.full(tuple(map(int, shape)), value.reshape(()))


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    _check(node)
    (y,) = node.outputs
    return copy(operand(node, 1), y, y.shape, [0] * len(y.shape), strides(y.shape))


def _check(node: Node) -> None:
    value, (y,) = operand(node, 1), node.outputs
    same_type(node, value, y)
    if value.type in ("int8", "uint8", "int16"):
        same_scale(node, y, value)
