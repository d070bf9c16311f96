"""TANH in every type, against its reference and LiteRT."""

from __future__ import annotations

import numpy as np
import pytest
import unary
from unary import SHAPES, Case

from int8rt.errors import ModelError, UnsupportedError

OP = "TANH"

SCALES = [2.0**-31, 1e-3, 0.0117, 2.0**-5, 0.05, 0.1, 0.37, 1.0, 40.0]


@pytest.mark.parametrize("s_x", SCALES)
@pytest.mark.parametrize(("dtype", "z_x"), [(np.int8, -128), (np.int8, 4), (np.uint8, 0), (np.uint8, 255)])
def test_eight_bits(dtype, z_x, s_x):
    unary.check_every(OP, Case(dtype, s_x, z_x, 1 / 128, np.iinfo(dtype).min + 128))


@pytest.mark.parametrize(("s_y", "z_y"), [(1 / 128, 127), (1 / 127, -128), (0.003, 5), (2.0**-29, 0), (3.0, 0)])
def test_any_output_scale(s_y, z_y):
    unary.check_every(OP, Case(np.int8, 0.03, 1, s_y, z_y))


@pytest.mark.parametrize("s_x", [2.0**-12, 2.0**-11, 2.0**-10, 2.0**-11 * 1.0002, 3e-4, 7.1e-4, 0.002, 1e-6, 0.9, 5.0])
def test_int16(s_x):
    unary.check_every(OP, Case(np.int16, s_x, 0, 1 / 32768, 0))


def test_int16_output_scale_is_checked_to_a_thousandth_of_an_octave():
    unary.check_every(OP, Case(np.int16, 3e-4, 0, 2.0**-15.0005, 0))


def test_int16_beyond_int32():
    """LiteRT multiplies in int32, which overflows for input scales above 16/3; here the function saturates."""
    x = unary.every(np.int16)
    litert = np.where(x > 0, 32767, np.where(x == 0, 0, -32767)).astype(np.int16)
    unary.check_every(OP, Case(np.int16, 16.0, 0, 1 / 32768, 0), litert=litert)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_shapes(shape):
    unary.check_shape(OP, shape, s_y=1 / 128)


def test_float():
    unary.check_float(OP)
    unary.check_float(OP, np.linspace(-20, 20, 4001, dtype=np.float32))


def test_threads():
    unary.check_threads(OP)


def test_refused():
    unary.refused(unary.node(OP, Case(np.int16, 0.1, 0, 1 / 128, 0), (4,)), ModelError, "expected 3.05176e-05")
    unary.refused(unary.node(OP, Case(np.int16, 0.1, 1, 1 / 32768, 0), (4,)), ModelError, "zero point 1")
    unary.refused(unary.node(OP, Case(np.int8, 0.1, 0, 0.0, 0), (4,)), ModelError, "scale 0")
    unary.refused(unary.node(OP, Case(np.int32, 0.1, 0, 0.1, 0), (4,)), UnsupportedError, "supported types")
