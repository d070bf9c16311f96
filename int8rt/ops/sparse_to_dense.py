"""SPARSE_TO_DENSE: a tensor of one default value with others where rows of indices say; see ``_nd``.

Indices are [rows, depth], or [rows] or a scalar for a vector; one value may stand for all rows. Of several values for
one place the last one stays.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.native.kernel import kernel
from int8rt.numerics.rules import Numerics
from int8rt.ops import _index, _nd
from int8rt.ops._move import copy, operand, same_type, strides
from int8rt.simd.memory import get, put
from int8rt.steps import Call, Flat, Step

operands = "indices[0-2]:int32|int64 shape[1] values[0-1] default -> y"


def shapes(node: Node) -> list[tuple[int, ...]] | None:
    indices, values, default = operand(node), operand(node, 2), operand(node, 3)
    shape = _index.known_shape(node, 1)
    if shape is None:
        return None
    rows, depth = _rows(node)
    if depth != len(shape) or values.shape not in ((), (rows,)) or default.size != 1:
        found = [list(t.shape) for t in (indices, values, default)]
        raise ModelError(f"{node.label}: indices, values and default of {found} do not fit {list(shape)}")
    return [shape]


def reference(
    node: Node, indices: np.ndarray, shape: np.ndarray, values: np.ndarray, default: np.ndarray
) -> np.ndarray:
    _check(node)
    y = np.full(tuple(map(int, shape)), default.reshape(()), values.dtype)
    rows = indices.reshape(_rows(node))
    at = _nd.places(node, y.shape, rows)
    for row, value in enumerate(np.broadcast_to(values, len(rows))):
        y[tuple(axis[row] for axis in at)] = value
    return y


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    _check(node)
    indices, values, default, (y,) = operand(node), operand(node, 2), operand(node, 3), node.outputs
    if y.size == 0:
        return []
    rows, depth = _rows(node)
    where = _nd.fault_of(node, y.shape, dataclasses.replace(indices, shape=(rows, depth), data=_as_rows(node)))
    step = int(values.shape != ())
    flat = Flat(indices, indices.dtype), _index.in_units(values), _index.in_units(y)
    return [
        *copy(default, y, y.shape, [0] * len(y.shape), strides(y.shape)),
        Call(sparse_to_dense, *flat, rows, _nd.dims(y.shape, depth), step, where, writes=[y, where]),
    ]


def _rows(node: Node) -> tuple[int, int]:
    """The shape of the indices as [rows, depth]."""
    indices = operand(node)
    return (indices.shape[0], indices.shape[1]) if len(indices.shape) == 2 else (indices.size, 1)


def _as_rows(node: Node) -> np.ndarray | None:
    data = operand(node).data
    return None if data is None else data.reshape(_rows(node))


def _check(node: Node) -> None:
    same_type(node, operand(node, 2), operand(node, 3), *node.outputs)


@kernel
def sparse_to_dense(indices: Any, values: Any, y: Any, rows: int, dims: Any, step: int, where: Any) -> None:
    """y holds the default value."""
    for row in range(rows):
        at = _nd.place(indices, row, dims)
        if at < 0:
            _index.report(where, row)
        else:
            put(y, at, get(values, row * step))
