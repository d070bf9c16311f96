from __future__ import annotations

import numpy as np
import pytest
from engines import check
from moves import TYPES, calls, indices, refused, tensor, values
from writer import T, model

from int8rt.errors import ModelError, UnsupportedError


def expand_dims(x: T, axis: object, dtype: type = np.int32) -> bytes:
    axis = axis if isinstance(axis, T) else indices(axis, dtype)
    return model("EXPAND_DIMS", [x, axis], [T(x.dtype, (7,), x.scale, x.zero_point)])


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3, [1], [[-1]]])
def test_axes(axis: object, dtype: type) -> None:
    check(expand_dims(tensor(dtype, (2, 3)), axis), values(dtype, (2, 3)))


@pytest.mark.parametrize("shape", [(), (1,), (0,), (2, 3, 4), (1, 2, 1, 2), (2, 1, 2, 1, 2)])
@pytest.mark.parametrize("axis", [0, -1])
def test_shapes(shape: tuple[int, ...], axis: int) -> None:
    check(expand_dims(tensor(np.int8, shape), axis, np.int64), values(np.int8, shape))


@pytest.mark.parametrize("dtype", TYPES)
def test_types(dtype: type) -> None:
    content = expand_dims(tensor(dtype, (2, 3)), 1)
    check(content, values(dtype, (2, 3)))
    assert calls(content) == []


def test_malformed() -> None:
    x = tensor(np.int8, (2, 3))
    refused(ModelError, "axis 3", expand_dims(x, 3))
    refused(ModelError, "axis -4", expand_dims(x, -4))
    refused(ModelError, "2 values", expand_dims(x, [0, 1]))
    refused(ModelError, "integers", expand_dims(x, 0, np.float32))
    refused(ModelError, "input 1", model("EXPAND_DIMS", [x], [tensor(np.int8)]))
    refused(ModelError, "is int16", model("EXPAND_DIMS", [x, indices(0)], [tensor(np.int16)]))
    refused(UnsupportedError, "quantization", model("EXPAND_DIMS", [x, indices(0)], [T(np.int8, (1,), 0.06, -7)]))
