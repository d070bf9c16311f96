"""PACK: tensors of one shape along an axis of their own."""

from __future__ import annotations

import math

import numpy as np

from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops._move import axis_within, copy, operand, same_scale, same_type
from int8rt.steps import Step

operands = "x1 more* -> y"


def shapes(node: Node) -> list[tuple[int, ...]]:
    shape = operand(node).shape
    count = node.options.values_count
    if any(operand(node, i).shape != shape for i in range(len(node.inputs))) or len(node.inputs) != count:
        found = [list(operand(node, i).shape) for i in range(len(node.inputs))]
        raise ModelError(f"{node.label}: inputs of shapes {found}; {count} of one shape were expected")
    axis = _axis(node)
    return [(*shape[:axis], count, *shape[axis:])]


def reference(node: Node, *arrays: np.ndarray) -> np.ndarray:
    _check(node)
    return np.stack(arrays, axis=_axis(node))


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    _check(node)
    (y,) = node.outputs
    axis, count = _axis(node), len(node.inputs)
    run = math.prod(y.shape[axis + 1 :])
    box = (math.prod(y.shape[:axis]), run), (run, 1), (count * run, 1)
    return [step for i in range(count) for step in copy(operand(node, i), y, *box, y_start=i * run)]


def _axis(node: Node) -> int:
    return axis_within(node, node.options.axis, len(operand(node).shape) + 1)


def _check(node: Node) -> None:
    parts = [operand(node, i) for i in range(len(node.inputs))]
    same_type(node, *parts, *node.outputs)
    same_scale(node, *node.outputs, *parts)
