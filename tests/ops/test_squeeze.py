from __future__ import annotations

import numpy as np
import pytest
from engines import check
from moves import TYPES, calls, refused, tensor, values
from writer import T, model

from int8rt.errors import ModelError


def squeeze(x: T, dims: list[int] | None = None) -> bytes:
    return model("SQUEEZE", [x], [T(x.dtype, (7,), x.scale, x.zero_point)], squeeze_dims=dims)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize(
    ("shape", "dims"),
    [
        ((1, 3, 1, 2), None),
        ((1, 3, 1, 2), []),
        ((1, 3, 1, 2), [0]),
        ((1, 3, 1, 2), [2]),
        ((1, 3, 1, 2), [0, 2]),
        ((1, 3, 1, 2), [2, 0]),
        ((1, 3, 1, 2), [-2]),
        ((1, 3, 1, 2), [-4, 2]),
        ((1, 3, 1, 2), [0, 0]),
        ((2, 3), None),
        ((1,), None),
        ((1, 1), [1]),
        ((), None),
        ((1, 0, 1), None),
        ((1, 1, 2, 1, 3, 1), [0, 3, -1]),
    ],
)
def test_shapes(shape: tuple[int, ...], dims: list[int] | None, dtype: type) -> None:
    check(squeeze(tensor(dtype, shape), dims), values(dtype, shape))


@pytest.mark.parametrize("dtype", TYPES)
def test_types(dtype: type) -> None:
    content = squeeze(tensor(dtype, (1, 2, 3)), [0])
    check(content, values(dtype, (1, 2, 3)))
    assert calls(content) == []


def test_malformed() -> None:
    x = tensor(np.int8, (1, 3, 1))
    refused(ModelError, "not all of size 1", squeeze(x, [1]))
    refused(ModelError, "axis 3", squeeze(x, [3]))
    refused(ModelError, "axis -4", squeeze(x, [-4]))
    refused(ModelError, "input 0", model("SQUEEZE", [], [x]))
    refused(ModelError, "is int16", model("SQUEEZE", [x], [tensor(np.int16)]))
