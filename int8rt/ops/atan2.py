"""ATAN2: the angle of the point (x2, x1), float32, by the C library's atan2f; without broadcasting.

Source: TFLite's atan2.cc.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.native.kernel import inline
from int8rt.numerics import libm
from int8rt.numerics.rules import Numerics
from int8rt.ops._elementwise import call, checked
from int8rt.steps import Call

operands = "x1 x2 -> y"
by_value = True


def shapes(node: Node) -> list[tuple[int, ...]]:
    x1, x2 = node.given
    if x1.shape != x2.shape:
        raise ModelError(f"{node.label}: shapes {list(x1.shape)} and {list(x2.shape)} differ")
    return [x1.shape]


def reference(node: Node, x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
    checked(node, ("float32",))
    return libm.atan2(x1, x2)


def prepare(node: Node, numerics: Numerics) -> Call:
    return call(angle, [], *checked(node, ("float32",)))


@inline
def angle(a: Any, b: Any, p: Any) -> Any:
    return math.atan2(a, b)
