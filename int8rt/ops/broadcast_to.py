"""BROADCAST_TO: a tensor in the shape that the second input holds; axes of size 1, and missing ones, are repeated."""

from __future__ import annotations

import numpy as np

from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops._index import known_shape
from int8rt.ops._move import copy, operand, same_type, strides
from int8rt.steps import Step

operands = "x shape[1] -> y"


def shapes(node: Node) -> list[tuple[int, ...]] | None:
    x, shape = operand(node), known_shape(node, 1)
    if shape is None:
        return None
    padded = (1,) * (len(shape) - len(x.shape)) + x.shape
    if len(padded) != len(shape) or any(n not in (1, wanted) for n, wanted in zip(padded, shape, strict=True)):
        raise ModelError(f"{node.label}: {list(x.shape)} cannot be broadcast to {list(shape)}")
    return [shape]


def reference(node: Node, x: np.ndarray, shape: np.ndarray) -> np.ndarray:
    _check(node)
    return np.broadcast_to(x, tuple(map(int, shape)))


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    _check(node)
    x, (y,) = operand(node), node.outputs
    new = len(y.shape) - len(x.shape)
    x_strides = [0] * new + [0 if n == 1 else s for n, s in zip(x.shape, strides(x.shape), strict=True)]
    return copy(x, y, y.shape, x_strides, strides(y.shape))


def _check(node: Node) -> None:
    same_type(node, operand(node), *node.outputs)
