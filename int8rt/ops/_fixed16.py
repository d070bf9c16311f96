"""Sigmoid and tanh in gemmlowp's fixed point of 16 bits, as tables of all 65,536 values.

The formulas are those of ``fixedmath`` at half the width; constants are the rounded ones of 32 bits. Source: gemmlowp
``fixedpoint.h``, logistic and tanh.
"""

from __future__ import annotations

import functools

import numpy as np

from int8rt.numerics.fixedmath import EXP_CENTER, EXP_FACTORS, ONE_THIRD
from int8rt.numerics.fixedpoint import shift_half_away

LIMIT = 32767
EXP_LOWEST = -32  # below it inputs with more than five integer bits give 0


@functools.cache
def sigmoid() -> np.ndarray:
    """Sigmoid of Q3.12 as Q0.15 for -32768 ... 32767: int16."""
    x = np.arange(-32768, 32768)
    positive = _saturated(_two_over_one_plus(_exp_on_negative(-np.abs(x), 3)) << 1)
    return np.where(x == 0, 1 << 14, np.where(x > 0, positive, LIMIT - positive)).astype(np.int16)


@functools.cache
def tanh(integer_bits: int) -> np.ndarray:
    """Tanh of Q(integer_bits).(15 - integer_bits) as Q0.15 for -32768 ... 32767: int16."""
    x = np.arange(-32768, 32768)
    exponential = _exp_on_negative(-np.abs(x), integer_bits + 1)  # of 2 x, which has one integer bit more
    magnitude = _saturated((_two_over_one_plus(exponential) - (1 << 13)) << 2)
    return (np.sign(x) * magnitude).astype(np.int16)


def _exp_on_negative(x: np.ndarray, integer_bits: int) -> np.ndarray:
    """exp(x) in Q0.15 of x <= 0: a polynomial on [-1/4, 0), then one product per set bit of what is left."""
    first_bit = 13 - integer_bits
    quarter = 1 << first_bit
    rest = (x & (quarter - 1)) - quarter
    t = (rest << integer_bits) + (1 << 12)
    t2 = _product(t, t)
    t3, t4 = _product(t2, t), _product(t2, t2)
    series = t + shift_half_away(_product(shift_half_away(t4, 2) + t3, _narrow(ONE_THIRD)) + t2, 1)
    y = _narrow(EXP_CENTER) + _product(series, _narrow(EXP_CENTER))
    for bit, factor in zip(range(first_bit, 15), EXP_FACTORS, strict=False):
        y = np.where((rest - x) & (1 << bit), _product(y, _narrow(factor)), y)
    if integer_bits > 5:
        y = np.where(x < EXP_LOWEST << (15 - integer_bits), 0, y)
    return np.where(x == 0, LIMIT, y)


def _two_over_one_plus(x: np.ndarray) -> np.ndarray:
    """2 / (1 + x) of x in [0, 1) in Q0.15, as Q2.13: three steps of Newton's method."""
    half = (x + (1 << 15)) >> 1
    y = _narrow(1515870810) + _product(half, _narrow(-1010580540))  # 48/17 - 32/17 * half
    for _ in range(3):
        y = y + _saturated(_product(y, (1 << 13) - _product(half, y)) << 2)
    return y


def _product(a: np.ndarray, b: np.ndarray | int) -> np.ndarray:
    """``a * b / 2**15`` rounded half up."""
    return np.minimum((a * b + (1 << 14)) >> 15, LIMIT)


def _narrow(constant: int) -> int:
    """A constant of Q.31 in Q.15."""
    return int(shift_half_away(np.int64(constant), 16))


def _saturated(x: np.ndarray) -> np.ndarray:
    return x.clip(-32768, LIMIT)
