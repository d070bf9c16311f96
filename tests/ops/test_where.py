from __future__ import annotations

import numpy as np
import pytest
from engines import check
from moves import refused, values
from writer import T, model

from int8rt.errors import ModelError, UnsupportedError

TYPES = [np.bool_, np.int8, np.uint8, np.int32, np.uint32, np.int64, np.float32]


def where(x: T) -> bytes:
    return model("WHERE", [x], [T(np.int64, (1, 1))])


def mostly_zero(dtype: type, shape: tuple[int, ...]) -> np.ndarray:
    return values(dtype, shape) * values(np.bool_, shape, 1).astype(dtype)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(1,), (9,), (2, 3), (2, 3, 4), (1, 2, 3, 2, 2)])
def test_constants(shape: tuple[int, ...], dtype: type) -> None:
    check(where(T(dtype, shape, data=mostly_zero(dtype, shape))))


@pytest.mark.parametrize("x", [[0, 0], [1, 1]])
def test_none_and_all(x: list[int]) -> None:
    check(where(T(np.int32, (2,), data=np.array(x, np.int32))))


def test_zero_of_a_quantized_tensor_is_the_stored_one() -> None:
    check(where(T(np.int8, (3,), 0.5, 3, data=np.array([0, 3, -3], np.int8))))


def test_malformed() -> None:
    refused(UnsupportedError, "supported are", where(T(np.int16, (3,))))
    refused(ModelError, "1 axis or more were expected", where(T(np.bool_, ())))
    refused(ModelError, "int64", model("WHERE", [T(np.bool_, (3,))], [T(np.int32, (1, 1))]))
