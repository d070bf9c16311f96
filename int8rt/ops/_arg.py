"""What ARG_MAX and ARG_MIN share: where along an axis the best value is; the first of equal ones.

NaN counts as worse than anything.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.native.kernel import Inline, Kernel, inline, kernel_factory
from int8rt.simd.memory import get, put
from int8rt.steps import Call

TYPES = ("int8", "uint8", "int32", "float32", "bool")
OUTPUT_TYPES = {2: "int32", 4: "int64"}  # of the options' output_type


def shape(node: Node) -> tuple[int, ...]:
    """That of x without the axis. Raises ModelError and NotConstant."""
    x, axis = _input_and_axis(node)
    return (*x.shape[:axis], *x.shape[axis + 1 :])


def reference(node: Node, x: np.ndarray, better: np.ufunc) -> np.ndarray:
    """The positions by which no later value is ``better``."""
    _check(node)
    _, axis = _input_and_axis(node)
    values = np.moveaxis(x, axis, 0)
    best, where = values[0], np.zeros(values.shape[1:], np.int64)
    for i, value in enumerate(values):
        wins = better(value, best) | ((best != best) & (value == value))  # NaN differs from itself
        best, where = np.where(wins, value, best), np.where(wins, i, where)
    return where


def prepare(node: Node, better: Inline) -> Call:
    """The Call that compares by ``better(value, best so far)``."""
    _check(node)
    x, axis = _input_and_axis(node)
    (y,) = node.outputs
    return Call(position(better), x, x.shape[axis], math.prod(x.shape[axis + 1 :]), y, writes=[y], work=x.size)


def _input_and_axis(node: Node) -> tuple[Tensor, int]:
    """The input and the axis, counted from the front. Raises ModelError, and NotConstant for an axis of the run."""
    x, given = node.given
    if given.size != 1:
        raise ModelError(f"{node.label}: the axes are {given!r}; one was expected")
    if given.data is None:
        raise ops.NotConstant(f"{node.label}: the axis {given.name!r} is not a constant")
    axis = int(given.data.reshape(-1)[0])
    if not -len(x.shape) <= axis < len(x.shape) or x.shape[axis] < 1:
        raise ModelError(f"{node.label}: no best value along axis {axis} of {list(x.shape)}")
    return x, axis % len(x.shape)


def _check(node: Node) -> None:
    x, _ = _input_and_axis(node)
    (y,) = node.outputs
    if x.type not in TYPES:
        raise ops.refuse(node, f"{', '.join(TYPES)} inputs are supported")
    if y.type != OUTPUT_TYPES.get(node.options.output_type):
        raise ModelError(f"{node.label}: output {y!r}; the options say type {node.options.output_type}")


@inline
def greater(a: Any, b: Any) -> Any:
    """Whether a is better for ARG_MAX."""
    return a > b


@inline
def less(a: Any, b: Any) -> Any:
    """Whether a is better for ARG_MIN."""
    return a < b


@kernel_factory
def position(better: Inline) -> Kernel:
    """The kernel that compares by ``better``."""

    def arg(thread: int, threads: int, x: Any, size: int, inner: int, y: Any) -> None:
        """x is seen as [outer, size, inner], y as [outer, inner]."""
        for o in range(y.size * thread // threads, y.size * (thread + 1) // threads):
            outer = o // inner
            at = outer * (size - 1) * inner + o
            best, where = get(x, at), 0
            for i in range(1, size):
                value = get(x, at + i * inner)
                if better(value, best) or (best != best and value == value):  # NaN differs from itself
                    best, where = value, i
            put(y, o, where)

    return Kernel(arg)
