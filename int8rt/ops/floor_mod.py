"""FLOOR_MOD: y = x1 - x2 floor(x1 / x2), with broadcasting, of the stored values whatever their quantization.

Floats: the exact remainder of the truncated quotient, to which x2 is added (and rounded) where its sign is another. A
zero among integer divisors is refused when the model is run. The remainder of a division by -1 is 0, also of the lowest
int32 and int64, where LiteRT ends its process.

Sources: TFLite's floor_mod.cc, reference/floor_mod.h.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from int8rt.graph import Node
from int8rt.native.kernel import inline
from int8rt.numerics.rules import Numerics
from int8rt.numerics.storage import INT8_OFFSET
from int8rt.ops._elementwise import call, check_nonzero, checked, nonzero, shape
from int8rt.steps import Step

TYPES = ("int8", "int16", "int32", "int64", "float32")


operands = "x1 x2 -> y"
by_value = True


def shapes(node: Node) -> list[tuple[int, ...]]:
    return [shape(node)]


def reference(node: Node, x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
    _, _, y = checked(node, TYPES)
    if y.type == "float32":
        rest = np.asarray(np.fmod(x1, x2))
        return np.where((rest != 0) & ((x2 < 0) != (rest < 0)), rest + x2, rest)
    check_nonzero(node, x2, 0)
    return np.asarray(np.where(x2 == -1, 0, x1 % np.where(x2 == -1, 1, x2)))


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    a, b, y = checked(node, TYPES)
    if y.type == "float32":
        return [call(rest_of_floats, [], a, b, y)]
    offset = INT8_OFFSET if y.type == "int8" else 0
    return [*nonzero(node, b, offset), call(rest_of_integers, [offset], a, b, y)]


@inline
def rest_of_integers(a: Any, b: Any, p: Any) -> Any:
    divisor = np.int64(b) - p[0]
    if divisor == 0 or divisor == -1:
        return p[0]
    return (np.int64(a) - p[0]) % divisor + p[0]


@inline
def rest_of_floats(a: Any, b: Any, p: Any) -> Any:
    rest = np.fmod(a, b)
    return rest + b if rest != 0 and (b < 0) != (rest < 0) else rest
