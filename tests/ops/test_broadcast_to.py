from __future__ import annotations

import numpy as np
import pytest
from engines import check
from moves import TYPES, calls, indices, refused, tensor, values
from writer import T, model

from int8rt.errors import ModelError


def broadcast_to(x: T, shape: T) -> bytes:
    return model("BROADCAST_TO", [x, shape], [tensor(x.dtype, (1,))], version=2)


@pytest.mark.parametrize("dtype", [np.int8, np.int64])
@pytest.mark.parametrize("index_dtype", [np.int32, np.int64])
@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ((3,), [3]),
        ((1,), [7]),
        ((), [2, 3]),
        ((3,), [2, 3]),
        ((2, 1), [2, 5]),
        ((1, 1, 1, 3), [2, 4, 5, 3]),
        ((1, 4, 1, 3), [2, 4, 5, 3]),
        ((4, 1, 1), [2, 4, 5, 3]),
        ((2, 1, 3, 1, 2), [2, 4, 3, 2, 2]),
        ((2, 1, 3, 1, 2, 1), [2, 4, 3, 2, 2, 3]),
        ((1, 1), [3, 17]),
    ],
)
def test_shapes(shape: tuple[int, ...], wanted: list[int], index_dtype: type, dtype: type) -> None:
    x = values(dtype, shape)
    litert = [np.broadcast_to(x, wanted)] if shape == () else None  # which LiteRT reads as a vector of no values
    check(broadcast_to(tensor(dtype, shape), indices(wanted, index_dtype)), x, litert=litert)


@pytest.mark.parametrize("dtype", TYPES)
def test_types(dtype: type) -> None:
    check(broadcast_to(tensor(dtype, (2, 1, 3)), indices([4, 2, 2, 3])), values(dtype, (2, 1, 3)))


def test_same_shape_costs_nothing() -> None:
    assert calls(broadcast_to(tensor(np.int8, (2, 3)), indices([1, 2, 3]))) == []


def test_malformed() -> None:
    x = tensor(np.int8, (2, 3))
    for shape in ([3], [3, 3], [2, 1], [4, 3]):
        refused(ModelError, "cannot be broadcast", broadcast_to(x, indices(shape)))
    refused(ModelError, "no shape", broadcast_to(x, indices([-1, 2, 3])))
    refused(ModelError, "int16", model("BROADCAST_TO", [x, indices([2, 3])], [tensor(np.int16, (1,))]))
