"""CONCATENATION: tensors one after another along an axis.

uint8 tensors may have scales of their own. Those whose scale or zero point is not y's are rescaled in float32:

    y = clamp(z_y + round_half_away(x * s + (-z_x * s))),  s = s_x * (1 / s_y)

Source: ConcatenationWithScaling of TFLite's ``reference/concatenation.h``. int8 tensors must agree; int16 have zero
point 0 and are copied whatever their scale.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.native.kernel import kernel
from int8rt.numerics.fixedpoint import round_half_away_float
from int8rt.numerics.rules import Numerics
from int8rt.ops._move import axis_within, copy, operand, same_scale, same_type
from int8rt.simd.lookup import look_up_within
from int8rt.steps import Call, Flat, Step

operands = "x1 more* -> y"


def shapes(node: Node) -> list[tuple[int, ...]]:
    parts = [operand(node, i) for i in range(max(1, len(node.inputs)))]
    first = parts[0].shape
    if first == () and all(t.is_constant and t.shape == () for t in parts):
        return [(len(parts),)]
    axis = axis_within(node, node.options.axis, len(first))
    for t in parts:
        if len(t.shape) != len(first) or any(a != b for i, (a, b) in enumerate(zip(t.shape, first)) if i != axis):
            raise ModelError(f"{node.label}: {list(t.shape)} does not go with {list(first)} along axis {axis}")
    return [(*first[:axis], sum(t.shape[axis] for t in parts), *first[axis + 1 :])]


def reference(node: Node, *arrays: np.ndarray) -> np.ndarray:
    (y,) = node.outputs
    _check(node)
    parts = [_table(node, t)[x] if _is_rescaled(t, y) else x for t, x in zip(node.inputs, arrays)]
    return np.concatenate([np.atleast_1d(x) for x in parts], axis=_axis(node))


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    (y,) = node.outputs
    _check(node)
    axis = _axis(node)
    inner = math.prod(y.shape[axis + 1 :])
    stride = y.shape[axis] * inner
    steps: list[Step] = []
    at = 0
    for i in range(len(node.inputs)):
        x = operand(node, i)
        run = (x.shape[axis] if x.shape else 1) * inner  # scalars that are constants make a vector
        if _is_rescaled(x, y):
            table = _table(node, x)
            steps.append(Call(rescale, Flat(x, table.dtype), Flat(y, table.dtype), run, stride, at, table, writes=[y]))
        else:
            steps += copy(x, y, (math.prod(y.shape[:axis]), run), (run, 1), (stride, 1), y_start=at)
        at += run
    return steps


def _axis(node: Node) -> int:
    (y,) = node.outputs
    return axis_within(node, node.options.axis, len(y.shape))


def _check(node: Node) -> None:
    """Raises ModelError and UnsupportedError where types, scales or options do not fit."""
    (y,) = node.outputs
    parts = [operand(node, i) for i in range(len(node.inputs))]
    same_type(node, *parts, y)
    if node.options.fused_activation_function:
        raise ops.refuse(node, f"fused activation {node.options.fused_activation_function} is not supported")
    if y.dtype == np.int8:
        same_scale(node, y, *parts)
    if y.dtype == np.int16 and any(t.zero_point for t in (*parts, y)):
        raise ops.refuse(node, "int16 with a zero point other than 0 is not supported")


def _is_rescaled(x: Tensor | None, y: Tensor) -> bool:
    assert x is not None
    return bool(y.dtype == np.uint8 and (x.scale, x.zero_point) != (y.scale, y.zero_point))


def _table(node: Node, x: Tensor | None) -> np.ndarray:
    """What each byte of x becomes in y: uint8 [256]."""
    assert x is not None
    (y,) = node.outputs
    if not (np.isfinite(y.scale) and y.scale >= np.finfo(np.float32).tiny and np.isfinite(x.scale)):
        raise ops.refuse(node, f"a scale of {x.scale} cannot be brought to {y.scale}")
    scale = x.scale * (np.float32(1) / y.scale)
    bias = np.float32(-x.zero_point) * scale
    values = round_half_away_float(np.arange(256).astype(np.float32) * scale + bias) + y.zero_point
    return np.clip(values, 0, 255).astype(np.uint8)


@kernel
def rescale(thread: int, threads: int, x: Any, y: Any, run: int, stride: int, start: int, table: Any) -> None:
    """y[start + n stride + i] = table[x[n run + i]]; threads share the runs."""
    runs = x.shape[0] // max(run, 1)
    for n in range(runs * thread // threads, runs * (thread + 1) // threads):
        look_up_within(table, x, n * run, y, start + n * stride, run)
