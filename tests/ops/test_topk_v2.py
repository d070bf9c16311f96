"""TOPK_V2: program, reference and LiteRT's BUILTIN_REF give the same bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from elementwise import values
from engines import check, run_program, run_reference, same
from writer import T, model

from int8rt.errors import ModelError, UnsupportedError

TYPES = [np.int8, np.uint8, np.int16, np.int32, np.int64, np.float32]


def top(x: np.ndarray, k: int, k_type: Any = np.int32, index: Any = np.int32, constant: bool = True) -> bytes:
    """A model of one TOPK_V2."""
    scale = 0.1 if x.dtype in (np.int8, np.uint8) else None
    shape = (*x.shape[:-1], max(k, 0))
    inputs = [T(x.dtype, x.shape, scale), T(k_type, (), data=np.array(k, k_type) if constant else None)]
    return model("TOPK_V2", inputs, [T(x.dtype, shape, scale), T(index, shape)])


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(
    ("shape", "k"),
    [
        ((9,), 3),
        ((9,), 9),
        ((3, 50), 5),
        ((2, 3, 17), 1),
        ((2, 3, 17), 17),
        ((2, 1, 2, 1, 30), 4),
        ((4, 1), 1),
        ((3, 5), 0),
    ],
)
def test_shapes(shape: Any, k: int, dtype: Any) -> None:
    x = values(shape, dtype)
    check(top(x, k), x)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("k", [1, 2, 7, 39, 40])
def test_the_first_of_equal_values(k: int, dtype: Any) -> None:
    x = np.random.default_rng(1).integers(0, 4, (30, 40)).astype(dtype)
    check(top(x, k), x)
    check(top(np.full_like(x, 5), k), np.full_like(x, 5))


def test_types_of_count_and_index() -> None:
    x = values((3, 10), np.float32)
    for k_type in (np.int16, np.int32):
        for index in (np.int16, np.int32):
            check(top(x, 4, k_type, index), x)


def test_infinities() -> None:
    x = np.random.default_rng(2).choice(np.array([np.inf, -np.inf, 0.0, -0.0, 3], np.float32), (20, 9))
    for k in (1, 3, 9):
        check(top(x, k), x)


def test_count_below_zero_is_none() -> None:
    x = values((3, 10), np.float32)
    check(top(x, -2), x)


def test_count_at_run_time() -> None:
    """The shapes of the outputs follow from it."""
    x = values((3, 10), np.int8)
    for k in (1, 3, 10):
        check(top(x, k, constant=False), x, np.array(k, np.int32))


def test_threads() -> None:
    x = values((300, 400), np.int8)
    same("reference", run_reference(top(x, 5), x), run_program(top(x, 5), x, threads=3))


def test_nan() -> None:
    """Which are the largest depends on where they stand; LiteRT's heap finds others."""
    rng = np.random.default_rng(0)
    for k in (0, 1, 3, 20):
        x = rng.normal(size=(30, 20)).astype(np.float32)
        x[rng.random(x.shape) < 0.3] = np.nan
        content = model("TOPK_V2", [T(np.float32, x.shape), T(np.int32, (), data=np.array(k, np.int32))],
                        [T(np.float32, (30, k)), T(np.int32, (30, k))])  # fmt: skip
        same("reference", run_reference(content, x), run_program(content, x))


def test_malformed() -> None:
    x = values((2, 3), np.float32)
    with pytest.raises(ModelError, match="4 largest of 3"):
        run_program(top(x, 4), x)
    with pytest.raises(ModelError, match="int16 or int32 was expected"):
        run_program(top(x, 1, np.int64), x)
    with pytest.raises(ModelError, match="int16 or int32 was expected"):
        run_program(top(x, 1, index=np.int64), x)
    with pytest.raises(UnsupportedError, match="supported"):
        run_program(top(x.astype(np.float64), 1), x.astype(np.float64))
    inputs = [T(np.float32, ()), T(np.int32, (), data=np.array(1, np.int32))]
    with pytest.raises(ModelError, match="1 axis or more were expected"):
        run_program(model("TOPK_V2", inputs, [T(np.float32, ()), T(np.int32, ())]), x[0, 0])
