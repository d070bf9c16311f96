from __future__ import annotations

import numpy as np
import pytest
from engines import check
from moves import TYPES, indices, refused, tensor, values
from writer import T, model

from int8rt.errors import ModelError


def reverse(x: T, axes: T) -> bytes:
    return model("REVERSE_V2", [x, axes], [tensor(x.dtype, (1,))])


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.float32])
@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((5,), [0]),
        ((1,), [0]),
        ((2, 3), [0]),
        ((2, 3), [1]),
        ((2, 3, 4), [1]),
        ((1, 5, 4, 3), [1]),
        ((1, 5, 4, 3), [2]),
        ((1, 5, 4, 3), [3]),
        ((2, 20, 33), [2]),
        ((2, 3, 4), [0, 1]),
        ((2, 3, 4), [1, 2]),
        ((2, 3, 4), [0, 1, 2]),
    ],
)
def test_shapes(shape: tuple[int, ...], axes: list[int], dtype: type) -> None:
    check(reverse(tensor(dtype, shape), indices(axes)), values(dtype, shape))


@pytest.mark.parametrize("dtype", TYPES)
def test_types(dtype: type) -> None:
    check(reverse(tensor(dtype, (2, 3, 4)), indices([1])), values(dtype, (2, 3, 4)))


@pytest.mark.parametrize("axes", [[0, 2], [2, 0], [-1], [-3, 2]])
def test_axes_that_litert_refuses(axes: list[int]) -> None:
    x = values(np.int8, (2, 3, 4))
    check(reverse(tensor(np.int8, x.shape), indices(axes)), x, litert=[np.flip(x, axes)])


def test_axis_of_the_run() -> None:
    x = values(np.int8, (2, 3, 4))
    check(reverse(tensor(np.int8, x.shape), T(np.int32, (1,))), x, np.array([1], np.int32))


def test_malformed() -> None:
    x = tensor(np.int8, (2, 3))
    refused(ModelError, "axis 2", reverse(x, indices([2])))
    refused(ModelError, "twice", reverse(x, indices([1, -1])))
    refused(ModelError, "int32 or int64 was expected", reverse(x, T(np.float32, (1,), data=np.ones(1, np.float32))))
    refused(ModelError, "int16", model("REVERSE_V2", [x, indices([1])], [tensor(np.int16, (1,))]))
