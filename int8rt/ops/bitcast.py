"""BITCAST: the same bytes as elements of another type.

Where sizes differ, the last axis goes or appears: one element of 4 bytes is [4] of 1 byte.
"""

from __future__ import annotations

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.numerics.rules import Numerics
from int8rt.ops._lookup import table, unary
from int8rt.steps import Step, View

operands = "x -> y"

EIGHT_BITS = (np.int8, np.uint8)


def shapes(node: Node) -> list[tuple[int, ...]]:
    x, y = unary(node)
    for t in (x, y):
        if t.type_name or t.dtype == np.bool_:
            raise ops.refuse(node, f"{t.type} is not supported")
    size_x, size_y = x.dtype.itemsize, y.dtype.itemsize
    if size_x >= size_y:
        return [x.shape if size_x == size_y else (*x.shape, size_x // size_y)]
    if not x.shape or x.shape[-1] != size_y // size_x:
        wanted = f"for {y.type} the last axis must have {size_y // size_x}"
        raise ModelError(f"{node.label}: the input has shape {list(x.shape)}; {wanted}")
    return [x.shape[:-1]]


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    (y,) = node.outputs
    if x.dtype.itemsize == y.dtype.itemsize:
        return x.view(y.dtype)
    return np.frombuffer(x.tobytes(), y.dtype).reshape(y.shape)


def prepare(node: Node, numerics: Numerics) -> Step:
    x, y = unary(node)
    if _as_it_is(x) == _as_it_is(y):
        return View(y, x)
    if x.dtype in EIGHT_BITS and y.dtype in EIGHT_BITS:
        return table(node, reference)
    return ops.by_reference(node, reference)


def _as_it_is(t: Tensor) -> bool:
    """Whether a running program holds the bytes that the tensor has."""
    return t.dtype != np.int8
