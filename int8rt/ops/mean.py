"""MEAN: the mean over some of the axes.

    y = z_y + ruleA(s_x / s_y / count, sum of x - count z_x)

Quantized integers are summed in int32, which wraps. 1 / count is folded into the int32 multiplier of s_x / s_y before
rule A, and truncated there. Floats are summed in float32 in the order of x, then divided; int32 and int64 are summed in
int64, which wraps, then divided towards zero. The mean of nothing is NaN or the stored value 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.fixedpoint import Multiplier, multiplier_of, requantize_double_rounding, wrap_int32
from int8rt.graph import Node
from int8rt.jit import kernel
from int8rt.numerics import Numerics
from int8rt.ops import Call, Step
from int8rt.ops._reduce import add, call, count, input_and_axes, output_shape, rows
from int8rt.simd import get, put

QUANTIZED = ("int8", "uint8", "int16")
SUM_TYPES = {"int8": np.int32, "uint8": np.int32, "int16": np.int32, "int32": np.int64, "int64": np.int64,
             "float32": np.float32}  # fmt: skip


def shapes(node: Node) -> list[tuple[int, ...]]:
    return [output_shape(node)]


def reference(node: Node, x: np.ndarray, axes: np.ndarray) -> np.ndarray:
    _check(node)
    (y,) = node.outputs
    x_, n = rows(node, x), count(node)
    if n == 0:
        return np.full(y.shape, np.nan if y.dtype == np.float32 else 0, y.dtype)
    if x.dtype == np.float32:
        with np.errstate(invalid="ignore", over="ignore"):
            return np.add.accumulate(np.c_[np.zeros(len(x_), np.float32), x_], axis=1)[:, -1] / np.float32(n)
    total = x_.sum(axis=1, dtype=np.int64)
    if y.type in QUANTIZED:
        info = np.iinfo(y.dtype)
        shifted = wrap_int32(wrap_int32(total) - n * (node.inputs[0].zero_point if node.inputs[0] else 0))
        q = requantize_double_rounding(shifted, *_multiplier(node)) + y.zero_point
        return q.clip(info.min, info.max)
    down = total // n
    return down + ((down < 0) & (down * n != total))


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    _check(node)
    x, _ = input_and_axes(node)
    (y,) = node.outputs
    n = count(node)
    sums = ops.scratch(f"{y.name}/sums", y.shape, SUM_TYPES[x.type])
    steps: list[Step] = [call(node, add, sums, start=0)]
    if y.type in QUANTIZED:
        s = ops.stored(y)
        zero_point, multiplier = s.zero_point, _multiplier(node)
        if n == 0:
            zero_point = ops.INT8_OFFSET if y.dtype == np.int8 else 0
        args = (*multiplier, n * ops.stored_zero(x), zero_point, s.lo, s.hi)
        steps.append(Call(mean_quantized, sums, *args, y, writes=[y]))
    elif y.dtype == np.float32:
        steps.append(Call(mean_float, sums, n, y, writes=[y]))
    else:
        steps.append(Call(mean_integer, sums, n, y, writes=[y]))
    return steps


def _check(node: Node) -> None:
    x, _ = input_and_axes(node)
    (y,) = node.outputs
    if x.type not in SUM_TYPES or y.type != x.type:
        raise ops.refuse(
            node, f"one type of {', '.join(SUM_TYPES)} is supported for input and output, not {y.type} outputs"
        )
    if x.type in QUANTIZED and (x.scale <= 0 or y.scale <= 0):
        raise ModelError(f"{node.label}: input scale {x.scale} and output scale {y.scale} must be positive")
    if x.type == "int16" and (x.zero_point or y.zero_point):
        raise ModelError(f"{node.label}: int16 tensors must have zero point 0")


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
def mean_quantized(
    thread: int, threads: int, sums: Any, multiplier: int, shift: int, zero: int, zero_point: int, lo: int, hi: int,
    y: Any,
) -> None:  # fmt: skip
    """``zero`` is what as many zeros sum up to."""
    for i in range(y.size * thread // threads, y.size * (thread + 1) // threads):
        q = requantize_double_rounding(wrap_int32(get(sums, i) - zero), multiplier, shift)
        put(y, i, min(max(q + zero_point, lo), hi))


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
