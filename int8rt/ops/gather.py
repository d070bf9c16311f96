"""GATHER: the slices along an axis that a tensor of indices names, batch by batch where the axis has batches before it.

y[b, o, i, k] = x[b, o, indices[b, i], k]
"""

from __future__ import annotations

import math

import numpy as np

from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops import _index
from int8rt.ops._move import axis_within, operand, same_type
from int8rt.steps import Step

operands = "x indices:int16|int32|int64 -> y"


def shapes(node: Node) -> list[tuple[int, ...]]:
    x, indices = operand(node), operand(node, 1)
    axis, batches = _axes(node)
    return [(*x.shape[:axis], *indices.shape[batches:], *x.shape[axis + 1 :])]


def reference(node: Node, x: np.ndarray, indices: np.ndarray) -> np.ndarray:
    _check(node)
    _index.check(node, "index", indices, 0, operand(node).shape[_axes(node)[0]] - 1)
    b, o, size, count, k = _sizes(node)
    y = np.take_along_axis(x.reshape(b, o, size, k), indices.astype(np.int64).reshape(b, 1, count, 1), 2)
    return y.reshape(node.outputs[0].shape)


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    _check(node)
    x, indices, (y,) = operand(node), operand(node, 1), node.outputs
    return [_index.gather(node, x, indices, y, _sizes(node))] if y.size else []


def _axes(node: Node) -> tuple[int, int]:
    """The axis, and how many axes before it are batches."""
    x, indices = operand(node), operand(node, 1)
    axis = axis_within(node, int(node.options.axis), len(x.shape))
    batches = int(node.options.batch_dims)
    batches += len(indices.shape) if batches < 0 else 0
    if not 0 <= batches <= min(axis, len(indices.shape)) or x.shape[:batches] != indices.shape[:batches]:
        raise ModelError(
            f"{node.label}: {batches} batch axes before axis {axis} of {list(x.shape)}, indices {list(indices.shape)}"
        )
    return axis, batches


def _sizes(node: Node) -> tuple[int, int, int, int, int]:
    x, indices = operand(node), operand(node, 1)
    axis, batches = _axes(node)
    outer, inner = math.prod(x.shape[batches:axis]), math.prod(x.shape[axis + 1 :])
    return math.prod(x.shape[:batches]), outer, x.shape[axis], math.prod(indices.shape[batches:]), inner


def _check(node: Node) -> None:
    same_type(node, operand(node), *node.outputs)
