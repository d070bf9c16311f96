"""TFLite's integer arithmetic: a real multiplier is an int32 mantissa and a power of two; every rounding has a name.

One source serves NumPy arrays (the references) and Numba scalars (the kernels): formulas use only operators and
functions that mean the same for both. Integers are int64 unless a step is meant to wrap. ``docs/numerics.md`` says
which operator uses which rule.

Rules that take an int32 accumulator, bias included, to an output before zero point and clamp:

* A, ``requantize_double_rounding``: high product rounded half up, then a shift rounded half away from zero (gemmlowp);
* B, ``requantize_half_up``: as A, but the shift rounds half up;
* C, ``requantize_double``: product in float64, rounded half away from zero;
* D, ``requantize_float``: product in float32, rounded half to even;
* S, ``requantize_single_rounding``: one rounding of the 64-bit product, half up;
* I64, ``requantize_int64``: 64-bit accumulator, multiplier reduced to 16 bits, one rounding half up.

Sources of the formulas: gemmlowp ``fixedpoint.h``, TFLite ``internal/common.cc`` and ``internal/quantization_util.cc``.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from int8rt.errors import UnsupportedError
from int8rt.graph import Tensor
from int8rt.native.kernel import inline

Array = Any  # np.ndarray or a scalar: one source serves both

# Rounding


@inline
def round_half_away(x: Array) -> Array:
    """To the nearest integer, ties away from zero, as C's ``round``; x is float64 and below 2**52 in magnitude.

    Adding the largest double below one half never carries a value below a tie over it.
    """
    return np.trunc(x + np.copysign(0.49999999999999994, x))


@inline
def round_half_away_float(x: Array) -> Array:
    """``round_half_away`` for float32 values below 2**23 in magnitude."""
    return np.trunc(x + np.copysign(np.float32(0.49999997), x))


@inline
def high_product(a: Array, b: Array) -> Array:
    """``a * b / 2**31`` rounded half up: SaturatingRoundingDoublingHighMul for operands that are not both -2**31."""
    return (np.int64(a) * np.int64(b) + (1 << 30)) >> 31


@inline
def shift_half_away(x: Array, exponent: Array) -> Array:
    """``x / 2**exponent`` rounded half away from zero, exponent >= 0: RoundingDivideByPOT."""
    mask = (np.int64(1) << np.int64(exponent)) - 1
    return (x >> exponent) + ((x & mask) > (mask >> 1) + (x < 0))


@inline
def shift_half_up(x: Array, exponent: Array) -> Array:
    """``x / 2**exponent`` rounded half up, exponent >= 0."""
    return (x + ((np.int64(1) << np.int64(exponent)) >> 1)) >> exponent


@inline
def wrap_int32(x: Array) -> Array:
    """x modulo 2**32 as a signed value: what a C++ int32 holds after the runtimes' unchecked left shift."""
    return ((x + 2147483648) & 4294967295) - 2147483648


@inline
def shift_left_int32(x: Array, exponent: Array) -> Array:
    """``x * 2**exponent`` in an int32 that wraps; of exponents below 0 as 0, of 32 and more nothing is left."""
    return wrap_int32(x << np.minimum(np.maximum(exponent, 0), 32))


# Rules from accumulator to output


@inline
def requantize_double_rounding(acc: Array, multiplier: Array, shift: Array) -> Array:
    """Double rounding: MultiplyByQuantizedMultiplier of default builds. A left shift happens in int32 and wraps."""
    shifted = shift_left_int32(acc, shift)
    return shift_half_away(high_product(shifted, multiplier), np.maximum(-shift, 0))


@inline
def requantize_half_up(acc: Array, multiplier: Array, shift: Array) -> Array:
    """Half up: the high product and the shift both round halves up."""
    shifted = shift_left_int32(acc, shift)
    return shift_half_up(high_product(shifted, multiplier), np.maximum(-shift, 0))


@inline
def requantize_double(acc: Array, scale: Array) -> Array:
    """Double precision; scale is float64. Beyond int32, where LiteRT's cast is undefined, the result saturates."""
    return np.minimum(np.maximum(round_half_away(np.float64(acc) * scale), -2147483648.0), 2147483647.0)


@inline
def requantize_float(acc: Array, scale: Array) -> Array:
    """Single precision; scale is float32."""
    return np.rint(np.float32(acc) * scale)


@inline
def requantize_single_rounding(acc: Array, multiplier: Array, shift: Array) -> Array:
    """Rule S, of builds with TFLITE_SINGLE_ROUNDING."""
    return (acc * multiplier + (np.int64(1) << (30 - shift))) >> (31 - shift)


