"""CUMSUM: sums along an axis, one by one, without the element itself if ``exclusive``, from the end if ``reverse``.

Integers wrap; floats are added to 0 in order. The axis may be known at run time only.

Source: TFLite's cumsum.cc.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.native.kernel import kernel
from int8rt.numerics.rules import Numerics
from int8rt.ops._move import axis_within, operand
from int8rt.simd.memory import as_type_of, get, put
from int8rt.steps import Call, Flat, Step

operands = "x[1+] axis:int32 -> y"

TYPES = ("int32", "int64", "float32")


def shapes(node: Node) -> list[tuple[int, ...]]:
    return [operand(node).shape]


def reference(node: Node, x: np.ndarray, axis: np.ndarray) -> np.ndarray:
    _checked(node)
    along = axis_within(node, int(axis.reshape(-1)[0]), x.ndim)
    values = np.moveaxis(x, along, 0)
    values = values[::-1] if node.options.reverse else values
    zero = np.zeros((1, *values.shape[1:]), x.dtype)
    sums = np.add.accumulate(np.concatenate([zero, values]), axis=0, dtype=x.dtype)
    sums = sums[:-1] if node.options.exclusive else sums[1:]
    return np.moveaxis(sums[::-1] if node.options.reverse else sums, 0, along)


def prepare(node: Node, numerics: Numerics) -> Step:
    x, axis = _checked(node)
    (y,) = node.outputs
    if axis.data is None:
        return ops.by_reference(node, reference)
    along = axis_within(node, int(axis.data.reshape(-1)[0]), len(x.shape))
    inner = math.prod(x.shape[along + 1 :])
    flags = bool(node.options.exclusive), bool(node.options.reverse)
    return Call(cumulate, *(Flat(t, t.dtype) for t in (x, y)), x.shape[along], inner, *flags, writes=[y], work=x.size)


def _checked(node: Node) -> tuple[Tensor, Tensor]:
    """The input and the axis. Raises ModelError and UnsupportedError."""
    x, axis = operand(node), operand(node, 1)
    (y,) = node.outputs
    if x.type not in TYPES:
        raise ops.refuse(node, f"supported types are {', '.join(TYPES)}")
    if y.type != x.type or axis.size != 1:
        raise ModelError(
            f"{node.label}: {node.inputs} -> {y!r}; an output as the input and one int32 axis were expected"
        )
    return x, axis


@kernel
def cumulate(thread: int, threads: int, x: Any, y: Any, size: int, inner: int, exclusive: int, reverse: int) -> None:
    """x and y are seen as [outer, size, inner]; threads share the outer and inner indices."""
    lines = x.size // size if size else 0
    for line in range(lines * thread // threads, lines * (thread + 1) // threads):
        outer = line // inner
        at = outer * (size - 1) * inner + line
        step = -inner if reverse else inner
        at += (size - 1) * inner if reverse else 0
        total = as_type_of(get(x, at), 0)
        for _ in range(size):
            after = as_type_of(total, total + get(x, at))
            put(y, at, total if exclusive else after)
            total = after
            at += step
