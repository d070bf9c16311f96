"""GELU: y = x * P(a normally distributed number is below x).

    y = x / 2 * erfc(-x / sqrt(2))
    y = x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))          where the option ``approximate`` is set

8-bit integers go through float32, int16 through a table with interpolation: LiteRT's bits. Of float32 LiteRT
approximates erfc and tanh itself, while here they are the C library's; the results are at most 16 units in the last
place apart, those of the second formula at most 2 units in the last place of x.
"""

from __future__ import annotations

import math

import numpy as np

from int8rt.graph import Node
from int8rt.native.kernel import inline
from int8rt.numerics import libm
from int8rt.numerics.rules import Numerics
from int8rt.ops import _lookup
from int8rt.ops._lookup import EIGHT_BITS, check, each, function_of, table
from int8rt.steps import Step

HALF = np.float32(0.5)
ONE = np.float32(1)
MINUS_SQRT_HALF = np.float32(-math.sqrt(0.5))
SQRT_2_BY_PI = np.float32(math.sqrt(2 / math.pi))
CUBIC = np.float32(0.044715)

operands = "x -> y"
by_value = True
shapes = _lookup.shapes


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    return function_of(node, x, _approximate if node.options.approximate else _exact)


def _exact(x: np.ndarray) -> np.ndarray:
    return HALF * x * libm.erfc(x * MINUS_SQRT_HALF)


def _approximate(x: np.ndarray) -> np.ndarray:
    return HALF * x * (ONE + libm.tanh(SQRT_2_BY_PI * (x + CUBIC * x * x * x)))


def prepare(node: Node, numerics: Numerics) -> Step:
    x, y = check(node, [*EIGHT_BITS, "int16", "float32"])
    if x.dtype == np.float32:
        return each(gelu_approximate if node.options.approximate else gelu, x, y)
    return table(node, reference)


@inline
def gelu(v: float) -> float:
    """By erfc."""
    return HALF * v * np.float32(math.erfc(v * MINUS_SQRT_HALF))


@inline
def gelu_approximate(v: float) -> float:
    """By tanh."""
    return HALF * v * (ONE + np.float32(math.tanh(SQRT_2_BY_PI * (v + CUBIC * v * v * v))))
