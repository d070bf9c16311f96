"""CONV_2D: cases on program, reference and LiteRT's BUILTIN_REF, and nodes that contradict themselves."""

import dataclasses

import numpy as np
import pytest
from engines import check, run_litert, run_program, run_reference, run_zeros
from linear import Linear, weights
from writer import NONE, RELU, RELU6, RELU_N1_TO_1, SAME, SIGN_BIT, VALID, T, model

from int8rt.errors import ModelError, UnsupportedError

U8 = np.uint8


def conv(x, w, **options):
    fields = {f.name for f in dataclasses.fields(Linear)}
    given = {k: options.pop(k) for k in list(options) if k in fields}
    names = {"stride": ("stride_h", "stride_w"), "dilation": ("dilation_h_factor", "dilation_w_factor")}
    for name, pair in names.items():
        if name in options:
            options.update(zip(pair, options.pop(name)))
    return Linear("CONV_2D", x, w, options=options, **given)


GEOMETRY = [
    conv((1, 8, 8, 3), (16, 3, 3, 3), padding=SAME),
    conv((1, 8, 8, 3), (16, 3, 3, 3), padding=VALID),
    conv((1, 9, 7, 4), (8, 3, 3, 4), padding=SAME, stride=(2, 2)),
    conv((1, 8, 8, 4), (8, 3, 3, 4), padding=SAME, stride=(2, 2)),
    conv((1, 9, 7, 4), (8, 3, 3, 4), padding=VALID, stride=(2, 3)),
    conv((1, 11, 10, 2), (5, 2, 4, 2), padding=SAME, stride=(3, 1)),
    conv((1, 10, 10, 3), (4, 1, 1, 3), padding=SAME, stride=(4, 4)),  # windows that skip pixels
    conv((1, 12, 11, 3), (7, 3, 3, 3), padding=SAME, dilation=(2, 2)),
    conv((1, 12, 11, 3), (7, 3, 2, 3), padding=VALID, dilation=(3, 1)),
    conv((1, 12, 11, 3), (7, 2, 3, 3), padding=VALID, dilation=(1, 4)),
    conv((1, 9, 9, 3), (7, 3, 3, 3), padding=SAME, dilation=(2, 3), stride=(2, 1)),
    conv((1, 3, 3, 2), (4, 3, 3, 2), padding=SAME, dilation=(9, 9)),  # all taps but the middle one outside
    conv((1, 2, 3, 3), (4, 5, 7, 3), padding=SAME),  # filter larger than the image
    conv((1, 5, 7, 3), (4, 5, 7, 3), padding=VALID),  # one window
    conv((1, 1, 1, 5), (6, 1, 1, 5)),
    conv((1, 1, 1, 1), (1, 1, 1, 1), per_channel=False),
    conv((1, 1, 40, 3), (9, 1, 5, 3), padding=SAME),
    conv((1, 40, 1, 3), (9, 5, 1, 3), padding=SAME),
    conv((3, 6, 5, 3), (8, 3, 3, 3), padding=SAME),
    conv((3, 6, 5, 3), (8, 3, 3, 3), padding=VALID, stride=(2, 2)),
    conv((2, 4, 4, 64), (70, 1, 1, 64)),
    conv((1, 6, 6, 8), (12, 3, 3, 2), padding=SAME),  # four groups
    conv((2, 6, 5, 6), (6, 3, 3, 1), padding=SAME, stride=(2, 1)),  # as many groups as channels
    conv((1, 5, 5, 6), (4, 3, 3, 3), dilation=(2, 2), padding=SAME),
    conv((1, 5, 5, 34), (40, 1, 1, 17)),
]

DEPTHS = [conv((1, 3, 4, depth), (5, 2, 2, depth), padding=SAME) for depth in range(1, 21)]
COLUMNS = [conv((1, 3, 5, 7), (n, 1, 1, 7)) for n in (1, 2, 3, 15, 16, 17, 31, 33, 47, 48, 49, 63, 64, 65, 100, 130)]
ROWS = [conv((1, 1, n, 5), (20, 1, 1, 5)) for n in (2, 5, 6, 7, 11, 12, 13, 25)]

