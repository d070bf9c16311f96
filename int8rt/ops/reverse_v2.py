"""REVERSE_V2: a tensor with the order along some axes turned round."""

from __future__ import annotations

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops._move import axis_within, copy, operand, same_type, strides
from int8rt.steps import Step

operands = "x axes:int32|int64 -> y"


def shapes(node: Node) -> list[tuple[int, ...]]:
    return [operand(node).shape]


def reference(node: Node, x: np.ndarray, axes: np.ndarray) -> np.ndarray:
    _check(node)
    return np.flip(x, _axes(node, axes))


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    _check(node)
    x, (y,), given = operand(node), node.outputs, operand(node, 1)
    if given.data is None:
        return [ops.by_reference(node, reference)]
    axes = _axes(node, given.data)
    steps = strides(x.shape)
    x_strides = [-s if axis in axes else s for axis, s in enumerate(steps)]
    start = sum((x.shape[axis] - 1) * steps[axis] for axis in axes)
    return copy(x, y, x.shape, x_strides, steps, start)


def _axes(node: Node, given: np.ndarray) -> tuple[int, ...]:
    axes = tuple(axis_within(node, int(axis), len(operand(node).shape)) for axis in given.reshape(-1))
    if len(set(axes)) != len(axes):
        raise ModelError(f"{node.label}: axes {list(axes)} name one twice")
    return axes


def _check(node: Node) -> None:
    same_type(node, operand(node), *node.outputs)
