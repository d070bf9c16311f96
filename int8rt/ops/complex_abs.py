"""COMPLEX_ABS: the magnitude of complex numbers: the C library's ``hypotf``, of complex128 ``hypot``."""

from __future__ import annotations

import math

import numpy as np

from int8rt.graph import Node
from int8rt.native.kernel import inline
from int8rt.numerics import libm
from int8rt.numerics.rules import Numerics
from int8rt.ops import _complex
from int8rt.steps import Step

operands = "x -> y"
by_value = True
shapes = _complex.shapes


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    if x.dtype == np.complex64:
        return libm.hypot(x.real, x.imag)
    return np.hypot(x.real, x.imag)


def prepare(node: Node, numerics: Numerics) -> Step:
    return _complex.step(node, magnitude)


@inline
def magnitude(re: float, im: float) -> float:
    """The distance from 0."""
    return math.hypot(re, im)
