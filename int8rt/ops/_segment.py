"""What SEGMENT_SUM and the UNSORTED_SEGMENT operators share: rows of x, combined by the segment they belong to."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.ops._index import check
from int8rt.ops._move import integer, operand

TYPES = ("int32", "float32")
Combine = Callable[[np.ndarray, np.ndarray], np.ndarray]


def unsorted_shape(node: Node) -> tuple[int, ...]:
    """[segments, the axes of x that the ids do not have]. Raises ModelError and NotConstant."""
    x, ids = operand(node), operand(node, 1)
    if x.shape[: len(ids.shape)] != ids.shape:
        raise ModelError(f"{node.label}: ids {list(ids.shape)} are not of the first axes of {list(x.shape)}")
    segments = integer(node, 2, "the number of segments")
    if segments < 0:
        raise ModelError(f"{node.label}: {segments} segments")
    return (segments, *x.shape[len(ids.shape) :])


def checked(node: Node) -> Tensor:
    """x. Raises ModelError and UnsupportedError."""
    x = operand(node)
    (y,) = node.outputs
    if x.type not in TYPES:
        raise ops.refuse(node, f"supported types are {', '.join(TYPES)}")
    if y.type != x.type:
        raise ModelError(f"{node.label}: the output is {y.type}; {x.type} was expected as the input")
    return x


def combined(node: Node, x: np.ndarray, ids: np.ndarray, start: float, combine: Combine) -> np.ndarray:
    """One row per segment: start, combined with the segment's rows of x in order; ids below 0 are left out."""
    (y_,) = node.outputs
    check(node, "segment id", ids, np.iinfo(np.int32).min, y_.shape[0] - 1)
    y = np.full(y_.shape, start, x.dtype)
    rows = x.reshape(ids.size, *y_.shape[1:])
    for row, segment in zip(rows, ids.reshape(-1).tolist(), strict=True):
        if segment >= 0:
            y[segment] = combine(y[segment], row)
    return y
