"""UNSORTED_SEGMENT_PROD: the products of the rows of x that belong to one segment; ids below 0 belong to none.

An empty segment has 1; integers wrap. Runs by its reference.

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
    checked(node)
    return combined(node, x, ids, 1, np.multiply)


def prepare(node: Node, numerics: Numerics) -> PythonCall:
    checked(node)
    return ops.by_reference(node, reference)
