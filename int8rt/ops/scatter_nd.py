"""SCATTER_ND: zeros (the stored 0, whatever the zero point) with updates added where rows of indices say; see ``_nd``.

Integers wrap, bools are joined by or; float32 updates of one place are added in the order of their rows.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.native.kernel import kernel
from int8rt.numerics.rules import Numerics
from int8rt.numerics.storage import INT8_OFFSET, storage_dtype
from int8rt.ops import _index, _nd
from int8rt.ops._move import filled, operand, same_type
from int8rt.simd.memory import get, put
from int8rt.steps import Call, Flat, Step

operands = "indices[1+]:int32|int64 updates shape[1] -> y"


def shapes(node: Node) -> list[tuple[int, ...]] | None:
    shape = _index.known_shape(node, 2)
    if shape is None:
        return None
    indices, updates = operand(node), operand(node, 1)
    depth = _nd.depth_of(node, indices, shape)
    if updates.shape != (*indices.shape[:-1], *shape[depth:]):
        raise ModelError(
            f"{node.label}: updates {list(updates.shape)} do not fit indices {list(indices.shape)} of {list(shape)}"
        )
    return [shape]


def reference(node: Node, indices: np.ndarray, updates: np.ndarray, shape: np.ndarray) -> np.ndarray:
    _check(node)
    y = np.zeros(tuple(map(int, shape)), updates.dtype)
    at = _nd.places(node, y.shape, indices)
    if updates.dtype == np.bool_:
        np.logical_or.at(y, at, updates)
    else:
        np.add.at(y, at, updates)
    return y


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    _check(node)
    indices, updates, (y,) = operand(node), operand(node, 1), node.outputs
    if y.dtype in (np.bool_, np.float16):  # which kernels do not add
        return [ops.by_reference(node, reference)]
    if y.size == 0:
        return []
    depth = _nd.depth_of(node, indices, y.shape)
    where = _nd.fault_of(node, y.shape, indices)
    rows, inner = math.prod(indices.shape[:-1]), _nd.slice_size(y.shape, depth)
    offset = INT8_OFFSET if y.dtype == np.int8 else 0
    flat = [Flat(t, storage_dtype(t.dtype)) for t in (indices, updates, y)]
    return [
        *filled(y),
        Call(scatter_nd, *flat, rows, _nd.dims(y.shape, depth), inner, offset, where, writes=[y, where]),
    ]


def _check(node: Node) -> None:
    same_type(node, operand(node, 1), *node.outputs)


@kernel
def scatter_nd(indices: Any, updates: Any, y: Any, rows: int, dims: Any, inner: int, offset: int, where: Any) -> None:
    """y holds zeros; offset is that of the storage form, of which the sum of two has one too many."""
    for row in range(rows):
        at = _nd.place(indices, row, dims)
        if at < 0:
            _index.report(where, row)
        else:
            for i in range(inner):
                put(y, at + i, get(y, at + i) + get(updates, row * inner + i) - offset)
