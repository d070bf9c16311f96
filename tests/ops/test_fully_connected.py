"""FULLY_CONNECTED: cases on program, reference and LiteRT's BUILTIN_REF, and nodes that contradict themselves."""

import dataclasses

import numpy as np
import pytest
from engines import check, run_program, run_reference, run_zeros
from linear import Linear, weights
from writer import RELU, RELU6, RELU_N1_TO_1, SIGN_BIT, T, model

from int8rt.errors import ModelError, UnsupportedError
from int8rt.format import reader
from int8rt.numerics import fixedpoint

U8 = np.uint8


def dense(x, units, **options):
    """x is a shape whose last axis is as deep as the weights."""
    fields = {f.name for f in dataclasses.fields(Linear)}
    given = {k: options.pop(k) for k in list(options) if k in fields}
    return Linear("FULLY_CONNECTED", x, (units, x[-1]), options=options, **({"per_channel": False} | given))


SHAPES = [
    dense((1, 1), 1),
    dense((1, 64), 10),
    dense((7, 64), 10),
    dense((1, 1001), 5),
    dense((40, 3), 3),
    dense((2, 3, 4, 5), 6),
    dense((2, 3, 4, 5), 6, keep_num_dims=True),
    dense((1, 1, 9), 6, keep_num_dims=True),
    dense((9,), 6, keep_num_dims=True),
    dense((9,), 6),
    dense((3, 1, 1, 33), 17),
]
DEPTHS = [dense((3, depth), 5) for depth in range(1, 21)]
UNITS = [dense((1, 19), n) for n in (2, 3, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 100, 130)]
ROWS = [dense((n, 6), 40) for n in (2, 5, 6, 7, 8, 9, 11, 12, 13, 24, 25)]
NUMBERS = [
    dense((3, 30), 20, bias=None),
    dense((1, 30), 20, bias=None),
    dense((3, 30), 20, per_channel=True),
    dense((1, 30), 70, per_channel=True, activation=RELU),
    dense((3, 30), 20, x_zero=-128, y_zero=-128),
    dense((3, 30), 20, x_zero=127, y_zero=127),
    dense((3, 30), 20, activation=RELU, y_zero=-128),
    dense((3, 30), 20, activation=RELU6, y_zero=-90, fit=20),
    dense((3, 30), 20, activation=RELU_N1_TO_1, y_zero=5),
    dense((3, 30), 20, fit=0.05),
    dense((3, 30), 20, fit=1000),
    dense((3, 300), 20, extreme=True),
    dense((3, 300), 20, x_value=-128, w_value=-127, x_zero=127),
    dense((3, 300), 20, x_value=127, w_value=-127, x_zero=-128),
    dense((3, 300), 20, w_value=-128),
    dense((3, 30), 20, bias=2**31 - 1),
    dense((3, 30), 20, bias=2**31 - 1, extreme=True),  # accumulators wrap
    *(dense((3, 30), 20, ratio=r) for r in (2.0**-31, 2.0**-33, 0.5, 0.25, 1.0, 1.5, 300.0, 1e4, 0.0)),
    dense((3, 30), 16, per_channel=True, ratio=2.0 ** np.arange(-8, 8)),
    dense((3, 30), 16, per_channel=True, ratio=2.0 ** -np.arange(0, 32, 2), bias=2**30, extreme=True),
    dense((3, 30), 16, per_channel=True, ratio=[0.003, 0] * 8),
    dense((3, 30), 16, per_channel=True, ratio=[-0.003, 0.003, -1.5, 0] * 4),
    dense((3, 30), 16, per_channel=True, ratio=-0.25, bias=1000, extreme=True),
    dense((256, 1), 1, ratio=0.5, bias=0),  # ties
]
UINT8 = [
    dense((3, 30), 20, dtype=U8),
    dense((1, 30), 20, dtype=U8),
    dense((3, 30), 20, dtype=U8, x_zero=0, y_zero=0),
    dense((3, 30), 20, dtype=U8, x_zero=255, y_zero=255),
    dense((3, 30), 70, dtype=U8, w_zero=0),
    dense((3, 30), 20, dtype=U8, w_zero=255),
    dense((3, 30), 20, dtype=U8, w_zero=128, bias=None),
    dense((3, 30), 20, dtype=U8, w_zero=0, w_value=255, x_value=255, x_zero=0),
    dense((3, 30), 20, dtype=U8, extreme=True),
    dense((3, 30), 20, dtype=U8, activation=RELU, y_zero=9),
    dense((3, 30), 20, dtype=U8, activation=RELU6, y_zero=0),
    dense((3, 30), 20, dtype=U8, ratio=3.0),
    dense((3, 30), 20, dtype=U8, ratio=0.037 / 3),
    dense((2, 5, 7), 9, dtype=U8, keep_num_dims=True),
    dense((30, 1), 16, dtype=U8, ratio=0.1 / 3, w_zero=100),
]


@pytest.mark.parametrize("case", SHAPES + DEPTHS + UNITS + ROWS + NUMBERS + UINT8, ids=str)
def test_fully_connected(case):
    check(*case.model())


def test_depth_is_that_of_the_weights():
    """Without keep_num_dims the input is rows as long as the weights are deep, whatever its own last axis."""
    x, w = T(np.int8, (2, 3, 8), 0.1), T(np.int8, (5, 12), 0.1, data=np.arange(60).reshape(5, 12))
    (y,) = check(model("FULLY_CONNECTED", [x, w, None], [T(np.int8, (4, 5), 2.0)]), np.ones((2, 3, 8), np.int8))
    assert y.shape == (4, 5)


