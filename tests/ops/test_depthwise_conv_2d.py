"""DEPTHWISE_CONV_2D: cases on program, reference and LiteRT's BUILTIN_REF, and nodes that contradict themselves."""

import dataclasses

import numpy as np
import pytest
from engines import check, run_litert, run_zeros
from linear import Linear, weights
from writer import RELU, RELU6, RELU_N1_TO_1, SAME, TANH, VALID, T, model

from int8rt.errors import ModelError, UnsupportedError

U8 = np.uint8


def depthwise(x, w, **options):
    """x is [h, w, c] or [n, h, w, c]; w is [h, w, output channels]."""
    fields = {f.name for f in dataclasses.fields(Linear)}
    given = {k: options.pop(k) for k in list(options) if k in fields}
    names = {"stride": ("stride_h", "stride_w"), "dilation": ("dilation_h_factor", "dilation_w_factor")}
    for name, pair in names.items():
        if name in options:
            options.update(zip(pair, options.pop(name)))
    return Linear("DEPTHWISE_CONV_2D", (1, *x)[-4:], (1, *w), options=options, **given)


GEOMETRY = [
    depthwise((8, 8, 16), (3, 3, 16), padding=SAME),
    depthwise((8, 8, 16), (3, 3, 16), padding=VALID),
    depthwise((9, 7, 24), (3, 3, 24), padding=SAME, stride=(2, 2)),
    depthwise((8, 8, 24), (3, 3, 24), padding=SAME, stride=(2, 2)),
    depthwise((9, 7, 5), (3, 3, 5), padding=VALID, stride=(2, 3)),
    depthwise((11, 10, 3), (5, 5, 3), padding=SAME),
    depthwise((11, 10, 3), (7, 2, 3), padding=SAME, stride=(1, 4)),
    depthwise((10, 10, 3), (1, 1, 3), padding=SAME, stride=(4, 4)),
    depthwise((12, 11, 18), (3, 3, 18), padding=SAME, dilation=(2, 2)),
    depthwise((12, 11, 3), (3, 2, 3), padding=VALID, dilation=(3, 1)),
    depthwise((12, 11, 3), (2, 3, 3), padding=SAME, dilation=(1, 4), stride=(2, 2)),
    depthwise((3, 3, 4), (3, 3, 4), padding=SAME, dilation=(9, 9)),
    depthwise((2, 3, 4), (5, 7, 4), padding=SAME),
    depthwise((5, 7, 20), (5, 7, 20), padding=VALID),
    depthwise((1, 1, 1), (1, 1, 1)),
    depthwise((1, 1, 40), (1, 1, 40)),
    depthwise((1, 30, 2), (1, 5, 2), padding=SAME),
    depthwise((30, 1, 2), (5, 1, 2), padding=SAME),
    depthwise((3, 6, 5, 19), (3, 3, 19), padding=SAME),
    depthwise((3, 6, 5, 19), (3, 3, 19), padding=VALID, stride=(2, 2)),
]
CHANNELS = [depthwise((4, 5, c), (3, 3, c), padding=SAME) for c in (*range(1, 21), 31, 32, 33, 47, 48, 63, 64, 65, 100)]
MULTIPLIERS = [
    depthwise((8, 8, 1), (3, 3, 8), padding=SAME),
    depthwise((8, 8, 1), (3, 3, 33), padding=SAME, stride=(2, 2)),
    depthwise((5, 5, 3), (3, 3, 6), padding=SAME),
    depthwise((5, 5, 16), (2, 2, 32)),
    depthwise((5, 5, 7), (3, 3, 21), dilation=(2, 2)),
    depthwise((2, 4, 4, 4), (3, 3, 20), padding=SAME, dtype=U8),
    depthwise((5, 5, 16), (2, 2, 32), activation=RELU6, fit=40),
    depthwise((5, 5, 2), (2, 2, 10), depth_multiplier=77),  # LiteRT believes the shapes, not the option
    depthwise((5, 5, 2), (2, 2, 2), depth_multiplier=0),
]
NUMBERS = [
    depthwise((4, 4, 20), (3, 3, 20), per_channel=False),
    depthwise((4, 4, 20), (3, 3, 20), per_channel=False, activation=RELU6),
    depthwise((4, 4, 20), (3, 3, 20), x_zero=-128, y_zero=-128, padding=SAME),
    depthwise((4, 4, 20), (3, 3, 20), x_zero=127, y_zero=127, padding=SAME),
    depthwise((4, 4, 20), (3, 3, 20), activation=RELU, y_zero=-128),
    depthwise((4, 4, 20), (3, 3, 20), activation=RELU, y_zero=10),
    depthwise((4, 4, 20), (3, 3, 20), activation=RELU6, y_zero=-128, fit=40),
    depthwise((4, 4, 20), (3, 3, 20), activation=RELU_N1_TO_1, y_zero=3),
    depthwise((4, 4, 40), (3, 3, 40), fit=0.05),
    depthwise((4, 4, 40), (3, 3, 40), fit=1000),
    depthwise((4, 4, 20), (3, 3, 20), extreme=True),
    depthwise((4, 4, 20), (3, 3, 20), x_value=-128, w_value=-127, x_zero=127),
    depthwise((4, 4, 20), (3, 3, 20), x_value=127, w_value=-127, x_zero=-128),
    depthwise((4, 4, 20), (3, 3, 20), w_value=-128),
    depthwise((4, 4, 20), (3, 3, 20), bias=2**31 - 1),
    depthwise((4, 4, 20), (3, 3, 20), bias=2**31 - 1, extreme=True),  # accumulators wrap
    depthwise((4, 4, 20), (3, 3, 20), bias=2**30 - 2**20, extreme=True, fit=1e4),
    *(depthwise((4, 4, 20), (3, 3, 20), ratio=r) for r in (2.0**-31, 2.0**-33, 0.5, 1.0, 1.5, 512.0, 1500.0, 0.0)),
    depthwise((4, 4, 20), (3, 3, 20), ratio=2.0**-23, bias=2**29),
    depthwise((4, 4, 20), (3, 3, 20), ratio=2.0**-22, bias=2**29),
    depthwise((4, 4, 16), (3, 3, 16), ratio=2.0 ** np.arange(-8, 8)),
    depthwise((4, 4, 16), (3, 3, 16), ratio=2.0 ** -np.arange(0, 16)),
    depthwise((4, 4, 16), (3, 3, 16), ratio=[0.003, 0] * 8),
    depthwise((4, 4, 16), (3, 3, 16), ratio=[-0.003, 0.003, -1.5, 0] * 4),
    depthwise((4, 4, 16), (3, 3, 16), ratio=-0.25, bias=1000, extreme=True),
]
UINT8 = [
    depthwise((6, 6, 20), (3, 3, 20), dtype=U8, padding=SAME),
    depthwise((6, 6, 20), (3, 3, 20), dtype=U8, padding=SAME, x_zero=0, y_zero=0),
    depthwise((6, 6, 20), (3, 3, 20), dtype=U8, padding=SAME, x_zero=255, y_zero=255),
    depthwise((6, 6, 20), (3, 3, 20), dtype=U8, w_zero=0),
    depthwise((6, 6, 20), (3, 3, 20), dtype=U8, w_zero=255),
    depthwise((6, 6, 20), (3, 3, 20), dtype=U8, w_zero=0, w_value=255, x_value=255, x_zero=0),
    depthwise((6, 6, 20), (3, 3, 20), dtype=U8, extreme=True, stride=(2, 2)),
    depthwise((6, 6, 20), (3, 3, 20), dtype=U8, activation=RELU6, y_zero=0),
    depthwise((6, 6, 20), (3, 3, 20), dtype=U8, activation=RELU_N1_TO_1, y_zero=128),
    depthwise((6, 6, 20), (3, 3, 20), dtype=U8, ratio=3.0),
    depthwise((6, 6, 20), (3, 3, 20), dtype=U8, ratio=0.037 / 3),
    depthwise((12, 12, 20), (3, 3, 20), dtype=U8, dilation=(2, 3), padding=SAME),
]
SLIDING = [
    *(depthwise((7, 9, 64), (height, 5, 64), padding=SAME) for height in (1, 2, 4, 5, 7, 8, 9, 12)),
    *(depthwise((7, 9, c), (5, 5, c), padding=SAME) for c in (43, 50, 63, 65, 86, 100, 127, 130)),
    *(depthwise((8, 9, c), (5, 5, c), padding=SAME, stride=(2, 2)) for c in (50, 64, 130)),
    *(depthwise((9, 8, c), (3, 3, c), padding=SAME, stride=(2, 2)) for c in (50, 64, 130)),
    depthwise((9, 11, 64), (5, 5, 64), padding=VALID),
    depthwise((9, 11, 64), (5, 5, 64), padding=VALID, stride=(2, 2)),
    depthwise((9, 11, 64), (5, 5, 64), padding=SAME, stride=(1, 2)),
    depthwise((9, 11, 64), (5, 5, 64), padding=SAME, stride=(3, 1)),
    depthwise((9, 11, 64), (5, 5, 64), padding=SAME, stride=(1, 3)),
    depthwise((13, 11, 64), (5, 5, 64), padding=SAME, dilation=(2, 1)),
    depthwise((13, 11, 64), (3, 3, 64), padding=SAME, dilation=(1, 2)),
    depthwise((3, 6, 5, 70), (5, 5, 70), padding=SAME),
    depthwise((2, 1, 64), (5, 5, 64), padding=SAME),
    depthwise((7, 9, 70), (5, 5, 70), padding=SAME, extreme=True),
    depthwise((7, 9, 70), (5, 5, 70), padding=SAME, activation=RELU6),
    *(
        depthwise((7, 9, 70), (size, size, 70), padding=SAME, dtype=U8, stride=(s, s), **kind)
        for size in (3, 5)
        for s in (1, 2)
        for kind in ({}, {"w_zero": 0, "extreme": True}, {"ratio": 3.0})
    ),
]


