"""Products of float32 activations with integer weights: quantized as they come, with the bits of BUILTIN_REF."""

from __future__ import annotations

import numpy as np
import pytest
from engines import check, run_program, run_reference, same
from products import GEOMETRIES, Product, cases, some
from selection import share
from writer import RELU, RELU6, RELU_N1_TO_1, TANH

from int8rt.errors import UnsupportedError
from int8rt.kernels import hybrid

F32 = np.float32
PER_CHANNEL = ("CONV_2D", "GROUPED", "TRANSPOSE_CONV", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
PER_TENSOR = ("CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED")
VALUES = (
    "zeros", "negative zeros", "some zero images", "ties", "asymmetric ties", "huge", "tiny", "denormal", "positive",
    "negative", "one negative", "ends",
)  # fmt: skip


def asymmetric(geometry, **fields):
    options = {**geometry["options"], "asymmetric_quantize_inputs": True}
    return Product(**(geometry | {"options": options}), **fields)


DENSE = GEOMETRIES["FULLY_CONNECTED"]
CASES = [
    *cases(*PER_CHANNEL, bias=F32),
    *cases(*PER_TENSOR, bias=F32, per_channel=False),
    *(asymmetric(g, bias=F32) for g in DENSE),
    *(asymmetric(g, bias=F32, per_channel=False) for g in DENSE),
    *some("TRANSPOSE_CONV", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"),  # no bias
    *(
        case
        for activation in (RELU, RELU6, RELU_N1_TO_1)
        for case in some(*PER_CHANNEL, bias=F32, activation=activation)
    ),
    *(case for values in VALUES for case in some(*PER_CHANNEL, step=5, bias=F32, values=values)),
    *(case for values in VALUES for case in some(*PER_TENSOR, step=5, bias=F32, values=values, per_channel=False)),
    *(asymmetric(g, bias=F32, values=values) for values in VALUES for g in DENSE[::8]),
]
NARROW = [
    *some("CONV_2D", "GROUPED", "FULLY_CONNECTED", bias=F32, weights="INT4"),
    *some("CONV_2D", "FULLY_CONNECTED", bias=F32, weights="INT4", per_channel=False),
    *some("FULLY_CONNECTED", bias=F32, weights="INT2"),
    *some("FULLY_CONNECTED", bias=F32, weights="INT2", per_channel=False),
    *(asymmetric(g, bias=F32, weights="INT4") for g in DENSE[::5]),
]


@pytest.mark.parametrize("case", share(CASES + NARROW, 1, 6), ids=lambda c: f"{c.op} {c}")
def test_hybrid(case):
    content, inputs = case.model()
    check(content, *inputs)


@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, -1])
def test_what_an_infinity_or_nan_multiplies_is_nan(value, place):
    """All outputs of its image are; LiteRT casts NaN to integers. The others are what they are without it."""
    for case in [*some(*PER_CHANNEL, bias=F32), *some(*PER_TENSOR, bias=F32, per_channel=False), asymmetric(DENSE[0])]:
        content, (x,) = case.model()
        (without,) = run_program(content, x)
        x = np.array(x)
        x.reshape(-1)[place] = value
        (y,) = run_program(content, x)
        same("reference", run_reference(content, x), [y])
        count = x.size // case.w[-1] if case.op == "FULLY_CONNECTED" else len(x)
        images, before = (a.reshape(count, -1) for a in (y, without))
        assert case.op == "TRANSPOSE_CONV" or np.isnan(images[place]).all()
        same("the program without it", [np.delete(before, place, 0)], [np.delete(images, place, 0)])


@pytest.mark.parametrize("size", range(1, 26))
def test_rounding_of_every_tail(size):
    """Of 8 values and more, the last ones are rounded otherwise than those before."""
    x = np.full((2, size), 0.49999997, F32)
    x[:, -1] = 127
    for geometry in ({"op": "FULLY_CONNECTED", "x": (2, size), "w": (4, size), "options": {}},):
        content, _ = Product(**geometry, bias=F32).model()
        check(content, x)
        check(content, -x)


def test_one_scale_written_per_channel():
    """Equal scales count as one: the input is quantized symmetrically."""
    case = Product(**GEOMETRIES["CONV_2D"][0], bias=F32, per_channel=False)
    content, inputs = case.model()
    (y,) = check(content, *inputs)
    assert np.isfinite(y).all()


def test_threads():
    for case in cases(*PER_CHANNEL, bias=F32):
        content, inputs = case.model()
        same("one thread", run_program(content, *inputs), run_program(content, *inputs, threads=2))


REFUSED = {
    "DEPTHWISE with one scale": Product(**GEOMETRIES["DEPTHWISE_CONV_2D"][0], bias=F32, per_channel=False),
    "DEPTHWISE with int4": Product(**GEOMETRIES["DEPTHWISE_CONV_2D"][0], bias=F32, weights="INT4"),
    "groups with one scale": Product(**GEOMETRIES["GROUPED"][0], bias=F32, per_channel=False),
    "DEPTHWISE with int2": Product(**GEOMETRIES["DEPTHWISE_CONV_2D"][0], bias=F32, weights="INT2"),
    "int4 of TRANSPOSE_CONV": Product(**GEOMETRIES["TRANSPOSE_CONV"][0], bias=F32, weights="INT4"),
    "activation": Product(**GEOMETRIES["FULLY_CONNECTED"][0], bias=F32, activation=TANH),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_refused(case):
    content, inputs = case.model()
    with pytest.raises(UnsupportedError, match=case.op):
        run_program(content, *inputs)


def test_rows_are_quantized_as_each_by_itself():
    """Of all sizes of numbers, and with what is not finite, constant or zero in some of them."""
    rng = np.random.default_rng(0)
    for exponent in range(-45, 39):
        for n in (1, 7, 8, 21):
            with np.errstate(all="ignore"):
                x = (rng.standard_normal((6, n)) * 10.0**exponent).astype(np.float32)
            x[0, 0], x[1] = rng.choice([np.nan, np.inf, -np.inf, 3e38]), np.abs(x[1])
            x[2] = 0 if exponent % 2 else x[2, 0]
            for symmetric in (False, True):
                with np.errstate(all="ignore"):
                    rows = hybrid.quantized_rows(x, symmetric)
                    each = [hybrid.quantized(row, symmetric) for row in x]
                np.testing.assert_array_equal(rows.q, [e.q for e in each])
                np.testing.assert_array_equal(rows.scale, np.array([e.scale for e in each], np.float32))
                np.testing.assert_array_equal(rows.zero_point, [e.zero_point for e in each])
