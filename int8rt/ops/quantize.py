"""QUANTIZE: float32 to integers, or integers to integers of another type or scale.

    q = clamp(z + round(x / s))                        of float32: one division, half away from zero
    q = clamp(z_y + R(s_x / s_y, x - z_x))             of integers, the quotient in float64

R is double rounding (numerics 3.1). float32 values beyond int32 saturate and NaN gives z, as the conversions of an ARM
CPU do; in LiteRT they are undefined.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.native.kernel import kernel
from int8rt.numerics.fixedpoint import (
    multiplier_of,
    quantize_multiplier,
    requantize_double_rounding,
    round_half_away_float,
)
from int8rt.numerics.rules import Numerics
from int8rt.numerics.storage import stored
from int8rt.ops import _affine
from int8rt.ops._lookup import centered, check_scales, check_symmetric, flat, store, table, unary
from int8rt.simd.memory import get, put
from int8rt.steps import Call, Step

# {input: outputs}
TYPES = {
    "float32": ("int8", "uint8", "int16"),
    "int8": ("int8", "uint8", "int16"),
    "uint8": ("int8", "uint8", "int16"),
    "int16": ("int8", "uint8", "int16", "int32"),
    "int32": ("int8", "int16"),
}


operands = "x -> y"
by_value = True


def shapes(node: Node) -> list[tuple[int, ...]]:
    return [_checked(node)[0].shape]


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    x_, y_ = unary(node)
    if x.dtype == np.float32:
        return _from_float(x, y_)
    multiplier = quantize_multiplier(np.float64(x_.scale) / np.float64(y_.scale))
    return store(requantize_double_rounding(centered(x, x_), *multiplier), y_)


def _from_float(x: np.ndarray, y: Tensor) -> np.ndarray:
    scale, zero_point = (_affine.along(v, y, x) for v in _affine.parameters(y))
    info = np.iinfo(y.dtype)
    real = np.nan_to_num(x / scale, nan=0.0, posinf=np.inf, neginf=-np.inf)
    rounded = round_half_away_float(real.clip(np.float32(-(2**20)), np.float32(2**20)))
    return (rounded.astype(np.int64) + zero_point).clip(info.min, info.max).astype(y.dtype)


def prepare(node: Node, numerics: Numerics) -> Step:
    x, y = unary(node)
    if x.dtype == np.float32:
        s, to = _affine.lines(y), stored(y)
        return Call(quantize_float, flat(x), s.scale, s.zero_point, s.inner, to.lo, to.hi, flat(y), writes=[y])
    if x.dtype == np.int32:
        m, to = multiplier_of(np.float64(x.scale) / np.float64(y.scale)), stored(y)
        parameters = x.zero_point, *m, to.zero_point, to.lo, to.hi
        return Call(requantize, flat(x), *parameters, flat(y), writes=[y])
    return table(node, reference)


def _checked(node: Node) -> tuple[Tensor, Tensor]:
    """Input and output. Raises ModelError and UnsupportedError."""
    x, y = unary(node)
    if y.type not in TYPES.get(x.type, ()):
        raise ops.refuse(node, f"{x.type} to {y.type} is not supported")
    _affine.check(node, y)
    if x.dtype != np.float32:
        check_scales(node, x, y)
    elif y.quantization is None or not (y.quantization.scale > 0).all():
        raise ModelError(f"{node.label}: the output {y!r} must have positive scales")
    if x.dtype == y.dtype == np.int16:
        check_symmetric(node, x, y)
    return x, y


@kernel
def quantize_float(
    thread: int, threads: int, x: Any, scale: Any, zero_point: Any, inner: int, lo: int, hi: int, y: Any
) -> None:  # fmt: skip
    """y[i] = clamp(zero_point + round(x[i] / scale)), by lines (``_affine.Lines``); lo and hi are float32 integers."""
    lines = (x.size + inner - 1) // inner
    for line in range(lines * thread // threads, lines * (thread + 1) // threads):
        s, z = scale[line % scale.size], zero_point[line % scale.size]
        least, most = np.float32(lo - z), np.float32(hi - z)
        for i in range(line * inner, min(x.size, (line + 1) * inner)):
            v = get(x, i) / s
            v = least if v < least else v
            v = most if v > most else v
            v = v if v == v else np.float32(0)
            v += np.float32(0.49999997) if v > 0 else np.float32(-0.49999997)  # round_half_away_float
            put(y, i, np.int32(v) + z)


@kernel
def requantize(
    thread: int, threads: int, x: Any, z_x: int, multiplier: int, shift: int, z_y: int, lo: int, hi: int, y: Any
) -> None:  # fmt: skip
    """y[i] = clamp(z_y + R(x[i] - z_x))."""
    for i in range(x.size * thread // threads, x.size * (thread + 1) // threads):
        q = requantize_double_rounding(get(x, i) - z_x, multiplier, shift) + z_y
        put(y, i, min(max(q, lo), hi))
