"""HARD_SWISH: y = x * min(max(x + 3, 0), 6) / 6.

Of 8-bit integers in saturating int16 arithmetic, with multipliers of 16 bits: the value on a scale 128 times finer, a
gate in [0, 1] made of it, and their product. Formulas: TFLite ``reference/hard_swish.h`` and HardSwishPrepare.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.native.kernel import kernel
from int8rt.numerics.fixedpoint import multiplier_of, reduced_multiplier
from int8rt.numerics.rules import Numerics
from int8rt.ops import _lookup
from int8rt.ops._lookup import EIGHT_BITS, centered, check, elementwise, store, table, unary
from int8rt.simd.memory import get, put
from int8rt.steps import Step

operands = "x -> y"
by_value = True
shapes = _lookup.shapes


class Factors(NamedTuple):
    """16-bit multipliers and exponents: from the fine scale to the output, and to a scale on which 3.0 is 2**15."""

    out: int
    out_exponent: int
    gate: int
    gate_exponent: int


def factors(x: Tensor, y: Tensor) -> Factors:
    """The factors in the precision of HardSwishPrepare."""
    fine = np.float32(1 / 128) * np.float32(x.scale)
    out, gate = multiplier_of(fine / np.float32(y.scale)), multiplier_of(fine / np.float32(3 / 32768))
    return Factors(
        int(reduced_multiplier(out.multiplier)), out.shift, int(reduced_multiplier(gate.multiplier)), gate.shift
    )


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    if x.dtype == np.float32:
        return x * np.minimum(np.maximum(x + np.float32(3), np.float32(0)), np.float32(6)) / np.float32(6)
    x_, y_ = unary(node)
    f = factors(x_, y_)
    fine = centered(x, x_) * 128
    product = _gate(fine, f) * _high_product(fine, f.out)
    truncated = np.sign(product) * (np.abs(product) >> 15)
    return store(_shift_half_away(truncated, -f.out_exponent), y_)


def _gate(fine: np.ndarray, f: Factors) -> np.ndarray:
    """min(max(x + 3, 0), 6) / 6 in Q0.15."""
    gate = fine
    if f.gate_exponent > 0:  # saturates late: the last doubling comes after the product
        gate = _saturated(gate << min(f.gate_exponent - 1, 15))
    gate = _high_product(gate, f.gate)
    if f.gate_exponent > 0:
        gate = _saturated(gate << 1)
    gate = _shift_half_away(gate, max(-f.gate_exponent, 0))
    return (gate + (1 << 15)) >> 1


def _saturated(x: np.ndarray) -> np.ndarray:
    return x.clip(-(1 << 15), (1 << 15) - 1)


def _high_product(a: np.ndarray, b: int) -> np.ndarray:
    return (a * b + (1 << 14)) >> 15


def _shift_half_away(x: np.ndarray, exponent: int) -> np.ndarray:
    """RoundingDivideByPOT of int16: its mask is an int16 too, so shifts of 16 and more give 1 or -1, never 0."""
    mask = np.int64(np.int64((1 << exponent) - 1).astype(np.int16))
    return (x >> exponent) + ((x & mask) > (mask >> 1) + (x < 0))


def prepare(node: Node, numerics: Numerics) -> Step:
    x, y = check(node, (*EIGHT_BITS, "float32"))
    if x.dtype == np.float32:
        return elementwise(hard_swish_float, x, y)
    if factors(x, y).out_exponent > 0:
        raise ModelError(
            f"{node.label}: input scale {x.scale:g}, expected less than 128 times the output's {y.scale:g}"
        )
    return table(node, reference)


@kernel
def hard_swish_float(thread: int, threads: int, x: Any, y: Any) -> None:
    """y[i] = x[i] * min(max(x[i] + 3, 0), 6) / 6."""
    for i in range(x.size * thread // threads, x.size * (thread + 1) // threads):
        v = get(x, i)
        gate = v + np.float32(3)
        gate = np.float32(0) if gate < 0 else gate
        gate = np.float32(6) if gate > 6 else gate
        put(y, i, v * gate / np.float32(6))
