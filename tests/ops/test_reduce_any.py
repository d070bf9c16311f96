"""REDUCE_ANY: program, reference and LiteRT give the same bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from engines import check, run_program, same
from reductions import SHAPES_AND_AXES, reduction, values
from selection import share
from writer import T, model

from int8rt.errors import ModelError, UnsupportedError

TYPES = [np.bool_]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("shape", "axes"), share(SHAPES_AND_AXES, 5))
def test_axes(dtype: Any, shape: Any, axes: Any) -> None:
    x = values(shape, dtype)
    check(reduction("REDUCE_ANY", x, axes, len(axes) == 2), x)


@pytest.mark.parametrize("dtype", TYPES)
def test_nothing(dtype: Any) -> None:
    x = np.zeros((0, 3), dtype)
    for axes in ([0], [1], [0, 1]):
        check(reduction("REDUCE_ANY", x, axes), x)


def test_axes_at_run_time() -> None:
    """The shape of the output follows from them."""
    x = values((2, 3, 4), np.bool_)
    for axes in ([0], [1, 2], [-1]):
        check(reduction("REDUCE_ANY", x, axes, constant=False), x, np.array(axes, np.int32))


def test_threads() -> None:
    for shape, axes in [((1, 64, 64, 600), [1, 2]), ((64, 64, 60), [2])]:
        x = values(shape, np.bool_)
        same(
            "one thread",
            run_program(reduction("REDUCE_ANY", x, axes), x),
            run_program(reduction("REDUCE_ANY", x, axes), x, threads=2),
        )


@pytest.mark.parametrize("value", [False, True])
@pytest.mark.parametrize("keep_dims", [False, True])
def test_one_other_value(value: bool, keep_dims: bool) -> None:
    for at in range(12):
        x = np.full((3, 4), value)
        x[divmod(at, 4)] = not value
        for axes in ([0], [1], [0, 1]):
            check(reduction("REDUCE_ANY", x, axes, keep_dims), x)


def test_malformed() -> None:
    x = values((2, 3), np.bool_)
    for axes in ([2], [-3]):
        inputs = [T(x.dtype, x.shape), T(np.int32, (1,), data=np.array(axes, np.int32))]
        with pytest.raises(ModelError, match="axes"):
            run_program(model("REDUCE_ANY", inputs, [T(x.dtype, (2,))]), x)
    axes = T(np.int32, (1,), data=np.array([1], np.int32))
    with pytest.raises(ModelError, match=r"REDUCE_ANY \(node 0\)"):
        run_program(model("REDUCE_ANY", [T(x.dtype, x.shape), axes], [T(np.int64, (2,))]), x)
    with pytest.raises(UnsupportedError, match="supported"):
        run_program(reduction("REDUCE_ANY", x.astype(np.float64), [0]), x.astype(np.float64))
    with pytest.raises(ModelError, match="int32 was expected"):
        run_program(
            model("REDUCE_ANY", [T(x.dtype, x.shape), T(np.int64, (1,), data=np.array([0]))], [T(x.dtype, (3,))]), x
        )
