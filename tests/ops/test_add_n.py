"""ADD_N: program, reference and LiteRT's BUILTIN_REF give the same bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import writer
from elementwise import extreme_integers, special_floats, values
from engines import check, run_program, run_reference, same
from writer import T

from int8rt.errors import ModelError, UnsupportedError
from int8rt.format import reader


def sum_of(dtype: Any, shape: Any, count: int) -> bytes:
    """A model of one ADD_N."""
    return writer.model("ADD_N", [T(dtype, shape) for _ in range(count)], [T(dtype, shape)])


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
@pytest.mark.parametrize("count", [2, 3, 4, 7])
@pytest.mark.parametrize("shape", [(), (1,), (37,), (2, 3, 4), (2, 1, 3, 1, 2, 2), (5001,), (0, 3)])
def test_sums(shape: Any, count: int, dtype: Any) -> None:
    check(sum_of(dtype, shape, count), *[values(shape, dtype, seed) for seed in range(count)])


def test_extremes() -> None:
    x1, x2 = extreme_integers(np.int32)
    check(sum_of(np.int32, x1.shape, 3), x1, x2, x2)
    x1, x2 = (x[2:, 2:] for x in special_floats())
    check(sum_of(np.float32, x1.shape, 3), x1, x2, x1)


def test_one_tensor_several_times() -> None:
    x, c = T(np.float32, (9,)), T(np.float32, (9,), data=values((9,), np.float32, 3))
    for inputs in ([x, x], [x, c, x], [c, x, x, c], [c, c, x]):
        check(writer.model("ADD_N", inputs, [T(np.float32, (9,))]), values((9,), np.float32))


def test_threads() -> None:
    model = sum_of(np.float32, (100, 300), 3)
    inputs = [values((100, 300), np.float32, seed) for seed in range(3)]
    same("reference", run_reference(model, *inputs), run_program(model, *inputs, threads=3))


@pytest.mark.parametrize(
    ("model", "error"),
    [
        (sum_of(np.int8, (4,), 2), UnsupportedError),
        (sum_of(np.int64, (4,), 2), UnsupportedError),
        (sum_of(np.int32, (4,), 1), ModelError),
        (writer.model("ADD_N", [T(np.int32, (4,)), None, T(np.int32, (4,))], [T(np.int32, (4,))]), ModelError),
        (writer.model("ADD_N", [T(np.int32, (4,)), T(np.int32, (1,))], [T(np.int32, (4,))]), ModelError),
        (writer.model("ADD_N", [T(np.int32, (4,)), T(np.float32, (4,))], [T(np.int32, (4,))]), ModelError),
    ],
)
def test_refused(model: bytes, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"ADD_N \(node 0\)"):
        run_program(model, *[np.ones(t.shape, t.dtype) for t in reader.read(model).main.inputs])
