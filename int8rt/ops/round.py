"""ROUND: the nearest integer, halves to even. BUILTIN_REF has no such operator, LiteRT's BUILTIN has.

As it adds 1 to what lies below, values from -1/2 to 0 become +0.
"""

from __future__ import annotations

import numpy as np

from int8rt.graph import Node
from int8rt.native.kernel import inline
from int8rt.numerics.rules import Numerics
from int8rt.ops import _lookup
from int8rt.ops._lookup import reals
from int8rt.steps import Step

operands = "x -> y"
by_value = True
shapes = _lookup.shapes


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    below = np.floor(x)
    rest = x - below
    stays = (rest < 0.5) | ((rest == 0.5) & (np.floor(below / 2) * 2 == below))
    return np.where(stays, below, below + x.dtype.type(1))


def prepare(node: Node, numerics: Numerics) -> Step:
    return reals(node, round_half_even, reference)


@inline
def round_half_even(v: float) -> float:
    """The nearest integer, the even one of two."""
    half = np.float32(0.5)
    below = np.floor(v)
    rest = v - below
    stays = rest < half or (rest == half and np.floor(below * half) == below * half)
    return below if stays else below + np.float32(1)
