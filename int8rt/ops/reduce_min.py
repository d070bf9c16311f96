"""REDUCE_MIN: the smallest value over some of the axes, of the stored values.

It begins with the greatest finite value of the type, which NaN never replaces, or, where every axis is reduced, with
the first element, which nothing replaces if it is NaN.

Sources: TFLite's reduce.cc, reference/reduce.h.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from int8rt.graph import Node, Tensor
from int8rt.numerics.rules import Numerics
from int8rt.ops._move import same_scale
from int8rt.ops._reduce import QUANTIZED, beginning, call, checked, extreme, output_shape, smaller
from int8rt.steps import Step

operands = "x axes:int32 -> y"

TYPES = (*QUANTIZED, "int32", "int64", "float32", "bool")


def shapes(node: Node) -> list[tuple[int, ...]]:
    return [output_shape(node)]


def reference(node: Node, x: np.ndarray, axes: np.ndarray) -> np.ndarray:
    _, y = _checked(node)
    return extreme(node, x, np.less, _start(y.dtype))


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    _, y = _checked(node)
    return [call(node, smaller, y, beginning(node, _start(y.dtype)))]


def _checked(node: Node) -> tuple[Tensor, Tensor]:
    x, y = checked(node, TYPES)
    if y.type in QUANTIZED:
        same_scale(node, x, y)
    return x, y


def _start(dtype: np.dtype) -> Any:
    if dtype == np.bool_:
        return True
    return np.finfo(dtype).max if dtype.kind == "f" else np.iinfo(dtype).max
