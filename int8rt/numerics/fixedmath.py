"""Functions in gemmlowp's fixed point: raw int32 values, held in int64. ``Qm.n`` has m integer and n fraction bits.

One source serves NumPy arrays and Numba scalars, as in fixedpoint. The constants are those of gemmlowp's
``fixedpoint.h``.
"""

from __future__ import annotations

import numpy as np

from int8rt.native.kernel import inline
from int8rt.numerics.fixedpoint import Array, high_product, shift_half_away

# exp(-2**e) in Q0.31 for e = -2 ... 4
EXP_FACTORS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
EXP_CENTER = 1895147668  # exp(-1/8)
ONE_THIRD = 715827883

SQRT_HALF = 1518500250  # in Q0.31, as are those below
FOURTH_ROOT_HALF = 1805811301
LOG_2 = 1488522236
LOG_2_Q26 = 46516320


def exp_on_negative(x: np.ndarray) -> np.ndarray:
    """exp(x) in Q0.31 of x <= 0 in Q5.26: a polynomial on [-1/4, 0), then one product per set bit of what is left."""
    quarter = 1 << 24
    rest = (x & (quarter - 1)) - quarter
    t = (rest << 5) + (1 << 28)
    t2 = high_product(t, t)
    t3, t4 = high_product(t2, t), high_product(t2, t2)
    series = t + shift_half_away(high_product(shift_half_away(t4, 2) + t3, ONE_THIRD) + t2, 1)
    y = EXP_CENTER + high_product(series, np.int64(EXP_CENTER))
    for bit, factor in enumerate(EXP_FACTORS, start=24):
        y = np.where((rest - x) & (1 << bit), high_product(y, factor), y)
    return np.where(x == 0, (1 << 31) - 1, y)


@inline
def saturating_shift(x: Array, amount: int) -> Array:
    """``x * 2**amount``, clamped to int32."""
    return np.minimum(np.maximum(x << amount, -2147483648), 2147483647)


@inline
def one_over_one_plus(x: Array) -> Array:
    """1 / (1 + x) of x in [0, 1), both Q0.31: three steps of Newton's method."""
    half = (x + 2147483648) >> 1
    y = 1515870810 + high_product(half, -1010580540)  # 48/17 - 32/17 * half, in Q2.29
    for _ in range(3):
        y = y + saturating_shift(high_product(y, 536870912 - high_product(half, y)), 2)
    return saturating_shift(y, 1)


@inline
def bit_length(x: int) -> int:
    """How many bits an integer that is not negative takes; of scalars only."""
    bits = 0
    while x > 0:
        x >>= 1
        bits += 1
    return bits


@inline
def inverse_sqrt(x: int) -> tuple[int, int]:
    """1 / sqrt(x) of an integer scalar, not negative, as (multiplier, shift): GetInvSqrtQuantizedMultiplierExp.

    Five steps of Newton's method in Q3.28 on x scaled to [1/4, 1). Of 0 and 1 it is the largest multiplier.
    """
    if x <= 1:
        return 2147483647, 0
    shift = 11
    while x >= 536870912:
        x //= 4
        shift += 1
    while x < 134217728:
        x *= 4
        shift -= 1
    half = ((x >> 1) + 1) >> 1
    y = 268435456
    for _ in range(5):
        cube = saturating_shift(high_product(high_product(y, y), y), 6)
        y = saturating_shift(high_product(402653184, y) - high_product(half, cube), 3)
    y = high_product(y, SQRT_HALF)
    return (y << -shift, 0) if shift < 0 else (y, -shift)


@inline
def log_q12(x: int) -> int:
    """log(x) in Q5.26 of a scalar x >= 1 in Q12.19, which may be above that range: x = r * 2**p, twice.

    Of the two ways to split off a power, the one with the smaller rest counts; log(r) is a quotient of polynomials.
    Source: log_x_for_x_greater_than_or_equal_to_1_impl of TFLite's ``internal/common.h``.
    """
    beyond = max(bit_length(x) - 31, 0)
    x >>= beyond
    headroom = 31 - bit_length(x)
    r_a = high_product(x << headroom, SQRT_HALF) << 1
    power_a = ((11 - headroom) << 25) + 8388608
    headroom_b = 31 - bit_length(high_product(x, SQRT_HALF))
    r_b = saturating_shift(x, headroom_b)
    power_b = ((12 - headroom_b) << 25) - 8388608
    r, power = min(r_a, r_b), max(power_a, power_b)
    p = (r + FOURTH_ROOT_HALF + 1) >> 1
    q = (r - FOURTH_ROOT_HALF) * 2
    q2 = high_product(q, q)
    numerator = high_product(q, r) + high_product(high_product(q, q2), 117049297)
    denominator = high_product(p, 1057819769 + q + high_product(127690142, q2)) + high_product(638450708, q)
    ratio = high_product(shift_half_away(numerator, 6), one_over_one_plus(denominator))
    return saturating_shift(high_product(power, LOG_2) + ratio, 1) + beyond * LOG_2_Q26
