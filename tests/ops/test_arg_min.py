"""ARG_MIN against its reference and LiteRT."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from engines import check, run_program, same
from writer import T, model

from int8rt.errors import ModelError, UnsupportedError

OUTPUT_TYPES = {np.int32: 2, np.int64: 4}


def arg_min(x: np.ndarray, axis: Any, output: Any = np.int32, axis_type: Any = np.int32, **fields: Any) -> bytes:
    """A model with one ARG_MIN."""
    axis = np.asarray(axis, axis_type)
    where = int(axis.reshape(-1)[0])
    shape = tuple(np.delete(x.shape, where)) if -x.ndim <= where < x.ndim else ()
    inputs = [T(x.dtype, x.shape, 0.1 if x.dtype in (np.int8, np.uint8) else None), T(axis_type, axis.shape, data=axis)]
    return model("ARG_MIN", inputs, [T(output, shape)], version=2, **{"output_type": OUTPUT_TYPES[output], **fields})


def values(shape: Any, dtype: Any = np.int8, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if dtype == np.float32:
        return rng.normal(0, 4, shape).astype(dtype)
    if dtype == np.bool_:
        return rng.integers(0, 2, shape).astype(bool)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype, endpoint=True)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.float32, np.bool_])
@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((1, 9, 9, 21), 3),
        ((1, 9, 9, 21), -1),
        ((2, 300), 1),
        ((2, 300), 0),
        ((3, 4, 5, 6, 2), 2),
        ((3, 4, 5, 6, 2), -5),
        ((7,), 0),
        ((1, 1), 1),
        ((4, 1, 3), 1),
    ],
)
def test_axes(shape: Any, axis: int, dtype: Any) -> None:
    x = values(shape, dtype)
    check(arg_min(x, axis, np.int64), x)
    check(arg_min(x, [axis], np.int32, np.int64), x)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.float32])
def test_the_first_of_equal_values(dtype: Any) -> None:
    x = np.random.default_rng(1).integers(0, 3, (50, 70)).astype(dtype)
    check(arg_min(x, 1), x)
    check(arg_min(x, 0), x)
    check(arg_min(np.full_like(x, 5), 1), np.full_like(x, 5))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32])
def test_ends(dtype: Any) -> None:
    info = np.iinfo(dtype)
    x = np.random.default_rng(2).choice([info.min, info.max], (20, 6)).astype(dtype)
    check(arg_min(x, 1), x)


def test_special_floats() -> None:
    x = np.random.default_rng(3).choice(np.array([-np.inf, np.inf, 0.0, -0.0, 1e-45], np.float32), (60, 4))
    check(arg_min(x, 1), x)


def test_nan() -> None:
    x = np.random.default_rng(3).choice(np.array([np.nan, -np.inf, 0.0, 1], np.float32), (6, 40))
    check(arg_min(x, 0), x)


def test_nan_along_the_last_axis() -> None:
    """LiteRT 2.3.0 misses the 1 in [nan, nan, 1, 2]: its SIMD loop over four floats is not its reference kernel."""
    rows = [[np.nan, np.nan, 1, 2], [np.nan, -np.inf, 1, np.nan], [np.nan] * 4, [-np.inf, np.nan, -np.inf, -np.inf]]
    x = np.array(rows, np.float32)
    check(arg_min(x, 1), x, litert=[np.array([2, 1, 0, 0], np.int32)])


def test_threads() -> None:
    x = values((200, 1000))
    for axis in (0, 1):
        same("one thread", run_program(arg_min(x, axis), x), run_program(arg_min(x, axis), x, threads=2))


def test_malformed() -> None:
    x = values((2, 3))
    for axis in (2, -3):
        with pytest.raises(ModelError, match="axis"):
            run_program(arg_min(x, axis), x)
    with pytest.raises(ModelError, match="one was expected"):
        run_program(arg_min(x, [0, 1]), x)
    with pytest.raises(ModelError, match="no best value"):
        run_program(arg_min(np.zeros((3, 0), np.int8), 1), np.zeros((3, 0), np.int8))
    with pytest.raises(ModelError, match="the options say"):
        run_program(arg_min(x, 0, output_type=4), x)
    with pytest.raises(UnsupportedError, match="supported"):
        run_program(arg_min(x.astype(np.int64), 0), x.astype(np.int64))
