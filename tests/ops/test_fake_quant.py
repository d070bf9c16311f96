"""FAKE_QUANT against its reference and LiteRT."""

from __future__ import annotations

import numpy as np
import pytest
from engines import check
from unary import FAKE_QUANT_VALUES, SHAPES, check_threads, fake_quant, refused

from int8rt.errors import ModelError, UnsupportedError


@pytest.mark.parametrize("num_bits", [1, 2, 4, 8, 15, 16])
@pytest.mark.parametrize("limits", [(-6, 6), (0, 6), (-6, 0), (-1, 1.007), (-0.001, 10), (-1e-5, 1e-6), (-1e30, 1e30)])
def test_ranges(num_bits, limits):
    check(fake_quant(FAKE_QUANT_VALUES.shape, *limits, num_bits), FAKE_QUANT_VALUES)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_shapes(shape):
    check(fake_quant(shape), np.random.default_rng(0).normal(size=shape, scale=4).astype(np.float32))


def test_nan():
    check(fake_quant((2,)), np.full(2, np.nan, np.float32))


def test_threads():
    check_threads("FAKE_QUANT", min=-1.0, max=2.0, num_bits=8)


def test_refused():
    refused(fake_quant(narrow_range=True), UnsupportedError, "narrow_range")
    refused(fake_quant(num_bits=0), ModelError, "num_bits is 0")
    refused(fake_quant(num_bits=40), ModelError, "num_bits is 40")
    refused(fake_quant(min=1.0, max=2.0), ModelError, "contains 0")
    refused(fake_quant(min=0.0, max=0.0), ModelError, "contains 0")
    refused(fake_quant(dtype=np.int8), UnsupportedError, "supported types")
