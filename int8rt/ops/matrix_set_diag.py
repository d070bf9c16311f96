"""MATRIX_SET_DIAG: matrices, in the last two axes, with another diagonal."""

from __future__ import annotations

import math

import numpy as np

from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops._move import copy, operand, same_type
from int8rt.steps import Step

operands = "x[2+] diagonal[1+] -> y"


def shapes(node: Node) -> list[tuple[int, ...]]:
    x, diagonal = operand(node), operand(node, 1)
    if diagonal.shape != (*x.shape[:-2], min(x.shape[-2:])):
        raise ModelError(f"{node.label}: {list(diagonal.shape)} is not the shape of a diagonal of {list(x.shape)}")
    return [x.shape]


def reference(node: Node, x: np.ndarray, diagonal: np.ndarray) -> np.ndarray:
    _check(node)
    y = x.copy()
    n = np.arange(diagonal.shape[-1])
    y[..., n, n] = diagonal
    return y


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    """Of x, the runs between neighbours on the diagonal and the rest after the last one are copied."""
    _check(node)
    x, diagonal, (y,) = operand(node), operand(node, 1), node.outputs
    rows, cols = x.shape[-2:]
    count, n = math.prod(x.shape[:-2]), min(rows, cols)
    between = (count, n - 1, cols), (rows * cols, cols + 1, 1)
    last = (n - 1) * (cols + 1) + 1
    rest = (count, rows * cols - last), (rows * cols, 1)
    return [
        *copy(x, y, *between, between[1], 1, 1),
        *copy(x, y, *rest, rest[1], last, last),
        *copy(diagonal, y, (count, n), (n, 1), (rows * cols, cols + 1)),
    ]


def _check(node: Node) -> None:
    same_type(node, operand(node), operand(node, 1), *node.outputs)
