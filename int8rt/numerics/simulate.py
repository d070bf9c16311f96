"""Quantization simulated on NumPy arrays: round to the values that a quantized tensor can hold, stay in floating point.

``quantize_and_dequantize`` is TensorFlow's operator of that name, ``fake_quant`` the FAKE_QUANT operator of TFLite.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from int8rt.arguments import as_array, as_choice, as_flag, as_index, shown
from int8rt.errors import InputError
from int8rt.numerics.fixedpoint import round_half_away_float

Array = np.ndarray


def quantize_and_dequantize(
    x: Any,
    input_min: Any,
    input_max: Any,
    signed_input: bool = True,
    num_bits: int = 8,
    range_given: bool = False,
    round_mode: str = "HALF_TO_EVEN",
    narrow_range: bool = False,
    axis: int | None = None,
) -> Array:
    """x rounded to the multiples of a step that integers of ``num_bits`` bits can stand for, with TensorFlow's bits.

    The integers are ``least`` to ``most``: -2^(b-1) to 2^(b-1) - 1, or 0 to 2^b - 1 where not ``signed_input``;
    ``narrow_range`` leaves out -2^(b-1). Then, every step in x's own type,

        scale = min(least / input_min, most / input_max)      the largest that keeps the range within the integers;
        step  = input_min / least or input_max / most         of the end that decided, the other is moved to its
                                                              integer's value
        y     = round(clamp(x, input_min, input_max) * scale) * step

    An end whose sign no integer has (or that is 0) cannot decide. Where neither can, scale is the largest number: then
    y is 0 if both ends are, and what TensorFlow's arithmetic makes of a negative range and unsigned integers has no
    meaning. Without ``range_given``, the range is that of x and nothing is clamped.

    x: float16, float32 or float64 of any shape; the result has its type and shape.
    input_min, input_max: numbers; with ``axis``, [x.shape[axis]], a range for each index of that axis. They matter with
        ``range_given`` only.
    signed_input: whether the integers are signed, whatever x is.
    num_bits: 1 to 61, to 62 where unsigned; at most 16 and 15 for float16; at least 2 if signed and narrow.
    round_mode: "HALF_TO_EVEN", or "HALF_UP": floor(v + 0.5), which takes -7.5 to -7.

    Denormals count as 0 (but in float16), as they do in TensorFlow. NaN stays NaN with a given range (float16: becomes
    its low end); without, TensorFlow's range would depend on where it stands, so it is refused.

    Raises InputError for anything else.

    Source: ``quantize_and_dequantize_op.h`` of TensorFlow 2.21. It computes float16 in XLA only, which multiplies by
    1 / least and 1 / most where the formula divides by them, and clamps in the other order; so does this function.
    """
    x = as_array(x, "x")
    if x.dtype not in (np.float16, np.float32, np.float64):
        raise InputError(f"x is {x.dtype}, expected float16, float32 or float64")
    as_choice(round_mode, "round_mode", ("HALF_TO_EVEN", "HALF_UP"))
    signed_input, narrow_range = as_flag(signed_input, "signed_input"), as_flag(narrow_range, "narrow_range")
    range_given = as_flag(range_given, "range_given")
    axis = _axis(x, axis)
    least, most = _integers(x.dtype, as_index(num_bits, "num_bits"), signed_input, narrow_range)
    if range_given:
        lo, hi = _range(x, input_min, input_max, axis, "input_min", "input_max")
    if x.size == 0:
        return x.copy()
    if not range_given:
        lo, hi = _measured(x, axis)
    with np.errstate(all="ignore"):  # a scale may overflow, a step underflow: TensorFlow goes on too
        x = _flush(x)
        lo, hi, scale, step = _scales(_flush(lo), _flush(hi), least, most)
        if range_given:
            x = _clamp(x, lo, hi)
        scaled = x * scale
        rounded = np.rint(scaled) if round_mode == "HALF_TO_EVEN" else np.floor(scaled + x.dtype.type(0.5))
        return np.asarray(_flush(rounded * step))


def fake_quant(
    x: Any,
    min: Any = -6.0,
    max: Any = 6.0,
    num_bits: int = 8,
    narrow_range: bool = False,
    axis: int | None = None,
) -> Array:
    """x rounded to evenly spaced values from min to max, one of which is 0: the FAKE_QUANT operator, with its bits.

        scale = (max - min) / (top - first)                    top = 2^num_bits - 1; first = 1 if narrow_range, else 0
        zero  = round(clamp(first - min / scale, first, top))
        lo    = (first - zero) * scale        hi = (top - zero) * scale
        y     = round((clamp(x, lo, hi) - lo) * (1 / scale)) * scale + lo

    with every step in float32 and halves rounded away from zero. So a range that has no 0 is moved until it has one,
    and any other by less than one scale. Where min and max are both 0, y is 0. NaN becomes lo.

    x: float32 of any shape; the result has its shape.
    min, max: numbers with min < max, or both 0; with ``axis``, [x.shape[axis]], a range for each index of that axis.
    num_bits: 1 to 16; at least 2 if narrow_range.

    Raises InputError for anything else.

    ``tf.quantization.fake_quant_with_min_max_args`` and its relatives compute the same in another order: the last bits
    differ, and an x halfway between two values may go to the other one.
    """
    x = as_array(x, "x")
    if x.dtype != np.float32:
        raise InputError(f"x is {x.dtype}, expected float32")
    axis = _axis(x, axis)
    num_bits, narrow_range = as_index(num_bits, "num_bits"), as_flag(narrow_range, "narrow_range")
    fewest = 2 if narrow_range else 1
    if not fewest <= num_bits <= 16:
        raise InputError(f"num_bits is {num_bits}, expected {fewest} to 16")
    least, most = _range(x, min, max, axis, "min", "max")
    empty = (least == most) & (least == 0)
    if np.any((least == most) & ~empty):
        raise InputError("min equals max, expected min < max, or both 0")
    with np.errstate(over="ignore"):
        if not np.all(np.isfinite(most - least)):
            raise InputError("max - min is inf, expected a number that is finite in float32")
    least, most = np.where(empty, np.float32(-1), least), np.where(empty, np.float32(1), most)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        y = rounded(x, *nudged(least, most, num_bits, narrow_range))
    return np.asarray(np.where(empty, np.float32(0), y))


# Arguments


def _axis(x: Array, axis: Any) -> int | None:
    """The axis, counted from the front."""
    if axis is None:
        return None
    axis = as_index(axis, "axis")
    if not -x.ndim <= axis < x.ndim:
        raise InputError(f"axis is {axis}, expected one of the {x.ndim} of x, whose shape is {x.shape}")
    return axis % x.ndim


def _range(x: Array, least: Any, most: Any, axis: int | None, *names: str) -> tuple[Array, Array]:
    """Both ends in x's type, in a shape that broadcasts against x: [1, .., x.shape[axis], .., 1]."""
    lo, hi = (_end(x, value, axis, name) for value, name in zip((least, most), names))
    wrong = np.flatnonzero(lo > hi)
    if wrong.size:
        a, b = lo.flat[wrong[0]], hi.flat[wrong[0]]
        raise InputError(f"{names[0]} is {a:g} and {names[1]} is {b:g}, expected {names[0]} <= {names[1]}")
    return lo, hi


