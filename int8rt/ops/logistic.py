"""LOGISTIC: y = 1 / (1 + exp(-x)).

8-bit values go through float32, int16 ones through a table with interpolation (``_sigmoid``). The output's scale is
1/256 of 8-bit integers and 1/32768 of int16, as LiteRT demands.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.native.kernel import kernel
from int8rt.numerics import libm
from int8rt.numerics.rules import Numerics
from int8rt.ops import _lookup, _sigmoid
from int8rt.ops._lookup import EIGHT_BITS, check, elementwise, table, through_float, unary
from int8rt.simd.memory import get, put
from int8rt.steps import Step

# Where LiteRT's float32 kernel takes 1 and exp(x) for the function
UPPER, LOWER = np.float32(16.619047164916992188), np.float32(-9)

OUTPUT_SCALES = {"int8": 1 / 256, "uint8": 1 / 256, "int16": 1 / 32768}

operands = "x -> y"
by_value = True
shapes = _lookup.shapes


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    if x.dtype == np.float32:
        return np.where(x > UPPER, np.float32(1), np.where(x < LOWER, libm.exp(x), logistic(x)))
    return _int16(node, x) if x.dtype == np.int16 else through_float(node, x, logistic)


def logistic(x: np.ndarray) -> np.ndarray:
    """The function in float32, every step rounded."""
    return np.float32(1) / (np.float32(1) + libm.exp(-x))


def _int16(node: Node, x: np.ndarray) -> np.ndarray:
    value = _sigmoid.table_input(x, unary(node)[0], largest_shift=0)
    y = _sigmoid.interpolate(np.abs(value), 9, saturated=0x7FFF << 10)
    return (np.where(value >= 0, y + (1 << 9), (1 << 25) - y + (1 << 9) - 1) >> 10).astype(np.int16)


def prepare(node: Node, numerics: Numerics) -> Step:
    x, y = check(node, (*EIGHT_BITS, "int16", "float32"))
    if x.dtype == np.float32:
        return elementwise(logistic_float, x, y)
    if y.scale != OUTPUT_SCALES[y.type]:
        raise ModelError(f"{node.label}: the output's scale is {y.scale:g}, expected {OUTPUT_SCALES[y.type]:g}")
    return table(node, reference)


@kernel
def logistic_float(thread: int, threads: int, x: Any, y: Any) -> None:
    """y[i] = 1 / (1 + exp(-x[i])), beyond the cutoffs as LiteRT has it."""
    one = np.float32(1)
    for i in range(x.size * thread // threads, x.size * (thread + 1) // threads):
        v = get(x, i)
        if v > UPPER:
            put(y, i, one)
        elif v < LOWER:
            put(y, i, math.exp(v))
        else:
            put(y, i, one / (one + math.exp(-v)))