@pytest.mark.parametrize("zero_point", [-128, -5, 1, 127])
@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_weights_with_a_zero_point(dtype, zero_point):
    """Old converters write it; int8 weights less theirs take nine bits."""
    rng = np.random.default_rng(7)
    w = rng.integers(-128, 128, (20, 30)).astype(np.int8)
    x_scale, y_scale, x_zero = (0.1, 1.0, 3) if dtype == np.int8 else (0.001, 0.01, 0)
    bias = rng.integers(-900, 900, 20)
    b = T(np.int32 if dtype == np.int8 else np.int64, (20,), x_scale * 0.02, data=bias)
    inputs = [T(dtype, (7, 30), x_scale, x_zero), T(np.int8, (20, 30), 0.02, zero_point, data=w), b]
    info = np.iinfo(dtype)
    x = rng.integers(info.min, info.max + 1, (7, 30)).astype(dtype)
    check(model("FULLY_CONNECTED", inputs, [T(dtype, (7, 20), y_scale)]), x)


def test_double_precision_not_double_rounding():
    """One rounding in float64: a quarter of 1 is 0, which double rounding make 1."""
    x = np.arange(-128, 128, dtype=np.int8).reshape(256, 1)
    w, b = T(np.int8, (1, 1), 0.25, data=[[1]]), T(np.int32, (1,), 0.25, data=[0])
    (y,) = check(model("FULLY_CONNECTED", [T(np.int8, x.shape, 1.0), w, b], [T(np.int8, x.shape, 1.0)]), x)
    acc = x.astype(np.int64)
    double_rounding = fixedpoint.requantize_double_rounding(acc, *fixedpoint.quantize_multiplier(0.25))
    double_precision = np.trunc(acc / 4 + np.copysign(0.5, acc))
    assert y[129, 0] == 0
    assert double_rounding[129, 0] == 1
    assert (y == double_precision).all()
    assert (y != double_rounding).sum() == 32


@pytest.mark.parametrize("ratio", [1e8, 1e20, 1e30])
@pytest.mark.parametrize("dtype", [np.int8, U8])
def test_results_beyond_int32_saturate(ratio, dtype):
    """LiteRT casts a double beyond int32, which C++ leaves undefined; the limit on the right side is what is meant."""
    case = dense((2, 3), 4, ratio=ratio, dtype=dtype, y_zero=7)
    content, x = case.model()
    _, w, b, _, _ = case.tensors()
    info = np.iinfo(dtype)
    x_zero = reader.read(content).main.inputs[0].zero_point
    acc = (x.astype(np.int64) - x_zero) @ (w.data.astype(np.int64).T - w.zero_point) + b.data
    assert (acc != 0).all()
    for (y,) in (run_program(content, x), run_reference(content, x)):
        assert (y == np.where(acc > 0, info.max, info.min)).all()


def node(x=None, w=None, b=None, y=None, inputs=None, **options):
    x, w = x or T(np.int8, (2, 6), 0.1), w or weights((4, 6))
    return model("FULLY_CONNECTED", [x, w, b] if inputs is None else inputs, [y or Y], **options)


X, Y = T(np.int8, (2, 6), 0.1), T(np.int8, (2, 4), 0.1)
MALFORMED = {
    "rank of w": ({"w": weights((24,))}, "2 axes were"),
    "rank 3 of w": ({"w": weights((4, 6, 1))}, "2 axes were"),
    "depth": ({"w": weights((4, 5))}, "multiple of depth"),
    "depth 0": ({"w": weights((4, 0))}, "multiple of depth"),
    "last axis": ({"w": weights((4, 3)), "keep_num_dims": True}, "last axis"),
    "scalar": ({"x": T(np.int8, (), 0.1), "w": weights((4, 1)), "keep_num_dims": True}, "last axis"),
    "scale of x": ({"x": T(np.int8, (2, 6))}, "scale"),
    "scale of y": ({"y": T(np.int8, (2, 4), 0.0)}, "scale"),
    "scale of w": ({"w": weights((4, 6), None)}, "scales"),
    "number of scales": ({"w": weights((4, 6), [0.1] * 6)}, "scales"),
    "axis of scales": ({"w": weights((6, 6), [0.1] * 6, axis=1)}, "axis"),
    "zero point of w": ({"w": weights((4, 6), [0.1] * 4, zero_point=1)}, "zero point"),
    "length of bias": ({"b": T(np.int32, (6,), 0.01, data=np.zeros(6))}, r"int32\[4\]"),
    "type of bias": ({"b": T(np.int64, (4,), 0.01, data=np.zeros(4))}, r"int32\[4\]"),
    "no weights": ({"inputs": [X, None]}, "no input 1"),
    "one input": ({"inputs": [X]}, "no input 1"),
}
REFUSED = {
    "types that differ": {"y": T(np.int16, (2, 4), 0.1)},
    "shuffled weights": {"weights_format": 1},
    "activation": {"fused_activation_function": SIGN_BIT},
}


@pytest.mark.parametrize(("replaced", "message"), MALFORMED.values(), ids=MALFORMED)
def test_malformed(replaced, message):
    with pytest.raises(ModelError, match=message):
        run_zeros(node(**replaced))


@pytest.mark.parametrize("replaced", REFUSED.values(), ids=REFUSED)
def test_refused(replaced):
    with pytest.raises(UnsupportedError, match=r"FULLY_CONNECTED \(node 0\)"):
        run_zeros(node(**replaced))