def _end(x: Array, value: Any, axis: int | None, name: str) -> Array:
    """An end of the range as an array of x's type that broadcasts against x. Raises InputError."""
    try:
        with np.errstate(over="ignore", under="ignore"):
            end = np.asarray(value, np.float64).astype(x.dtype)
    except Exception:
        raise InputError(f"{name} is {shown(value)}, expected numbers") from None
    expected = () if axis is None else (x.shape[axis],)
    if end.shape != expected:
        raise InputError(f"{name} is of shape {end.shape}, expected {expected}")
    if not np.all(np.isfinite(end)):
        raise InputError(f"{name} is {shown(value)}, expected numbers that are finite in {x.dtype}")
    return end if axis is None else end.reshape([-1 if i == axis else 1 for i in range(x.ndim)])


def _measured(x: Array, axis: int | None) -> tuple[Array, Array]:
    """Minimum and maximum of x, which is not empty, in a shape that broadcasts against it."""
    if np.any(np.isnan(x)):
        raise InputError("x has NaN, expected none, or range_given=True")
    others = tuple(i for i in range(x.ndim) if i != axis) if axis is not None else None
    return x.min(axis=others, keepdims=True), x.max(axis=others, keepdims=True)


def _integers(dtype: Any, num_bits: int, signed: bool, narrow: bool) -> tuple[Any, Any]:
    """The least and the greatest integer, in x's type."""
    fewest = 2 if signed and narrow else 1
    largest = (16 if dtype == np.float16 else 61) if signed else (15 if dtype == np.float16 else 62)
    if not fewest <= num_bits <= largest:
        kind = ("signed" if signed else "unsigned") + (" narrow" if signed and narrow else "")
        raise InputError(f"num_bits is {num_bits}, expected {fewest} to {largest} for {kind} integers of {dtype}")
    if not signed:
        return dtype.type(0), dtype.type(2**num_bits - 1)
    half = 2 ** (num_bits - 1)
    return dtype.type(bool(narrow) - half), dtype.type(half - 1)


