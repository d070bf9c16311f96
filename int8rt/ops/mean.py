"""MEAN: the mean over some of the axes.

    y = z_y + ruleA(s_x / s_y / count, sum of x - count z_x)

Quantized integers are summed in int32, which wraps. 1 / count is folded into the int32 multiplier of s_x / s_y before
double rounding, and truncated there. Floats are summed in float32 in the order of x, then divided; int32 and int64 are
summed in int64, which wraps, then divided towards zero. The mean of nothing is NaN or the stored value 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from int8rt.graph import Node
from int8rt.native.kernel import kernel
from int8rt.numerics.fixedpoint import Multiplier, multiplier_of
from int8rt.numerics.rules import Numerics
from int8rt.ops._reduce import (
    QUANTIZED,
    add,
    call,
    check_scales,
    checked,
    count,
    input_and_axes,
    output_shape,
    rescaled_sum,
    rescaled_sum_reference,
    rows,
)
from int8rt.simd.memory import get, put
from int8rt.steps import Call, Step, scratch

operands = "x axes:int32 -> y"

SUM_TYPES = {"int32": np.int64, "int64": np.int64, "float32": np.float32}  # of those that are not quantized


def shapes(node: Node) -> list[tuple[int, ...]]:
    return [output_shape(node)]


def reference(node: Node, x: np.ndarray, axes: np.ndarray) -> np.ndarray:
    _check(node)
    (y,) = node.outputs
    x_, n = rows(node, x), count(node)
    if n == 0:
        return np.full(y.shape, np.nan if y.dtype == np.float32 else 0, y.dtype)
    if x.dtype == np.float32:
        return np.add.accumulate(np.c_[np.zeros(len(x_), np.float32), x_], axis=1)[:, -1] / np.float32(n)
    if y.type in QUANTIZED:
        return rescaled_sum_reference(node, x, _multiplier(node))
    total = x_.sum(axis=1, dtype=np.int64)
    down = total // n
    return down + ((down < 0) & (down * n != total))


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    _check(node)
    x, _ = input_and_axes(node)
    (y,) = node.outputs
    if y.type in QUANTIZED:
        return rescaled_sum(node, _multiplier(node))
    sums = scratch(f"{y.name}/sums", y.shape, SUM_TYPES[x.type])
    divide = mean_float if y.dtype == np.float32 else mean_integer
    return [call(node, add, sums, start=0), Call(divide, sums, count(node), y, writes=[y])]


def _check(node: Node) -> None:
    x, y = checked(node, (*QUANTIZED, *SUM_TYPES))
    if x.type in QUANTIZED:
        check_scales(node, x, y)


def _multiplier(node: Node) -> Multiplier:
    """The multiplier of s_x / s_y / count as LiteRT's QuantizedMeanOrSum makes it: the division by count truncates."""
    x, _ = input_and_axes(node)
    n = count(node)
    multiplier, shift = multiplier_of(np.float64(x.scale) / np.float64(node.outputs[0].scale))
    if n == 0:
        return Multiplier(0, 0)
    extra = min(n.bit_length() - 1, 32, 31 + shift)
    return Multiplier((multiplier << extra) // n, shift - extra)


@kernel
def mean_float(thread: int, threads: int, sums: Any, count: int, y: Any) -> None:
    """y = sums / count, NaN where count is 0."""
    for i in range(y.size * thread // threads, y.size * (thread + 1) // threads):
        put(y, i, get(sums, i) / np.float32(count) if count else np.float32(np.nan))


@kernel
def mean_integer(thread: int, threads: int, sums: Any, count: int, y: Any) -> None:
    """y = sums / count towards zero, 0 where count is 0."""
    for i in range(y.size * thread // threads, y.size * (thread + 1) // threads):
        total = get(sums, i)
        down = total // count if count else 0
        put(y, i, down + 1 if down < 0 and down * count != total else down)
