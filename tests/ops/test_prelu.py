"""PRELU: program, reference and LiteRT's BUILTIN_REF give the same bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import writer
from elementwise import SHAPES, all_pairs, binary, special_floats, values
from engines import check, run_program, run_reference, run_zeros, same
from selection import share
from writer import T

from int8rt.errors import ModelError, UnsupportedError

EIGHT_BITS = [np.int8, np.uint8]


@pytest.mark.parametrize("dtype", [*EIGHT_BITS, np.float32])
@pytest.mark.parametrize(("shape1", "shape2"), share(SHAPES, 20))
def test_broadcasting(shape1: tuple[int, ...], shape2: tuple[int, ...], dtype: Any) -> None:
    zero_points = {np.int8: (3, -7, 1), np.uint8: (130, 100, 120), np.float32: (0, 0, 0)}[dtype]
    scales = () if dtype == np.float32 else (0.02, 0.01, 0.03)
    model = binary("PRELU", dtype, shape1, shape2, scales, zero_points)
    check(model, values(shape1, dtype), values(shape2, dtype, 1))


@pytest.mark.parametrize("dtype", EIGHT_BITS)
@pytest.mark.parametrize(
    "scales",
    [
        (0.02, 0.01, 0.02),
        (0.5, 0.5, 1.0),  # ties
        (0.5, 0.5, 0.5),
        (1.0, 1.0, 1.0),
        (0.3, 1.5, 0.01),
        (2.0**-31, 0.05, 1e-9),
        (0.05, 2.0**-31, 0.05),
        (0.05, 0.02, 1e9),
        (0.05, 0.02, 5e-11),
    ],
)
@pytest.mark.parametrize("ends", [False, True])
def test_every_pair_of_values(scales: tuple[float, ...], ends: bool, dtype: Any) -> None:
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    zero_points = (high, low, low) if ends else (low + 127, low + 100, low + 131)
    check(binary("PRELU", dtype, (256, 256), None, scales, zero_points), *all_pairs(dtype))


@pytest.mark.parametrize("scales", [(1e-3, 2e-3, 1e-3), (1e-3, 0.5, 1e-3), (1e-3, 1e-2, 3e-3), (1e-3, 1e-4, 3e-6)])
@pytest.mark.parametrize(("shape1", "shape2"), SHAPES[:4])
def test_int16_with_int8_alpha(shape1: tuple[int, ...], shape2: tuple[int, ...], scales: tuple[float, ...]) -> None:
    s1, s2, s = scales
    model = writer.model("PRELU", [T(np.int16, shape1, s1), T(np.int8, shape2, s2, 3)], [T(np.int16, shape1, s)])
    check(model, values(shape1, np.int16), values(shape2, np.int8, 1))


def test_int16_alpha() -> None:
    """LiteRT reads the bytes of an int16 alpha as if it were int8. The true value of -200 times alpha, by hand."""
    model = binary("PRELU", np.int16, (6,), None, (0.5, 0.25, 1.0))
    x = np.array([-200, -200, -200, 200, 201, -1], np.int16)
    alpha = np.array([8, -8, 3000, 7, 7, 4], np.int16)
    check(model, x, alpha, litert=[np.array([-200, 200, -32768, 100, 101, -1], np.int16)])


def test_float32() -> None:
    x, alpha = special_floats()
    check(binary("PRELU", np.float32, x.shape), x, alpha)


def test_constant_alpha() -> None:
    x = T(np.int8, (2, 3, 8), 0.05, 4)
    alpha = T(np.int8, (1, 1, 8), 0.02, -5, data=values((1, 1, 8), np.int8, 1))
    check(writer.model("PRELU", [x, alpha], [T(np.int8, (2, 3, 8), 0.06, 1)]), values((2, 3, 8), np.int8))


def test_threads() -> None:
    model = binary("PRELU", np.int8, (100, 300), (300,), (0.02, 0.01, 0.03), (3, -7, 1))
    inputs = values((100, 300), np.int8), values((300,), np.int8, 1)
    same("reference", run_reference(model, *inputs), run_program(model, *inputs, threads=3))


@pytest.mark.parametrize(
    ("model", "error"),
    [
        (binary("PRELU", np.int8, (4,)), ModelError),
        (binary("PRELU", np.int32, (4,)), UnsupportedError),
        (binary("PRELU", np.int8, (4,), None, (0.1, 0.0, 0.1)), ModelError),
        (binary("PRELU", np.int8, (4,), None, (1e20, 1e30, 1.0)), UnsupportedError),
        (writer.model("PRELU", [T(np.float32, (1, 1)), T(np.float32, (1, 4))], [T(np.float32, (1, 4))]), ModelError),
        (writer.model("PRELU", [T(np.float32, (4,)), T(np.float32, (3,))], [T(np.float32, (4,))]), ModelError),
        (writer.model("PRELU", [T(np.int8, (4,), 0.1), T(np.uint8, (4,), 0.1)], [T(np.int8, (4,), 0.1)]), ModelError),
        (writer.model("PRELU", [T(np.float32, (4,))], [T(np.float32, (4,))]), ModelError),
    ],
)
def test_refused(model: bytes, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"PRELU \(node 0\)"):
        run_zeros(model)
