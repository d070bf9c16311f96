"""Functions of one float32 value: the same bits as LiteRT, of ordinary and special values, in every shape."""

from __future__ import annotations

import numpy as np
import pytest
import unary
import writer
from engines import check
from writer import T

from int8rt.errors import UnsupportedError

FUNCTIONS = {
    "EXP": "reference", "LOG": "reference", "SQRT": "reference", "RSQRT": "reference", "ABS": "reference",
    "NEG": "reference", "SQUARE": "reference", "SIN": "reference", "COS": "reference", "FLOOR": "reference",
    "SIGN": "reference", "CEIL": "builtin", "ROUND": "builtin",
}  # fmt: skip

NUMBERS = np.concatenate(
    [
        unary.FLOATS,
        np.linspace(-100, 100, 2001, dtype=np.float32),
        np.arange(-10, 10, 0.5, dtype=np.float32),
        np.geomspace(1e-38, 3e38, 500, dtype=np.float32),
        -np.geomspace(1e-38, 3e38, 500, dtype=np.float32),
        np.float32([2**23 - 0.5, 2**23 + 1, 2**24 + 2, -(2**23) + 0.5, 0.49999997, -0.49999997, np.pi, 1e-45, -1e-45]),
    ]
)


@pytest.mark.parametrize("op", FUNCTIONS)
def test_values(op):
    x = NUMBERS[~np.isnan(NUMBERS)]
    content = unary.float_node(op, x.shape)
    check(content, x, resolver=FUNCTIONS[op])


@pytest.mark.parametrize("op", FUNCTIONS)
def test_nan(op):
    x = np.full((3,), np.nan, np.float32)
    (y,) = check(unary.float_node(op, x.shape), x, resolver=FUNCTIONS[op])
    assert np.isnan(y).all()


@pytest.mark.parametrize("shape", unary.SHAPES, ids=str)
@pytest.mark.parametrize("op", ["EXP", "SQUARE", "CEIL"])
def test_shapes(op, shape):
    x = np.random.default_rng(3).normal(size=shape).astype(np.float32)
    check(unary.float_node(op, shape), x, resolver=FUNCTIONS[op])


@pytest.mark.parametrize("op", ["NEG", "SIN", "COS", "FLOOR", "ROUND"])
def test_half_precision(op):
    x = unary.every(np.uint16).view(np.float16)
    x = x[~np.isnan(x)]
    check(writer.model(op, [T(np.float16, x.shape)], [T(np.float16, x.shape)]), x, resolver=FUNCTIONS[op])


@pytest.mark.parametrize("op", FUNCTIONS)
def test_threads(op):
    unary.check_threads(op)


@pytest.mark.parametrize("op", FUNCTIONS)
def test_refused(op):
    c = unary.Case(np.uint8, 0.1, 0, 0.1, 0)
    unary.refused(unary.node(op, c, (4,)), UnsupportedError, "supported types are")
