"""RELU_N1_TO_1 in every type, against its reference and LiteRT."""

from __future__ import annotations

import numpy as np
import pytest
import unary
import writer
from unary import EIGHT_BITS, INT16, SHAPES, Case
from writer import T

from int8rt.errors import ModelError, UnsupportedError

OP = "RELU_N1_TO_1"


@pytest.mark.parametrize("c", EIGHT_BITS, ids=repr)
def test_eight_bits(c):
    unary.check_every(OP, c)


@pytest.mark.parametrize("c", INT16[:1], ids=repr)
def test_int16_is_refused(c):
    unary.refused(unary.node(OP, c, (4,)), UnsupportedError, "supported types")


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_shapes(shape):
    unary.check_shape(OP, shape)


def test_float():
    y = unary.check_float(OP)
    assert np.isnan(y[0])
    assert y[1:3].tolist() == [1.0, -1.0]
    assert np.signbit(y[4])  # -0 passes through


def test_threads():
    unary.check_threads(OP)


def test_output_scale_far_below_the_limits():
    """LiteRT converts a limit of more than 2**31 steps to int32, which C++ leaves undefined; it is no limit."""
    c = Case(np.int8, 1e-10, 0, 1e-10, 0)
    x = unary.every(np.int8)
    y = unary.check_every(OP, c, litert=x)
    assert y.dtype == np.int8


def test_refused():
    unary.refused(unary.node(OP, Case(np.int8, 0.0, 0, 0.1, 0), (4,)), ModelError, "scale 0")
    unary.refused(unary.node(OP, Case(np.int8, 0.1, 0, 0.0, 0), (4,)), ModelError, "scale 0")
    x = T(np.int8, (4,), [0.1, 0.2, 0.3, 0.4], 0)
    unary.refused(writer.model(OP, [x], [T(np.int8, (4,), 0.1)]), UnsupportedError, "per channel")
    unary.refused(writer.model(OP, [T(np.int8, (4,), 0.1)], [T(np.uint8, (4,), 0.1)]), ModelError, "expected int8")
    unary.refused(writer.model(OP, [None], [T(np.int8, (4,), 0.1)]), ModelError, "no input 0")
    unary.refused(unary.node(OP, Case(np.int32, 0.1, 0, 0.1, 0), (4,)), UnsupportedError, "supported types")
