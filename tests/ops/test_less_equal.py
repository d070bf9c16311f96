"""LESS_EQUAL: program, reference and LiteRT's BUILTIN_REF give the same bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import writer
from comparisons import ARRAYS, BROADCAST, QUANTIZATIONS, close, comparison, shifted
from elementwise import all_pairs, extreme_integers, special_floats, values
from engines import check, run_program, run_reference, same
from selection import share
from writer import T

from int8rt.errors import ModelError, UnsupportedError
from int8rt.format import reader


@pytest.mark.parametrize(("shape1", "shape2"), share(BROADCAST, 17))
def test_broadcasting(shape1: tuple[int, ...], shape2: tuple[int, ...]) -> None:
    model = comparison("LESS_EQUAL", np.int8, shape1, shape2, (0.1, 0.2), (3, 5))
    check(model, values(shape1, np.int8), values(shape2, np.int8, 1))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize(("scales", "zero_points"), QUANTIZATIONS)
def test_every_pair_of_values(scales: tuple[float, ...], zero_points: tuple[int, ...], dtype: Any) -> None:
    check(comparison("LESS_EQUAL", dtype, (256, 256), None, scales, shifted(dtype, zero_points)), *all_pairs(dtype))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("scales", [(1.0, 1.0), (1.0, 3.0), (1024.0, 2048.0), (1e30, 1e30)])
def test_scales_from_one_on(scales: tuple[float, ...], dtype: Any) -> None:
    """Where LiteRT aborts or shifts by a negative amount, what is compared is what the values stand for."""
    x1, x2 = all_pairs(dtype)
    real = [(x.astype(np.int64) - 7) * np.float64(s) for x, s in zip((x1, x2), scales, strict=True)]
    model = comparison("LESS_EQUAL", dtype, (256, 256), None, scales, (7, 7))
    check(model, x1, x2, litert=[np.less_equal(*real)])


def test_int16_is_compared_as_stored() -> None:
    x1, x2 = extreme_integers(np.int16)
    check(comparison("LESS_EQUAL", np.int16, x1.shape, None, (0.1, 0.3), (0, 0)), x1, x2)


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int64, np.float32])
@pytest.mark.parametrize(("shape1", "shape2"), ARRAYS)
def test_other_types(shape1: tuple[int, ...], shape2: tuple[int, ...], dtype: Any) -> None:
    check(comparison("LESS_EQUAL", dtype, shape1, shape2), close(dtype, shape1), close(dtype, shape2, 1))


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int64])
def test_extreme_integers(dtype: Any) -> None:
    x1, x2 = extreme_integers(dtype)
    check(comparison("LESS_EQUAL", dtype, x1.shape), x1, x2)


def test_special_floats() -> None:
    x1, x2 = special_floats()
    check(comparison("LESS_EQUAL", np.float32, x1.shape), x1, x2)


def test_constant_operand() -> None:
    x, c = T(np.int8, (2, 3, 8), 0.05, 4), T(np.int8, (), 0.1, 4, data=np.array(17, np.int8))
    check(writer.model("LESS_EQUAL", [c, x], [T(np.bool_, (2, 3, 8))]), values((2, 3, 8), np.int8))


def test_threads() -> None:
    model = comparison("LESS_EQUAL", np.int8, (100, 300), (300,), (0.1, 0.2))
    inputs = values((100, 300), np.int8), values((300,), np.int8, 1)
    same("reference", run_reference(model, *inputs), run_program(model, *inputs, threads=3))


@pytest.mark.parametrize(
    ("model", "error"),
    [
        (comparison("LESS_EQUAL", np.float64, (4,)), UnsupportedError),
        (comparison("LESS_EQUAL", np.int8, (4,)), ModelError),
        (comparison("LESS_EQUAL", np.int8, (4,), None, (0.1, -0.1)), ModelError),
        (writer.model("LESS_EQUAL", [T(np.int32, (4,)), T(np.int32, (4,))], [T(np.int32, (4,))]), ModelError),
        (writer.model("LESS_EQUAL", [T(np.int32, (4,)), T(np.int64, (4,))], [T(np.bool_, (4,))]), ModelError),
        (writer.model("LESS_EQUAL", [T(np.int32, (2, 3)), T(np.int32, (3, 2))], [T(np.bool_, (2, 3))]), ModelError),
        (writer.model("LESS_EQUAL", [T(np.int32, (4,))], [T(np.bool_, (4,))]), ModelError),
    ],
)
def test_refused(model: bytes, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"LESS_EQUAL \(node 0\)"):
        run_program(model, *[np.zeros(t.shape, t.dtype) for t in reader.read(model).main.inputs])
