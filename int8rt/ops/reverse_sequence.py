"""REVERSE_SEQUENCE: of each batch, the first values along an axis, as many as its length says, in opposite order."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.native.kernel import kernel
from int8rt.numerics.rules import Numerics
from int8rt.ops._index import check, fault_of, in_units, report
from int8rt.ops._move import axis_within, operand, same_type
from int8rt.simd.memory import copy_within, get
from int8rt.steps import Call, Flat, Step

operands = "x[1+] lengths[1]:int32|int64 -> y"


def shapes(node: Node) -> list[tuple[int, ...]]:
    x, lengths = operand(node), operand(node, 1)
    along, batch = _axes(node)
    if along == batch or lengths.shape != (x.shape[batch],):
        raise ModelError(
            f"{node.label}: lengths {list(lengths.shape)} for axis {along} of {list(x.shape)}, batches on axis {batch}"
        )
    return [x.shape]


def reference(node: Node, x: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    _check(node)
    along, batch = _axes(node)
    check(node, "length", lengths, 0, x.shape[along])
    at = np.arange(x.shape[along])
    n = lengths.reshape(-1, 1)
    source = np.where(at < n, n - 1 - at, at)  # [batch, along]
    shape = [x.shape[axis] if axis in (along, batch) else 1 for axis in range(x.ndim)]
    return np.take_along_axis(x, (source if batch < along else source.T).reshape(shape), along)


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    _check(node)
    x, lengths, (y,) = operand(node), operand(node, 1), node.outputs
    if y.size == 0:
        return []
    along, batch = _axes(node)
    first, second = sorted((along, batch))
    where = fault_of(node, lengths, "length", 0, x.shape[along])
    parts = (0, first), (first, first + 1), (first + 1, second), (second, second + 1), (second + 1, len(x.shape))
    sizes = np.array([math.prod(x.shape[start:end]) for start, end in parts], np.int64)
    flat = in_units(x), Flat(lengths, lengths.dtype), in_units(y)
    return [Call(reverse_sequence, *flat, sizes, int(batch < along), where, writes=[y, where], work=y.size)]


def _axes(node: Node) -> tuple[int, int]:
    """The axis that is reversed and that of the batches."""
    rank = len(operand(node).shape)
    return axis_within(node, int(node.options.seq_dim), rank), axis_within(node, int(node.options.batch_dim), rank)


def _check(node: Node) -> None:
    same_type(node, operand(node), *node.outputs)


@kernel
def reverse_sequence(x: Any, lengths: Any, y: Any, sizes: Any, batch_first: int, where: Any) -> None:
    """x is seen as [outer, a, middle, b, inner]; one of a and b is the batch, the other one is reversed."""
    a_size, middle, b_size, inner = get(sizes, 1), get(sizes, 2), get(sizes, 3), get(sizes, 4)
    for outer in range(get(sizes, 0)):
        for a in range(a_size):
            for m in range(middle):
                for b in range(b_size):
                    batch, at, size = (a, b, b_size) if batch_first else (b, a, a_size)
                    length = int(get(lengths, batch))
                    if length < 0 or length > size:
                        report(where, length)
                        length = 0
                    source = length - 1 - at if at < length else at
                    a_source, b_source = (a, source) if batch_first else (source, b)
                    start = ((outer * a_size + a_source) * middle + m) * b_size + b_source
                    target = ((outer * a_size + a) * middle + m) * b_size + b
                    copy_within(x, start * inner, y, target * inner, inner)
