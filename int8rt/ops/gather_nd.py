"""GATHER_ND: the slices that rows of indices name; see ``_nd``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from int8rt.graph import Node
from int8rt.native.kernel import kernel
from int8rt.numerics.rules import Numerics
from int8rt.ops import _index, _nd
from int8rt.ops._move import operand, same_type
from int8rt.simd.memory import copy_within, get, put
from int8rt.steps import Call, Flat, Step

operands = "x[1+] indices[1+]:int16|int32|int64 -> y"


def shapes(node: Node) -> list[tuple[int, ...]]:
    x, indices = operand(node), operand(node, 1)
    depth = _nd.depth_of(node, indices, x.shape)
    return [(*indices.shape[:-1], *x.shape[depth:])]


def reference(node: Node, x: np.ndarray, indices: np.ndarray) -> np.ndarray:
    _check(node)
    return x[_nd.places(node, x.shape, indices)].reshape(node.outputs[0].shape)


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    _check(node)
    x, indices, (y,) = operand(node), operand(node, 1), node.outputs
    if y.size == 0:
        return []
    depth = _nd.depth_of(node, indices, x.shape)
    where = _nd.fault_of(node, x.shape, indices)
    rows, inner = math.prod(indices.shape[:-1]), _nd.slice_size(x.shape, depth)
    flat = _index.in_units(x), Flat(indices, indices.dtype), _index.in_units(y)
    return [Call(gather_nd, *flat, rows, _nd.dims(x.shape, depth), inner, where, writes=[y, where], work=y.size)]


def _check(node: Node) -> None:
    same_type(node, operand(node), *node.outputs)


@kernel
def gather_nd(
    thread: int, threads: int, x: Any, indices: Any, y: Any, rows: int, dims: Any, inner: int, where: Any
) -> None:  # fmt: skip
    """Threads share the rows of indices."""
    for row in range(rows * thread // threads, rows * (thread + 1) // threads):
        at = _nd.place(indices, row, dims)
        if at < 0:
            _index.report(where, row)
        elif inner == 1:
            put(y, row, get(x, at))
        else:
            copy_within(x, at, y, row * inner, inner)
