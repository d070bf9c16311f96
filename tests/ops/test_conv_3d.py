from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from engines import check
from moves import refused
from writer import NONE, RELU, RELU6, RELU_N1_TO_1, SAME, VALID, T, model

from int8rt.errors import ModelError, UnsupportedError


def conv_3d(x: Any, w: Any, b: Any, padding: int = SAME, stride: Any = 1, dilation: Any = 1, act: int = NONE) -> bytes:
    s = (stride,) * 3 if isinstance(stride, int) else stride
    d = (dilation,) * 3 if isinstance(dilation, int) else dilation
    inputs = [t if t is None or isinstance(t, T) else T(np.float32, t) for t in (x, w, b)]
    return model(
        "CONV_3D", inputs, [T(np.float32, (1,))], padding=padding, fused_activation_function=act,
        stride_d=s[0], stride_h=s[1], stride_w=s[2],
        dilation_d_factor=d[0], dilation_h_factor=d[1], dilation_w_factor=d[2],
    )  # fmt: skip


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("padding", [SAME, VALID])
@pytest.mark.parametrize(
    ("x", "w", "stride", "dilation"),
    [
        ((1, 1, 1, 1, 1), (1, 1, 1, 1, 1), 1, 1),
        ((1, 3, 4, 5, 2), (1, 1, 1, 2, 3), 1, 1),
        ((1, 3, 4, 5, 2), (2, 2, 2, 2, 3), 1, 1),
        ((2, 5, 6, 7, 3), (3, 3, 3, 3, 4), 1, 1),
        ((2, 5, 6, 7, 3), (3, 3, 3, 3, 17), 2, 1),
        ((1, 7, 7, 7, 3), (2, 3, 2, 3, 4), (1, 2, 3), 1),
        ((1, 7, 8, 9, 2), (3, 2, 2, 2, 5), 1, 2),
        ((1, 7, 8, 9, 2), (2, 2, 3, 2, 5), 1, (3, 1, 2)),
        ((1, 5, 4, 4, 16), (3, 3, 3, 16, 16), 1, 1),
    ],
)
@pytest.mark.parametrize("bias", [False, True])
def test_shapes(x: Any, w: Any, stride: Any, dilation: Any, padding: int, bias: bool) -> None:
    b = normal(w[4]) if bias else None
    content = conv_3d(x, w, None if b is None else b.shape, padding, stride, dilation)
    check(content, normal(*x), normal(*w), *([] if b is None else [b]))


@pytest.mark.parametrize("act", [RELU, RELU6, RELU_N1_TO_1])
def test_activations(act: int) -> None:
    weights = T(np.float32, (3, 3, 3, 2, 4), data=normal(3, 3, 3, 2, 4))
    bias = T(np.float32, (4,), data=normal(4))
    check(conv_3d((1, 4, 4, 4, 2), weights, bias, act=act), normal(1, 4, 4, 4, 2))


def test_not_finite() -> None:
    x = np.full((1, 3, 3, 3, 1), 3e38, np.float32)
    x[0, 0, 0, 0], x[0, 2, 2, 2] = -np.inf, np.inf
    check(conv_3d(x.shape, (2, 2, 2, 1, 2), None), x, np.abs(normal(2, 2, 2, 1, 2)) + 1)


def test_malformed() -> None:
    x, w = (1, 3, 3, 3, 2), (2, 2, 2, 2, 3)
    refused(ModelError, "5 axes were expected", conv_3d((3, 3, 3, 2), w, None))
    refused(ModelError, "same channels", conv_3d((1, 3, 3, 3, 3), w, None))
    refused(ModelError, "2 biases", conv_3d(x, w, (2,)))
    refused(ModelError, "positive", conv_3d(x, w, None, stride=0))
    refused(ModelError, "positive", conv_3d(x, w, None, dilation=0))
    refused(ModelError, "padding is 2", conv_3d(x, w, None, padding=2))
    refused(ModelError, "does not fit", conv_3d(x, w, None, padding=VALID, dilation=3))
    refused(UnsupportedError, "float32", conv_3d(T(np.int8, x, 0.1), w, None))
    refused(UnsupportedError, "fused activation", conv_3d(x, w, None, act=4))
