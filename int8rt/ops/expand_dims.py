"""EXPAND_DIMS: the same values with one more axis of size 1; negative axes count from behind the last."""

from __future__ import annotations

import numpy as np

from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops._move import axis_within, integer, operand, same_scale, same_type
from int8rt.steps import View

operands = "x axis -> y"


def shapes(node: Node) -> list[tuple[int, ...]]:
    shape = operand(node).shape
    axis = axis_within(node, integer(node, 1, "axis"), len(shape) + 1)
    return [(*shape[:axis], 1, *shape[axis:])]


def reference(node: Node, x: np.ndarray, _: np.ndarray) -> np.ndarray:
    return x.reshape(node.outputs[0].shape)


def prepare(node: Node, numerics: Numerics) -> View:
    x, (y,) = operand(node), node.outputs
    same_type(node, x, y)
    same_scale(node, x, y)
    return View(y, x)
