"""LOGICAL_AND: program, reference and LiteRT's BUILTIN_REF give the same bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import writer
from elementwise import BOTH, SHAPES, binary
from engines import check, run_program, run_reference, same
from selection import share
from writer import T

from int8rt.errors import ModelError, UnsupportedError
from int8rt.format import reader


def bits(shape: Any, dtype: Any = np.bool_, seed: int = 0) -> np.ndarray:
    """Both values."""
    return np.random.default_rng(seed).integers(0, 2, shape).astype(dtype)


@pytest.mark.parametrize(("shape1", "shape2"), share([*SHAPES, *((b, a) for a, b in SHAPES[1:10]), *BOTH], 5))
def test_broadcasting(shape1: tuple[int, ...], shape2: tuple[int, ...]) -> None:
    check(binary("LOGICAL_AND", np.bool_, shape1, shape2), bits(shape1), bits(shape2, seed=1))


def test_every_pair() -> None:
    check(binary("LOGICAL_AND", np.bool_, (4,)), np.array([0, 0, 1, 1], np.bool_), np.array([0, 1, 0, 1], np.bool_))


@pytest.mark.parametrize("value", [False, True])
def test_constant_operand(value: bool) -> None:
    x, c, y = T(np.bool_, (2, 9)), T(np.bool_, (), data=np.array(value)), T(np.bool_, (2, 9))
    check(writer.model("LOGICAL_AND", [c, x], [y]), bits((2, 9)))
    check(writer.model("LOGICAL_AND", [x, c], [y]), bits((2, 9)))


def test_threads() -> None:
    model = binary("LOGICAL_AND", np.bool_, (100, 300), (300,))
    inputs = bits((100, 300), np.bool_), bits((300,), np.bool_, 1)
    same("reference", run_reference(model, *inputs), run_program(model, *inputs, threads=3))


@pytest.mark.parametrize(
    ("model", "error"),
    [
        (binary("LOGICAL_AND", np.float64, (4,)), UnsupportedError),
        (binary("LOGICAL_AND", np.int8, (4,)), UnsupportedError),
        (writer.model("LOGICAL_AND", [T(np.bool_, (2, 3)), T(np.bool_, (3, 2))], [T(np.bool_, (2, 3))]), ModelError),
        (writer.model("LOGICAL_AND", [T(np.bool_, (4,)), T(np.int64, (4,))], [T(np.bool_, (4,))]), ModelError),
        (writer.model("LOGICAL_AND", [T(np.bool_, (4,))], [T(np.bool_, (4,))]), ModelError),
        (writer.model("LOGICAL_AND", [T(np.bool_, (4,)), None], [T(np.bool_, (4,))]), ModelError),
    ],
)
def test_refused(model: bytes, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"LOGICAL_AND \(node 0\)"):
        run_program(model, *[np.ones(t.shape, t.dtype) for t in reader.read(model).main.inputs])
