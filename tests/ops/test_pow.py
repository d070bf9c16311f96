"""POW: program, reference and LiteRT's BUILTIN_REF give the same bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import writer
from elementwise import BOTH, SHAPES, binary, special_floats, values
from engines import check, run_program, run_reference, same
from selection import share
from writer import T

from int8rt.errors import InputError, ModelError, UnsupportedError
from int8rt.format import reader


def base(shape: Any, dtype: Any, seed: int = 0) -> np.ndarray:
    """Small integers, and positive floats."""
    x = values(shape, np.float32, seed)
    return np.abs(x) if dtype == np.float32 else np.rint(3 * x).astype(dtype)


def exponents(shape: Any, dtype: Any, seed: int = 0) -> np.ndarray:
    """From -3 (0 of integers) to 40."""
    x = np.random.default_rng(seed).uniform(-3, 40, shape)
    return x.astype(dtype) if dtype == np.float32 else np.maximum(x, 0).astype(dtype)


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
@pytest.mark.parametrize(("shape1", "shape2"), share([*SHAPES, *((b, a) for a, b in SHAPES[1:6]), *BOTH], 10))
def test_broadcasting(shape1: tuple[int, ...], shape2: tuple[int, ...], dtype: Any) -> None:
    check(binary("POW", dtype, shape1, shape2), base(shape1, dtype), exponents(shape2, dtype, 1))


@pytest.mark.parametrize("exponent", [0, 0.5, 1, 2, 3, 5, 1000, -1, 2.000001, 2.0001, 0.999999, 1.99, 1e10, np.inf])
def test_one_float_exponent(exponent: float) -> None:
    """Near an integer it makes products, which are finite, unless nothing is broadcast."""
    x = np.array([0.5, 1.1, -2, 0, -0.0, 1e20, -3.3, 1e-30, 1, 0.99999], np.float32)
    x = x if exponent in (0, 1, 2, 3, 5, -1) else np.abs(x)
    e = np.float32(exponent)
    for shape in ((), (1,), (1, 1)):
        check(binary("POW", np.float32, (10,), shape), x, np.full(shape, e))
    check(binary("POW", np.float32, (10,)), x, np.full(10, e))
    check(binary("POW", np.float32, (1,), (1,)), x[:1], np.full(1, e))


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 5, 31, 32, 33, 2**31 - 1])
def test_one_integer_exponent(exponent: int) -> None:
    """Broadcast it wraps, else what is beyond int32 is -2^31."""
    x = np.array([2, -2, -3, 0, 7, 46341, -1, 1, 10, 100000, 2**31 - 1, -(2**31)], np.int32)
    check(binary("POW", np.int32, (12,), ()), x, np.array(exponent, np.int32))
    check(binary("POW", np.int32, (12,)), x, np.full(12, exponent, np.int32))


def test_negative_integer_exponent() -> None:
    model = binary("POW", np.int32, (3,))
    x, e = np.array([1, 2, 3], np.int32), np.array([1, -2, 3], np.int32)
    for run in (run_program, run_reference):
        with pytest.raises(InputError, match="below zero"):
            run(model, x, e)
    check(model, x, np.abs(e))
    constant = writer.model("POW", [T(np.int32, (3,)), T(np.int32, (3,), data=e)], [T(np.int32, (3,))])
    with pytest.raises(ModelError, match="below zero"):
        run_program(constant, x)


def test_special_floats() -> None:
    x1, x2 = special_floats()
    x1, x2 = x1[1:, 1:], x2[1:, 1:]
    with np.errstate(all="ignore"):
        numbers = ~np.isnan(x1**x2)
    check(binary("POW", np.float32, (int(numbers.sum()),)), x1[numbers], x2[numbers])


def test_threads() -> None:
    model = binary("POW", np.float32, (100, 300), (300,))
    inputs = base((100, 300), np.float32), exponents((300,), np.float32, 1)
    same("reference", run_reference(model, *inputs), run_program(model, *inputs, threads=3))


@pytest.mark.parametrize(
    ("model", "error"),
    [
        (binary("POW", np.float64, (4,)), UnsupportedError),
        (binary("POW", np.int8, (4,)), UnsupportedError),
        (writer.model("POW", [T(np.float32, (2, 3)), T(np.float32, (3, 2))], [T(np.float32, (2, 3))]), ModelError),
        (writer.model("POW", [T(np.float32, (4,)), T(np.int64, (4,))], [T(np.float32, (4,))]), ModelError),
        (writer.model("POW", [T(np.float32, (4,))], [T(np.float32, (4,))]), ModelError),
        (writer.model("POW", [T(np.float32, (4,)), None], [T(np.float32, (4,))]), ModelError),
    ],
)
def test_refused(model: bytes, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"POW \(node 0\)"):
        run_program(model, *[np.ones(t.shape, t.dtype) for t in reader.read(model).main.inputs])
