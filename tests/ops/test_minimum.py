"""MINIMUM: program, reference and LiteRT's BUILTIN_REF give the same bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import writer
from elementwise import BOTH, SHAPES, all_pairs, binary, extreme_integers, special_floats, values
from engines import check, run_program, run_reference, run_zeros, same
from selection import share
from writer import T

from int8rt.errors import ModelError, UnsupportedError

EIGHT_BITS = [np.int8, np.uint8]


@pytest.mark.parametrize("dtype", EIGHT_BITS)
@pytest.mark.parametrize(("shape1", "shape2"), share([*SHAPES, *((b, a) for a, b in SHAPES[:10]), *BOTH], 4))
def test_broadcasting(shape1: tuple[int, ...], shape2: tuple[int, ...], dtype: Any) -> None:
    model = binary("MINIMUM", dtype, shape1, shape2, (0.1, 0.1, 0.1), (3, 3, 3))
    check(model, values(shape1, dtype), values(shape2, dtype, 1))


@pytest.mark.parametrize("dtype", EIGHT_BITS)
@pytest.mark.parametrize("scales", [(), (0.1, 0.1, 0.1), (0.1, 0.2, 0.3)])
def test_every_pair_of_values(scales: tuple[float, ...], dtype: Any) -> None:
    """Stored values are compared, whatever they stand for."""
    check(binary("MINIMUM", dtype, (256, 256), None, scales, (3, 4, 5)), *all_pairs(dtype))


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int64])
def test_integers(dtype: Any) -> None:
    x1, x2 = extreme_integers(dtype)
    check(binary("MINIMUM", dtype, x1.shape), x1, x2)


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int64, np.float32])
@pytest.mark.parametrize(("shape1", "shape2"), [SHAPES[1], SHAPES[7][::-1], BOTH[0], SHAPES[10]])
def test_broadcasting_of_other_types(shape1: tuple[int, ...], shape2: tuple[int, ...], dtype: Any) -> None:
    check(binary("MINIMUM", dtype, shape1, shape2), values(shape1, dtype), values(shape2, dtype, 1))


def test_float32() -> None:
    """Of zeros of either sign and where there is a NaN, it matters which operand comes first."""
    x1, x2 = special_floats()
    check(binary("MINIMUM", np.float32, x1.shape), x1, x2)
    line = x2[0]
    check(binary("MINIMUM", np.float32, (9, 1), (9,)), line.reshape(9, 1), line)
    check(binary("MINIMUM", np.float32, (), (9,)), np.array(np.nan, np.float32), line)


def test_constant_operand() -> None:
    x = T(np.int8, (2, 3, 8), 0.05, 4)
    c = T(np.int8, (), 0.05, 4, data=np.array(17, np.int8))
    check(writer.model("MINIMUM", [c, x], [T(np.int8, (2, 3, 8), 0.05, 4)]), values((2, 3, 8), np.int8))


def test_threads() -> None:
    model = binary("MINIMUM", np.int8, (100, 300), (300,))
    inputs = values((100, 300), np.int8), values((300,), np.int8, 1)
    same("reference", run_reference(model, *inputs), run_program(model, *inputs, threads=3))


@pytest.mark.parametrize(
    ("model", "error"),
    [
        (binary("MINIMUM", np.float64, (4,)), UnsupportedError),
        (binary("MINIMUM", np.bool_, (4,)), UnsupportedError),
        (writer.model("MINIMUM", [T(np.int32, (2, 3)), T(np.int32, (3, 2))], [T(np.int32, (2, 3))]), ModelError),
        (writer.model("MINIMUM", [T(np.int32, (4,)), T(np.int64, (4,))], [T(np.int32, (4,))]), ModelError),
        (writer.model("MINIMUM", [T(np.int32, (4,))], [T(np.int32, (4,))]), ModelError),
        (writer.model("MINIMUM", [T(np.int32, (4,)), None], [T(np.int32, (4,))]), ModelError),
    ],
)
def test_refused(model: bytes, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"MINIMUM \(node 0\)"):
        run_zeros(model)
