"""RANGE: start, start + delta, start + 2 delta, ... below (or above) a limit.

As in LiteRT, each float32 value is the one before plus delta, with that rounding.
"""

from __future__ import annotations

import math

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops._move import operand, same_type
from int8rt.steps import Step

operands = "start[0] limit[0] delta[0] -> y"

TYPES = ("int32", "int64", "float32")


def shapes(node: Node) -> list[tuple[int, ...]] | None:
    given = node.given
    same_type(node, *given)
    if any(t.data is None for t in given):
        return None
    return [(_count(node, *(np.asarray(t.data) for t in given)),)]


def _count(node: Node, start: np.ndarray, limit: np.ndarray, delta: np.ndarray) -> int:
    """How many values there are. Raises ModelError where they never reach the limit."""
    if not ((start >= limit and delta < 0) or (start <= limit and delta > 0)):
        raise ModelError(f"{node.label}: from {start} to {limit} by {delta} leads nowhere")
    if start.dtype.kind == "f":
        count = np.ceil(np.abs((limit - start) / delta))
        if not np.isfinite(count):
            raise ModelError(f"{node.label}: from {start} to {limit} by {delta} has no end")
        return int(count)
    return math.ceil(abs(int(limit) - int(start)) / abs(int(delta)))


def reference(node: Node, start: np.ndarray, limit: np.ndarray, delta: np.ndarray) -> np.ndarray:
    (y,) = node.outputs
    same_type(node, operand(node), y)
    if y.type not in TYPES:
        raise ops.refuse(node, f"supported are {', '.join(TYPES)}")
    steps = np.full(_count(node, start, limit, delta), delta, start.dtype)
    steps[:1] = start
    return np.cumsum(steps, dtype=start.dtype)


def prepare(node: Node, numerics: Numerics) -> Step:
    return ops.by_reference(node, reference)
