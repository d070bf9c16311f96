"""SLICE: the box of a tensor that begins at ``begin`` and has ``size``; a size of -1 reaches to the end."""

from __future__ import annotations

import numpy as np

from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops._move import copy, integers, operand, same_type, strides
from int8rt.steps import Step

operands = "x begin[1] size[1] -> y"


def shapes(node: Node) -> list[tuple[int, ...]]:
    return [tuple(size for _, size in _box(node))]


def reference(node: Node, x: np.ndarray, begin: np.ndarray, size: np.ndarray) -> np.ndarray:
    return x[tuple(slice(begin, begin + size) for begin, size in _box(node))]


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    x, (y,) = operand(node), node.outputs
    same_type(node, x, y)
    start = sum(begin * stride for (begin, _), stride in zip(_box(node), strides(x.shape), strict=True))
    return copy(x, y, y.shape, strides(x.shape), strides(y.shape), x_start=start)


def _box(node: Node) -> list[tuple[int, int]]:
    """(begin, size) of each axis."""
    x = operand(node)
    begins, sizes = integers(node, 1, "begin"), integers(node, 2, "size")
    if len(begins) != len(x.shape) or len(sizes) != len(x.shape):
        raise ModelError(f"{node.label}: begin {begins} and size {sizes} do not fit the rank of {list(x.shape)}")
    box = [(b, n - b if s == -1 else s) for b, s, n in zip(begins, sizes, x.shape, strict=True)]
    if any(b < 0 or s < 0 or b + s > n for (b, s), n in zip(box, x.shape, strict=True)):
        raise ModelError(f"{node.label}: begin {begins} and size {sizes} reach outside {list(x.shape)}")
    return box
