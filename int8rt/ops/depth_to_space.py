"""DEPTH_TO_SPACE: the channels of each pixel become a block of pixels; see ``_depth``."""

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
    if c % (b * b):
        raise ModelError(f"{node.label}: {c} channels are not a multiple of {b} x {b}")
    return [(n, h * b, w * b, c // (b * b))]


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    _depth.check(node)
    b = _depth.block_size(node)
    n, h, w, channels = x.shape
    c = channels // (b * b)
    return x.reshape(n, h, w, b, b, c).transpose(0, 1, 3, 2, 4, 5).reshape(n, h * b, w * b, c)


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    return _depth.prepare(node, to_depth=False)
