"""BATCH_TO_SPACE_ND: batches become positions within blocks of the space, which is then cropped; see ``_batches``."""

from __future__ import annotations

import numpy as np

from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops import _batches
from int8rt.ops._move import operand
from int8rt.steps import Step

operands = "x block[1] crops[2] -> y"


def shapes(node: Node) -> list[tuple[int, ...]] | None:
    b, x = _batches.blocks(node), operand(node)
    if b is None:
        return None
    sizes = zip(x.shape[1:], b.sizes, b.before, b.after, strict=False)
    space = [n * size - before - after for n, size, before, after in sizes]
    if x.shape[0] % b.number or min(space, default=0) < 0:
        raise ModelError(f"{node.label}: {list(x.shape)} with blocks {b.sizes}, crops {b.before} and {b.after}")
    return [(x.shape[0] // b.number, *space, *x.shape[1 + len(space) :])]


def reference(node: Node, x: np.ndarray, block: np.ndarray, crops: np.ndarray) -> np.ndarray:
    b = _batches.checked(node)
    dims, n = len(b.sizes), x.shape[0] // b.number
    rest = x.shape[1 + dims :]
    axes = [dims, *(axis for i in range(dims) for axis in (dims + 1 + i, i)), *range(2 * dims + 1, len(x.shape) + dims)]
    y = x.reshape(*b.sizes, n, *x.shape[1:]).transpose(axes)
    y = y.reshape(n, *(size * count for size, count in zip(b.sizes, x.shape[1:], strict=False)), *rest)
    edges = zip(b.before, b.after, y.shape[1:], strict=False)
    inside = slice(None), *(slice(before, size - after) for before, after, size in edges)
    return y[inside]


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    x, (y,) = operand(node), node.outputs
    return _batches.copies(_batches.checked(node), y, x, to_batches=False)
