"""FLOOR_MOD: program, reference and LiteRT's BUILTIN_REF give the same bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import writer
from elementwise import BOTH, SHAPES, all_pairs, binary, extreme_integers, special_floats, values
from engines import check, run_program, run_reference, same
from selection import share
from writer import T

from int8rt.errors import InputError, ModelError, UnsupportedError
from int8rt.format import reader


def nonzero(shape: Any, dtype: Any, seed: int = 0) -> np.ndarray:
    """Divisors."""
    x = values(shape, dtype, seed)
    return np.where(x == 0, x.dtype.type(5), x)


@pytest.mark.parametrize(("shape1", "shape2"), share([*SHAPES, *((b, a) for a, b in SHAPES[1:6]), *BOTH], 9))
def test_broadcasting(shape1: tuple[int, ...], shape2: tuple[int, ...]) -> None:
    check(binary("FLOOR_MOD", np.int8, shape1, shape2), values(shape1, np.int8), nonzero(shape2, np.int8, 1))


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int64, np.float32])
@pytest.mark.parametrize(("shape1", "shape2"), [SHAPES[1], SHAPES[7][::-1], BOTH[0], SHAPES[10]])
def test_broadcasting_of_other_types(shape1: tuple[int, ...], shape2: tuple[int, ...], dtype: Any) -> None:
    check(binary("FLOOR_MOD", dtype, shape1, shape2), values(shape1, dtype), nonzero(shape2, dtype, 1))


@pytest.mark.parametrize("scales", [(), (0.1, 0.2, 0.3)])
def test_every_pair_of_values(scales: tuple[float, ...]) -> None:
    """Stored values are divided, whatever they stand for."""
    x1, x2 = all_pairs(np.int8)
    rows = x2[0] != 0
    check(binary("FLOOR_MOD", np.int8, (256, 255), None, scales, (3, 4, 5)), x1[:, rows], x2[:, rows])


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int64])
def test_extreme_integers(dtype: Any) -> None:
    x1, x2 = extreme_integers(dtype)
    rows = x2[0] != 0
    x1, x2 = x1[:, rows], x2[:, rows]
    safe = (x1 != np.iinfo(dtype).min) | (x2 != -1)
    check(binary("FLOOR_MOD", dtype, (int(safe.sum()),)), x1[safe], x2[safe])
    lowest = np.full(1, np.iinfo(dtype).min, dtype)
    check(binary("FLOOR_MOD", dtype, (1,)), lowest, np.full(1, -1, dtype), litert=[np.zeros(1, dtype)])


def test_special_floats() -> None:
    """NaN has no bytes of its own."""
    x1, x2 = special_floats()
    x1, x2 = x1[1:, 1:], x2[1:, 1:]
    with np.errstate(all="ignore"):
        numbers = ~np.isnan(np.fmod(x1, x2) + x1 / x2) & (x2 != 0)
    check(binary("FLOOR_MOD", np.float32, (int(numbers.sum()),)), x1[numbers], x2[numbers])
    x1, x2 = np.array([7, -7, 7, -7, 5.5, -5.5, 1e10], np.float32), np.array([2, 2, -2, -2, 5.5, 5.5, 3], np.float32)
    check(binary("FLOOR_MOD", np.float32, (7,)), x1, x2)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64])
def test_division_by_zero(dtype: Any) -> None:
    """LiteRT refuses it too; a constant's zeros are found before the model runs."""
    model = binary("FLOOR_MOD", dtype, (6,))
    x = np.array([1, 2, 3, -4, 5, 6]).astype(dtype)
    divisor = np.array([1, 2, 3, 0, 5, 6], dtype)
    for run in (run_program, run_reference):
        with pytest.raises(InputError, match=r"FLOOR_MOD \(node 0\).* zeros"):
            run(model, x, divisor)
    check(model, x, np.array([1, 2, 3, 7, 5, 6], dtype))
    constant = writer.model("FLOOR_MOD", [T(dtype, (6,)), T(dtype, (6,), data=divisor)], [T(dtype, (6,))])
    with pytest.raises(ModelError, match="zeros"):
        run_program(constant, x)


def test_threads() -> None:
    model = binary("FLOOR_MOD", np.int8, (100, 300), (300,))
    inputs = values((100, 300), np.int8), nonzero((300,), np.int8, 1)
    same("reference", run_reference(model, *inputs), run_program(model, *inputs, threads=3))


@pytest.mark.parametrize(
    ("model", "error"),
    [
        (binary("FLOOR_MOD", np.float64, (4,)), UnsupportedError),
        (binary("FLOOR_MOD", np.uint8, (4,)), UnsupportedError),
        (writer.model("FLOOR_MOD", [T(np.int8, (2, 3)), T(np.int8, (3, 2))], [T(np.int8, (2, 3))]), ModelError),
        (writer.model("FLOOR_MOD", [T(np.int8, (4,)), T(np.int64, (4,))], [T(np.int8, (4,))]), ModelError),
        (writer.model("FLOOR_MOD", [T(np.int8, (4,))], [T(np.int8, (4,))]), ModelError),
        (writer.model("FLOOR_MOD", [T(np.int8, (4,)), None], [T(np.int8, (4,))]), ModelError),
    ],
)
def test_refused(model: bytes, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"FLOOR_MOD \(node 0\)"):
        run_program(model, *[np.ones(t.shape, t.dtype) for t in reader.read(model).main.inputs])
