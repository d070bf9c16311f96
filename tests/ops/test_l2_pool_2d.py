"""L2_POOL_2D against its reference and LiteRT."""

from __future__ import annotations

import numpy as np
import pytest
import unary
import writer
from engines import check, run_program
from writer import NONE, RELU, RELU6, RELU_N1_TO_1, SAME, VALID, T

from int8rt.errors import ModelError, UnsupportedError

SHAPE = 2, 7, 9, 5


def node(shape=SHAPE, height=2, width=3, stride_h=1, stride_w=1, padding=SAME, activation=NONE, dtype=np.float32):
    fields = {"filter_height": height, "filter_width": width, "stride_h": stride_h, "stride_w": stride_w}
    return writer.model(
        "L2_POOL_2D", [T(dtype, shape, 0.1)], [T(dtype, (1, 1, 1, 1), 0.1)], padding=padding,
        fused_activation_function=activation, **fields,
    )  # fmt: skip


def image(shape=SHAPE, scale=3.0):
    return np.random.default_rng(shape).normal(size=shape, scale=scale).astype(np.float32)


@pytest.mark.parametrize("padding", [SAME, VALID])
@pytest.mark.parametrize("window", [(1, 1), (2, 2), (3, 3), (1, 5), (7, 9)], ids=str)
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (3, 1)], ids=str)
def test_windows(window, strides, padding):
    check(node(SHAPE, *window, *strides, padding), image())


@pytest.mark.parametrize("activation", [NONE, RELU, RELU_N1_TO_1, RELU6])
def test_activations(activation):
    check(node(activation=activation), image(scale=5))


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 5, 1, 3), (3, 4, 4, 300), (1, 16, 16, 1)], ids=str)
def test_shapes(shape):
    check(node(shape), image(shape))


@pytest.mark.parametrize("value", [0.0, -0.0, 1e-30, 1e19, 1e30, np.inf])
def test_special_values(value):
    check(node(), np.full(SHAPE, value, np.float32))


def test_threads():
    x = image((1, 64, 64, 20))
    np.testing.assert_array_equal(*(run_program(node(x.shape, 3, 3), x, threads=n) for n in (1, 3)))


def test_refused():
    unary.refused(node(dtype=np.int8), UnsupportedError, "the supported type is float32")
    unary.refused(node((7, 9, 5)), ModelError, "4 axes were expected")
    unary.refused(node(stride_h=0), ModelError, "must be positive")
    unary.refused(node(height=8, padding=VALID), ModelError, "does not fit")
    unary.refused(node(activation=writer.TANH), UnsupportedError, "fused activation 4")
