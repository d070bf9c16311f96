"""PADV2: a tensor with more of one value around it, which a third input gives, constant or not."""

from __future__ import annotations

import numpy as np

from int8rt.graph import Node
from int8rt.numerics import Numerics
from int8rt.ops import Step, _pad


def shapes(node: Node) -> list[tuple[int, ...]]:
    return _pad.shapes(node)


def reference(node: Node, *arrays: np.ndarray) -> np.ndarray:
    return _pad.reference(node, *arrays)


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    return _pad.prepare(node)
