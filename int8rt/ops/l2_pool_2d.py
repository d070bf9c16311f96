"""L2_POOL_2D: the root of the mean of squares under a window that slides over an NHWC image, float32.

    y = clamp(sqrt(sum over h, w of x^2 / count))

Taps outside the image neither add nor count.
"""

from __future__ import annotations

import math

import numpy as np

from int8rt import ops
from int8rt.graph import Node
from int8rt.native.kernel import inline
from int8rt.numerics.rules import Numerics
from int8rt.ops._pool import check, clamp, float_mean, mean_of_floats, pool
from int8rt.steps import Call

operands = "x[4] -> y"


def shapes(node: Node) -> list[tuple[int, ...]]:
    x, g = pool(node)
    return [(x.shape[0], g.out_h, g.out_w, x.shape[3])]


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    _check(node)
    return clamp(node, np.sqrt(float_mean(node, x * x)))


def prepare(node: Node, numerics: Numerics) -> Call:
    _check(node)
    return mean_of_floats(node, square, root)


def _check(node: Node) -> None:
    if node.inputs[0] is None or node.inputs[0].dtype != np.float32:
        raise ops.refuse(node, "the supported type is float32")
    check(node)


@inline
def square(v: float) -> float:
    """v * v."""
    return v * v


@inline
def root(v: float) -> float:
    """The square root of v."""
    return math.sqrt(v)
