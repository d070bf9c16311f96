"""CAST between all pairs of types, against its reference and LiteRT."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import unary
import writer
from engines import check, run_program
from writer import T

from int8rt.errors import UnsupportedError

INTEGERS = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64]
REALS = [np.float16, np.float32, np.float64]
TYPES = [*INTEGERS, *REALS, np.bool_, np.complex64]
NARROW = {"INT4": (np.int8, -8, 7), "INT2": (np.int8, -2, 1), "UINT4": (np.uint8, 0, 15)}
PAIRS = [pytest.param(*p, id=f"{p[0].__name__}-{p[1].__name__}") for p in itertools.product(TYPES, TYPES)]

SPECIAL = [
    0.0, -0.0, 0.4, -0.4, 0.5, 1.9, -1.9, 127.5, 128, -128.9, -129, 255, 255.9, 256, -1, 32767.9, 32768, -32768.5,
    65535.5, 65536, 2049, 2.0**31 - 128, 2.0**31, -(2.0**31), -(2.0**31) - 256, 2.0**32 - 256, 2.0**32, 2.0**53 + 2,
    9.2233715e18, 2.0**63, -(2.0**63), -1e19, 1e30, 6e-8, np.inf, -np.inf, np.nan,
]  # fmt: skip


def values(dtype):
    """All of 8 and 16 bits, what is near the ends of other types, or reals that are hard to cast."""
    dtype = np.dtype(dtype)
    if dtype == np.bool_:
        return np.array([False, True, True])
    if dtype.kind in "fc":
        with np.errstate(over="ignore"):
            reals = np.concatenate([SPECIAL, np.random.default_rng(0).normal(size=300, scale=100)])
            return reals.astype(dtype) if dtype.kind == "f" else (reals + 3j).astype(dtype)
    info = np.iinfo(dtype)
    if info.bits <= 16:
        return unary.every(dtype)
    near = [
        v + d for v in (0, 2**8, 2**16, 2**24, 2**31, 2**32, 2**53, 2**63) for d in (-129, -128, -1, 0, 1, 127, 128)
    ]
    return np.array([v for n in near for v in (n, -n) if info.min <= v <= info.max], dtype)


def node(x, dtype, **fields):
    return writer.model("CAST", [T(x.dtype, x.shape)], [T(dtype, x.shape)], **fields)


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_pairs(source, target):
    x = values(source)
    check(node(x, target), x)


@pytest.mark.parametrize("type_name", NARROW)
@pytest.mark.parametrize("count", [1, 7, 64])
def test_from_narrow_constants(type_name, count):
    dtype, lo, hi = NARROW[type_name]
    x = np.random.default_rng(count).integers(lo, hi + 1, count).astype(dtype)
    check(writer.model("CAST", [T(dtype, (count,), data=x, type_name=type_name)], [T(np.float32, (count,))]))


@pytest.mark.parametrize("type_name", NARROW)
def test_to_narrow(type_name):
    """NaN becomes the largest value."""
    dtype, lo, hi = NARROW[type_name]
    x = np.float32([-1e9, -8.5, -3, -2.9, -1, -0.5, 0, 0.9, 1, 2, 7.9, 8, 15.5, 16, 1e30, np.nan])
    content = writer.model("CAST", [T(np.float32, x.shape)], [T(dtype, x.shape, type_name=type_name)])
    (y,) = run_program(content, x)
    assert y.tolist() == [*np.trunc(x[:-1].clip(lo, hi)).astype(int), hi]


@pytest.mark.parametrize("shape", unary.SHAPES, ids=str)
def test_shapes(shape):
    x = np.random.default_rng(1).integers(-5, 300, shape).astype(np.int32)
    for dtype in (np.float32, np.uint8, np.int8, np.bool_):
        check(node(x, dtype), x)


def test_constants_are_folded():
    x = np.arange(12, dtype=np.int64)
    check(writer.model("CAST", [T(np.int64, x.shape, data=x)], [T(np.int32, x.shape)]))


@pytest.mark.parametrize("pair", [(np.float32, np.int8), (np.int32, np.int8), (np.int32, np.float32)], ids=str)
def test_threads(pair):
    x = np.random.default_rng(1).integers(-300, 300, (3, 50_021)).astype(pair[0])
    (one,), (three,) = run_program(node(x, pair[1]), x), run_program(node(x, pair[1]), x, threads=3)
    np.testing.assert_array_equal(one, three)


def test_refused():
    four = T(np.int8, (4,), type_name="INT4", data=np.zeros(4, np.int8))
    unary.refused(writer.model("CAST", [four], [T(np.int8, (4,))]), UnsupportedError, "to int8 is not supported")
    unfilled = T(np.int8, (4,), type_name="INT4")
    unary.refused(writer.model("CAST", [unfilled], [T(np.float32, (4,))]), UnsupportedError, "constants to float32")
    brain = T(np.uint16, (4,), type_name="BFLOAT16")
    unary.refused(writer.model("CAST", [brain], [T(np.float32, (4,))]), UnsupportedError, "bfloat16")
