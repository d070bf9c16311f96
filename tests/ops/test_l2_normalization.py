"""L2_NORMALIZATION against its reference and LiteRT."""

from __future__ import annotations

import numpy as np
import pytest
import unary
import writer
from engines import check, run_program
from writer import T

from int8rt.errors import ModelError, UnsupportedError

ZERO_POINT = {np.int8: 0, np.uint8: 128}


def node(dtype, shape, z_x=0, s_y=1 / 128, z_y=None, **fields):
    z_y = ZERO_POINT.get(dtype, 0) if z_y is None else z_y
    return writer.model("L2_NORMALIZATION", [T(dtype, shape, 0.1, z_x)], [T(dtype, shape, s_y, z_y)], **fields)


def real_node(shape):
    return writer.model("L2_NORMALIZATION", [T(np.float32, shape)], [T(np.float32, shape)])


def random(shape, dtype, spread):
    info, rng = np.iinfo(dtype), np.random.default_rng(shape)
    return np.clip(rng.normal(size=shape, scale=spread) + (info.min + 128), info.min, info.max).astype(dtype)


@pytest.mark.parametrize("depth", [1, 2, 3, 16, 301, 2048])
@pytest.mark.parametrize(
    ("dtype", "z_x"), [(np.int8, 0), (np.int8, -128), (np.int8, 127), (np.uint8, 128), (np.uint8, 0)]
)
def test_depths(dtype, z_x, depth):
    for spread in (0, 0.5, 3, 30, 90):
        check(node(dtype, (9, depth), z_x), random((9, depth), dtype, spread))


@pytest.mark.parametrize(("dtype", "z_x"), [(np.int8, 0), (np.int8, -77), (np.uint8, 128), (np.uint8, 255)])
def test_every_value_with_every_small_one(dtype, z_x):
    info = np.iinfo(dtype)
    x = np.array([(a, b) for a in range(info.min, info.max + 1) for b in range(z_x - 4, z_x + 5)])
    x = x.clip(info.min, info.max).astype(dtype)
    check(node(dtype, x.shape, z_x), x)


@pytest.mark.parametrize("value", [-128, -127, -1, 0, 1, 127])
def test_equal_values(value):
    for depth in (1, 100, 30_000):
        check(node(np.int8, (1, depth)), np.full((1, depth), value, np.int8))


@pytest.mark.parametrize("shape", [(7,), (3, 5), (1, 1, 1), (2, 3, 4, 5), (2, 1, 3, 1, 2)], ids=str)
def test_shapes(shape):
    check(node(np.int8, shape), random(shape, np.int8, 50))
    check(real_node(shape), np.random.default_rng(0).normal(size=shape).astype(np.float32))


@pytest.mark.parametrize("scale", [1e-30, 1e-8, 1e-6, 1.0, 1e10])
@pytest.mark.parametrize("depth", [1, 2, 17, 1001])
def test_float(depth, scale):
    x = np.random.default_rng(depth).normal(size=(20, depth), scale=scale).astype(np.float32)
    check(real_node(x.shape), x)


def test_threads():
    x = random((501, 301), np.int8, 40)
    np.testing.assert_array_equal(
        run_program(node(np.int8, x.shape), x), run_program(node(np.int8, x.shape), x, threads=3)
    )
    real = x.astype(np.float32)
    np.testing.assert_array_equal(*(run_program(real_node(x.shape), real, threads=n) for n in (1, 3)))


def test_refused():
    unary.refused(node(np.int8, ()), ModelError, "1 axis or more were expected")
    unary.refused(node(np.int8, (4,), s_y=1 / 64), ModelError, "expected 0.0078125 and 0")
    unary.refused(node(np.uint8, (4,), z_y=0), ModelError, "expected 0.0078125 and 128")
    unary.refused(node(np.int16, (4,)), UnsupportedError, "supported types")
    unary.refused(node(np.int8, (4,), fused_activation_function=writer.RELU), UnsupportedError, "fused activation 1")
