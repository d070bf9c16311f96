"""COS: y = cos(x) of float32, the C library's ``cosf``."""

from __future__ import annotations

import math

import numpy as np

from int8rt import libm
from int8rt.graph import Node
from int8rt.jit import inline
from int8rt.numerics import Numerics
from int8rt.ops import Step, _lookup
from int8rt.ops._lookup import check, each

shapes = _lookup.shapes


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    return libm.cos(x)


def prepare(node: Node, numerics: Numerics) -> Step:
    return each(cos, *check(node, ["float32"]))


@inline
def cos(v: float) -> float:
    """cos(v)."""
    return math.cos(v)
