"""REDUCE_MIN: program, reference and LiteRT give the same bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from engines import check, run_program, same
from reductions import SHAPES_AND_AXES, reduction, special, values
from selection import exhaustive, share
from writer import T, model

from int8rt.errors import ModelError, UnsupportedError

TYPES = [np.int8, np.uint8, np.int16, np.int32, np.int64, np.float32, np.bool_]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("shape", "axes"), share(SHAPES_AND_AXES, 2))
def test_axes(dtype: Any, shape: Any, axes: Any) -> None:
    x = values(shape, dtype)
    check(reduction("REDUCE_MIN", x, axes, len(axes) == 2), x)


@pytest.mark.parametrize("dtype", [TYPES[0], *exhaustive(*TYPES[1:])])
def test_nothing(dtype: Any) -> None:
    x = np.zeros((0, 3), dtype)
    for axes in ([0], [1], [0, 1]):
        check(reduction("REDUCE_MIN", x, axes), x)


def test_axes_at_run_time() -> None:
    """The shape of the output follows from them."""
    x = values((2, 3, 4), np.float32)
    for axes in ([0], [1, 2], [-1]):
        check(reduction("REDUCE_MIN", x, axes, constant=False), x, np.array(axes, np.int32))


def test_threads() -> None:
    for shape, axes in [((1, 64, 64, 600), [1, 2]), ((64, 64, 60), [2])]:
        x = values(shape, np.float32)
        same(
            "one thread",
            run_program(reduction("REDUCE_MIN", x, axes), x),
            run_program(reduction("REDUCE_MIN", x, axes), x, threads=2),
        )


def test_special_floats() -> None:
    for nan in (False, True):
        x = special((12, 2, 9), nan=nan)
        for axes in ([1], [0], [0, 1, 2], [1, 2]):
            check(reduction("REDUCE_MIN", x, axes), x)
    for value in (np.inf, -np.inf, -0.0, np.nan):
        x = np.full((3, 4), value, np.float32)
        check(reduction("REDUCE_MIN", x, [1]), x)
        check(reduction("REDUCE_MIN", x, []), x)


@pytest.mark.parametrize("value", [-128, 127])
def test_ends(value: int) -> None:
    x = np.full((1, 16, 16, 8), value, np.int8)
    check(reduction("REDUCE_MIN", x, [1, 2], False, (0.1, 0.1), (7, 7)), x)


@pytest.mark.parametrize("dtype", [np.int16, *exhaustive(np.int32, np.int64)])
def test_extreme_integers(dtype: Any) -> None:
    info = np.iinfo(dtype)
    x = np.random.default_rng(3).choice(np.array([info.min, info.max, 0, -1, 1], dtype), (6, 5, 2))
    check(reduction("REDUCE_MIN", x, [1]), x)
    check(reduction("REDUCE_MIN", x, [0, 1, 2]), x)


def test_bool() -> None:
    """BUILTIN_REF has it although the optimized resolver has not."""
    for value in (False, True):
        x = np.full((3, 4), value)
        check(reduction("REDUCE_MIN", x, [1]), x)
        check(reduction("REDUCE_MIN", x, [0, 1]), x)


def test_malformed() -> None:
    x = values((2, 3), np.float32)
    for axes in ([2], [-3]):
        inputs = [T(x.dtype, x.shape), T(np.int32, (1,), data=np.array(axes, np.int32))]
        with pytest.raises(ModelError, match="axes"):
            run_program(model("REDUCE_MIN", inputs, [T(x.dtype, (2,))]), x)
    axes = T(np.int32, (1,), data=np.array([1], np.int32))
    with pytest.raises(ModelError, match=r"REDUCE_MIN \(node 0\)"):
        run_program(model("REDUCE_MIN", [T(x.dtype, x.shape), axes], [T(np.int64, (2,))]), x)
    with pytest.raises(UnsupportedError, match="supported"):
        run_program(reduction("REDUCE_MIN", x.astype(np.float64), [0]), x.astype(np.float64))
    with pytest.raises(ModelError, match="int32 was expected"):
        run_program(
            model("REDUCE_MIN", [T(x.dtype, x.shape), T(np.int64, (1,), data=np.array([0]))], [T(x.dtype, (3,))]), x
        )
    with pytest.raises(UnsupportedError, match="quantization"):
        run_program(reduction("REDUCE_MIN", values((2, 3)), [0], False, (0.1, 0.2)), values((2, 3)))
