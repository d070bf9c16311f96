"""STABLEHLO_SCATTER: x, with windows of updates put or worked into it where rows of the second input say.

    y[start(row) + window] = f(y[start(row) + window], updates[row and window])        one update after another

``update_window_dims`` are the axes of the updates that run along a window, which has size 1 along the axes of x in
``inserted_window_dims``; the others run over the rows of indices. What lies outside of x is left out. f is the one
operator of a subgraph: an addition, a product, the smaller or the larger value, or, without operator, the update.
Runs by its reference.

Source: StableHLO's specification of scatter; TFLite's stablehlo_scatter.cc.
"""

from __future__ import annotations

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops._index_vectors import check_axes, rows_shape, starts
from int8rt.ops._move import operand, same_type
from int8rt.ops._stablehlo import NUMBERS
from int8rt.steps import PythonCall

operands = "x indices:int32|int64 updates -> y"

COMPUTATIONS: dict[str, np.ufunc] = {
    "STABLEHLO_ADD": np.add, "STABLEHLO_MULTIPLY": np.multiply,
    "STABLEHLO_MAXIMUM": np.maximum, "STABLEHLO_MINIMUM": np.minimum,
}  # fmt: skip


def shapes(node: Node) -> list[tuple[int, ...]]:
    x, indices, updates = (operand(node, i) for i in range(3))
    o, rank = node.options, len(updates.shape)
    check_axes(node, "update_window_dims", o.update_window_dims, rank)
    check_axes(node, "inserted_window_dims", o.inserted_window_dims, len(x.shape))
    rows = tuple(n for axis, n in enumerate(updates.shape) if axis not in o.update_window_dims)
    if rows != rows_shape(node, indices) or len(o.update_window_dims) + len(o.inserted_window_dims) != len(x.shape):
        raise ModelError(
            f"{node.label}: updates {list(updates.shape)} with windows along {list(o.update_window_dims)} do not fit "
            f"indices {list(indices.shape)} and {list(x.shape)} less axes {list(o.inserted_window_dims)}"
        )
    return [x.shape]


def reference(node: Node, x: np.ndarray, indices: np.ndarray, updates: np.ndarray) -> np.ndarray:
    computation, o = _computation(node), node.options
    start = starts(node, indices, x.ndim, o.scatter_dims_to_operand_dims)
    window = [axis for axis in range(x.ndim) if axis not in o.inserted_window_dims]
    rows = [axis for axis in range(updates.ndim) if axis not in o.update_window_dims]
    places = np.indices(updates.shape)  # [axes of updates, *updates.shape]
    at = start[tuple(places[axis] for axis in rows)]  # [*updates.shape, axes of x]
    at = np.broadcast_to(at, (*updates.shape, x.ndim)).copy()
    for axis, along in zip(window, o.update_window_dims, strict=True):
        at[..., axis] += places[along]
    inside = ((at >= 0) & (at < np.array(x.shape, np.int64))).all(-1)
    if computation in (np.maximum, np.minimum):  # C++ keeps the first of two that cannot be compared
        inside &= ~np.isnan(updates)
    y = x.copy()
    where, values = tuple(at[inside].T), updates[inside]
    if computation is None:
        y[where] = values
    else:
        computation.at(y, where, values)
    return y


def prepare(node: Node, numerics: Numerics) -> PythonCall:
    x, (y,) = operand(node), node.outputs
    for t in (operand(node, 2), y):
        same_type(node, x, t)
    if x.type not in NUMBERS:
        raise ops.refuse(node, f"supported are {', '.join(NUMBERS)}")
    _computation(node)
    return ops.by_reference(node, reference)


def _computation(node: Node) -> np.ufunc | None:
    """What is done with an update, a ufunc; None where it is put in place. Raises UnsupportedError."""
    inner = [n.op for n in node.subgraphs[0].nodes]
    if len(inner) > 1 or any(op not in COMPUTATIONS for op in inner):
        raise ops.refuse(
            node, f"it computes {', '.join(inner)}; supported is one of {', '.join(COMPUTATIONS)}, or none"
        )
    return COMPUTATIONS[inner[0]] if inner else None
