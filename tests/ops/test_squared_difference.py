"""SQUARED_DIFFERENCE: program, reference and LiteRT's BUILTIN_REF give the same bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import writer
from elementwise import BOTH, SHAPES, all_pairs, binary, extreme_integers, special_floats, values
from engines import check, run_program, run_reference, same
from selection import share
from writer import T

from int8rt.errors import ModelError, UnsupportedError
from int8rt.format import reader

Q = (0.1, 0.2, 0.9), (3, -5, -128)


@pytest.mark.parametrize(("shape1", "shape2"), share([*SHAPES, *((b, a) for a, b in SHAPES[1:6]), *BOTH], 11))
def test_broadcasting(shape1: tuple[int, ...], shape2: tuple[int, ...]) -> None:
    check(
        binary("SQUARED_DIFFERENCE", np.int8, shape1, shape2, *Q), values(shape1, np.int8), values(shape2, np.int8, 1)
    )


@pytest.mark.parametrize(
    ("scales", "zero_points"),
    [
        ((0.1, 0.2, 0.9), (3, 5, -7)),
        ((0.02, 0.02, 0.1), (-128, 127, -128)),
        ((0.02, 0.02, 0.02), (127, -128, 127)),
        ((0.5, 0.5, 1.0), (0, 0, 0)),
        ((0.5, 0.0001, 40.0), (0, 0, 0)),
        ((1.0, 2.0, 2.0**-10 * 1.01), (0, 0, 0)),
        ((2.0**-31, 2.0**-30, 2.0**-58), (0, 0, 0)),
        ((100.0, 1.0, 1e6), (0, 0, 0)),
    ],
)
def test_every_pair_of_values(scales: tuple[float, ...], zero_points: tuple[int, ...]) -> None:
    check(binary("SQUARED_DIFFERENCE", np.int8, (256, 256), None, scales, zero_points), *all_pairs(np.int8))


def test_integers_wrap() -> None:
    x1, x2 = extreme_integers(np.int32)
    check(binary("SQUARED_DIFFERENCE", np.int32, x1.shape), x1, x2)


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
@pytest.mark.parametrize(("shape1", "shape2"), [SHAPES[1], SHAPES[7][::-1], BOTH[0], SHAPES[10]])
def test_other_types(shape1: tuple[int, ...], shape2: tuple[int, ...], dtype: Any) -> None:
    check(binary("SQUARED_DIFFERENCE", dtype, shape1, shape2), values(shape1, dtype), values(shape2, dtype, 1))


def test_special_floats() -> None:
    x1, x2 = special_floats()
    x1, x2 = x1[2:, 2:], x2[2:, 2:]
    check(binary("SQUARED_DIFFERENCE", np.float32, x1.shape), x1, x2)


def test_threads() -> None:
    model = binary("SQUARED_DIFFERENCE", np.int8, (100, 300), (300,), *Q)
    inputs = values((100, 300), np.int8), values((300,), np.int8, 1)
    same("reference", run_reference(model, *inputs), run_program(model, *inputs, threads=3))


@pytest.mark.parametrize(
    ("model", "error"),
    [
        (binary("SQUARED_DIFFERENCE", np.float64, (4,)), UnsupportedError),
        (binary("SQUARED_DIFFERENCE", np.uint8, (4,)), UnsupportedError),
        (binary("SQUARED_DIFFERENCE", np.int8, (4,)), ModelError),
        (binary("SQUARED_DIFFERENCE", np.int8, (4,), None, (1.0, 2.0, 2.0**-10)), UnsupportedError),
        (
            writer.model("SQUARED_DIFFERENCE", [T(np.int8, (2, 3)), T(np.int8, (3, 2))], [T(np.int8, (2, 3))]),
            ModelError,
        ),
        (writer.model("SQUARED_DIFFERENCE", [T(np.int8, (4,)), T(np.int64, (4,))], [T(np.int8, (4,))]), ModelError),
        (writer.model("SQUARED_DIFFERENCE", [T(np.int8, (4,))], [T(np.int8, (4,))]), ModelError),
        (writer.model("SQUARED_DIFFERENCE", [T(np.int8, (4,)), None], [T(np.int8, (4,))]), ModelError),
    ],
)
def test_refused(model: bytes, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"SQUARED_DIFFERENCE \(node 0\)"):
        run_program(model, *[np.ones(t.shape, t.dtype) for t in reader.read(model).main.inputs])
