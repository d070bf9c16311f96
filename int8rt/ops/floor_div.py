"""FLOOR_DIV: y = floor(x1 / x2), with broadcasting, of the stored values whatever their quantization.

Floats are divided in float64. -2^31 / -1 wraps, and so do its like of int8 and int16, where LiteRT leaves a conversion
undefined. A zero among the divisors is refused when the model is run.

Sources: TFLite's floor_div.cc, reference/floor_div.h.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from int8rt.graph import Node
from int8rt.native.kernel import inline
from int8rt.numerics.rules import Numerics
from int8rt.numerics.storage import INT8_OFFSET
from int8rt.ops._elementwise import call, check_nonzero, checked, nonzero, shape
from int8rt.simd.memory import as_type_of
from int8rt.steps import Step

TYPES = ("int8", "int16", "int32", "float32")


operands = "x1 x2 -> y"
by_value = True


def shapes(node: Node) -> list[tuple[int, ...]]:
    return [shape(node)]


def reference(node: Node, x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
    _, _, y = checked(node, TYPES)
    check_nonzero(node, x2, 0)
    if y.type == "float32":
        return np.floor(x1.astype(np.float64) / x2).astype(np.float32)
    return np.asarray((x1.astype(np.int64) // x2).astype(y.dtype))


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    a, b, y = checked(node, TYPES)
    offset = INT8_OFFSET if y.type == "int8" else 0
    formula = floor_of_floats if y.type == "float32" else floor_of_integers
    return [*nonzero(node, b, offset), call(formula, [offset], a, b, y)]


@inline
def floor_of_integers(a: Any, b: Any, p: Any) -> Any:
    divisor = np.int64(b) - p[0]
    return as_type_of(a, (np.int64(a) - p[0]) // divisor + p[0] if divisor else np.int64(0))


@inline
def floor_of_floats(a: Any, b: Any, p: Any) -> Any:
    return np.float32(np.floor(np.float64(a) / np.float64(b)))
