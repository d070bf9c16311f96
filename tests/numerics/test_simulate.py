"""quantize_and_dequantize against TensorFlow's answers, fake_quant against FAKE_QUANT of LiteRT."""

from __future__ import annotations

import numpy as np
import pytest
import simulation
from engines import run_litert, run_program
from paths import DATA
from unary import FAKE_QUANT_VALUES, fake_quant

import int8rt
from int8rt.errors import InputError

F = np.float32


@pytest.fixture(scope="module")
def answers():
    """What ``data/make_simulate.py`` stored."""
    with np.load(DATA / "simulate.npz") as stored:
        return dict(stored)


def test_random(answers):
    """10,000 cases: three types, per tensor and axis, all options, ties, extreme and degenerate ranges, NaN, inf."""
    cases = list(simulation.cases())
    inputs = np.array([simulation.digest(case.x) for case in cases], np.uint64)
    assert np.bitwise_xor.reduce(inputs) == answers["inputs"], (
        "the generator makes other cases than TensorFlow answered"
    )
    found = np.array([simulation.digest(int8rt.quantize_and_dequantize(*case)) for case in cases], np.uint64)
    wrong = np.flatnonzero(found != answers["outputs"])
    assert wrong.size == 0, f"{wrong.size} of {len(cases)} differ, the first is simulation.case({wrong[0]})"


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_documented(dtype):
    """The examples of TensorFlow's documentation: the end that decides, and where the other is moved."""
    x = np.array([-20, 20], dtype)
    y = int8rt.quantize_and_dequantize(x, -10, 5, range_given=True)
    np.testing.assert_array_equal(y, np.array([-10, 9.921875], dtype))  # scale 12.8
    y = int8rt.quantize_and_dequantize(x, -10, 10, range_given=True)
    np.testing.assert_allclose(y, [-10.07874, 10], rtol=np.finfo(dtype).eps * 2 + 1e-7)  # scale 12.7
    y = int8rt.quantize_and_dequantize(x, -10, 10, range_given=True, narrow_range=True)
    np.testing.assert_allclose(y, [-10, 10], rtol=np.finfo(dtype).eps * 2)


@pytest.mark.parametrize(("mode", "expected"), [("HALF_UP", [8, -7, 3, -2]), ("HALF_TO_EVEN", [8, -8, 2, -2])])
def test_halves(mode, expected):
    x = np.array([7.5, -7.5, 2.5, -2.5], F)
    y = int8rt.quantize_and_dequantize(x, -128, 127, range_given=True, round_mode=mode)
    np.testing.assert_array_equal(y, np.array(expected, F))


def test_axis_is_a_range_for_each():
    x = simulation.Draw(1).reals((3, 5, 4), 3).astype(F)
    lo, hi = np.linspace(-4, -1, 5), np.linspace(1, 8, 5)
    for given in (False, True):
        whole = int8rt.quantize_and_dequantize(x, lo, hi, range_given=given, axis=-2)
        parts = [int8rt.quantize_and_dequantize(x[:, i], lo[i], hi[i], range_given=given) for i in range(5)]
        np.testing.assert_array_equal(whole, np.stack(parts, 1))


def test_empty_and_lists():
    for axis in (None, 1):
        y = int8rt.quantize_and_dequantize(np.zeros((0, 3), F), None, None, axis=axis)
        assert (y.shape, y.dtype) == ((0, 3), F)
    assert int8rt.quantize_and_dequantize([1.0, -1.0], None, None).dtype == np.float64


