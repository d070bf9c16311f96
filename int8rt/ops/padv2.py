"""PADV2: a tensor with more of one value around it, which a third input gives, constant or not."""

from __future__ import annotations

import numpy as np

from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops import _pad
from int8rt.steps import Step

operands = "x paddings[2] value? -> y"


def shapes(node: Node) -> list[tuple[int, ...]]:
    return _pad.shapes(node)


def reference(node: Node, x: np.ndarray, paddings: np.ndarray, value: np.ndarray | None = None) -> np.ndarray:
    return _pad.reference(node, x, value)


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    return _pad.prepare(node)