@pytest.mark.parametrize("case", GEOMETRY + CHANNELS + MULTIPLIERS + NUMBERS + UINT8 + SLIDING, ids=str)
def test_depthwise_conv_2d(case):
    check(*case.model())


@pytest.mark.parametrize("dtype", [np.int8, U8])
@pytest.mark.parametrize("left_out", [(), (None,)], ids=["absent", "-1"])
def test_bias_may_be_left_out(dtype, left_out):
    case = depthwise((4, 4, 20), (3, 3, 20), bias=0, dtype=dtype)
    content, x = case.model()
    x_, w, _, y, _ = case.tensors()
    y = dataclasses.replace(y, shape=case.output_shape())
    fields = {"padding": VALID, "stride_h": 1, "stride_w": 1, "depth_multiplier": 1}
    check(model("DEPTHWISE_CONV_2D", [x_, w, *left_out], [y], **fields), x, litert=run_litert(content, x))


def node(x=None, w=None, b=None, y=None, **options):
    x, w = x or T(np.int8, (1, 4, 4, 3), 0.1), w or weights((1, 3, 3, 6))
    y = y or T(np.int8, (1, 2, 2, 6), 0.1)
    fields = {"padding": VALID, "stride_h": 1, "stride_w": 1, "depth_multiplier": 2} | options
    return model("DEPTHWISE_CONV_2D", [x, w, b], [y], **fields)


