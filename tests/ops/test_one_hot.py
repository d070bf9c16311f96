from __future__ import annotations

import numpy as np
import pytest
from engines import check
from moves import TYPES, indices, refused, tensor, values
from writer import T, model

from int8rt.errors import ModelError


def one_hot(places: T, depth: T, on: T, off: T, axis: int) -> bytes:
    return model("ONE_HOT", [places, depth, on, off], [tensor(on.dtype, (1,))], axis=axis)


@pytest.mark.parametrize("dtype", [np.int8, np.float32])
@pytest.mark.parametrize("index_dtype", [np.int32, np.int64])
@pytest.mark.parametrize(
    ("shape", "depth", "axis"),
    [
        ((), 3, -1),
        ((), 3, 0),
        ((4,), 5, -1),
        ((4,), 5, 0),
        ((4,), 5, 1),
        ((4,), 1, 0),
        ((2, 3), 4, -1),
        ((2, 3), 4, 0),
        ((2, 3), 4, 1),
        ((2, 3), 4, 2),
        ((2, 1, 3), 7, 1),
        ((2, 3), 0, 1),
    ],
)
def test_shapes(shape: tuple[int, ...], depth: int, axis: int, index_dtype: type, dtype: type) -> None:
    """Indices are also one too small and one too large."""
    at = np.random.default_rng(0).integers(-1, depth + 1, shape).astype(index_dtype)
    content = one_hot(T(index_dtype, shape), indices(depth), tensor(dtype, ()), tensor(dtype, ()), axis)
    check(content, at, values(dtype, (), 1), values(dtype, (), 2))


@pytest.mark.parametrize("dtype", TYPES)
def test_types(dtype: type) -> None:
    at, on, off = np.array([2, 0, 7], np.int32), values(dtype, (), 1), values(dtype, (), 2)
    content = one_hot(T(np.int32, (3,)), indices(3), tensor(dtype, ()), tensor(dtype, ()), -1)
    expected = np.where(np.arange(3) == at[:, None], on, off)
    check(content, at, on, off, litert=[expected] if dtype is np.int16 else None)  # which LiteRT refuses


def test_constants() -> None:
    on, off = (tensor(np.int8, (), data=np.array(v, np.int8)) for v in (127, -128))
    check(one_hot(T(np.int64, (3,)), indices(3), on, off, -1), np.array([2, 0, 1], np.int64))


def test_large_index() -> None:
    """LiteRT cuts indices to 32 bits."""
    content = one_hot(T(np.int64, (2,)), indices(2), tensor(np.int8, ()), tensor(np.int8, ()), -1)
    expected = [np.array([[3, 3], [3, 5]], np.int8)]
    check(content, np.array([2**40, 1], np.int64), np.array(5, np.int8), np.array(3, np.int8), litert=expected)


def test_malformed() -> None:
    at, v = T(np.int32, (3,)), tensor(np.int8, ())
    refused(ModelError, "depth", one_hot(at, indices(-1), v, v, 0))
    refused(ModelError, "depth", one_hot(at, indices([1, 2]), v, v, 0))
    refused(ModelError, "axis 2", one_hot(at, indices(3), v, v, 2))
    refused(ModelError, "axis -3", one_hot(at, indices(3), v, v, -3))
    refused(ModelError, "single", one_hot(at, indices(3), v, tensor(np.int8, (2,)), 0))
    refused(ModelError, "int16", one_hot(at, indices(3), v, tensor(np.int16, ()), 0))
    refused(ModelError, "int32 or int64 was expected", one_hot(T(np.uint8, (3,)), indices(3), v, v, 0))
