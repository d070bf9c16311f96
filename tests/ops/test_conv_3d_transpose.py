from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from engines import check, run_program
from moves import indices, refused
from writer import NONE, RELU, RELU6, RELU_N1_TO_1, SAME, VALID, T, model

from int8rt.errors import ModelError, UnsupportedError


def transposed(
    shape: Any, w: Any, x: Any, b: Any = None, padding: int = SAME, stride: Any = 1, dilation: Any = 1, act: int = NONE
) -> bytes:
    s = (stride,) * 3 if isinstance(stride, int) else stride
    d = (dilation,) * 3 if isinstance(dilation, int) else dilation
    inputs = [t if t is None or isinstance(t, T) else T(np.float32, t) for t in (w, x, b)]
    return model(
        "CONV_3D_TRANSPOSE", [indices(shape), *inputs], [T(np.float32, (1,))], options="Conv3DOptions",
        padding=padding, fused_activation_function=act, stride_d=s[0], stride_h=s[1], stride_w=s[2],
        dilation_d_factor=d[0], dilation_h_factor=d[1], dilation_w_factor=d[2],
    )  # fmt: skip


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).normal(size=shape).astype(np.float32)


def source(shape: Any, w: Any, padding: int, stride: Any, dilation: Any) -> tuple[int, ...]:
    """The shape of x for an output of that shape."""
    s = (stride,) * 3 if isinstance(stride, int) else stride
    d = (dilation,) * 3 if isinstance(dilation, int) else dilation
    reach = [(n - 1) * k + 1 if padding == VALID else 1 for n, k in zip(w[:3], d, strict=True)]
    return (shape[0], *((n - r) // k + 1 for n, r, k in zip(shape[1:4], reach, s, strict=True)), w[4])


@pytest.mark.parametrize("padding", [SAME, VALID])
@pytest.mark.parametrize(
    ("shape", "w", "stride", "dilation"),
    [
        ((1, 1, 1, 1, 1), (1, 1, 1, 1, 1), 1, 1),
        ((1, 3, 4, 5, 3), (1, 1, 1, 3, 2), 1, 1),
        ((1, 3, 4, 5, 3), (2, 2, 2, 3, 2), 1, 1),
        ((2, 5, 6, 7, 4), (3, 3, 3, 4, 3), 1, 1),
        ((2, 5, 6, 7, 9), (3, 3, 3, 9, 3), 2, 1),
        ((1, 7, 7, 7, 4), (2, 3, 2, 4, 3), (1, 2, 3), 1),
        ((1, 7, 8, 9, 5), (3, 2, 2, 5, 2), 1, 2),
        ((1, 7, 8, 9, 5), (2, 2, 3, 5, 2), 1, (3, 1, 2)),
        ((1, 6, 6, 6, 2), (1, 2, 1, 2, 3), 3, 1),
    ],
)
@pytest.mark.parametrize("bias", [False, True])
def test_shapes(shape: Any, w: Any, stride: Any, dilation: Any, padding: int, bias: bool) -> None:
    b = normal(w[3]) if bias else None
    x = source(shape, w, padding, stride, dilation)
    content = transposed(shape, w, x, None if b is None else b.shape, padding, stride, dilation)
    check(content, normal(*w), normal(*x), *([] if b is None else [b]))


@pytest.mark.parametrize("act", [RELU, RELU6, RELU_N1_TO_1])
def test_activations(act: int) -> None:
    weights = T(np.float32, (3, 3, 3, 4, 2), data=normal(3, 3, 3, 4, 2))
    bias = T(np.float32, (4,), data=normal(4))
    check(transposed((1, 4, 4, 4, 4), weights, (1, 4, 4, 4, 2), bias, act=act), normal(1, 4, 4, 4, 2))


def test_threads() -> None:
    w, x = normal(3, 3, 3, 8, 8), normal(2, 7, 6, 6, 8)
    content = transposed((2, 7, 6, 6, 8), w.shape, x.shape)
    (one,), (three,) = run_program(content, w, x), run_program(content, w, x, threads=3)
    assert one.tobytes() == three.tobytes()


def test_malformed() -> None:
    shape, w, x = (1, 3, 3, 3, 3), (2, 2, 2, 3, 2), (1, 3, 3, 3, 2)
    refused(ModelError, "5 axes were expected", transposed(shape, w, (3, 3, 3, 2)))
    refused(ModelError, "same channels", transposed(shape, w, (1, 3, 3, 3, 3)))
    refused(ModelError, "do not make", transposed((1, 3, 3, 4, 3), w, x))
    refused(ModelError, "do not make", transposed((1, 3, 3, 3, 4), w, x))
    refused(ModelError, "do not make", transposed((2, 3, 3, 3, 3), w, x))
    refused(ModelError, "do not make|shorter", transposed((1, 3, 3, 3), w, x))
    refused(ModelError, "2 biases", transposed(shape, w, x, (2,)))
    refused(ModelError, "positive", transposed(shape, w, x, stride=0))
    refused(UnsupportedError, "float32", transposed(shape, w, T(np.int8, x, 0.1)))
