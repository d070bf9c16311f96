"""DIV: program, reference and LiteRT's BUILTIN_REF give the same bytes."""

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

Q8 = (0.1, 0.2, 0.3), (3, 3, 7)


def nonzero(shape: Any, dtype: Any, seed: int = 0) -> np.ndarray:
    """Divisors."""
    x = values(shape, dtype, seed)
    return np.where(x == 3, x.dtype.type(5), x)


@pytest.mark.parametrize(("shape1", "shape2"), share([*SHAPES, *((b, a) for a, b in SHAPES[1:6]), *BOTH], 7))
def test_broadcasting(shape1: tuple[int, ...], shape2: tuple[int, ...]) -> None:
    check(binary("DIV", np.int8, shape1, shape2, *Q8), values(shape1, np.int8), nonzero(shape2, np.int8, 1))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize(
    ("scales", "zero_points"),
    [
        ((0.1, 0.2, 0.3), (3, 5, -7)),
        ((1.0, 1.0, 1.0), (-128, 127, 0)),
        ((1.0, 1.0, 1.0), (127, -128, 127)),
        ((0.004, 0.0037, 0.01), (-5, 0, -128)),
        ((0.5, 0.25, 0.0625), (0, 0, 0)),
        ((1e-3, 1.0, 1e-4), (1, 2, 3)),
        ((0.1, 0.3, 2.0), (0, -20, 3)),
        ((0.1, 0.3, 100.0), (0, -20, 3)),
    ],
)
def test_every_pair_of_values(scales: tuple[float, ...], zero_points: tuple[int, ...], dtype: Any) -> None:
    z1, z2, zy = (z + 128 * (dtype == np.uint8) for z in zero_points)
    x1, x2 = all_pairs(dtype)
    rows = x2[0] != z2
    x1, x2 = x1[:, rows], x2[:, rows]
    check(binary("DIV", dtype, x1.shape, None, scales, (z1, z2, zy)), x1, x2)


@pytest.mark.parametrize("scales", [(0.1, 0.2, 0.3), (1.0, 1.0, 1.0), (1e-3, 0.7, 1e-5), (0.3, 0.001, 1.7)])
def test_int16(scales: tuple[float, ...]) -> None:
    x1, x2 = extreme_integers(np.int16)
    rows = x2[0] != 0
    check(binary("DIV", np.int16, (12, 11), None, scales), x1[:, rows], x2[:, rows])
    shape = 3, 700
    x2 = values(shape, np.int16, 1)
    check(binary("DIV", np.int16, shape, None, scales), values(shape, np.int16), np.where(x2 == 0, 1, x2))


@pytest.mark.parametrize("activation", [0, 1, 2, 3])
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.float32])
def test_fused_activation(activation: int, dtype: Any) -> None:
    q = Q8 if np.dtype(dtype).itemsize == 1 else ()
    x2 = np.arange(1, 21).astype(dtype) * 2 + 3
    model = binary("DIV", dtype, (7, 20), (20,), *q, fused_activation_function=activation)
    check(model, values((7, 20), dtype) % 40, x2)


def test_int32_truncates_and_saturates() -> None:
    x1, x2 = extreme_integers(np.int32)
    rows = x2[0] != 0
    model = binary("DIV", np.int32, (12, 11))
    (y,) = check(model, x1[:, rows], x2[:, rows], litert=None)
    assert y[0, 3] == 2**31 - 1


def test_special_floats() -> None:
    """NaN has no bytes of its own."""
    x1, x2 = special_floats()
    x1, x2 = x1[1:, 1:], x2[1:, 1:]
    with np.errstate(all="ignore"):
        numbers = ~np.isnan(x1 / x2)
    check(binary("DIV", np.float32, (int(numbers.sum()),)), x1[numbers], x2[numbers])


@pytest.mark.parametrize(("shape1", "shape2"), [SHAPES[1], SHAPES[7][::-1], BOTH[0], SHAPES[10]])
def test_floats(shape1: tuple[int, ...], shape2: tuple[int, ...]) -> None:
    check(binary("DIV", np.float32, shape1, shape2), values(shape1, np.float32), values(shape2, np.float32, 1))


def test_division_by_what_stands_for_zero() -> None:
    for dtype, zero in ((np.int8, 3), (np.uint8, 3), (np.int16, 0), (np.int32, 0)):
        model = binary("DIV", dtype, (3,), None, (0.1, 0.2, 0.3), (zero, zero, zero))
        for run in (run_program, run_reference):
            with pytest.raises(InputError, match="zeros"):
                run(model, np.ones(3, dtype), np.array([1, zero, 2], dtype))
        same("reference", run_reference(model, *[np.ones(3, dtype)] * 2), run_program(model, *[np.ones(3, dtype)] * 2))


def test_scales_at_the_ends() -> None:
    """Quotients far beyond the output's range saturate, where LiteRT shifts by a negative amount."""
    model = binary("DIV", np.int8, (4,), None, (1.0, 1.0, 2.0**-40))
    x1, x2 = np.array([1, -1, 0, 100], np.int8), np.array([127, 127, 5, -128], np.int8)
    check(model, x1, x2, litert=[np.array([127, -128, 0, -128], np.int8)])


def test_threads() -> None:
    model = binary("DIV", np.int8, (100, 300), (300,), *Q8)
    inputs = values((100, 300), np.int8), nonzero((300,), np.int8, 1)
    same("reference", run_reference(model, *inputs), run_program(model, *inputs, threads=3))


@pytest.mark.parametrize(
    ("model", "error"),
    [
        (binary("DIV", np.float64, (4,)), UnsupportedError),
        (binary("DIV", np.int64, (4,)), UnsupportedError),
        (binary("DIV", np.int8, (4,)), ModelError),
        (binary("DIV", np.int8, (4,), None, (1e20, 1e-20, 1e-20)), UnsupportedError),
        (writer.model("DIV", [T(np.int8, (2, 3)), T(np.int8, (3, 2))], [T(np.int8, (2, 3))]), ModelError),
        (writer.model("DIV", [T(np.int8, (4,)), T(np.int64, (4,))], [T(np.int8, (4,))]), ModelError),
        (writer.model("DIV", [T(np.int8, (4,))], [T(np.int8, (4,))]), ModelError),
        (writer.model("DIV", [T(np.int8, (4,)), None], [T(np.int8, (4,))]), ModelError),
    ],
)
def test_refused(model: bytes, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"DIV \(node 0\)"):
        run_program(model, *[np.ones(t.shape, t.dtype) for t in reader.read(model).main.inputs])
