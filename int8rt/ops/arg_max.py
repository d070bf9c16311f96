"""ARG_MAX: where along an axis the largest value is; the first of equal ones. NaN counts as smaller than anything."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.jit import kernel
from int8rt.numerics import Numerics
from int8rt.ops import Call
from int8rt.simd import get, put

TYPES = ("int8", "uint8", "int32", "float32", "bool")
OUTPUT_TYPES = {2: "int32", 4: "int64"}  # of the options' output_type


def shapes(node: Node) -> list[tuple[int, ...]]:
    x, axis = _input_and_axis(node)
    return [(*x.shape[:axis], *x.shape[axis + 1 :])]


def reference(node: Node, x: np.ndarray, axis: np.ndarray) -> np.ndarray:
    _check(node)
    _, axis_ = _input_and_axis(node)
    if x.dtype == np.float32:
        # -inf must win against NaN
        order = np.where(np.isnan(x), -2, np.where(np.isneginf(x), -1, 0))
        best = np.where(order == order.max(axis_, keepdims=True), np.nan_to_num(x, nan=0, neginf=0), -np.inf)
        return np.argmax(best, axis_)
    return np.argmax(x, axis_)


def prepare(node: Node, numerics: Numerics) -> Call:
    _check(node)
    x, axis = _input_and_axis(node)
    (y,) = node.outputs
    return Call(arg_max, x, x.shape[axis], math.prod(x.shape[axis + 1 :]), y, writes=[y], work=x.size)


def _input_and_axis(node: Node) -> tuple[Tensor, int]:
    x, given = node.inputs
    if x is None or given is None or given.dtype not in (np.int32, np.int64) or given.size != 1:
        raise ModelError(f"{node.label}: inputs {node.inputs}; a tensor and one axis, int32 or int64, were expected")
    if given.data is None:
        raise ops.NotConstant(f"{node.label}: the axis {given.name!r} is not a constant")
    axis = int(given.data.reshape(-1)[0])
    if not -len(x.shape) <= axis < len(x.shape) or x.shape[axis] < 1:
        raise ModelError(f"{node.label}: no largest value along axis {axis} of {list(x.shape)}")
    return x, axis % len(x.shape)


def _check(node: Node) -> None:
    x, _ = _input_and_axis(node)
    (y,) = node.outputs
    if x.type not in TYPES:
        raise ops.refuse(node, f"{', '.join(TYPES)} inputs are supported")
    if y.type != OUTPUT_TYPES.get(node.options.output_type):
        raise ModelError(f"{node.label}: output {y!r}; the options say type {node.options.output_type}")


@kernel
def arg_max(thread: int, threads: int, x: Any, size: int, inner: int, y: Any) -> None:
    """x is seen as [outer, size, inner], y as [outer, inner]."""
    for o in range(y.size * thread // threads, y.size * (thread + 1) // threads):
        outer = o // inner
        at = outer * (size - 1) * inner + o
        best, where = get(x, at), 0
        for i in range(1, size):
            value = get(x, at + i * inner)
            if value > best or (best != best and value == value):  # NaN differs from itself
                best, where = value, i
        put(y, o, where)
