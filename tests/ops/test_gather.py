from __future__ import annotations

import numpy as np
import pytest
from engines import check, run_program, run_reference
from moves import TYPES, indices, refused, tensor, values
from writer import T, model

from int8rt.errors import InputError, ModelError


def gather(x: T, places: T, axis: int = 0, batch_dims: int = 0) -> bytes:
    return model("GATHER", [x, places], [tensor(x.dtype, (1,))], axis=axis, batch_dims=batch_dims)


def some(size: int, shape: tuple[int, ...], dtype: type = np.int32) -> np.ndarray:
    return np.random.default_rng(size).integers(0, size, shape).astype(dtype)


@pytest.mark.parametrize("dtype", [np.int8, np.float32])
@pytest.mark.parametrize(
    ("shape", "axis", "places", "batch_dims"),
    [
        ((5,), 0, (1,), 0),
        ((5,), 0, (), 0),
        ((5,), -1, (2, 3), 0),
        ((5, 4), 0, (3,), 0),
        ((5, 4), 1, (7,), 0),
        ((5, 4), 1, (), 0),
        ((2, 3, 4), 1, (2, 2), 0),
        ((2, 3, 4), 2, (9,), 0),
        ((2, 3, 4), -3, (3, 1, 2), 0),
        ((2, 3, 4), 1, (2, 2), 1),
        ((2, 3, 4), 2, (2, 5), 1),
        ((2, 3, 4), 2, (2, 3), 2),
        ((2, 3, 4), 2, (2, 3, 2), 2),
        ((2, 3, 4), 2, (2, 3, 2), -1),
        ((1, 7, 7, 16), 2, (1, 4), 1),
        ((2, 1, 3, 1, 5), 4, (2, 1, 3), 2),
        ((3, 0), 0, (2,), 0),
        ((3, 2), 0, (0,), 0),
    ],
)
def test_shapes(shape: tuple[int, ...], axis: int, places: tuple[int, ...], batch_dims: int, dtype: type) -> None:
    content = gather(tensor(dtype, shape), T(np.int32, places), axis, batch_dims)
    check(content, values(dtype, shape), some(shape[axis], places))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("index_dtype", [np.int16, np.int32, np.int64])
def test_types(index_dtype: type, dtype: type) -> None:
    content = gather(tensor(dtype, (5, 3)), T(index_dtype, (4,)))
    check(content, values(dtype, (5, 3)), some(5, (4,), index_dtype))


def test_constants() -> None:
    check(gather(tensor(np.int8, (5, 3)), indices([4, 0])), values(np.int8, (5, 3)))
    table = tensor(np.int8, (5, 3), data=values(np.int8, (5, 3)))
    check(gather(table, T(np.int32, (2,))), np.array([1, 3], np.int32))
    check(gather(table, indices([0, 1])))


@pytest.mark.parametrize("wrong", [-1, 5, 2**31 - 1, -(2**31)])
def test_index_out_of_range(wrong: int) -> None:
    content = gather(tensor(np.int8, (5, 3)), T(np.int32, (3,)))
    inputs = values(np.int8, (5, 3)), np.array([1, wrong, 2], np.int32)
    for run in (run_program, run_reference):
        with pytest.raises(InputError, match=f"index {wrong} is not within 0 ... 4"):
            run(content, *inputs)


def test_malformed() -> None:
    x, places = tensor(np.int8, (2, 3)), T(np.int32, (2,))
    refused(ModelError, "axis 2", gather(x, places, 2))
    refused(ModelError, "batch axes", gather(x, places, 0, 1))
    refused(ModelError, "batch axes", gather(x, places, 1, 2))
    refused(ModelError, "batch axes", gather(x, places, 1, -2))
    refused(ModelError, "batch axes", gather(x, T(np.int32, (3,)), 1, 1))
    refused(ModelError, "index 3 is not within 0 ... 2", gather(x, indices([3]), 1))
    refused(ModelError, "int16 or int32 or int64 was expected", gather(x, T(np.float32, (2,))))
    refused(ModelError, "int16", model("GATHER", [x, places], [tensor(np.int16, (1,))], axis=0))
