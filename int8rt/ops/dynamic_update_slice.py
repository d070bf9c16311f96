"""DYNAMIC_UPDATE_SLICE: a tensor with a box of it replaced, whose corner arrives at run time.

The corner is moved so that the box lies inside the tensor.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.native.kernel import kernel
from int8rt.numerics.rules import Numerics
from int8rt.ops._index import in_units
from int8rt.ops._move import operand, same_type, strides
from int8rt.simd.memory import copy_within, get
from int8rt.steps import Call, Flat, Step, View

operands = "x update start[1]:int32|int64 -> y"


def shapes(node: Node) -> list[tuple[int, ...]]:
    x, update, start = operand(node), operand(node, 1), operand(node, 2)
    fits = len(x.shape) == len(update.shape) and all(u <= n for n, u in zip(x.shape, update.shape, strict=True))
    if not fits or start.shape != (len(x.shape),):
        raise ModelError(
            f"{node.label}: an update of {list(update.shape)} at {list(start.shape)} does not fit {list(x.shape)}"
        )
    return [x.shape]


def reference(node: Node, x: np.ndarray, update: np.ndarray, start: np.ndarray) -> np.ndarray:
    _check(node)
    corner = [int(np.clip(s, 0, n - u)) for s, n, u in zip(start, x.shape, update.shape, strict=True)]
    y = x.copy()
    y[tuple(slice(c, c + u) for c, u in zip(corner, update.shape, strict=True))] = update
    return y


def prepare(node: Node, numerics: Numerics) -> Step:
    _check(node)
    x, update, start, (y,) = operand(node), operand(node, 1), operand(node, 2), node.outputs
    if update.shape == x.shape:
        return View(y, update)
    steps = zip(x.shape, update.shape, strides(x.shape), strict=True)
    axes = np.array([(u, n - u, stride) for n, u, stride in steps], np.int64)
    flat = in_units(x), in_units(update), Flat(start, start.dtype), in_units(y)
    rows = math.prod(update.shape[:-1]) if update.size else 0
    return Call(update_slice, *flat, axes, rows, writes=[y], in_place=None if x.is_constant else x, work=x.size)


def _check(node: Node) -> None:
    same_type(node, operand(node), operand(node, 1), *node.outputs)


@kernel
def update_slice(x: Any, update: Any, start: Any, y: Any, axes: Any, rows: int) -> None:
    """axes [rank, 3]: the size of the update, the largest start, and the distance between neighbours in y."""
    copy_within(x, 0, y, 0, x.shape[0])
    rank = axes.shape[0]
    corner = 0
    for axis in range(rank):
        corner += min(max(int(get(start, axis)), 0), get(axes, 3 * axis + 1)) * get(axes, 3 * axis + 2)
    run = get(axes, 3 * rank - 3)
    for row in range(rows):
        at, rest = corner, row
        for axis in range(rank - 2, -1, -1):
            size = get(axes, 3 * axis)
            above = rest // size
            at += (rest - above * size) * get(axes, 3 * axis + 2)
            rest = above
        copy_within(update, row * run, y, at, run)
