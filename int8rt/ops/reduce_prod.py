"""REDUCE_PROD: the product over some of the axes, in the order of x.

Quantized int8 and int16 are rescaled with every factor, by M = s_x / s_y^(1 / count), so that nothing overflows:

    p_0 = x_0 - z_x;   p_i = I(M, p_(i - 1) (x_i - z_x));   y = z_y + I(M, p_last)

I is rule I64. Without a scale they are multiplied as they are, as all other types: integers wrap. Floats begin with 1
or, where every axis is reduced, with the first element; the product of bool is whether all are true.

Sources: TFLite's reduce.cc, reference/reduce.h.
"""

from __future__ import annotations

import math

import numpy as np

from int8rt import ops
from int8rt.graph import Node, Tensor
from int8rt.numerics.fixedpoint import Multiplier, multiplier_of, requantize_int64
from int8rt.numerics.rules import Numerics
from int8rt.ops._elementwise import is_quantized
from int8rt.ops._reduce import (
    beginning,
    call,
    check_scales,
    checked,
    count,
    covers_all,
    multiply,
    output_shape,
    rows,
    smaller,
)
from int8rt.steps import Step

operands = "x axes:int32 -> y"

TYPES = ("int8", "uint8", "int16", "int32", "int64", "float32", "bool")


def shapes(node: Node) -> list[tuple[int, ...]]:
    return [output_shape(node)]


def reference(node: Node, x: np.ndarray, axes: np.ndarray) -> np.ndarray:
    x_, y = _checked(node)
    values = rows(node, x)
    if is_quantized(x_):
        return _rescaled(node, x_, y, values)
    if y.type == "bool":
        return np.asarray(values.all(axis=1))
    if not covers_all(node):
        values = np.c_[np.ones(len(values), x.dtype), values]
    return np.asarray(np.multiply.accumulate(values, axis=1, dtype=x.dtype)[:, -1])


def _rescaled(node: Node, x: Tensor, y: Tensor, values: np.ndarray) -> np.ndarray:
    """Quantized products along the last axis of values [..., n], rescaled after every factor."""
    if values.size == 0:  # LiteRT leaves what is there
        return np.zeros(y.shape, y.dtype)
    multiplier = _multiplier(node, x, y)
    first, *rest = (values.astype(np.int64) - x.zero_point).T
    product = first
    for factor in rest:
        product = requantize_int64(product * factor, *multiplier)
    info = np.iinfo(y.dtype)
    return (requantize_int64(product, *multiplier) + y.zero_point).clip(info.min, info.max)


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    x, y = _checked(node)
    if is_quantized(x) and x.size:
        _multiplier(node, x, y)
    if is_quantized(x) or y.type == "int8":
        return [ops.by_reference(node, reference)]
    return [call(node, smaller if y.type == "bool" else multiply, y, beginning(node, 1))]


def _checked(node: Node) -> tuple[Tensor, Tensor]:
    x, y = checked(node, TYPES)
    if is_quantized(x):
        if x.type not in ("int8", "int16"):
            raise ops.refuse(node, "of quantized types, int8 and int16 are supported")
        check_scales(node, x, y)
    return x, y


def _multiplier(node: Node, x: Tensor, y: Tensor) -> Multiplier:
    m = multiplier_of(float(x.scale) / math.pow(float(y.scale), 1 / count(node)))
    if m.shift > 14:
        raise ops.refuse(node, f"scales {x.scale} and {y.scale} give a multiplier of 2^14 and more")
    return m
