"""BITCAST between types of all sizes, against its reference and LiteRT."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import unary
import writer
from engines import check
from writer import T

from int8rt.errors import ModelError, UnsupportedError

TYPES = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.float32, np.int64, np.float64, np.complex64]


def node(source, shape, target, out):
    return writer.model("BITCAST", [T(source, shape)], [T(target, out)])


@pytest.mark.parametrize(
    ("source", "target"), list(itertools.product(TYPES, TYPES)), ids=lambda dtype: np.dtype(dtype).name
)
def test_pairs(source, target):
    size_x, size_y = np.dtype(source).itemsize, np.dtype(target).itemsize
    shape = (3, 5) if size_x >= size_y else (3, 5, size_y // size_x)
    out = (3, 5) if size_x <= size_y else (3, 5, size_x // size_y)
    raw = np.random.default_rng(0).integers(0, 256, 15 * max(size_x, size_y)).astype(np.uint8)
    raw &= 0x7B  # no NaN, whose payload a copy may change
    check(node(source, shape, target, out), raw.view(source).reshape(shape))


def test_scalar():
    check(node(np.float32, (), np.int32, ()), np.array(1.5, np.float32))
    check(node(np.float32, (), np.uint8, (4,)), np.array(1.5, np.float32))


def test_refused():
    unary.refused(node(np.int8, (4, 3), np.int32, (4,)), ModelError, "the last axis must have 4")
    unary.refused(node(np.int8, (), np.int32, ()), ModelError, "the last axis must have 4")
    unary.refused(node(np.bool_, (4,), np.int8, (4,)), UnsupportedError, "bool is not supported")
