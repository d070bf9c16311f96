"""TANH: y = tanh(x).

8-bit values go through float32, int16 ones through a table with interpolation (``_sigmoid``), with outputs of
scale 1/32768.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from int8rt.graph import Node
from int8rt.native.kernel import kernel
from int8rt.numerics import libm
from int8rt.numerics.rules import Numerics
from int8rt.ops import _lookup, _sigmoid
from int8rt.ops._lookup import EIGHT_BITS, check, elementwise, table, through_float, unary
from int8rt.simd.memory import get, put
from int8rt.steps import Step

operands = "x -> y"
by_value = True
shapes = _lookup.shapes


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    if x.dtype == np.float32:
        return libm.tanh(x)
    return _int16(node, x) if x.dtype == np.int16 else through_float(node, x, libm.tanh)


def _int16(node: Node, x: np.ndarray) -> np.ndarray:
    value = _sigmoid.table_input(x, unary(node)[0], largest_shift=1)
    y = _sigmoid.interpolate(np.abs(value), 8, saturated=0xFFFF << 8)
    return (np.where(value >= 0, y - (1 << 23) + (1 << 7), -y + (1 << 23) + (1 << 7) - 1) >> 8).astype(np.int16)


def prepare(node: Node, numerics: Numerics) -> Step:
    x, y = check(node, (*EIGHT_BITS, "int16", "float32"))
    if x.dtype == np.float32:
        return elementwise(tanh_float, x, y)
    if x.dtype == np.int16:
        _sigmoid.check_output(node, y)
    return table(node, reference)


@kernel
def tanh_float(thread: int, threads: int, x: Any, y: Any) -> None:
    """y[i] = tanh(x[i])."""
    for i in range(x.size * thread // threads, x.size * (thread + 1) // threads):
        put(y, i, math.tanh(get(x, i)))
