"""SIN: y = sin(x) the C library's ``sinf`` of float32; float16 through float32."""

from __future__ import annotations

import math

import numpy as np

from int8rt.graph import Node
from int8rt.native.kernel import inline
from int8rt.numerics import libm
from int8rt.numerics.rules import Numerics
from int8rt.ops import _lookup
from int8rt.ops._lookup import reals
from int8rt.steps import Step

operands = "x -> y"
by_value = True
shapes = _lookup.shapes


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    return libm.sin(x).astype(x.dtype)


def prepare(node: Node, numerics: Numerics) -> Step:
    return reals(node, sin, reference)


@inline
def sin(v: float) -> float:
    """sin(v)."""
    return math.sin(v)