MALFORMED = {
    "rank of x": ({"x": T(np.int8, (4, 4, 3), 0.1)}, "4 axes were"),
    "rank of w": ({"w": weights((3, 3, 6))}, "4 axes were"),
    "channels": ({"w": weights((1, 3, 3, 5))}, "does not fit"),
    "two filters": ({"w": weights((2, 3, 3, 6))}, "does not fit"),
    "no channels": ({"x": T(np.int8, (1, 4, 4, 0), 0.1)}, "does not fit"),
    "no output channels": ({"w": weights((1, 3, 3, 0))}, "does not fit"),
    "empty filter": ({"w": weights((1, 0, 3, 6))}, "must be positive"),
    "too large": ({"w": weights((1, 5, 3, 6))}, "does not fit"),
    "stride": ({"stride_w": 0}, "must be positive"),
    "dilation": ({"dilation_h_factor": 0}, "must be positive"),
    "padding": ({"padding": 7}, "padding"),
    "scale of x": ({"x": T(np.int8, (1, 4, 4, 3))}, "scale"),
    "scale of y": ({"y": T(np.int8, (1, 2, 2, 6), 0.0)}, "scale"),
    "scale of w": ({"w": weights((1, 3, 3, 6), None)}, "scales"),
    "number of scales": ({"w": weights((1, 3, 3, 6), [0.1] * 3, axis=3)}, "scales"),
    "axis of scales": ({"w": weights((1, 6, 6, 6), [0.1] * 6, axis=1), "padding": SAME}, "axis"),
    "zero point of w": ({"w": weights((1, 3, 3, 6), 0.1, zero_point=-4)}, "zero point"),
    "length of bias": ({"b": T(np.int32, (3,), 0.01, data=np.zeros(3))}, r"int32\[6\]"),
    "type of bias": ({"b": T(np.float32, (6,), data=np.zeros(6))}, r"int32\[6\]"),
}
REFUSED = {
    "types that differ": {"y": T(U8, (1, 2, 2, 6), 0.1)},
    "activation": {"fused_activation_function": TANH},
    "image beyond 2 GB": {"dilation_h_factor": 10**6, "dilation_w_factor": 10**6, "padding": SAME},
}


@pytest.mark.parametrize(("replaced", "message"), MALFORMED.values(), ids=MALFORMED)
def test_malformed(replaced, message):
    with pytest.raises(ModelError, match=message):
        run_zeros(node(**replaced))


@pytest.mark.parametrize("replaced", REFUSED.values(), ids=REFUSED)
def test_refused(replaced):
    with pytest.raises(UnsupportedError, match=r"DEPTHWISE_CONV_2D \(node 0\)"):
        run_zeros(node(**replaced))
