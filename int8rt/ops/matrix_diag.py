"""MATRIX_DIAG: the last axis becomes the diagonal of a matrix that is 0 elsewhere, whatever the zero point."""

from __future__ import annotations

import math

import numpy as np

from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops._move import copy, filled, operand, same_type
from int8rt.steps import Step

operands = "x[1+] -> y"


def shapes(node: Node) -> list[tuple[int, ...]]:
    shape = operand(node).shape
    return [(*shape, shape[-1])]


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    _check(node)
    y = np.zeros((*x.shape, x.shape[-1]), x.dtype)
    n = np.arange(x.shape[-1])
    y[..., n, n] = x
    return y


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    _check(node)
    x, (y,) = operand(node), node.outputs
    n, count = x.shape[-1], math.prod(x.shape[:-1])
    if n == 1:
        return copy(x, y, (count,), (1,), (1,))
    return filled(y) + copy(x, y, (count, n), (n, 1), (n * n, n + 1))


def _check(node: Node) -> None:
    same_type(node, operand(node), *node.outputs)
