"""TRANSPOSE: axis i of y is axis ``perm[i]`` of x; negative ones count from the back."""

from __future__ import annotations

import numpy as np

from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops._move import axis_within, copy, integers, operand, same_type, strides
from int8rt.steps import Step

operands = "x perm -> y"


def shapes(node: Node) -> list[tuple[int, ...]]:
    x = operand(node)
    return [tuple(x.shape[axis] for axis in _permutation(node))]


def reference(node: Node, x: np.ndarray, _: np.ndarray) -> np.ndarray:
    return x.transpose(_permutation(node))


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    x, (y,) = operand(node), node.outputs
    same_type(node, x, y)
    x_strides = strides(x.shape)
    return copy(x, y, y.shape, [x_strides[axis] for axis in _permutation(node)], strides(y.shape))


def _permutation(node: Node) -> list[int]:
    rank = len(operand(node).shape)
    given = integers(node, 1, "perm")
    perm = [axis_within(node, axis, rank) for axis in given]
    if sorted(perm) != list(range(rank)):
        raise ModelError(f"{node.label}: {given} is no permutation of {rank} axes")
    return perm