NUMBERS = [
    conv((1, 4, 4, 3), (8, 3, 3, 3), per_channel=False),
    conv((1, 4, 4, 3), (8, 3, 3, 3), x_zero=-128, y_zero=-128, padding=SAME),
    conv((1, 4, 4, 3), (8, 3, 3, 3), x_zero=127, y_zero=127, padding=SAME),
    conv((1, 4, 4, 3), (8, 3, 3, 3), activation=RELU, y_zero=-128),
    conv((1, 4, 4, 3), (8, 3, 3, 3), activation=RELU, y_zero=10),
    conv((1, 4, 4, 3), (8, 3, 3, 3), activation=RELU6, y_zero=-128),
    conv((1, 4, 4, 3), (8, 3, 3, 3), activation=RELU6, y_zero=-100, fit=40),
    conv((1, 4, 4, 3), (8, 3, 3, 3), activation=RELU_N1_TO_1, y_zero=3),
    conv((1, 4, 4, 3), (40, 3, 3, 3), fit=0.05),  # most results saturate
    conv((1, 4, 4, 3), (40, 3, 3, 3), fit=1000),  # all results are near the zero point
    conv((1, 4, 4, 31), (20, 3, 3, 31), extreme=True),
    conv((1, 4, 4, 31), (20, 3, 3, 31), x_value=-128, w_value=-127, x_zero=127),
    conv((1, 4, 4, 31), (20, 3, 3, 31), x_value=127, w_value=127, x_zero=-128),
    conv((1, 4, 4, 31), (20, 3, 3, 31), x_value=127, w_value=-127, x_zero=-128),
    conv((1, 4, 4, 31), (20, 3, 3, 31), w_value=-128),
    conv((1, 4, 4, 3), (8, 3, 3, 3), w_value=0),
    conv((1, 4, 4, 3), (8, 3, 3, 3), bias=2**31 - 1),
    conv((1, 4, 4, 3), (8, 3, 3, 3), bias=2**31 - 1, extreme=True),  # accumulators wrap
    conv((1, 4, 4, 3), (8, 3, 3, 3), bias=2**30, extreme=True, fit=1e4),
    conv((1, 4, 4, 3), (20, 3, 3, 3), bias=2**30 - 2**20, extreme=True, fit=1e4),
]

RATIOS = {
    "2**-31": 2.0**-31,
    "2**-32": 2.0**-32,
    "2**-33": 2.0**-33,
    "half": 0.5,
    "quarter": 0.25,
    "one": 1.0,
    "1.5": 1.5,
    "seven": 7.0,
    "2**9": 2.0**9,
    "just below one": 1 - 2.0**-24,
    "2**-8": 2.0**-8,
    "2**-23": 2.0**-23,
    "2**-25": 2.0**-25,
    "zero": 0.0,
}
SCALES = [conv((1, 4, 4, 3), (16, 3, 3, 3), ratio=ratio) for ratio in RATIOS.values()]
SCALES += [
    conv((1, 4, 4, 3), (16, 3, 3, 3), ratio=2.0 ** -np.arange(1, 33, 2), bias=2**29, extreme=True),
    conv((1, 4, 4, 3), (16, 3, 3, 3), ratio=2.0 ** -np.arange(0, 16), bias=2**22),
    conv((1, 4, 4, 3), (16, 3, 3, 3), ratio=2.0 ** np.arange(-8, 8)),  # left and right shifts
    conv((1, 4, 4, 3), (16, 3, 3, 3), ratio=[0.003, 0] * 8),  # channels that nothing comes out of
    conv((1, 4, 4, 3), (16, 3, 3, 3), ratio=np.geomspace(1e-9, 1e3, 16)),
    conv((1, 4, 4, 3), (16, 3, 3, 3), ratio=[-0.003, 0.003, -1.5, 0] * 4),
    conv((1, 4, 4, 3), (16, 3, 3, 3), ratio=-0.25, bias=1000, extreme=True),
    conv((1, 4, 4, 3), (16, 3, 3, 3), ratio=1500.0, bias=2**30),  # the left shift wraps, in LiteRT as here
    conv((1, 4, 4, 3), (16, 3, 3, 3), ratio=2.0**20, bias=2**20),
    conv((1, 16, 16, 1), (1, 1, 1, 1), ratio=0.25, bias=0),  # ties
]

