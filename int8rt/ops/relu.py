"""RELU: y = max(x, 0), with the rounding of ``_relu``."""

from __future__ import annotations

import math

import numpy as np

from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops import _lookup, _relu
from int8rt.steps import Step

LIMITS = 0.0, math.inf

operands = "x -> y"
by_value = True
shapes = _lookup.shapes


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    return _relu.clamped(node, x, *LIMITS)


def prepare(node: Node, numerics: Numerics) -> Step:
    return _relu.step(node, *LIMITS, _relu.WITH_INT16)
