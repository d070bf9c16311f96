"""SUM: the sum over some of the axes.

    y = z_y + R(s_x / s_y, sum of x - count z_x)

for quantized integers, summed in int32, which wraps; R is double rounding. Floats are added in float32 in the order of
x, to 0 or, where every axis is reduced, to the first element; int32 and int64 wrap; of bool the sum is whether any is
true.

LiteRT's reference reads int8 and int16 as if they were uint8; what it computes of uint8 is the rule here.

Sources: TFLite's reduce.cc, reference/reduce.h.
"""

from __future__ import annotations

import numpy as np

from int8rt.graph import Node, Tensor
from int8rt.numerics.fixedpoint import Multiplier, multiplier_of
from int8rt.numerics.rules import Numerics
from int8rt.ops._reduce import (
    QUANTIZED,
    add,
    beginning,
    call,
    check_scales,
    checked,
    covers_all,
    larger,
    output_shape,
    rescaled_sum,
    rescaled_sum_reference,
    rows,
)
from int8rt.steps import Step

operands = "x axes:int32 -> y"

TYPES = (*QUANTIZED, "int32", "int64", "float32", "bool")


def shapes(node: Node) -> list[tuple[int, ...]]:
    return [output_shape(node)]


def reference(node: Node, x: np.ndarray, axes: np.ndarray) -> np.ndarray:
    x_, y = _checked(node)
    if y.type in QUANTIZED:
        return rescaled_sum_reference(node, x, _multiplier(x_, y))
    values = rows(node, x)
    if y.type == "bool":
        return np.asarray(values.any(axis=1))
    if not covers_all(node):
        values = np.c_[np.zeros(len(values), x.dtype), values]
    return np.asarray(np.add.accumulate(values, axis=1)[:, -1])


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    x, y = _checked(node)
    if y.type in QUANTIZED:
        return rescaled_sum(node, _multiplier(x, y))
    return [call(node, larger if y.type == "bool" else add, y, beginning(node, 0))]


def _checked(node: Node) -> tuple[Tensor, Tensor]:
    x, y = checked(node, TYPES)
    if y.type in QUANTIZED:
        check_scales(node, x, y)
    return x, y


def _multiplier(x: Tensor, y: Tensor) -> Multiplier:
    return multiplier_of(np.float64(x.scale) / np.float64(y.scale))