UINT8 = [
    conv((1, 6, 6, 3), (16, 3, 3, 3), dtype=U8, padding=SAME),
    conv((1, 6, 6, 3), (16, 3, 3, 3), dtype=U8, padding=SAME, x_zero=0, y_zero=0),
    conv((1, 6, 6, 3), (16, 3, 3, 3), dtype=U8, padding=SAME, x_zero=255, y_zero=255),
    conv((1, 6, 6, 3), (70, 3, 3, 3), dtype=U8, w_zero=0),  # weights of up to 255 take three passes
    conv((1, 6, 6, 3), (16, 3, 3, 3), dtype=U8, w_zero=255),  # and down to -255 two
    conv((1, 6, 6, 3), (16, 3, 3, 3), dtype=U8, w_zero=128),
    conv((1, 6, 6, 3), (16, 3, 3, 3), dtype=U8, w_zero=0, w_value=255, x_value=255, x_zero=0),
    conv((1, 6, 6, 3), (16, 3, 3, 3), dtype=U8, w_zero=255, w_value=0, x_value=255, x_zero=0),
    conv((1, 6, 6, 5), (16, 3, 3, 5), dtype=U8, extreme=True),
    conv((1, 6, 6, 5), (16, 3, 3, 5), dtype=U8, activation=RELU, y_zero=50),
    conv((1, 6, 6, 5), (16, 3, 3, 5), dtype=U8, activation=RELU6, y_zero=0),
    conv((1, 6, 6, 5), (16, 3, 3, 5), dtype=U8, activation=RELU_N1_TO_1, y_zero=128),
    conv((1, 9, 9, 4), (8, 3, 3, 4), dtype=U8, stride=(2, 2), padding=SAME),
    conv((1, 9, 9, 4), (8, 3, 3, 4), dtype=U8, dilation=(2, 2), padding=SAME),
    conv((2, 3, 3, 17), (33, 1, 1, 17), dtype=U8),
    conv((1, 6, 6, 3), (16, 3, 3, 3), dtype=U8, ratio=3.0),
    conv((1, 6, 6, 3), (16, 3, 3, 3), dtype=U8, ratio=2.0**-31, bias=2**30),
    conv((1, 6, 6, 3), (16, 3, 3, 3), dtype=U8, ratio=0.0),
    conv((1, 4, 4, 40), (16, 3, 3, 40), dtype=U8, ratio=0.037 / 3),  # the product of scales is rounded to float32
]


@pytest.mark.parametrize("case", GEOMETRY + DEPTHS + COLUMNS + ROWS + NUMBERS + UINT8, ids=str)
def test_conv_2d(case):
    check(*case.model())


@pytest.mark.parametrize("case", SCALES, ids=[*RATIOS, *map(str, range(len(SCALES) - len(RATIOS)))])
def test_scales(case):
    check(*case.model())


@pytest.mark.parametrize("ratio", [2.0**40, 2.0**70, 1e30])
@pytest.mark.parametrize("dtype", [np.int8, U8])
def test_scales_beyond_every_shift_are_defined(ratio, dtype):
    """LiteRT shifts an int32 by more than 31 here, which C++ leaves undefined: a shift that loses all bits gives 0."""
    case = conv((1, 4, 4, 3), (4, 3, 3, 3), ratio=ratio, dtype=dtype, y_zero=5)
    content, x = case.model()
    for outputs in (run_program(content, x), run_reference(content, x)):
        assert (outputs[0] == 5).all()


@pytest.mark.parametrize("dtype", [np.int8, U8])
@pytest.mark.parametrize("left_out", [(), (None,)], ids=["absent", "-1"])
def test_bias_may_be_left_out(dtype, left_out):
    """LiteRT demands one for quantized types; zeros mean the same."""
    case = conv((1, 4, 4, 3), (8, 3, 3, 3), bias=0, dtype=dtype)
    content, x = case.model()
    x_, w, _, y, _ = case.tensors()
    without = model(
        "CONV_2D",
        [x_, w, *left_out],
        [dataclasses.replace(y, shape=case.output_shape())],
        padding=VALID,
        stride_h=1,
        stride_w=1,
    )
    check(without, x, litert=run_litert(content, x))


def test_both_roundings_of_double_rounding():
    """A quarter is 2**30 / 2**31, rounded half up, and a shift by one, rounded half away from zero: 1/4 gives 1."""
    x = np.arange(-128, 128, dtype=np.int8).reshape(1, 16, 16, 1)
    w = T(np.int8, (1, 1, 1, 1), 0.25, data=np.ones((1, 1, 1, 1)))
    x_, b, y_ = T(np.int8, x.shape, 1.0), T(np.int32, (1,), 0.25, data=[0]), T(np.int8, x.shape, 1.0)
    content = model("CONV_2D", [x_, w, b], [y_], padding=VALID, stride_h=1, stride_w=1)
    (y,) = check(content, x)
    half = np.floor(x.reshape(-1) / 2 + 0.5)
    assert (y.reshape(-1) == np.trunc(half / 2 + np.copysign(0.5, half))).all()


# Nodes that contradict themselves


def node(x=None, w=None, b=None, y=None, inputs=None, outputs=None, **options):
    """A model with a valid node in which some things are replaced."""
    x = x or T(np.int8, (1, 4, 4, 3), 0.1)
    w = w or T(np.int8, (8, 3, 3, 3), 0.1, data=np.ones((8, 3, 3, 3)))
    y = y or T(np.int8, (1, 2, 2, 8), 0.1)
    fields = {"padding": VALID, "stride_h": 1, "stride_w": 1, "fused_activation_function": NONE} | options
    return model("CONV_2D", [x, w, b] if inputs is None else inputs, [y] if outputs is None else outputs, **fields)


X = T(np.int8, (1, 4, 4, 3), 0.1)
Y = T(np.int8, (1, 2, 2, 8), 0.1)

