"""BITWISE_XOR: program, reference and LiteRT's BUILTIN_REF give the same bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import writer
from elementwise import BOTH, SHAPES, all_pairs, binary, values
from engines import check, run_program, run_reference, same
from selection import share
from writer import T

from int8rt.errors import ModelError, UnsupportedError
from int8rt.format import reader


@pytest.mark.parametrize(("shape1", "shape2"), share([*SHAPES, *((b, a) for a, b in SHAPES[1:6]), *BOTH], 12))
def test_broadcasting(shape1: tuple[int, ...], shape2: tuple[int, ...]) -> None:
    check(binary("BITWISE_XOR", np.int8, shape1, shape2), values(shape1, np.int8), values(shape2, np.int8, 1))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("scales", [(), (0.1, 0.2, 0.3)])
def test_every_pair_of_values(scales: tuple[float, ...], dtype: Any) -> None:
    check(binary("BITWISE_XOR", dtype, (256, 256), None, scales, (3, 4, 5)), *all_pairs(dtype))


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.int32, np.uint32])
@pytest.mark.parametrize(("shape1", "shape2"), [SHAPES[1], SHAPES[7][::-1], BOTH[0], SHAPES[10]])
def test_other_types(shape1: tuple[int, ...], shape2: tuple[int, ...], dtype: Any) -> None:
    check(binary("BITWISE_XOR", dtype, shape1, shape2), values(shape1, dtype), values(shape2, dtype, 1))


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.int32, np.uint32])
def test_extreme_integers(dtype: Any) -> None:
    info = np.iinfo(dtype)
    line = np.array([info.min, info.max, 0, 1, 2, info.max // 2, info.max // 2 + 1], dtype)
    check(binary("BITWISE_XOR", dtype, (7, 1), (7,)), line[:, None], line)


def test_threads() -> None:
    model = binary("BITWISE_XOR", np.int8, (100, 300), (300,))
    inputs = values((100, 300), np.int8), values((300,), np.int8, 1)
    same("reference", run_reference(model, *inputs), run_program(model, *inputs, threads=3))


@pytest.mark.parametrize(
    ("model", "error"),
    [
        (binary("BITWISE_XOR", np.float64, (4,)), UnsupportedError),
        (binary("BITWISE_XOR", np.int64, (4,)), UnsupportedError),
        (writer.model("BITWISE_XOR", [T(np.int8, (2, 3)), T(np.int8, (3, 2))], [T(np.int8, (2, 3))]), ModelError),
        (writer.model("BITWISE_XOR", [T(np.int8, (4,)), T(np.int64, (4,))], [T(np.int8, (4,))]), ModelError),
        (writer.model("BITWISE_XOR", [T(np.int8, (4,))], [T(np.int8, (4,))]), ModelError),
        (writer.model("BITWISE_XOR", [T(np.int8, (4,)), None], [T(np.int8, (4,))]), ModelError),
    ],
)
def test_refused(model: bytes, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"BITWISE_XOR \(node 0\)"):
        run_program(model, *[np.ones(t.shape, t.dtype) for t in reader.read(model).main.inputs])
