"""UNSORTED_SEGMENT_MIN: the smallest values of the rows of x that belong to one segment; ids below 0 belong to none.

An empty segment has the greatest finite value; NaN is left out. Runs by its reference.

Source: TFLite's unsorted_segment.cc.
"""

from __future__ import annotations

import numpy as np

from int8rt import ops
from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops._segment import checked, combined, unsorted_shape
from int8rt.steps import PythonCall

operands = "x ids:int32 segments:int32 -> y"


def shapes(node: Node) -> list[tuple[int, ...]]:
    return [unsorted_shape(node)]


def reference(node: Node, x: np.ndarray, ids: np.ndarray, segments: np.ndarray) -> np.ndarray:
    x_ = checked(node)
    return combined(
        node,
        x,
        ids,
        np.finfo(np.float32).max if x_.type == "float32" else 2**31 - 1,
        lambda a, b: np.where(b < a, b, a),
    )


def prepare(node: Node, numerics: Numerics) -> PythonCall:
    checked(node)
    return ops.by_reference(node, reference)
