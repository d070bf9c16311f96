"""TILE: a tensor repeated along each axis as often as the second input says."""

from __future__ import annotations

import numpy as np

from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops._index import known
from int8rt.ops._move import copy, operand, same_type, strides
from int8rt.steps import Step

operands = "x counts -> y"


def shapes(node: Node) -> list[tuple[int, ...]] | None:
    counts = _counts(node)
    return None if counts is None else [tuple(n * m for n, m in zip(operand(node).shape, counts, strict=True))]


def reference(node: Node, x: np.ndarray, counts: np.ndarray) -> np.ndarray:
    _check(node)
    return np.tile(x, counts.reshape(-1))


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    """Each axis is one that repeats x, inside of it one that walks over x."""
    _check(node)
    x, (y,), counts = operand(node), node.outputs, _counts(node)
    assert counts is not None
    shape = [size for axis in zip(counts, x.shape, strict=True) for size in axis]
    x_strides = [stride for s in strides(x.shape) for stride in (0, s)]
    y_strides = [stride for n, s in zip(x.shape, strides(y.shape), strict=True) for stride in (n * s, s)]
    return copy(x, y, shape, x_strides, y_strides)


def _counts(node: Node) -> list[int] | None:
    counts = known(node, 1, "multiples")
    if counts is not None and (len(counts) != len(operand(node).shape) or min(counts, default=0) < 0):
        raise ModelError(
            f"{node.label}: multiples {counts} for {list(operand(node).shape)}; one per axis, 0 or more, were expected"
        )
    return counts


def _check(node: Node) -> None:
    same_type(node, operand(node), *node.outputs)
