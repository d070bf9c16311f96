"""CUMSUM: program, reference and LiteRT's BUILTIN_REF give the same bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from elementwise import values
from engines import check, run_program, run_reference, same
from writer import T, model

from int8rt.errors import ModelError, UnsupportedError


def cumsum(x: np.ndarray, axis: Any, exclusive: bool = False, reverse: bool = False, constant: bool = True) -> bytes:
    """A model of one CUMSUM."""
    given = np.array(axis, np.int32)
    inputs = [T(x.dtype, x.shape), T(np.int32, given.shape, data=given if constant else None)]
    return model("CUMSUM", inputs, [T(x.dtype, x.shape)], exclusive=exclusive, reverse=reverse)


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float32])
@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("shape", "axis"), [((9,), 0), ((3, 5), 1), ((3, 5), -2), ((2, 3, 4, 5), 2), ((2, 3, 4, 5, 2), [-4]), ((4, 1), 1)]
)
def test_axes(shape: Any, axis: Any, exclusive: bool, reverse: bool, dtype: Any) -> None:
    x = values(shape, dtype)
    check(cumsum(x, axis, exclusive, reverse), x)


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_float_order(exclusive: bool, reverse: bool) -> None:
    x = values((3, 500, 7), np.float32) * 10 ** values((3, 500, 7), np.float32, 1)
    for axis in range(3):
        check(cumsum(x, axis, exclusive, reverse), x)
    x = np.array([-0.0, -0.0, 3e38, 3e38, -3e38], np.float32)
    check(cumsum(x, 0, exclusive, reverse), x)


def test_nothing() -> None:
    for axis in (0, 1):
        x = np.zeros((0, 3), np.float32)
        check(cumsum(x, axis), x)


def test_axis_at_run_time() -> None:
    x = values((3, 5), np.float32)
    for axis in (0, 1, -1):
        check(cumsum(x, axis, reverse=True, constant=False), x, np.array(axis, np.int32))


def test_threads() -> None:
    x = values((300, 400), np.int32)
    for axis in (0, 1):
        same("reference", run_reference(cumsum(x, axis), x), run_program(cumsum(x, axis), x, threads=3))


def test_malformed() -> None:
    x = values((2, 3), np.float32)
    for axis in (2, -3):
        with pytest.raises(ModelError, match="axis"):
            run_program(cumsum(x, axis), x)
    with pytest.raises(ModelError, match="one int32 axis"):
        run_program(cumsum(x, [0, 1]), x)
    with pytest.raises(ModelError, match="1 axis or more were expected"):
        run_program(
            model("CUMSUM", [T(np.float32, ()), T(np.int32, (), data=np.int32(0))], [T(np.float32, ())]), x[0, 0]
        )
    with pytest.raises(UnsupportedError, match="supported"):
        run_program(cumsum(x.astype(np.int8), 0), x.astype(np.int8))
