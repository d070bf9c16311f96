"""SQUEEZE: the same values without axes of size 1: those that the options name, or all."""

from __future__ import annotations

import numpy as np

from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops._move import axis_within, operand, same_type
from int8rt.steps import View

operands = "x -> y"


def shapes(node: Node) -> list[tuple[int, ...]]:
    shape = operand(node).shape
    given = node.options.squeeze_dims
    axes = {axis_within(node, int(axis), len(shape)) for axis in (() if given is None else given)}
    if any(shape[axis] != 1 for axis in axes):
        raise ModelError(f"{node.label}: the axes {sorted(axes)} of {list(shape)} are not all of size 1")
    return [tuple(n for axis, n in enumerate(shape) if (axis not in axes if axes else n != 1))]


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    return x.reshape(node.outputs[0].shape)


def prepare(node: Node, numerics: Numerics) -> View:
    x, (y,) = operand(node), node.outputs
    same_type(node, x, y)
    return View(y, x)
