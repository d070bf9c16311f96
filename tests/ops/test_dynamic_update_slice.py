from __future__ import annotations

import numpy as np
import pytest
from engines import check
from moves import TYPES, calls, indices, refused, tensor, values
from writer import T, model

from int8rt.errors import ModelError


def update_slice(x: T, update: T, start: T) -> bytes:
    return model("DYNAMIC_UPDATE_SLICE", [x, update, start], [tensor(x.dtype, (1,))])


@pytest.mark.parametrize("dtype", [np.int8, np.float32])
@pytest.mark.parametrize("index_dtype", [np.int32, np.int64])
@pytest.mark.parametrize(
    ("shape", "update", "start"),
    [
        ((5,), (2,), [0]),
        ((5,), (2,), [3]),
        ((5,), (2,), [4]),
        ((5,), (2,), [-3]),
        ((5,), (5,), [2]),
        ((5, 4), (1, 4), [2, 0]),
        ((5, 4), (5, 1), [0, 3]),
        ((5, 4), (2, 2), [3, 1]),
        ((2, 3, 4), (1, 2, 3), [1, 1, 1]),
        ((2, 3, 4), (2, 1, 4), [7, -7, 7]),
        ((1, 16, 2, 8), (1, 1, 2, 8), [0, 11, 0, 0]),
        ((2, 2, 3, 2, 2), (1, 2, 2, 1, 2), [1, 0, 1, 1, 0]),
    ],
)
def test_shapes(
    shape: tuple[int, ...], update: tuple[int, ...], start: list[int], index_dtype: type, dtype: type
) -> None:
    content = update_slice(tensor(dtype, shape), tensor(dtype, update), T(index_dtype, (len(start),)))
    check(content, values(dtype, shape), values(dtype, update, 1), np.array(start, index_dtype))


@pytest.mark.parametrize("dtype", TYPES)
def test_types(dtype: type) -> None:
    content = update_slice(tensor(dtype, (2, 5)), tensor(dtype, (1, 2)), indices([1, 2]))
    litert = None
    if dtype is np.uint8:  # of which LiteRT, which says that it does not support it, leaves other memory
        litert = [values(dtype, (2, 5))]
        litert[0][1, 2:4] = values(dtype, (1, 2), 1)
    check(content, values(dtype, (2, 5)), values(dtype, (1, 2), 1), litert=litert)


def test_constant_operand() -> None:
    x = tensor(np.int8, (2, 3), data=values(np.int8, (2, 3)))
    content = update_slice(x, tensor(np.int8, (1, 1)), T(np.int32, (2,)))
    check(content, values(np.int8, (1, 1)), np.array([1, 1], np.int32))


def test_whole_update_costs_nothing() -> None:
    assert calls(update_slice(tensor(np.int8, (2, 3)), tensor(np.int8, (2, 3)), T(np.int32, (2,)))) == []


def test_malformed() -> None:
    x, start = tensor(np.int8, (2, 3)), T(np.int32, (2,))
    refused(ModelError, "does not fit", update_slice(x, tensor(np.int8, (3, 3)), start))
    refused(ModelError, "does not fit", update_slice(x, tensor(np.int8, (3,)), start))
    refused(ModelError, "does not fit", update_slice(x, x, T(np.int32, (3,))))
    refused(ModelError, "int16", update_slice(x, tensor(np.int16, (1, 1)), start))
    refused(ModelError, "int32 or int64 was expected", update_slice(x, tensor(np.int8, (1, 1)), T(np.float32, (2,))))
