"""SPACE_TO_DEPTH: each block of pixels becomes the channels of one pixel; see ``_depth``."""

from __future__ import annotations

import numpy as np

from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops import _depth
from int8rt.ops._move import operand
from int8rt.steps import Step

operands = "x[4] -> y"


def shapes(node: Node) -> list[tuple[int, ...]]:
    b = _depth.block_size(node)
    n, h, w, c = operand(node).shape
    if h % b or w % b:
        raise ModelError(f"{node.label}: {h} x {w} pixels are not a whole number of blocks of {b} x {b}")
    return [(n, h // b, w // b, c * b * b)]


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    _depth.check(node)
    b = _depth.block_size(node)
    n, h, w, c = x.shape
    y = x.reshape(n, h // b, b, w // b, b, c).transpose(0, 1, 3, 2, 4, 5)
    return y.reshape(n, h // b, w // b, b * b * c)


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    return _depth.prepare(node, to_depth=True)
