"""LOG_SOFTMAX against its reference and LiteRT."""

from __future__ import annotations

import numpy as np
import pytest
import unary
import writer
from engines import check, run_program
from writer import T

from int8rt.errors import ModelError, UnsupportedError

ZERO_POINT = {np.int8: 127, np.uint8: 255}
SCALES = [2.0**-25, 1e-6, 1e-3, 0.02, 0.0613, 0.1, 0.5, 1.0, 3.7, 40.0]


def node(dtype, shape, s_x=0.1, z_x=0, s_y=1 / 16, z_y=None):
    z_y = ZERO_POINT.get(dtype, 0) if z_y is None else z_y
    return writer.model("LOG_SOFTMAX", [T(dtype, shape, s_x, z_x)], [T(dtype, shape, s_y, z_y)])


def random(shape, dtype, spread):
    info, rng = np.iinfo(dtype), np.random.default_rng(shape)
    return np.clip(rng.normal(size=shape, scale=spread) + (info.min + 128), info.min, info.max).astype(dtype)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("dtype", ZERO_POINT)
def test_scales(dtype, scale):
    for depth in (1, 2, 10, 300):
        for spread in (0, 3, 30, 90):
            shape = (8, depth)
            check(node(dtype, shape, scale, 5), random(shape, dtype, spread))


@pytest.mark.parametrize("depth", [256, 512, 1001, 4000])
@pytest.mark.parametrize("value", [-128, 127])
def test_equal_values(depth, value):
    check(node(np.int8, (2, depth)), np.full((2, depth), value, np.int8))


def test_sum_beyond_4096():
    """LiteRT's sum overflows; log(8192) is 9.01."""
    shape = 1, 8192
    check(node(np.int8, shape), np.zeros(shape, np.int8), litert=[np.full(shape, 127 - 144, np.int8)])


@pytest.mark.parametrize("shape", [(7,), (3, 5), (1, 1, 1), (2, 3, 4, 5), (2, 1, 3, 1, 2)], ids=str)
def test_shapes(shape):
    check(node(np.int8, shape), random(shape, np.int8, 50))
    x = np.random.default_rng(0).normal(size=shape, scale=5).astype(np.float32)
    check(node(np.float32, shape, None, s_y=None), x)


@pytest.mark.parametrize("depth", [1, 2, 17, 1001])
def test_float(depth):
    x = np.random.default_rng(depth).normal(size=(20, depth), scale=20).astype(np.float32)
    check(node(np.float32, x.shape, None, s_y=None), x)
    check(node(np.float32, x.shape, None, s_y=None), np.full(x.shape, -3e38, np.float32))


def test_threads():
    x = random((501, 301), np.int8, 40)
    content = node(np.int8, x.shape)
    np.testing.assert_array_equal(run_program(content, x), run_program(content, x, threads=3))
    real = x.astype(np.float32)
    content = node(np.float32, x.shape, None, s_y=None)
    np.testing.assert_array_equal(run_program(content, real), run_program(content, real, threads=3))


def test_refused():
    unary.refused(node(np.int8, ()), ModelError, "1 axis or more were expected")
    unary.refused(node(np.int8, (4,), s_y=1 / 32), ModelError, "expected 0.0625 and 127")
    unary.refused(node(np.uint8, (4,), z_y=127), ModelError, "expected 0.0625 and 255")
    unary.refused(node(np.int8, (4,), 2.0**-27), ModelError, "expected more than")
    unary.refused(node(np.int16, (4,)), UnsupportedError, "supported types")
