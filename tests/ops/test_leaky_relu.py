"""LEAKY_RELU in every type, against its reference and LiteRT."""

from __future__ import annotations

import numpy as np
import pytest
import unary
import writer
from unary import EIGHT_BITS, INT16, SHAPES, Case
from writer import T

from int8rt.errors import ModelError, UnsupportedError

OP = "LEAKY_RELU"


@pytest.mark.parametrize("c", EIGHT_BITS, ids=repr)
def test_eight_bits(c):
    unary.check_every(OP, c, alpha=0.1)


@pytest.mark.parametrize("alpha", [0.0, 1.0, 0.5, 0.2, 1.7, 300.0, 1e-9, -0.25, -1.0, -3.0])
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16])
def test_slopes(alpha, dtype):
    z = 0 if dtype == np.int16 else 40
    unary.check_every(OP, Case(dtype, 0.05, z, 0.031, z), alpha=alpha)


@pytest.mark.parametrize("c", INT16, ids=repr)
def test_int16(c):
    unary.check_every(OP, c, alpha=0.3)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_shapes(shape):
    unary.check_shape(OP, shape, alpha=0.2)


@pytest.mark.parametrize("alpha", [0.0, 0.1, 2.5, -0.5])
def test_float(alpha):
    unary.check_float(OP, alpha=alpha)


def test_threads():
    unary.check_threads(OP, alpha=0.1)


def test_refused():
    unary.refused(unary.node(OP, Case(np.int8, 0.0, 0, 0.1, 0), (4,), alpha=0.1), ModelError, "scale 0")
    unary.refused(unary.node(OP, Case(np.int16, 0.1, 0, 0.1, 3), (4,), alpha=0.1), ModelError, "zero point 3")
    unary.refused(unary.node(OP, Case(np.int32, 0.1, 0, 0.1, 0), (4,), alpha=0.1), UnsupportedError, "supported types")
    x, y = T(np.int8, (4,), 0.1), T(np.int8, (4,), 0.1)
    unary.refused(writer.model(OP, [x, x], [y], alpha=0.1), ModelError, "2 inputs")
