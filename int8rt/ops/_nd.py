"""What GATHER_ND, SCATTER_ND and SPARSE_TO_DENSE share: places in a tensor that rows of indices name.

Row r of the indices, [rows, depth], names the slice ``t[indices[r, 0], ..., indices[r, depth - 1]]``. For a kernel,
``dims`` is [depth, 2]: the size of each axis, and how many items apart its neighbours are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.native.kernel import inline
from int8rt.ops import _index
from int8rt.ops._move import strides
from int8rt.simd.memory import get
from int8rt.steps import fault


def dims(shape: Sequence[int], depth: int) -> np.ndarray:
    """Sizes and distances of the axes that the indices name, [depth, 2]."""
    return np.array([*zip(shape[:depth], strides(shape), strict=False)], np.int64).reshape(depth, 2)


def slice_size(shape: Sequence[int], depth: int) -> int:
    """How many items a row of indices names."""
    return math.prod(shape[depth:])


def places(node: Node, shape: Sequence[int], indices: np.ndarray) -> tuple[np.ndarray, ...]:
    """Indices [..., depth] as NumPy takes them. Raises InputError where one is out of range."""
    depth = indices.shape[-1]
    _index.check(node, "index", indices, 0, np.array(shape[:depth], np.int64) - 1)
    return tuple(np.moveaxis(indices.astype(np.int64), -1, 0))


def fault_of(node: Node, shape: Sequence[int], indices: Tensor) -> Tensor:
    """Where a kernel reports rows of indices that name no place. Raises ModelError where constants do so."""
    if indices.data is None:
        return fault(f"{node.label}: row {{}} of the indices names no place in {list(shape)}")
    return _index.fault_of(node, indices, "index", 0, np.array(shape[: indices.shape[-1]], np.int64) - 1)


def depth_of(node: Node, indices: Tensor, shape: Sequence[int]) -> int:
    """How many axes a row of indices names. Raises ModelError."""
    if indices.shape[-1] > len(shape):
        raise ModelError(f"{node.label}: indices {list(indices.shape)} do not fit {list(shape)}")
    return indices.shape[-1]


@inline
def place(indices: Any, row: int, dims: Any) -> int:
    """Where the slice begins that a row of indices names, -1 where there is none."""
    depth, at = dims.shape[0], 0
    for i in range(depth):
        index = int(get(indices, row * depth + i))
        if index < 0 or index >= get(dims, 2 * i):
            return -1
        at += index * get(dims, 2 * i + 1)
    return at
