"""UNIQUE: the different values of a vector in the order in which they first appear, and which one each element is."""

from __future__ import annotations

import numpy as np

from int8rt import ops
from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops._move import operand, same_type
from int8rt.steps import Step

operands = "x[1] -> y indices"


def shapes(node: Node) -> list[tuple[int, ...]] | None:
    """Known only together with the vector's values."""
    x = operand(node)
    same_type(node, x, node.outputs[0])
    return None if x.data is None else [(len(np.unique(x.data, equal_nan=False)),), x.shape]


def reference(node: Node, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    _, first, which = np.unique(x, return_index=True, return_inverse=True, equal_nan=False)
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return x[np.sort(first)], place[which]


def prepare(node: Node, numerics: Numerics) -> Step:
    return ops.by_reference(node, reference)
