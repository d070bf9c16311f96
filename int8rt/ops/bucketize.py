"""BUCKETIZE: how many of the boundaries, which ascend, are not above a value.

As in LiteRT, integers become float32 to be compared with the float32 boundaries; NaN is above all of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.native.kernel import kernel
from int8rt.numerics.rules import Numerics
from int8rt.ops._move import operand
from int8rt.simd.memory import as_type_of, get, put
from int8rt.steps import Call, Flat

TYPES = ("int32", "int64", "float32", "float64")


operands = "x -> y"
by_value = True


def shapes(node: Node) -> list[tuple[int, ...]]:
    return [operand(node).shape]


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    boundaries = _checked(node)
    compared = x if x.dtype == np.float64 else x.astype(np.float32)
    return np.searchsorted(boundaries.astype(compared.dtype), compared, side="right")


def prepare(node: Node, numerics: Numerics) -> Call:
    boundaries = _checked(node)
    x, (y,) = operand(node), node.outputs
    flat = Flat(x, x.dtype), Flat(y, y.dtype)
    compared = np.float64 if x.dtype == np.float64 else np.float32
    return Call(bucketize, *flat, boundaries.astype(compared), writes=[y])


def _checked(node: Node) -> np.ndarray:
    x, (y,) = operand(node), node.outputs
    boundaries = np.array(node.options.boundaries, np.float32).reshape(-1)
    if x.type not in TYPES or y.dtype != np.int32:
        raise ops.refuse(node, f"supported are {', '.join(TYPES)} to int32")
    if np.isnan(boundaries).any() or (boundaries[1:] < boundaries[:-1]).any():
        raise ModelError(f"{node.label}: boundaries {boundaries.tolist()} do not ascend")
    return boundaries


@kernel
def bucketize(thread: int, threads: int, x: Any, y: Any, boundaries: Any) -> None:
    """A binary search for each value."""
    for i in range(x.shape[0] * thread // threads, x.shape[0] * (thread + 1) // threads):
        value = as_type_of(get(boundaries, 0), get(x, i))
        first, last = 0, boundaries.shape[0]
        while first < last:
            middle = (first + last) // 2
            if value < get(boundaries, middle):
                last = middle
            else:
                first = middle + 1
        put(y, i, first)
