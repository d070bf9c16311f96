from __future__ import annotations

import numpy as np
import pytest
from engines import check, run_program, run_reference
from moves import TYPES, indices, refused, tensor, values
from writer import T, model

from int8rt.errors import InputError, ModelError


def sparse_to_dense(places: T, shape: T, stored: T, default: T) -> bytes:
    return model("SPARSE_TO_DENSE", [places, shape, stored, default], [tensor(stored.dtype, (1,))])


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.float32])
@pytest.mark.parametrize("index_dtype", [np.int32, np.int64])
@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize(
    ("places", "shape"),
    [
        ((1,), [5]),
        ((3,), [5]),
        ((3, 1), [5]),
        ((1, 2), [5, 4]),
        ((20, 2), [5, 4]),
        ((9, 3), [2, 3, 4]),
        ((9, 4), [3] * 4),
    ],
)
def test_shapes(places: tuple[int, ...], shape: list[int], single: bool, index_dtype: type, dtype: type) -> None:
    if single and places[0] != 1:  # LiteRT demands of one value for all rows that there is one row
        places = (1, *places[1:])
    at = np.random.default_rng(places).integers(0, shape if len(places) == 2 else shape[0], places).astype(index_dtype)
    stored = () if single else places[:1]
    content = sparse_to_dense(
        T(index_dtype, places), indices(shape, index_dtype), tensor(dtype, stored), tensor(dtype, ())
    )
    check(content, at, values(dtype, stored), values(dtype, (), 1))


@pytest.mark.parametrize("dtype", TYPES)
def test_types(dtype: type) -> None:
    at, u, default = np.array([[0, 2], [1, 1]], np.int32), values(dtype, (2,)), values(dtype, (), 1)
    expected = np.full((2, 3), default, dtype)
    expected[0, 2], expected[1, 1] = u
    litert = [expected] if dtype in (np.int16, np.bool_) else None  # which LiteRT refuses
    content = sparse_to_dense(T(np.int32, (2, 2)), indices([2, 3]), tensor(dtype, (2,)), tensor(dtype, ()))
    check(content, at, u, default, litert=litert)


def test_constants() -> None:
    stored = tensor(np.int8, (2,), data=np.array([3, 4], np.int8))
    content = sparse_to_dense(indices([1, 3]), indices([5]), stored, tensor(np.int8, ()))
    check(content, np.array(-1, np.int8))


@pytest.mark.parametrize("wrong", [[-1, 0], [0, 3], [5, 0]])
def test_index_out_of_range(wrong: list[int]) -> None:
    """LiteRT writes to other memory."""
    content = sparse_to_dense(T(np.int32, (2, 2)), indices([5, 3]), tensor(np.int8, (2,)), tensor(np.int8, ()))
    inputs = np.array([[0, 0], wrong], np.int32), values(np.int8, (2,)), values(np.int8, ())
    for run in (run_program, run_reference):
        with pytest.raises(InputError, match=r"row 1 of the indices|is not within"):
            run(content, *inputs)


def test_malformed() -> None:
    at, u, default = T(np.int32, (3, 2)), tensor(np.int8, (3,)), tensor(np.int8, ())
    refused(ModelError, "do not fit", sparse_to_dense(at, indices([2]), u, default))
    refused(ModelError, "do not fit", sparse_to_dense(at, indices([2, 3]), tensor(np.int8, (2,)), default))
    refused(ModelError, "do not fit", sparse_to_dense(at, indices([2, 3]), u, tensor(np.int8, (2,))))
    refused(ModelError, "at most 2 axes", sparse_to_dense(T(np.int32, (3, 1, 2)), indices([2, 3]), u, default))
    refused(ModelError, "no shape", sparse_to_dense(at, indices([2, -3]), u, default))
    refused(ModelError, "is not within", sparse_to_dense(indices([5]), indices([5]), tensor(np.int8, (1,)), default))
    refused(ModelError, "int16", sparse_to_dense(at, indices([2, 3]), u, tensor(np.int16, ())))
    refused(ModelError, "int32 or int64 was", sparse_to_dense(T(np.int16, (3, 2)), indices([2, 3]), u, default))
