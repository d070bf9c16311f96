"""BITWISE_XOR: y = x1 ^ x2, with broadcasting, of the stored values whatever their quantization."""

from __future__ import annotations

from typing import Any

import numpy as np

from int8rt.graph import Node
from int8rt.native.kernel import inline
from int8rt.numerics.rules import Numerics
from int8rt.numerics.storage import INT8_OFFSET
from int8rt.ops._elementwise import call, checked, full_first, shape
from int8rt.steps import Call

TYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32")


operands = "x1 x2 -> y"
by_value = True


def shapes(node: Node) -> list[tuple[int, ...]]:
    return [shape(node)]


def reference(node: Node, x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
    checked(node, TYPES)
    return np.asarray(x1 ^ x2)


def prepare(node: Node, numerics: Numerics) -> Call:
    a, b, y = checked(node, TYPES)
    return call(differing_bits, [INT8_OFFSET if y.type == "int8" else 0], *full_first(a, b), y)


@inline
def differing_bits(a: Any, b: Any, p: Any) -> Any:
    """Of int8 stored with its top bit flipped, the flips cancel, hence p."""
    return a ^ b ^ p[0]
