"""TOPK_V2: the k largest values along the last axis in descending order, and where they are; of equal ones the first.

Source: TFLite's topk_v2.cc.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.native.kernel import kernel
from int8rt.numerics.rules import Numerics
from int8rt.ops._move import integer, operand
from int8rt.simd.memory import get, put
from int8rt.steps import Call

operands = "x[1+] k:int16|int32 -> values indices:int16|int32"

TYPES = ("int8", "uint8", "int16", "int32", "int64", "float32")
INDEX_TYPES = ("int16", "int32")


def shapes(node: Node) -> list[tuple[int, ...]]:
    x = operand(node)
    k = _count(node)
    return [(*x.shape[:-1], k)] * 2


def reference(node: Node, x: np.ndarray, k: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    _checked(node)
    if x.dtype.kind == "f" and np.isnan(x).any():
        where = np.apply_along_axis(_places_with_nan, -1, x, _count(node))
        return np.take_along_axis(x, where, -1), where
    last = x.shape[-1] - 1
    backwards = np.argsort(x[..., ::-1], axis=-1, kind="stable")  # so that the first of equal ones comes last
    where = (last - backwards)[..., ::-1][..., : _count(node)]
    return np.take_along_axis(x, where, -1), where


def _places_with_nan(row: np.ndarray, k: int) -> np.ndarray:
    """Where the k largest are, found one by one: a NaN is larger than nothing, and nothing is larger than a NaN."""
    found: list[int] = []
    for i, value in enumerate(row):
        if len(found) == k and not (k and value > row[found[-1]]):
            continue
        at = min(len(found), k - 1)
        while at > 0 and value > row[found[at - 1]]:
            at -= 1
        found = [*found[:at], i, *found[at:]][:k]
    return np.array(found, np.int64)


def prepare(node: Node, numerics: Numerics) -> Call:
    x = _checked(node)
    values, where = node.outputs
    return Call(largest, x, x.shape[-1], _count(node), values, where, writes=[values, where], work=4 * x.size)


def _count(node: Node) -> int:
    """How many of the largest are asked for. Raises ModelError, and NotConstant for a count of the run."""
    x = operand(node)
    k = max(integer(node, 1, "the count"), 0)
    if k > x.shape[-1]:
        raise ModelError(f"{node.label}: the {k} largest of {x.shape[-1]} values")
    return k


def _checked(node: Node) -> Tensor:
    x = operand(node)
    if x.type not in TYPES:
        raise ops.refuse(node, f"supported types are {', '.join(TYPES)}")
    if node.outputs[0].type != x.type:
        raise ModelError(f"{node.label}: the values are {node.outputs[0].type}; {x.type} was expected as the input")
    return x


@kernel
def largest(thread: int, threads: int, x: Any, size: int, k: int, values: Any, where: Any) -> None:
    """Each row's largest values so far are kept in order; most of the others are smaller than all of them."""
    rows = values.size // k if k else 0
    for row in range(rows * thread // threads, rows * (thread + 1) // threads):
        to = row * k
        for i in range(size):
            value = get(x, row * size + i)
            at = min(i, k)
            if at == k:
                if not value > get(values, to + k - 1):
                    continue
                at = k - 1
            while at > 0 and value > get(values, to + at - 1):
                put(values, to + at, get(values, to + at - 1))
                put(where, to + at, get(where, to + at - 1))
                at -= 1
            put(values, to + at, value)
            put(where, to + at, i)
