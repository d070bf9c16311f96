"""L2_NORMALIZATION over the last axis: y = x / sqrt(sum of x^2).

8-bit outputs have scale 1/128; the inverse root of the integer sum is fixed point, and each value is scaled by double
rounding, of int8 with the factor 128 in the shift, of uint8 in the value. float32 divides by a norm of at least 1e-6;
its squares are summed from left to right.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.native.kernel import kernel
from int8rt.numerics.fixedmath import inverse_sqrt
from int8rt.numerics.fixedpoint import requantize_double_rounding
from int8rt.numerics.rules import Numerics
from int8rt.numerics.storage import stored, stored_zero
from int8rt.ops import _lookup
from int8rt.ops._lookup import EIGHT_BITS, centered, check_scales, check_types, flat, store
from int8rt.simd.memory import get, put
from int8rt.steps import Call, Step

operands = "x[1+] -> y"

OUTPUT_SCALE = 1 / 128
OUTPUT_ZERO_POINT = {"int8": 0, "uint8": 128}
LEAST_NORM = np.float32(1e-6)


shapes = _lookup.shapes


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    x_, y_ = _checked(node)
    if x.dtype == np.float32:
        return _float(x)
    value = centered(x, x_)
    sums = (value * value).sum(-1)
    factors = np.array([inverse_sqrt(int(s)) for s in sums.reshape(-1)], np.int64).reshape(-1, 2)
    multiplier, shift = factors.T.reshape(2, *sums.shape, 1)
    factor, more = _factor(x_)
    return store(requantize_double_rounding(value * factor, multiplier, shift + more), y_)


def _float(x: np.ndarray) -> np.ndarray:
    if x.size == 0:
        return x
    norm = np.sqrt(np.add.accumulate(x * x, -1, dtype=np.float32)[..., -1:])
    return x / np.where(norm < LEAST_NORM, LEAST_NORM, norm)


def _factor(x: Tensor) -> tuple[int, int]:
    """By what values are multiplied, and by how many bits their products are shifted to the left: 128 in all."""
    return (1, 7) if x.dtype == np.int8 else (128, 0)


def prepare(node: Node, numerics: Numerics) -> Step:
    x, y = _checked(node)
    depth = x.shape[-1]
    if x.dtype == np.float32:
        return Call(l2_normalize_float, flat(x), depth, flat(y), writes=[y], in_place=x, work=8 * x.size)
    to = stored(y)
    parameters = stored_zero(x), *_factor(x), to.zero_point, to.lo, to.hi
    return Call(l2_normalize, flat(x), depth, *parameters, flat(y), writes=[y], in_place=x, work=8 * x.size)


def _checked(node: Node) -> tuple[Tensor, Tensor]:
    """Input and output. Raises ModelError and UnsupportedError."""
    x, y = check_types(node, [*EIGHT_BITS, "float32"])
    if node.options.fused_activation_function:
        raise ops.refuse(node, f"fused activation {node.options.fused_activation_function}; LiteRT supports none")
    if x.dtype == np.float32:
        return x, y
    check_scales(node, x)
    zero_point = OUTPUT_ZERO_POINT[y.type]
    if y.scale != OUTPUT_SCALE or y.zero_point != zero_point:
        found = f"scale {y.scale:g} and zero point {y.zero_point}"
        raise ModelError(f"{node.label}: the output has {found}, expected {OUTPUT_SCALE:g} and {zero_point}")
    return x, y


@kernel
def l2_normalize(
    thread: int, threads: int, x: Any, depth: int, z_x: int, factor: int, more: int, z_y: int, lo: int, hi: int, y: Any
) -> None:  # fmt: skip
    """Rows of ``depth`` bytes."""
    rows = x.size // max(depth, 1)
    for row in range(rows * thread // threads, rows * (thread + 1) // threads):
        first, last = row * depth, (row + 1) * depth
        total = np.int64(0)
        for i in range(first, last):
            v = np.int64(get(x, i)) - z_x
            total += v * v
        multiplier, shift = inverse_sqrt(total)
        for i in range(first, last):
            v = (np.int64(get(x, i)) - z_x) * factor
            q = requantize_double_rounding(v, multiplier, shift + more) + z_y
            put(y, i, min(max(q, lo), hi))


@kernel
def l2_normalize_float(thread: int, threads: int, x: Any, depth: int, y: Any) -> None:
    """Rows of ``depth`` float32."""
    rows = x.size // max(depth, 1)
    for row in range(rows * thread // threads, rows * (thread + 1) // threads):
        first, last = row * depth, (row + 1) * depth
        total = np.float32(0)
        for i in range(first, last):
            total += get(x, i) * get(x, i)
        norm = np.float32(math.sqrt(total))
        norm = LEAST_NORM if norm < LEAST_NORM else norm
        for i in range(first, last):
            put(y, i, get(x, i) / norm)
