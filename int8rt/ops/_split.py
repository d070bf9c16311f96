"""SPLIT and SPLIT_V: a tensor cut into parts along an axis."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from int8rt.graph import Node, Tensor
from int8rt.ops._move import copy, same_type
from int8rt.steps import Step


def shapes(x: Tensor, sizes: Sequence[int], axis: int) -> list[tuple[int, ...]]:
    """x's shape with each of the sizes along the axis."""
    return [(*x.shape[:axis], size, *x.shape[axis + 1 :]) for size in sizes]


def reference(node: Node, x: np.ndarray, axis: int) -> tuple[np.ndarray, ...]:
    """The parts, as large as the outputs are."""
    ends = np.cumsum([y.shape[axis] for y in node.outputs])
    return tuple(np.split(x, ends[:-1], axis))


def prepare(node: Node, x: Tensor, axis: int) -> list[Step]:
    """One copy per output."""
    same_type(node, x, *node.outputs)
    inner = math.prod(x.shape[axis + 1 :])
    count, stride = math.prod(x.shape[:axis]), x.shape[axis] * inner
    steps: list[Step] = []
    at = 0
    for y in node.outputs:
        run = y.shape[axis] * inner
        steps += copy(x, y, (count, run), (stride, 1), (run, 1), x_start=at)
        at += run
    return steps
