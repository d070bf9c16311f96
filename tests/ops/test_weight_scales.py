"""Weights with scales of 0, infinity, NaN or huge negative ones in single channels: what LiteRT makes of them."""

from __future__ import annotations

import numpy as np
import pytest
from engines import check, run_program, run_reference, same
from products import AXIS, GEOMETRIES, Product, cases, some
from writer import RELU6, T, model

from int8rt.errors import Error, ModelError, UnsupportedError
from int8rt.runtime import model as models

I8, I16, I32, I64, F32 = np.int8, np.int16, np.int32, np.int64, np.float32
INF, NAN = np.inf, np.nan
CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")
ALL = (*CONVOLUTIONS, "GROUPED", "FULLY_CONNECTED")
NUMBERS = (0.0, INF, -INF, NAN)
SHIFTING = (-5.0, -(2.0**20), -(2.0**24), -(2.0**27), 2.0**24)  # by which sums are shifted to the left, and wrap
ZEROS = (-7, 11)
INTEGERS = [
    *(c for s in NUMBERS for c in some(*CONVOLUTIONS, activations=I8, bias=I32, zero_points=ZEROS, odd_scale=s)),
    *(c for s in NUMBERS for c in some("GROUPED", activations=I8, bias=I32, zero_points=ZEROS, odd_scale=s)),
    *(c for s in (INF, NAN) for c in some(*CONVOLUTIONS, step=5, activations=I8, bias=I32, zero_points=ZEROS,
                                          odd_scale=s, activation=RELU6)),
    *(c for s in NUMBERS for c in some(*CONVOLUTIONS, step=5, activations=I8, bias=I32, zero_points=ZEROS,
                                       per_channel=False, odd_scale=s)),
    *(c for s in NUMBERS for c in some(*CONVOLUTIONS, "GROUPED", step=4, activations=I16, bias=I64, odd_scale=s)),
    *(c for s in NUMBERS for c in some(*CONVOLUTIONS, step=6, activations=I16, bias=I64, per_channel=False,
                                       odd_scale=s)),
    *(c for s in (INF, NAN) for c in some("CONV_2D", step=5, activations=I8, bias=I32, weights="INT4", odd_scale=s)),
    *(c for s in SHIFTING for c in some(*CONVOLUTIONS, "GROUPED", step=3, activations=I8, bias=I32, zero_points=ZEROS,
                                        odd_scale=s)),
    *(c for s in SHIFTING for c in some(*CONVOLUTIONS, step=5, activations=I8, bias=I32, per_channel=False,
                                        odd_scale=s)),
    *(c for c in some(*CONVOLUTIONS, step=3, activations=I16, bias=I64, odd_scale=-5.0)),
    *some("FULLY_CONNECTED", activations=I8, bias=I32, zero_points=ZEROS, odd_scale=0.0),
    *some("FULLY_CONNECTED", activations=I16, bias=I64, odd_scale=0.0),
]  # fmt: skip
REALS = [
    *(c for s in NUMBERS for c in some(*ALL, step=4, bias=F32, odd_scale=s)),
    *(c for s in NUMBERS for c in some("CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", step=5, bias=F32, odd_scale=s,
                                       per_channel=False)),
    *(c for s in NUMBERS for c in some(*ALL, step=6, bias=F32, odd_scale=s, activation=RELU6)),
    *(c for s in NUMBERS for c in some(*ALL, step=6, bias=F32, odd_scale=s, values="some zero images")),
    *(c for s in NUMBERS for c in some("FULLY_CONNECTED", step=9, bias=F32, odd_scale=s, values="zeros", activation=2)),
    *(c for s in NUMBERS for c in some("FULLY_CONNECTED", step=9, bias=F32, odd_scale=s, activation=2,
                                       options={"asymmetric_quantize_inputs": True})),
    *(c for s in NUMBERS for c in some("FULLY_CONNECTED", step=9, odd_scale=s, values="zeros")),
]  # fmt: skip


@pytest.mark.parametrize("case", INTEGERS + REALS, ids=lambda c: f"{c.op} {c}")
def test_odd_scales(case):
    content, inputs = case.model()
    check(content, *inputs)


@pytest.mark.parametrize("op", CONVOLUTIONS)
def test_channels_without_a_scale_give_the_zero_point(op):
    for scale in NUMBERS:
        (case, *_) = cases(op, activations=I8, bias=I32, zero_points=ZEROS, odd_scale=scale)
        content, inputs = case.model()
        (y,) = run_program(content, *inputs)
        assert (y[..., ::3] == ZEROS[1]).all()
        assert not (y == ZEROS[1]).all()