# Arithmetic of quantize_and_dequantize


def _scales(lo: Array, hi: Array, least: Any, most: Any) -> tuple[Array, Array, Array, Array]:
    """lo, hi with one of them moved, scale, step."""
    largest = np.finfo(lo.dtype).max
    from_lo = np.where(least * lo > 0, _flush(least / lo), largest)
    from_hi = np.where(most * hi > 0, _flush(most / hi), largest)
    by_lo = from_lo < from_hi
    step = _flush(np.where(by_lo, _divide(lo, least), _divide(hi, most)))
    moved_lo, moved_hi = _flush(least * step), _flush(most * step)
    return np.where(by_lo, lo, moved_lo), np.where(by_lo, moved_hi, hi), np.where(by_lo, from_lo, from_hi), step


def _divide(end: Array, integer: Any) -> Array:
    return end * (integer.dtype.type(1) / integer) if end.dtype == np.float16 else end / integer


def _clamp(x: Array, lo: Array, hi: Array) -> Array:
    """The order matters where a scale overflowed, so that lo > hi."""
    if x.dtype == np.float16:
        x = np.where(x > lo, x, lo)
        return np.where(x > hi, hi, x)
    x = np.where(x > hi, hi, x)
    return np.where(x < lo, lo, x)


def _flush(v: Array) -> Array:
    """v with zeros, of its sign, for denormals; float16 keeps them."""
    return v if v.dtype == np.float16 else v * (np.abs(v) >= np.finfo(v.dtype).tiny)


def nudged(least: Any, most: Any, num_bits: int, narrow_range: bool = False) -> tuple[Any, Any, Any, Any]:
    """min', max', scale and its inverse, float32 in the shape of ``least`` and ``most``; narrow: without the least."""
    first, top = np.float32(narrow_range), np.float32(2**num_bits - 1)
    scale = (most - least) / (top - first)
    zero = round_half_away_float(np.clip(first - least / scale, first, top))
    return (first - zero) * scale, (top - zero) * scale, scale, np.float32(1) / scale


def rounded(x: np.ndarray, lo: Any, hi: Any, scale: Any, inverse: Any) -> np.ndarray:
    """x clamped and rounded, for a range that broadcasts against it; NaN becomes lo."""
    at_least = np.where(lo < x, x, lo)
    clamped = np.where(at_least < hi, at_least, hi)
    return round_half_away_float((clamped - lo) * inverse) * scale + lo
