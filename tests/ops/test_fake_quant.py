"""FAKE_QUANT against its reference and LiteRT."""

from __future__ import annotations

import numpy as np
import pytest
import unary
import writer
from engines import check
from writer import T

from int8rt.errors import ModelError, UnsupportedError

X = np.concatenate([np.linspace(-12, 12, 2001), unary.FLOATS[1:]]).astype(np.float32)


def node(shape=X.shape, min=-6.0, max=6.0, num_bits=8, narrow_range=False, dtype=np.float32):
    fields = {"min": min, "max": max, "num_bits": num_bits, "narrow_range": narrow_range}
    return writer.model("FAKE_QUANT", [T(dtype, shape)], [T(dtype, shape)], **fields)


@pytest.mark.parametrize("num_bits", [1, 2, 4, 8, 15, 16])
@pytest.mark.parametrize("limits", [(-6, 6), (0, 6), (-6, 0), (-1, 1.007), (-0.001, 10), (-1e-5, 1e-6), (-1e30, 1e30)])
def test_ranges(num_bits, limits):
    check(node(X.shape, *limits, num_bits), X)


@pytest.mark.parametrize("shape", unary.SHAPES, ids=str)
def test_shapes(shape):
    check(node(shape), np.random.default_rng(0).normal(size=shape, scale=4).astype(np.float32))


def test_nan():
    check(node((2,)), np.full(2, np.nan, np.float32))


def test_threads():
    unary.check_threads("FAKE_QUANT", min=-1.0, max=2.0, num_bits=8)


def test_refused():
    unary.refused(node(narrow_range=True), UnsupportedError, "narrow_range")
    unary.refused(node(num_bits=0), ModelError, "num_bits is 0")
    unary.refused(node(num_bits=40), ModelError, "num_bits is 40")
    unary.refused(node(min=1.0, max=2.0), ModelError, "contains 0")
    unary.refused(node(min=0.0, max=0.0), ModelError, "contains 0")
    unary.refused(node(dtype=np.int8), UnsupportedError, "supported types")