def uint8(op, scale, bias):
    """A model of one node on uint8, and its input."""
    geometry = GEOMETRIES[op][0]
    rng = np.random.default_rng(5)
    x, w = (rng.integers(0, 256, geometry[name]).astype(np.uint8) for name in "xw")
    x_, w_ = T(np.uint8, x.shape, 0.05, 128), T(np.uint8, w.shape, F32(scale), 120, data=w)
    channels = w.shape[AXIS[op]]
    b = [T(I32, (channels,), F32(0.05) * F32(scale), data=rng.integers(-500, 500, channels))] if bias else []
    fields = {"padding": 0, "stride_h": 2, "stride_w": 2}
    if op == "TRANSPOSE_CONV":
        y = T(np.uint8, (1, 8, 8, channels), 1.0, 3)
        inputs = [T(I32, (4,), data=np.array(y.shape, I32)), w_, x_, *b]
    else:
        y, inputs = T(np.uint8, (1, 4, 4, channels), 1.0, 3), [x_, w_, *b]
        fields |= {"depth_multiplier": 1} if op == "DEPTHWISE_CONV_2D" else {}
    return model(op, inputs, [y], **fields), x


@pytest.mark.parametrize("op", CONVOLUTIONS)
def test_uint8(op):
    """LiteRT demands that the bias' scale is that of the products, which infinity and NaN are not."""
    check(*uint8(op, 0.0, True))
    if op != "CONV_2D":  # which LiteRT does not run without a bias
        check(*uint8(op, INF, False))
    for scale, bias in ((INF, True), (-INF, False), (NAN, False), (NAN, True)):
        content, x = uint8(op, scale, bias)
        with pytest.raises(ModelError, match=f"weight scale {scale} of uint8"):
            run_program(content, x)


@pytest.mark.parametrize(
    ("activations", "bias", "points"), [(I8, I32, ZEROS), (I8, I32, (3, -20)), (I16, I64, (0, 0))], ids=str
)
def test_fully_connected_of_integers(activations, bias, points):
    """Products in float64 that are infinite or NaN, which x86-64 casts to the smallest int32."""
    for scale in (INF, -INF, NAN):
        for case in some(
            "FULLY_CONNECTED", step=3, activations=activations, bias=bias, zero_points=points, odd_scale=scale
        ):
            content, inputs = case.model()
            check(content, *inputs)


def test_refused_where_activations_stay_float32():
    content, _ = Product(**GEOMETRIES["CONV_2D"][0], bias=F32, odd_scale=INF).model()
    models.load(content)
    with pytest.raises(UnsupportedError, match="weight scale inf; weight_only"):
        models.load(content, hybrid="weight_only")


@pytest.mark.parametrize("position", ["x", "y", "computed", "read elsewhere"])
def test_other_tensors_need_finite_scales(position):
    """Only what is weights or bias and nothing else may have others."""
    x, y = T(I8, (1, 6), INF if position == "x" else 0.1), T(I8, (1, 4), INF if position == "y" else 0.1)
    w = T(I8, (4, 6), INF if position == "computed" else 0.1, data=None if position == "computed" else np.ones((4, 6)))
    content = model("FULLY_CONNECTED", [x, w], [y])
    if position == "read elsewhere":
        w = T(I8, (1, 6), INF, data=np.ones((1, 6)))
        content = model("ADD", [x, w], [T(I8, (1, 6), 0.1)])
    with pytest.raises(Error, match="has scale inf, expected finite"):
        models.load(content)


def test_bias_may_have_such_a_scale():
    """That of the products, which no integer type but uint8 looks at."""
    x, w = T(I8, (1, 4, 4, 3), 0.1), T(I8, (2, 3, 3, 3), [0.1, INF], data=np.ones((2, 3, 3, 3)))
    b = T(I32, (2,), [0.01, INF], data=np.array([3, 4], I32))
    content = model("CONV_2D", [x, w, b], [T(I8, (1, 2, 2, 2), 0.1, 5)], padding=1, stride_h=1, stride_w=1)
    values = np.arange(48, dtype=I8).reshape(1, 4, 4, 3)
    (y,) = check(content, values)
    same("itself, evaluated", run_reference(content, values), [y])