MALFORMED = {
    "rank of x": ({"x": T(np.int8, (4, 4, 3), 0.1)}, "4 axes were"),
    "rank of w": ({"w": weights((8, 27))}, "4 axes were"),
    "channels": ({"w": weights((8, 3, 3, 2))}, "does not divide"),
    "filters per group": ({"w": weights((8, 3, 3, 1))}, "does not divide"),
    "filter without channels": ({"w": weights((8, 3, 3, 0))}, "does not divide"),
    "empty filter": ({"w": weights((8, 0, 3, 3))}, "must be positive"),
    "too large": ({"w": weights((8, 5, 3, 3))}, "does not fit"),
    "too dilated": ({"dilation_h_factor": 2}, "does not fit"),
    "empty image": ({"x": T(np.int8, (1, 0, 4, 3), 0.1), "padding": SAME}, "does not fit"),
    "stride 0": ({"stride_h": 0}, "must be positive"),
    "stride -1": ({"stride_w": -1}, "must be positive"),
    "dilation 0": ({"dilation_w_factor": 0}, "must be positive"),
    "dilation -3": ({"dilation_h_factor": -3}, "must be positive"),
    "padding": ({"padding": 2}, "padding"),
    "no scale of x": ({"x": T(np.int8, (1, 4, 4, 3))}, "scale"),
    "scale 0 of x": ({"x": T(np.int8, (1, 4, 4, 3), 0.0)}, "scale"),
    "scale nan of x": ({"x": T(np.int8, (1, 4, 4, 3), np.nan)}, "scale"),
    "no scale of y": ({"y": T(np.int8, (1, 2, 2, 8))}, "scale"),
    "scale 0 of y": ({"y": T(np.int8, (1, 2, 2, 8), 0.0), "fused_activation_function": RELU6}, "scale"),
    "negative scale of y": ({"y": T(np.int8, (1, 2, 2, 8), -1.0)}, "scale"),
    "infinite scale of y": ({"y": T(np.int8, (1, 2, 2, 8), np.inf)}, "scale"),
    "no scale of w": ({"w": weights((8, 3, 3, 3), None)}, "0 scales"),
    "number of scales": ({"w": weights((8, 3, 3, 3), [0.1] * 7)}, "scales"),
    "axis of scales": ({"w": weights((8, 8, 1, 3), [0.1] * 8, axis=1), "padding": SAME}, "axis"),
    "zero point of int8 weights": ({"w": weights((8, 3, 3, 3), 0.1, zero_point=3)}, "zero point"),
    "zero point of x": ({"x": T(np.int8, (1, 4, 4, 3), 0.1, 200)}, "zero point"),
    "zero point of y": ({"y": T(np.int8, (1, 2, 2, 8), 0.1, -129)}, "zero point"),
    "zero point of uint8 weights": (
        {
            "x": T(U8, (1, 4, 4, 3), 0.1),
            "w": weights((8, 3, 3, 3), 0.1, dtype=U8, zero_point=-1),
            "y": T(U8, (1, 2, 2, 8), 0.1),
        },
        "zero point",
    ),
    "length of bias": ({"b": T(np.int32, (7,), 0.01, data=np.zeros(7))}, r"int32\[8\]"),
    "type of bias": ({"b": T(np.int64, (8,), 0.01, data=np.zeros(8))}, r"int32\[8\]"),
    "no weights": ({"inputs": [X, None]}, "no input 1"),
    "one input": ({"inputs": [X]}, "no input 1"),
    "no input": ({"inputs": []}, "no input 0"),
    "two outputs": ({"outputs": [Y, T(np.int8, (1,), 0.1)]}, "2 outputs"),
    "no output": ({"outputs": []}, "0 outputs|output"),
    "no options": ({}, "must be positive"),
}
REFUSED = {
    "types that differ": {"y": T(U8, (1, 2, 2, 8), 0.1)},
    "int32 output": {"y": T(np.int32, (1, 2, 2, 8), 0.1)},
    "activation": {"fused_activation_function": SIGN_BIT},
    "image beyond 2 GB": {"dilation_h_factor": 10**6, "dilation_w_factor": 10**6, "padding": SAME},
    "2-bit weights": {"w": T(np.int8, (8, 3, 3, 3), 0.1, data=np.ones((8, 3, 3, 3)), type_name="INT2")},
}


@pytest.mark.parametrize(("replaced", "message"), MALFORMED.values(), ids=MALFORMED)
def test_malformed(replaced, message):
    content = node(**replaced) if replaced else model("CONV_2D", [X, weights((8, 3, 3, 3))], [Y], options=None)
    with pytest.raises(ModelError, match=message):
        run_zeros(content)


@pytest.mark.parametrize("replaced", REFUSED.values(), ids=REFUSED)
def test_refused(replaced):
    content = node(**replaced)
    with pytest.raises(UnsupportedError, match=r"CONV_2D \(node 0\)"):
        run_zeros(content)
