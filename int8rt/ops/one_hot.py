"""ONE_HOT: along an axis of its own, the value ``on`` where the index says and ``off`` elsewhere.

    y[p, d, s] = on if indices[p, s] == d else off

An index that is not one of the axis's gives ``off`` alone.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.native.kernel import kernel
from int8rt.numerics.rules import Numerics
from int8rt.ops._index import in_units, known
from int8rt.ops._move import axis_within, copy, operand, same_type, strides
from int8rt.simd.memory import get, put
from int8rt.steps import Call, Flat, Step

operands = "indices:int32|int64 depth on off -> y"


def shapes(node: Node) -> list[tuple[int, ...]] | None:
    indices, depth = operand(node), known(node, 1, "depth")
    if depth is None:
        return None
    if len(depth) != 1 or depth[0] < 0:
        raise ModelError(f"{node.label}: depth {depth}; one number of 0 or more was expected")
    axis = _axis(node)
    return [(*indices.shape[:axis], depth[0], *indices.shape[axis:])]


def reference(node: Node, indices: np.ndarray, depth: np.ndarray, on: np.ndarray, off: np.ndarray) -> np.ndarray:
    _check(node)
    axis = _axis(node)
    places = np.arange(int(depth.reshape(()))).reshape(-1, *[1] * (indices.ndim - axis))
    return np.where(np.expand_dims(indices, axis) == places, on.reshape(()), off.reshape(()))


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    _check(node)
    indices, on, off, (y,) = operand(node), operand(node, 2), operand(node, 3), node.outputs
    if y.size == 0:
        return []
    axis = _axis(node)
    inner, depth = math.prod(y.shape[axis + 1 :]), y.shape[axis]
    call = Call(one_hot, Flat(indices, indices.dtype), in_units(on), in_units(y), depth, inner, writes=[y])
    return [*copy(off, y, y.shape, [0] * len(y.shape), strides(y.shape)), call]


def _axis(node: Node) -> int:
    return axis_within(node, int(node.options.axis), len(operand(node).shape) + 1)


def _check(node: Node) -> None:
    on, off = operand(node, 2), operand(node, 3)
    same_type(node, on, off, *node.outputs)
    if on.size != 1 or off.size != 1:
        raise ModelError(f"{node.label}: {list(on.shape)} and {list(off.shape)}; single on and off were expected")


@kernel
def one_hot(thread: int, threads: int, indices: Any, on: Any, y: Any, depth: int, inner: int) -> None:
    """y [outer, depth, inner] holds the off value."""
    value = get(on, 0)
    count = indices.shape[0]
    for i in range(count * thread // threads, count * (thread + 1) // threads):
        index = int(get(indices, i))
        if 0 <= index < depth:
            outer = i // inner
            put(y, outer * (depth - 1) * inner + index * inner + i, value)
