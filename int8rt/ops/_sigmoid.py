"""LOGISTIC and TANH of int16 by interpolation in one table of the logistic function: tanh(x) = 2 logistic(2x) - 1.

Formulas: TFLite ``reference/integer_ops/logistic.h`` and ``tanh.h``, SigmoidPrepare and TanhPrepare; the table is
``sigmoid_table_uint16`` of ``internal/common.h``.
"""

from __future__ import annotations

import functools

import numpy as np

from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor

OUTPUT_SCALE_LOG2 = -15

# Where TFLite's table is one above the rounded value of the function: a bit per entry, the first entry highest.
_EXCESS = bytes.fromhex("088bde5f75de6203a00022040900880001000000000000000000000000000001")


@functools.cache
def logistic_table() -> np.ndarray:
    """logistic(i / 24) in Q0.16: int64 [256]."""
    rounded = np.rint(65536 / (1 + np.exp(-np.arange(256) / 24))).astype(np.int64)
    return np.minimum(rounded, 65535) + np.unpackbits(np.frombuffer(_EXCESS, np.uint8))


def log2_of(scale: np.float32) -> int | None:
    """The exponent of a scale that is nearly a power of two, None of any other: CheckedLog2, in float32."""
    log2 = np.float32(np.log(np.float32(scale))) * (np.float32(1) / np.float32(np.log(np.float32(2))))
    nearest = round(float(log2))
    return nearest if abs(log2 - np.float32(nearest)) < 1e-3 else None


def check_output(node: Node, y: Tensor) -> None:
    """Make sure that an int16 output has scale 2**-15. Raises ModelError."""
    if log2_of(y.scale) != OUTPUT_SCALE_LOG2:
        raise ModelError(f"{node.label}: the output's scale is {y.scale:g}, expected {2.0**OUTPUT_SCALE_LOG2:g}")


def table_input(x: np.ndarray, t: Tensor, largest_shift: int) -> np.ndarray:
    """int16 values in units of 1 / (3 * 4096), int64. Scales of 2**-12 ... 2**(largest_shift - 12) convert exactly."""
    log2 = log2_of(t.scale)
    if log2 is not None and 0 <= 12 + log2 <= largest_shift:
        return x.astype(np.int64) * (3 << (12 + log2))
    multiplier, shift = np.float64(t.scale) * 4096.0 * 3.0, 0
    while multiplier <= 32767.0 / 2.0 and shift <= 30:
        multiplier, shift = multiplier * 2.0, shift + 1
    return (x.astype(np.int64) * int(multiplier) + ((1 << shift) >> 1)) >> shift


def interpolate(magnitude: np.ndarray, step_bits: int, saturated: int) -> np.ndarray:
    """The table between its entries, 2**step_bits apart, scaled by 2**step_bits; ``saturated`` beyond the end."""
    table = logistic_table()
    index = magnitude >> step_bits
    base = np.minimum(index, 254)
    fraction = magnitude & ((1 << step_bits) - 1)
    value = (table[base] << step_bits) + fraction * (table[base + 1] - table[base])
    return np.where(index >= 255, saturated, value)