def test_layout_does_not_matter():
    x = simulation.Draw(2).reals((6, 8), 3).astype(F)
    expected = int8rt.quantize_and_dequantize(x, None, None)
    np.testing.assert_array_equal(
        int8rt.quantize_and_dequantize(np.asfortranarray(x)[::-1], None, None)[::-1], expected
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": np.arange(3)}, "x is int64, expected float16, float32 or float64"),
        ({"x": np.array([1, np.nan], F), "range_given": False}, "x has NaN, expected none, or range_given=True"),
        ({"input_min": 3}, "input_min is 3 and input_max is 2, expected input_min <= input_max"),
        ({"input_min": np.nan}, "input_min is nan, expected numbers that are finite in float32"),
        ({"input_max": 1e39}, r"input_max is 1e\+39, expected numbers that are finite in float32"),
        ({"input_max": "wide"}, "input_max is 'wide', expected numbers"),
        ({"input_max": None}, "input_max is None, expected numbers"),
        ({"input_max": [1, 2]}, r"input_max is of shape \(2,\), expected \(\)"),
        ({"axis": 0}, r"input_min is of shape \(\), expected \(2,\)"),
        ({"axis": 1}, r"axis is 1, expected one of the 1 of x, whose shape is \(2,\)"),
        ({"axis": 0.5}, "axis is 0.5, expected an integer"),
        ({"num_bits": 0}, "num_bits is 0, expected 1 to 61 for signed integers of float32"),
        ({"num_bits": 62}, "num_bits is 62, expected 1 to 61"),
        ({"num_bits": 63, "signed_input": False}, "num_bits is 63, expected 1 to 62 for unsigned"),
        ({"num_bits": 1, "narrow_range": True}, "num_bits is 1, expected 2 to 61 for signed narrow integers"),
        ({"x": np.ones(2, np.float16), "num_bits": 16, "signed_input": False}, "num_bits is 16, expected 1 to 15"),
        ({"num_bits": 8.0}, "num_bits is 8.0, expected an integer"),
        ({"round_mode": "UP"}, "round_mode is 'UP'; known are HALF_TO_EVEN, HALF_UP"),
    ],
)
def test_refused(change, message):
    arguments = {"x": np.ones(2, F), "input_min": -1, "input_max": 2, "range_given": True}
    with pytest.raises(InputError, match=message):
        int8rt.quantize_and_dequantize(**{**arguments, **change})


# fake_quant


@pytest.mark.parametrize("num_bits", [1, 2, 8, 16])
@pytest.mark.parametrize("limits", [(-6, 6), (0, 6), (-6, 0), (-1, 1.007), (-0.001, 10)])
def test_operator(limits, num_bits):
    """The bits of FAKE_QUANT, LiteRT's and int8rt's."""
    x = np.append(FAKE_QUANT_VALUES, F(np.nan))
    model = fake_quant(x.shape, *limits, num_bits)
    y = int8rt.fake_quant(x, *limits, num_bits)
    for expected in (run_litert(model, x), run_program(model, x)):
        np.testing.assert_array_equal(y.view(np.int32), expected[0].view(np.int32))


def test_near_tensorflow(answers):
    """TensorFlow rounds (x - min') / scale - zero + 1/2 down: within an ulp of the range, but where x is halfway."""
    for case, expected in zip(simulation.fake_cases(), answers["fake"], strict=True):
        scale = np.float64(case.max - case.min) / (2**case.num_bits - 1 - case.narrow_range)
        distance = np.abs(np.float64(int8rt.fake_quant(*case)) - expected)
        from_half = np.abs(np.abs(case.x - np.float64(expected)) / scale - 0.5)
        allowed = np.where(from_half < 0.01, 1.01 * scale, np.spacing(case.max - case.min))
        assert np.all(distance <= allowed), case


def test_fake_quant_axis():
    x = simulation.Draw(3).reals((4, 3, 2), 3).astype(F)
    lo, hi = [-1, 0, 0], [2, 0, 5]
    for narrow in (False, True):
        whole = int8rt.fake_quant(x, lo, hi, 4, narrow, axis=1)
        parts = [int8rt.fake_quant(x[:, i], lo[i], hi[i], 4, narrow) for i in range(3)]
        np.testing.assert_array_equal(whole, np.stack(parts, 1))
        np.testing.assert_array_equal(whole[:, 1], 0)


def test_fake_quant_range_is_moved_to_zero():
    x = np.array([-9, 0, 9], F)
    np.testing.assert_allclose(int8rt.fake_quant(x, 1, 3), [0, 0, 2], rtol=1e-6)
    np.testing.assert_allclose(int8rt.fake_quant(x, -3, -1), [-2, 0, 0], rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": np.ones(2)}, "x is float64, expected float32"),
        ({"min": 7}, "min is 7 and max is 6, expected min <= max"),
        ({"min": 6}, "min equals max, expected min < max, or both 0"),
        ({"max": np.inf}, "max is inf, expected numbers that are finite in float32"),
        ({"min": -3e38, "max": 3e38}, r"max - min is inf, expected a number that is finite in float32"),
        ({"num_bits": 17}, "num_bits is 17, expected 1 to 16"),
        ({"num_bits": 1, "narrow_range": True}, "num_bits is 1, expected 2 to 16"),
        ({"axis": -2}, "axis is -2"),
        ({"axis": 0}, r"min is of shape \(\), expected \(2,\)"),
    ],
)
def test_fake_quant_refused(change, message):
    with pytest.raises(InputError, match=message):
        int8rt.fake_quant(**{"x": np.ones(2, F), **change})
