"""RIGHT_SHIFT: y = x1 >> x2, with broadcasting, of the stored values whatever their quantization.

The shift is arithmetic for signed types; by less than 0 it is by 0, by all bits or more it is by all but one.

Source: TFLite's right_shift.cc.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from int8rt.graph import Node
from int8rt.native.kernel import inline
from int8rt.numerics.rules import Numerics
from int8rt.numerics.storage import INT8_OFFSET
from int8rt.ops._elementwise import call, checked, shape
from int8rt.steps import Call

TYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32")


operands = "x1 x2 -> y"
by_value = True


def shapes(node: Node) -> list[tuple[int, ...]]:
    return [shape(node)]


def reference(node: Node, x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
    _, _, y = checked(node, TYPES)
    return np.asarray((x1.astype(np.int64) >> x2.astype(np.int64).clip(0, _bits(y.dtype) - 1)).astype(y.dtype))


def prepare(node: Node, numerics: Numerics) -> Call:
    a, b, y = checked(node, TYPES)
    return call(shifted, [INT8_OFFSET if y.type == "int8" else 0, _bits(y.dtype) - 1], a, b, y)


def _bits(dtype: np.dtype) -> int:
    return 8 * dtype.itemsize


@inline
def shifted(a: Any, b: Any, p: Any) -> Any:
    places = min(max(np.int64(b) - p[0], 0), p[1])
    return ((np.int64(a) - p[0]) >> places) + p[0]
