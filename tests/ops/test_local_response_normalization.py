"""LOCAL_RESPONSE_NORMALIZATION against its reference and LiteRT."""

from __future__ import annotations

import numpy as np
import pytest
import unary
import writer
from engines import check, run_program
from writer import T

from int8rt.errors import ModelError, UnsupportedError


def node(shape, radius=5, bias=1.0, alpha=1.0, beta=0.5, dtype=np.float32):
    fields = {"radius": radius, "bias": bias, "alpha": alpha, "beta": beta}
    return writer.model("LOCAL_RESPONSE_NORMALIZATION", [T(dtype, shape)], [T(dtype, shape)], **fields)


def image(shape, scale=2.0):
    return np.random.default_rng(shape).normal(size=shape, scale=scale).astype(np.float32)


@pytest.mark.parametrize("radius", [-1, 0, 1, 2, 5, 100, 2**31 - 1])
@pytest.mark.parametrize("depth", [1, 2, 8, 33])
def test_radii(radius, depth):
    x = image((1, 3, 4, depth))
    check(node(x.shape, radius if radius < 2**31 - 1 else 2**30), x)


@pytest.mark.parametrize("bias", [0.0, 1.0, 2.5])
@pytest.mark.parametrize("alpha", [1e-4, 1.0, 3.0])
@pytest.mark.parametrize("beta", [-1.0, 0.0, 0.5, 0.75, 2.0])
def test_parameters(bias, alpha, beta):
    x = image((2, 3, 4, 7), 5)
    check(node(x.shape, 2, bias, alpha, beta), x)


@pytest.mark.parametrize("value", [0.0, -0.0, 1e-30, 1e15, 1e30, np.inf])
def test_special_values(value):
    x = np.full((1, 2, 2, 5), value, np.float32)
    check(node(x.shape), x)


def test_threads():
    x = image((1, 64, 64, 20))
    np.testing.assert_array_equal(*(run_program(node(x.shape), x, threads=n) for n in (1, 3)))


def test_refused():
    unary.refused(node((4, 5)), ModelError, "4 axes were expected")
    unary.refused(node((1, 1, 1, 4), dtype=np.int8), UnsupportedError, "supported types")
