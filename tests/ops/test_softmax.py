"""SOFTMAX in every type, against its reference and LiteRT."""

from __future__ import annotations

import numpy as np
import pytest
import unary
import writer
from engines import check, run_program
from writer import T

from int8rt.errors import ModelError, UnsupportedError
from int8rt.tools import litert

OUTPUT = {np.int8: (1 / 256, -128), np.uint8: (1 / 256, 0), np.int16: (1 / 32768, 0)}


def node(dtype, shape, s_x, beta=1.0, to=None, z_x=0, output=None):
    to = to or dtype
    x = T(dtype, shape, s_x, z_x)
    return writer.model("SOFTMAX", [x], [T(to, shape, *(output or OUTPUT[to]))], beta=beta)


def random(dtype, shape, spread=1.0, seed=0):
    """Normal values around the middle, ``spread`` times a quarter of the range, clamped to the type."""
    info = np.iinfo(dtype)
    middle, width = (info.max + info.min + 1) / 2, (info.max - info.min) / 4
    x = np.random.default_rng(seed).normal(size=shape) * spread * width + middle
    return x.clip(info.min, info.max).astype(dtype)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("depth", [1, 2, 3, 10, 257, 1000])
@pytest.mark.parametrize("s_x", [0.02, 0.11, 1.0])
def test_depths_and_scales(dtype, depth, s_x):
    x = random(dtype, (9, depth), spread=1 + (s_x > 0.1), seed=depth)
    check(node(dtype, x.shape, s_x, z_x=11), x)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize(
    ("s_x", "beta"), [(0.3, 0.1), (0.04, 2.0), (0.05, 0.7), (1e-4, 1.0), (2.0**-25, 1.0), (300.0, 1.0)]
)
def test_beta(dtype, s_x, beta):
    x = random(dtype, (64, 12), spread=2)
    check(node(dtype, x.shape, s_x, beta), x)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("s_x", [0.004, 0.0625, 0.13, 0.5])
def test_every_difference(dtype, s_x):
    """Pairs of the largest value and every other one: the table of exponentials."""
    x = np.stack([np.full(256, np.iinfo(dtype).max), unary.every(dtype)], axis=1).astype(dtype)
    check(node(dtype, x.shape, s_x), x)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("value", ["min", "max"])
@pytest.mark.parametrize("depth", [1, 2, 100, 511])
def test_equal_values(dtype, value, depth):
    x = np.full((2, depth), getattr(np.iinfo(dtype), value), dtype)
    check(node(dtype, x.shape, 0.1), x)


@pytest.mark.parametrize("shape", [(5,), (1,), (3, 4), (2, 3, 4), (2, 3, 4, 5), (1, 7, 5, 1), (2, 1, 3, 2, 4)])
@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_ranks(shape, dtype):
    check(node(dtype, shape, 0.08), random(dtype, shape))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("depth", [2, 40, 400])
def test_int16_output(dtype, depth):
    x = random(dtype, (7, depth))
    check(node(dtype, x.shape, 0.06, to=np.int16), x)


@pytest.mark.parametrize("depth", [1, 2, 10, 300, 40_000])
@pytest.mark.parametrize(("s_x", "beta"), [(3e-4, 1.0), (1e-5, 1.0), (2e-3, 0.5), (1.0, 1.0)])
def test_int16(depth, s_x, beta):
    x = random(np.int16, (3, depth), seed=depth)
    check(node(np.int16, x.shape, s_x, beta), x)


@pytest.mark.parametrize("s_x", [1e-4, 1.2e-4, 3.3e-4])
def test_int16_every_difference(s_x):
    x = np.stack([np.full(65536, 32767), unary.every(np.int16)], axis=1).astype(np.int16)
    check(node(np.int16, x.shape, s_x), x)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("depth", [600, 5000])
def test_sums_of_512_and_more(dtype, depth):
    """LiteRT's reference aborts; its optimized kernel, and arithmetic, say that every probability is below 1/512."""
    x = random(dtype, (1, depth), spread=0.2, seed=depth)
    content = node(dtype, x.shape, 1e-4)
    with pytest.raises(litert.LiteRTCrash):
        litert.run(content, [x], resolver="reference")
    check(content, x, litert=litert.run(content, [x], resolver="builtin"))
    (y,) = run_program(content, x)
    assert (y == np.iinfo(dtype).min).all()


def test_sum_of_512_and_one_large_value():
    """The largest of 20,000 values has probability 0.1 and keeps it: the sum is wider than LiteRT's 32 bits."""
    x = np.zeros((1, 20_000), np.int8)
    x[0, 7] = 77  # exp(7.7) = 2208
    (y,) = run_program(node(np.int8, x.shape, 0.1), x)
    assert y[0, 7] == -128 + round(256 * np.exp(7.7) / (np.exp(7.7) + 19_999))


@pytest.mark.parametrize("shape", [(1,), (4, 1), (9, 2), (3, 5, 37), (2, 1001)])
@pytest.mark.parametrize("beta", [1.0, 0.3, 0.0])
def test_float(shape, beta):
    x = np.random.default_rng(3).normal(size=shape, scale=9).astype(np.float32)
    check(unary.float_node("SOFTMAX", shape, beta=beta), x)


def test_float_specials():
    x = np.array([[0, np.inf], [np.nan, 1], [-np.inf, 2], [-0.0, 0], [3e38, -3e38], [-np.inf, -np.inf]], np.float32)
    content = unary.float_node("SOFTMAX", x.shape, beta=1.0)
    (y,), (expected,) = run_program(content, x), litert.run(content, [x], resolver="reference")
    np.testing.assert_array_equal(y, expected)  # NaN where LiteRT has NaN


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_threads(dtype):
    x = random(dtype, (3001, 17))
    (one,), (three,) = (run_program(node(dtype, x.shape, 0.001), x, threads=t) for t in (1, 3))
    np.testing.assert_array_equal(one, three)


def test_refused():
    shape = (2, 3)
    unary.refused(node(np.int8, shape, 0.1, output=(1 / 255, -128)), ModelError, "expected 0.00390625 and -128")
    unary.refused(node(np.int8, shape, 0.1, output=(1 / 256, 0)), ModelError, "zero point 0, expected")
    unary.refused(node(np.int16, shape, 0.1, output=(1 / 256, 0)), ModelError, "expected 3.05176e-05 and 0")
    unary.refused(node(np.int16, shape, 0.1, z_x=2), ModelError, "zero point 2")
    unary.refused(node(np.int8, shape, 0.0), ModelError, "scale 0")
    unary.refused(node(np.int8, shape, 0.1, beta=0.0), ModelError, "beta is 0")
    unary.refused(node(np.int8, shape, 0.1, beta=-1.0), ModelError, "beta is -1")
    unary.refused(node(np.int8, (), 0.1), ModelError, "1 axis or more were expected")
    unary.refused(node(np.int8, shape, 0.1, to=np.uint8), UnsupportedError, "int8 to uint8")
    unary.refused(writer.model("SOFTMAX", [T(np.int32, shape)], [T(np.int32, shape)]), UnsupportedError, "int32")
