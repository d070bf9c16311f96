"""IMAG: the imaginary part of complex numbers."""

from __future__ import annotations

import numpy as np

from int8rt.graph import Node
from int8rt.native.kernel import inline
from int8rt.numerics.rules import Numerics
from int8rt.ops import _complex
from int8rt.steps import Step

operands = "x -> y"
by_value = True
shapes = _complex.shapes


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    return x.imag


def prepare(node: Node, numerics: Numerics) -> Step:
    return _complex.step(node, imaginary_part)


@inline
def imaginary_part(re: float, im: float) -> float:
    """The imaginary part."""
    return im
