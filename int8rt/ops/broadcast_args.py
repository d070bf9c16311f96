"""BROADCAST_ARGS: the shape to which two shapes are broadcast."""

from __future__ import annotations

import numpy as np

from int8rt import ops
from int8rt.errors import InputError
from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops._move import operand, same_type
from int8rt.steps import Step

operands = "a[1]:int32|int64 b[1]:int32|int64 -> shape"


def shapes(node: Node) -> list[tuple[int, ...]]:
    a, b = operand(node), operand(node, 1)
    same_type(node, a, b, *node.outputs)
    return [(max(a.shape[0], b.shape[0]),)]


def reference(node: Node, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    rank = max(len(a), len(b))
    a, b = (np.concatenate([np.ones(rank - len(shape), shape.dtype), shape]) for shape in (a, b))
    if ((a != b) & (a != 1) & (b != 1)).any():
        raise InputError(f"{node.label}: {a.tolist()} and {b.tolist()} cannot be broadcast to one another")
    return np.where(a == 1, b, a)


def prepare(node: Node, numerics: Numerics) -> Step:
    return ops.by_reference(node, reference)
