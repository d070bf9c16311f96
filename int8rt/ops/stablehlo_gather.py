"""STABLEHLO_GATHER: slices of one size, cut out of x where rows of the second input say.

    y[batch and offset] = x[start(batch) + offset]        start is moved so that the whole slice lies inside x

``offset_dims`` are the axes of y that run along a slice, less those of ``collapsed_slice_dims``, along which it is one
element thick; the others run over the rows of indices, whose values lie along ``index_vector_dim`` and are positions on
the axes of x in ``start_index_map``. Runs by its reference.

Source: StableHLO's specification of gather; TFLite's stablehlo_gather.cc.
"""

from __future__ import annotations

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops._index_vectors import check_axes, rows_shape, starts
from int8rt.ops._move import operand, same_type
from int8rt.steps import PythonCall

operands = "x indices:int32|int64 -> y"


def shapes(node: Node) -> list[tuple[int, ...]]:
    x, indices, o = operand(node), operand(node, 1), node.options
    rows = list(rows_shape(node, indices))
    rank = len(rows) + len(o.offset_dims)
    check_axes(node, "collapsed_slice_dims", o.collapsed_slice_dims, len(x.shape))
    check_axes(node, "offset_dims", o.offset_dims, rank)
    slices = [int(n) for n in o.slice_sizes]
    if len(slices) != len(x.shape) or any(not 0 <= n <= size for n, size in zip(slices, x.shape, strict=True)):
        raise ModelError(f"{node.label}: slices of {slices} do not fit into {list(x.shape)}")
    kept = [n for axis, n in enumerate(slices) if axis not in o.collapsed_slice_dims]
    if len(kept) != len(o.offset_dims) or any(slices[axis] != 1 for axis in o.collapsed_slice_dims):
        raise ModelError(
            f"{node.label}: slices of {slices} without axes {list(o.collapsed_slice_dims)}, which were expected to be "
            f"of size 1, do not fit the offset_dims {list(o.offset_dims)}"
        )
    return [tuple(kept.pop(0) if axis in o.offset_dims else rows.pop(0) for axis in range(rank))]


def reference(node: Node, x: np.ndarray, indices: np.ndarray) -> np.ndarray:
    o = node.options
    sizes = np.array(o.slice_sizes, np.int64)
    start = starts(node, indices, x.ndim, o.start_index_map).clip(0, np.array(x.shape) - sizes)
    batch = start.shape[:-1]
    kept = [axis for axis in range(x.ndim) if axis not in o.collapsed_slice_dims]
    at = []
    for axis in range(x.ndim):
        along = [int(sizes[axis]) if k == axis else 1 for k in kept]
        offset = np.arange(sizes[axis]).reshape(along)
        at.append(start[..., axis].reshape(*batch, *[1] * len(kept)) + offset)
    y = np.broadcast_to(x[tuple(at)], (*batch, *(int(sizes[axis]) for axis in kept)))
    return np.moveaxis(y, range(len(batch), y.ndim), sorted(o.offset_dims))


def prepare(node: Node, numerics: Numerics) -> PythonCall:
    same_type(node, operand(node), node.outputs[0])
    return ops.by_reference(node, reference)
