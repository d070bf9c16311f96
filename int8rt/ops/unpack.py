"""UNPACK: the slices of a tensor along an axis, which they lose."""

from __future__ import annotations

import math

import numpy as np

from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops._move import axis_within, copy, operand, same_scale, same_type
from int8rt.steps import Step

operands = "x[1+] -> y*"


def shapes(node: Node) -> list[tuple[int, ...]]:
    shape, axis = operand(node).shape, _axis(node)
    if node.options.num != shape[axis]:
        raise ModelError(f"{node.label}: num is {node.options.num}, but {list(shape)} has {shape[axis]} along {axis}")
    return [(*shape[:axis], *shape[axis + 1 :])] * shape[axis]


def reference(node: Node, x: np.ndarray) -> tuple[np.ndarray, ...]:
    _check(node)
    return tuple(np.moveaxis(x, _axis(node), 0))


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    _check(node)
    x, axis = operand(node), _axis(node)
    run = math.prod(x.shape[axis + 1 :])
    box = (math.prod(x.shape[:axis]), run), (x.shape[axis] * run, 1), (run, 1)
    return [step for i, y in enumerate(node.outputs) for step in copy(x, y, *box, x_start=i * run)]


def _axis(node: Node) -> int:
    return axis_within(node, node.options.axis, len(operand(node).shape))


def _check(node: Node) -> None:
    same_type(node, operand(node), *node.outputs)
    same_scale(node, operand(node), *node.outputs)
