"""HARD_SWISH in every type, against its reference and LiteRT."""

from __future__ import annotations

import numpy as np
import pytest
import unary
from unary import EIGHT_BITS, SHAPES, Case

from int8rt.errors import ModelError, UnsupportedError

OP = "HARD_SWISH"


@pytest.mark.parametrize("c", [c for c in EIGHT_BITS if c.s_x < 127 * c.s_y], ids=repr)
def test_eight_bits(c):
    unary.check_every(OP, c)


@pytest.mark.parametrize("s_x", [2.0**e for e in range(-24, 12, 3)])
@pytest.mark.parametrize("ratio", [0.011, 0.3, 1.0, 200.0])
def test_scales(s_x, ratio):
    """From gates that are all a half to gates that are 0 or 1."""
    unary.check_every(OP, Case(np.int8, s_x, -5, s_x * ratio, 11))


def test_output_scale_far_above_the_input_s():
    """Shifts of 16 and more are by a mask of 16 bits in LiteRT, and give 1 where 0 would be nearer."""
    y = unary.check_every(OP, Case(np.int8, 0.001, 0, 1.0, 0))
    assert set(y.tolist()) == {-1, 1}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_shapes(shape):
    unary.check_shape(OP, shape)


def test_float():
    unary.check_float(OP)


def test_threads():
    unary.check_threads(OP)


def test_refused():
    unary.refused(unary.node(OP, Case(np.int8, 12.8, 0, 0.1, 0), (4,)), ModelError, "128 times")
    unary.refused(unary.node(OP, Case(np.int8, 0.1, 0, 0.0, 0), (4,)), ModelError, "scale 0")
    unary.refused(unary.node(OP, Case(np.int16, 0.1, 0, 0.1, 0), (4,)), UnsupportedError, "supported types")
