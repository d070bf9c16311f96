"""FAKE_QUANT: float32 rounded to the nearest of 2^bits evenly spaced values between min and max, one of which is 0.

    y = round((clamp(x) - min') / scale) * scale + min'

where min' and max' are min and max shifted so that 0 is a value. Source: NudgeQuantizationRange and FakeQuantizeArray
of TFLite's ``quantization_util.cc``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.native.kernel import kernel
from int8rt.numerics.fixedpoint import round_half_away_float
from int8rt.numerics.rules import Numerics
from int8rt.numerics.simulate import nudged, rounded
from int8rt.ops import _lookup
from int8rt.ops._lookup import check_types, elementwise
from int8rt.simd.memory import get, put
from int8rt.steps import Step

operands = "x -> y"
by_value = True
shapes = _lookup.shapes


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    return rounded(x, *_range(node))


def _range(node: Node) -> tuple[Any, Any, Any, Any]:
    o = node.options
    return nudged(np.float32(o.min), np.float32(o.max), o.num_bits)


def prepare(node: Node, numerics: Numerics) -> Step:
    x, y = check_types(node, ["float32"])
    o = node.options
    if o.narrow_range:
        raise ops.refuse(node, "narrow_range is not supported, nor is it by LiteRT")
    if not 1 <= o.num_bits <= 16:
        raise ModelError(f"{node.label}: num_bits is {o.num_bits}, expected 1 to 16")
    if not -np.inf < o.min <= 0 <= o.max < np.inf or o.min == o.max:
        raise ModelError(f"{node.label}: the range is {o.min:g} to {o.max:g}, expected one that contains 0")
    return elementwise(quantize_and_back, x, *_range(node), y)


@kernel
def quantize_and_back(
    thread: int, threads: int, x: Any, lo: float, hi: float, scale: float, inverse: float, y: Any
) -> None:  # fmt: skip
    """y[i] = x[i], clamped and rounded; NaN becomes lo."""
    for i in range(x.size * thread // threads, x.size * (thread + 1) // threads):
        v = get(x, i)
        v = v if lo < v else lo
        v = v if v < hi else hi
        put(y, i, round_half_away_float(np.float32(v - lo) * inverse) * scale + lo)
