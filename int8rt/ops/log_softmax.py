"""LOG_SOFTMAX over the last axis: y = x - m - log(sum of exp(x - m)), with m the largest of a row.

8-bit inputs work in gemmlowp's fixed point: differences and the logarithm in Q5.26, the sum in Q12.19; outputs have
scale 1/16. float32 is the C library's ``expf`` and ``logf`` and a sum from left to right.
Formulas: TFLite ``reference/log_softmax.h`` and LogSoftmaxPrepare. LiteRT's sum overflows where it reaches 4096.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.native.kernel import kernel
from int8rt.numerics import libm
from int8rt.numerics.fixedmath import log_q12
from int8rt.numerics.fixedpoint import multiplier_of, requantize_double_rounding, shift_half_away
from int8rt.numerics.rules import Numerics
from int8rt.numerics.storage import stored
from int8rt.ops import _lookup
from int8rt.ops._lookup import EIGHT_BITS, check_scales, check_types, flat, store
from int8rt.ops._softmax import Differences, differences, largest_of_rows
from int8rt.simd.memory import get, put
from int8rt.steps import Call, Step

operands = "x[1+] -> y"

OUTPUT_SCALE = 1 / 16
OUTPUT_ZERO_POINT = {"int8": 127, "uint8": 255}
SUM_SHIFT = 12  # from Q0.31 to Q12.19
OUTPUT_SHIFT = 22  # from Q5.26 to sixteenths
LEAST_SCALE = 2.0**-26  # LiteRT ends the process where the input's is not above it


shapes = _lookup.shapes


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    x_, y_ = _checked(node)
    if x.size == 0:
        return x
    if x.dtype == np.float32:
        return _float(x)
    d = differences(x_, 1.0)
    difference = x.max(-1, keepdims=True).astype(np.int64) - x
    total = shift_half_away(d.exponentials.astype(np.int64), SUM_SHIFT)[difference].sum(-1, keepdims=True)
    log_total = np.array([log_q12(int(t)) for t in total.reshape(-1)]).reshape(total.shape)
    limit = _limit(d, requantize_double_rounding(log_total - (1 << 31), *_back(d)))
    q = store(shift_half_away(d.scaled[difference] - log_total, OUTPUT_SHIFT), y_)
    return np.where(difference < limit, q, np.iinfo(y_.dtype).min).astype(y_.dtype)


def _float(x: np.ndarray) -> np.ndarray:
    difference = x - largest_of_rows(x)
    total = np.add.accumulate(libm.exp(difference), -1, dtype=np.float32)[..., -1:]
    return difference - libm.log(total)


def _back(d: Differences) -> tuple[int, int]:
    """The multiplier from Q5.26 to differences."""
    return multiplier_of((1 << (31 - d.shift)) / np.float64(d.multiplier))


def _limit(d: Differences, least: Any) -> Any:
    """From which difference on outputs are the smallest; ``least`` is the end of Q5.26, as a difference."""
    return np.minimum(d.used.sum(), -least)


def prepare(node: Node, numerics: Numerics) -> Step:
    x, y = _checked(node)
    depth = x.shape[-1]
    if x.dtype == np.float32:
        return Call(log_softmax_float, flat(x), depth, flat(y), writes=[y], in_place=x, work=32 * x.size)
    d = differences(x, 1.0)
    sums = shift_half_away(d.exponentials.astype(np.int64), SUM_SHIFT)
    to = stored(y)
    parameters = sums, d.scaled, *_back(d), int(d.used.sum()), to.zero_point, to.lo, to.hi
    return Call(log_softmax, flat(x), depth, *parameters, flat(y), writes=[y], in_place=x, work=8 * x.size)


def _checked(node: Node) -> tuple[Tensor, Tensor]:
    """Input and output. Raises ModelError and UnsupportedError."""
    x, y = check_types(node, [*EIGHT_BITS, "float32"])
    if x.dtype == np.float32:
        return x, y
    check_scales(node, x)
    if x.scale <= LEAST_SCALE:
        raise ModelError(f"{node.label}: the input has scale {x.scale:g}, expected more than {LEAST_SCALE:g}")
    zero_point = OUTPUT_ZERO_POINT[y.type]
    if y.scale != OUTPUT_SCALE or y.zero_point != zero_point:
        found = f"scale {y.scale:g} and zero point {y.zero_point}"
        raise ModelError(f"{node.label}: the output has {found}, expected {OUTPUT_SCALE:g} and {zero_point}")
    return x, y


@kernel
def log_softmax(
    thread: int, threads: int, x: Any, depth: int, sums: Any, scaled: Any, multiplier: int, shift: int, used: int,
    zero_point: int, lo: int, hi: int, y: Any,
) -> None:  # fmt: skip
    """Rows of ``depth`` bytes; by difference to the largest: its exponential in Q12.19, and itself in Q5.26."""
    rows = x.size // max(depth, 1)
    for row in range(rows * thread // threads, rows * (thread + 1) // threads):
        first, last = row * depth, (row + 1) * depth
        top = np.int64(0)
        for i in range(first, last):
            top = max(top, np.int64(get(x, i)))
        total = np.int64(0)
        for i in range(first, last):
            total += get(sums, top - get(x, i))
        log_total = log_q12(total)
        limit = min(used, -requantize_double_rounding(log_total - 2147483648, multiplier, shift))
        for i in range(first, last):
            difference = top - get(x, i)
            q = shift_half_away(get(scaled, difference) - log_total, OUTPUT_SHIFT) + zero_point
            put(y, i, min(max(q, lo), hi) if difference < limit else lo)


@kernel
def log_softmax_float(thread: int, threads: int, x: Any, depth: int, y: Any) -> None:
    """Rows of ``depth`` float32."""
    rows = x.size // max(depth, 1)
    for row in range(rows * thread // threads, rows * (thread + 1) // threads):
        first, last = row * depth, (row + 1) * depth
        largest = np.float32(-3.4028234663852886e38)
        for i in range(first, last):
            v = get(x, i)
            largest = v if largest < v else largest
        total = np.float32(0)
        for i in range(first, last):
            total += math.exp(get(x, i) - largest)
        log_total = math.log(total)
        for i in range(first, last):
            put(y, i, get(x, i) - largest - log_total)
