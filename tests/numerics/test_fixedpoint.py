"""fixedpoint: every rule against exact integers, exhaustively where there are few, and against C++ written out."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from int8rt.errors import UnsupportedError
from int8rt.graph import Quantization, Tensor
from int8rt.native.kernel import Kernel
from int8rt.numerics import fixedpoint as fp

INT32 = st.integers(-(2**31), 2**31 - 1)
MULTIPLIER = st.integers(2**30, 2**31 - 1)
INT_MIN, INT_MAX = -(2**31), 2**31 - 1


def half_away(x: Fraction) -> int:
    return math.floor(abs(x) + Fraction(1, 2)) * (1 if x >= 0 else -1)


def half_up(x: Fraction) -> int:
    return math.floor(x + Fraction(1, 2))


def half_even(x: Fraction) -> int:
    return round(x)


# What gemmlowp and TFLite say in C++, with its truncating division and arithmetic shifts


def int32(x: int) -> int:
    return (x + 2**31) % 2**32 - 2**31


def saturating_rounding_doubling_high_mul(a: int, b: int) -> int:
    if a == b == INT_MIN:
        return INT_MAX
    nudge = 2**30 if a * b >= 0 else 1 - 2**30
    quotient = abs(a * b + nudge) // 2**31
    return quotient if a * b + nudge >= 0 else -quotient


def rounding_divide_by_pot(x: int, exponent: int) -> int:
    mask = (1 << exponent) - 1
    remainder = x & mask
    threshold = (mask >> 1) + (1 if x < 0 else 0)
    return (x >> exponent) + (1 if remainder > threshold else 0)


def multiply_by_quantized_multiplier(x: int, multiplier: int, shift: int) -> int:
    left, right = max(shift, 0), max(-shift, 0)
    return rounding_divide_by_pot(saturating_rounding_doubling_high_mul(int32(x << left), multiplier), right)


def quantize_multiplier(real: float) -> tuple[int, int]:
    if real == 0.0:
        return 0, 0
    fraction, shift = math.frexp(real)
    fixed = half_away(Fraction(fraction) * 2**31)
    if fixed == 2**31:
        fixed, shift = fixed // 2, shift + 1
    return (0, 0) if shift < -31 else (fixed, shift)


# Rounding


def test_round_half_away_on_all_quarters():
    x = np.arange(-4000, 4001) / 4
    assert fp.round_half_away(x).tolist() == [half_away(Fraction(v)) for v in x]
    x = x.astype(np.float32)
    assert fp.round_half_away_float(x).dtype == np.float32
    assert fp.round_half_away_float(x).tolist() == [half_away(Fraction(float(v))) for v in x]


@given(st.integers(-(2**51), 2**51), st.sampled_from([0.0, 0.5, -0.5]), st.integers(-3, 3))
@example(0, 0.5, -1)
@example(2**51, 0.5, -1)
def test_round_half_away_next_to_ties(whole, part, steps):
    x = whole + part
    for _ in range(abs(steps)):
        x = math.nextafter(x, math.copysign(math.inf, steps))
    assert fp.round_half_away(np.float64(x)) == half_away(Fraction(x))


@given(st.integers(-(2**22), 2**22), st.sampled_from([0.0, 0.5, -0.5]), st.integers(-3, 3))
@example(0, 0.5, -1)
def test_round_half_away_float_next_to_ties(whole, part, steps):
    x = np.float32(whole + part)
    for _ in range(abs(steps)):
        x = np.nextafter(x, np.float32(math.copysign(math.inf, steps)))
    assert fp.round_half_away_float(x) == half_away(Fraction(float(x)))


@pytest.mark.parametrize("exponent", range(13))
def test_shifts_on_all_small_values(exponent):
    x = np.arange(-5000, 5001)
    assert fp.shift_half_away(x, exponent).tolist() == [half_away(Fraction(v, 2**exponent)) for v in x.tolist()]
    assert fp.shift_half_away(x, exponent).tolist() == [rounding_divide_by_pot(v, exponent) for v in x.tolist()]
    assert fp.shift_half_up(x, exponent).tolist() == [half_up(Fraction(v, 2**exponent)) for v in x.tolist()]


@given(INT32, st.integers(0, 31))
def test_shifts(x, exponent):
    assert fp.shift_half_away(np.int64(x), exponent) == half_away(Fraction(x, 2**exponent))
    assert fp.shift_half_up(np.int64(x), exponent) == half_up(Fraction(x, 2**exponent))


@given(INT32, INT32)
@example(INT_MIN, INT_MAX)
@example(INT_MAX, INT_MAX)
@example(INT_MIN, 1)
@example(-1, 2**30)
@example(1, 2**30)
@example(-3, 2**30)
def test_high_product(a, b):
    if not a == b == INT_MIN:
        assert fp.high_product(a, b) == half_up(Fraction(a * b, 2**31)) == saturating_rounding_doubling_high_mul(a, b)


def test_high_product_on_ties():
    """Products that are odd multiples of 2**30, of either sign: C++ truncates, yet ties go up."""
    a = np.arange(-999, 1000)
    expected = [saturating_rounding_doubling_high_mul(v, 2**30) for v in a.tolist()]
    assert fp.high_product(a, 2**30).tolist() == expected == [half_up(Fraction(v, 2)) for v in a.tolist()]


@given(st.integers(-(2**62), 2**62))
def test_wrap_int32(x):
    assert fp.wrap_int32(np.int64(x)) == int32(x)


@given(INT32, st.integers(-40, 90))
def test_shift_left_int32(x, exponent):
    assert fp.shift_left_int32(np.int64(x), exponent) == int32(x << max(exponent, 0))


# Rules


@given(INT32, MULTIPLIER, st.integers(-31, 31))
@example(INT_MIN, INT_MAX, 0)
@example(INT_MIN, 2**30, -31)
@example(INT_MAX, INT_MAX, 1)
@example(1, 2**30, -1)
@example(-1, 2**30, -1)
def test_rule_a(acc, multiplier, shift):
    expected = multiply_by_quantized_multiplier(acc, multiplier, shift)
    assert fp.requantize_double_rounding(np.int64(acc), multiplier, shift) == expected


@given(st.integers(-(2**20), 2**20), MULTIPLIER, st.integers(-20, 10))
def test_rule_a_is_two_roundings(acc, multiplier, shift):
    first = half_up(Fraction(acc * 2 ** max(shift, 0) * multiplier, 2**31))
    expected = half_away(Fraction(first, 2 ** max(-shift, 0)))
    assert fp.requantize_double_rounding(np.int64(acc), multiplier, shift) == expected


@given(st.integers(-(2**20), 2**20), MULTIPLIER, st.integers(-20, 10))
def test_rule_b_is_two_roundings(acc, multiplier, shift):
    first = half_up(Fraction(acc * 2 ** max(shift, 0) * multiplier, 2**31))
    expected = half_up(Fraction(first, 2 ** max(-shift, 0)))
    assert fp.requantize_half_up(np.int64(acc), multiplier, shift) == expected


@given(INT32, st.floats(1e-12, 100.0))
@example(1, 0.5)
@example(-1, 0.5)
@example(INT_MIN, 100.0)
@example(3, 1 / 6)
def test_rule_c(acc, scale):
    """The product is a float64, rounded before it is rounded to an integer."""
    expected = min(max(half_away(Fraction(acc * scale)), INT_MIN), INT_MAX)
    assert fp.requantize_double(acc, scale) == expected


@given(INT32, st.floats(2.0**-40, 100.0, width=32))
@example(1, 0.5)
@example(3, 0.5)
def test_rule_d(acc, scale):
    product = np.float32(np.float32(acc) * np.float32(scale))
    assert fp.requantize_float(acc, np.float32(scale)) == half_even(Fraction(float(product)))


@given(st.integers(-(2**24), 2**24), MULTIPLIER, st.integers(-31, 7))
def test_rule_s_is_one_rounding(acc, multiplier, shift):
    expected = half_up(Fraction(acc * multiplier, 2 ** (31 - shift)))
    assert fp.requantize_single_rounding(np.int64(acc), multiplier, shift) == expected


@given(st.integers(-(2**40), 2**40), MULTIPLIER, st.integers(-31, 7))
@example(1, 0x7FFEFFFF, 0)
@example(1, 0x7FFF0000, 0)
@example(2**40, 0x40000000, 7)  # results beyond int32 wrap
@example(-(2**31) - 1, 0x40000000, 1)
def test_rule_i64(acc, multiplier, shift):
    reduced = (multiplier + 2**15) >> 16 if multiplier < 0x7FFF0000 else 0x7FFF
    assert fp.reduced_multiplier(multiplier) == reduced
    expected = int32(half_up(Fraction(acc * reduced, 2 ** (15 - shift))))
    assert fp.requantize_int64(np.int64(acc), multiplier, shift) == expected


@pytest.mark.parametrize(
    ("rule", "arguments"),
    [
        (fp.requantize_double_rounding, (2**30 + 12345, -5)),
        (fp.requantize_half_up, (2**30 + 12345, 3)),
        (fp.requantize_double, (0.0123,)),
        (fp.requantize_float, (np.float32(0.0123),)),
        (fp.requantize_single_rounding, (2**31 - 1, -7)),
        (fp.requantize_int64, (2**31 - 1, -7)),
        (fp.shift_half_away, (5,)),
        (fp.shift_left_int32, (35,)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_one_source_for_arrays_and_for_kernels(rule, arguments):
    acc = np.random.default_rng(0).integers(-(2**31), 2**31, 1000)
    first, second = (*arguments, None)[:2]

    def apply(x, y):
        for i in range(x.size):
            y[i] = rule(x[i], first) if second is None else rule(x[i], first, second)

    compiled = np.zeros(acc.shape)
    Kernel(apply)(acc, compiled)
    assert (compiled == rule(acc, *arguments)).all()


# Multipliers


@given(st.floats(0, 2.0**60))
@example(0.0)
@example(1.0)
@example(0.5)
@example(1 - 2.0**-53)  # the mantissa rounds up to 2**31
@example(2.0**-31 * (1 - 2.0**-53))
@example(2.0**-32)
@example(2.0**-33)
@example(math.nextafter(2.0**-32, 0))
@example(5e-324)
@example(0.5 + 2.0**-32)  # a tie of the mantissa
def test_quantize_multiplier(real):
    multiplier, shift = fp.quantize_multiplier(real)
    assert (multiplier, shift) == quantize_multiplier(real)
    assert multiplier.dtype == shift.dtype == np.int64
    assert fp.multiplier_of(real) == quantize_multiplier(real)


def test_quantize_multiplier_of_arrays():
    real = np.random.default_rng(0).uniform(0, 1, (3, 5)) ** 8
    multiplier, shift = fp.quantize_multiplier(real)
    assert multiplier.shape == shift.shape == (3, 5)
    pairs = zip(multiplier.ravel().tolist(), shift.ravel().tolist())
    assert list(pairs) == [quantize_multiplier(r) for r in real.ravel().tolist()]


def test_scales_keep_the_precision_of_their_operator():
    s_in, s_w, s_out = np.float32(0.1), np.float32([0.2, 0.3]), np.float32(0.7)
    exact = [Fraction(float(s_in)) * Fraction(float(w)) for w in s_w]
    assert fp.scale_double(s_in, s_w, s_out).tolist() == [
        float(np.float64(float(e)) / np.float64(s_out)) for e in exact
    ]
    product = np.array([np.float32(float(e)) for e in exact])
    assert (
        fp.scale_float_product(s_in, s_w, s_out).tolist() == (product.astype(np.float64) / np.float64(s_out)).tolist()
    )
    assert fp.scale_float(s_in, s_w, s_out).tolist() == (product / s_out).tolist()
    assert fp.scale_float(s_in, s_w, s_out).dtype == np.float32
    assert fp.scale_double(s_in, s_w, s_out).tolist() != fp.scale_float_product(s_in, s_w, s_out).tolist()


# Fused activations


def tensor(dtype, scale, zero_point):
    return Tensor("y", (1,), np.dtype(dtype), Quantization(np.float32([scale]), np.array([zero_point])))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16])
@pytest.mark.parametrize("activation", [0, 1, 2, 3])
def test_activation_range(dtype, activation):
    """As CalculateActivationRangeQuantized: bounds are float32 quotients, rounded half away from zero, then clamped."""
    info, rng = np.iinfo(dtype), np.random.default_rng(activation)
    bounds = {0: (None, None), 1: (0.0, None), 2: (-1.0, 1.0), 3: (0.0, 6.0)}[activation]
    for scale in (
        *rng.uniform(0.001, 0.5, 200).astype(np.float32),
        np.float32(2.0),
        np.float32(12.0),
        np.float32(1e-9),
    ):
        zero_point = int(rng.integers(info.min, info.max + 1))
        lo, hi = (
            limit if real is None else half_away(Fraction(float(np.float32(real) / scale))) + zero_point
            for real, limit in zip(bounds, (info.min, info.max))
        )
        expected = max(lo, info.min), min(hi, info.max)
        assert fp.activation_range(tensor(dtype, scale, zero_point), activation) == expected


def test_activation_range_of_a_tie():
    """1 / 2 rounds away from zero on either side."""
    assert fp.activation_range(tensor(np.int8, 2.0, 3), 2) == (2, 4)


@pytest.mark.parametrize("activation", [4, 5, 77, -1])
def test_activations_that_integers_do_not_have(activation):
    with pytest.raises(UnsupportedError, match=f"activation {activation}"):
        fp.activation_range(tensor(np.int8, 0.1, 0), activation)
