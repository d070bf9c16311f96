"""ELU against its reference and LiteRT's BUILTIN: BUILTIN_REF has none."""

from __future__ import annotations

import numpy as np
import pytest
import unary
from engines import check
from unary import Case

from int8rt.errors import ModelError, UnsupportedError

SCALES = [(0.05, 0.05), (0.03, 0.02), (3e-4, 3e-4), (1.0, 1.0), (2.0**-31, 2.0**-31), (0.5, 1e-3), (0.02, 4.0)]


@pytest.mark.parametrize("scales", SCALES, ids=str)
@pytest.mark.parametrize("zeros", [(0, 0), (-128, 127), (127, -128), (5, -99)], ids=str)
def test_every_value(scales, zeros):
    x = unary.every(np.int8)
    c = Case(np.int8, scales[0], zeros[0], scales[1], zeros[1])
    check(unary.node("ELU", c, x.shape), x, resolver="builtin")


def test_float():
    x = np.concatenate([unary.FLOATS, np.linspace(-100, 100, 3001)]).astype(np.float32)
    check(unary.float_node("ELU", x.shape), x, resolver="builtin")


@pytest.mark.parametrize("shape", unary.SHAPES, ids=str)
def test_shapes(shape):
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    check(unary.float_node("ELU", shape), x, resolver="builtin")


def test_threads():
    unary.check_threads("ELU")


def test_refused():
    for dtype in (np.uint8, np.int16):
        unary.refused(unary.node("ELU", Case(dtype, 0.1, 0, 0.1, 0), (4,)), UnsupportedError, "supported types")
    unary.refused(unary.node("ELU", Case(np.int8, 0.1, 0, 0.0, 0), (4,)), ModelError, "scale 0")