@inline
def reduced_multiplier(multiplier: Array) -> Array:
    """The 16-bit multiplier of ``requantize_int64``, rounded, at most 0x7FFF."""
    return np.minimum((np.int64(multiplier) + 32768) >> 16, 32767)


@inline
def requantize_int64(acc: Array, multiplier: Array, shift: Array) -> Array:
    """int64 rounding: MultiplyByQuantizedMultiplier for int64 accumulators (int16 activations); shift <= 14.

    It returns an int32: results beyond it wrap.
    """
    return wrap_int32(rescale_int64(acc, multiplier, shift))


@inline
def rescale_int64(acc: Array, multiplier: Array, shift: Array) -> Array:
    """``requantize_int64`` of what stays within int32."""
    return (acc * reduced_multiplier(multiplier) + (np.int64(1) << (14 - shift))) >> (15 - shift)


# Multipliers


def quantize_multiplier(real: Any) -> tuple[np.ndarray, np.ndarray]:
    """float64 values as int64 (multiplier, shift): ``real = multiplier / 2**31 * 2**shift``; both 0 below 2**-32.

    So are those of infinity and NaN: QuantizeMultiplier's cast to int64 gives -2**63 on x86-64, of which int32 keeps 0.
    """
    real = np.asarray(real, np.float64)
    fraction, shift = np.frexp(np.where(np.isfinite(real), real, 0))
    multiplier = round_half_away(fraction * 2.0**31).astype(np.int64)
    carry = multiplier == 1 << 31
    multiplier, shift = np.where(carry, 1 << 30, multiplier), np.where(carry, shift + 1, shift).astype(np.int64)
    tiny = shift < -31
    return np.where(tiny, 0, multiplier), np.where(tiny, 0, shift)


class Multiplier(NamedTuple):
    """One real multiplier in fixed point; kernels take the fields in this order."""

    multiplier: int
    shift: int


def multiplier_of(real: Any) -> Multiplier:
    """The fixed-point form of one real multiplier, given in the precision in which TFLite computes it."""
    multiplier, shift = quantize_multiplier(real)
    return Multiplier(int(multiplier), int(shift))


def scale_double(s_in: Any, s_w: Any, s_out: Any) -> np.ndarray:
    """``s_in * s_w / s_out`` in float64: int8 and int16 convolutions, per-channel FULLY_CONNECTED."""
    return np.float64(s_in) * np.asarray(s_w, np.float64) / np.float64(s_out)


def scale_float_product(s_in: Any, s_w: Any, s_out: Any) -> np.ndarray:
    """Product in float32, quotient in float64: uint8 convolutions, BATCH_MATMUL."""
    return np.asarray(np.float32(s_in) * np.asarray(s_w, np.float32), np.float64) / np.float64(s_out)


def scale_float(s_in: Any, s_w: Any, s_out: Any) -> np.ndarray:
    """Product and quotient in float32: MUL, rule D."""
    return np.asarray(np.float32(s_in) * np.asarray(s_w, np.float32) / np.float32(s_out), np.float32)


# Fused activations

ACTIVATIONS = {
    0: (-math.inf, math.inf),
    1: (0.0, math.inf),  # RELU
    2: (-1.0, 1.0),  # RELU_N1_TO_1
    3: (0.0, 6.0),  # RELU6
}
ACTIVATION_NAMES = "NONE, RELU, RELU_N1_TO_1, RELU6"


def activation_range(y: Tensor, activation: int = 0) -> tuple[int, int]:
    """The stored values to which a fused activation clamps quantized y: CalculateActivationRangeQuantized."""
    if activation not in ACTIVATIONS:
        raise UnsupportedError(
            f"fused activation {activation} is not supported on {y.type}; known are {ACTIVATION_NAMES}"
        )
    return stored_range(y, *ACTIVATIONS[activation])


def stored_range(y: Tensor, lo: float, hi: float) -> tuple[int, int]:
    """The stored values of the quantized tensor y that lie between two real numbers."""
    info = np.iinfo(y.dtype)
    return int(max(info.min, _stored_bound(lo, y))), int(min(info.max, _stored_bound(hi, y)))


def _stored_bound(real: float, y: Tensor) -> float:
    if math.isinf(real):
        return real
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # a bound beyond every integer is none
        return float(round_half_away_float(np.float32(real) / np.float32(y.scale))) + y.zero_point
