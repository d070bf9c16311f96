"""What STABLEHLO_GATHER and STABLEHLO_SCATTER share: index vectors along one axis of a tensor of integers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor


def check_axes(node: Node, what: str, axes: Sequence[int], rank: int) -> None:
    """Raise ModelError unless the axes are different ones of a tensor of this rank."""
    if len(set(axes)) != len(axes) or any(not 0 <= axis < rank for axis in axes):
        raise ModelError(f"{node.label}: {what} are {list(axes)}; different axes of 0 to {rank - 1} were expected")


def rows_shape(node: Node, indices: Tensor) -> tuple[int, ...]:
    """The shape of the tensor less the axis of its index vectors. Raises ModelError."""
    axis, rank = node.options.index_vector_dim, len(indices.shape)
    if not 0 <= axis <= rank:
        raise ModelError(f"{node.label}: index vectors along axis {axis} of {indices!r}")
    return (*indices.shape[:axis], *indices.shape[axis + 1 :])


def starts(node: Node, indices: np.ndarray, rank: int, axes: Sequence[int]) -> np.ndarray:
    """int64 [rows' axes, rank]: the index vectors as positions on all axes, 0 where they say nothing.

    An ``index_vector_dim`` behind the last axis means index vectors of one value. Raises ModelError.
    """
    along = node.options.index_vector_dim
    vectors = indices[..., None] if along == indices.ndim else np.moveaxis(indices, along, -1)
    check_axes(node, "axes of index vectors", axes, rank)
    if vectors.shape[-1] != len(axes):
        raise ModelError(f"{node.label}: index vectors of {vectors.shape[-1]} values for axes {list(axes)}")
    result = np.zeros((*vectors.shape[:-1], rank), np.int64)
    result[..., list(axes)] = vectors
    return result
