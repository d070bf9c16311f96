from __future__ import annotations

import numpy as np
import pytest
from engines import check
from moves import TYPES, indices, refused, tensor, values
from writer import REFLECT, SYMMETRIC, T, model

from int8rt.errors import ModelError, UnsupportedError


def mirror_pad(x: T, paddings: T, mode: int, y: T | None = None) -> bytes:
    return model("MIRROR_PAD", [x, paddings], [y or tensor(x.dtype, (1,))], mode=mode)


@pytest.mark.parametrize("dtype", [np.int8, np.float32])
@pytest.mark.parametrize("mode", [REFLECT, SYMMETRIC])
@pytest.mark.parametrize(
    ("shape", "paddings"),
    [
        ((5,), [[0, 0]]),
        ((5,), [[4, 4]]),
        ((5,), [[1, 0]]),
        ((5,), [[0, 3]]),
        ((2, 5), [[1, 1], [0, 0]]),
        ((2, 5), [[1, 0], [2, 4]]),
        ((1, 4, 5, 3), [[0, 0], [1, 1], [1, 1], [0, 0]]),
        ((1, 4, 5, 3), [[0, 0], [3, 3], [2, 3], [0, 0]]),
        ((2, 4, 5, 3), [[1, 0], [0, 2], [1, 3], [2, 1]]),
        ((1, 9, 8, 1), [[0, 0], [3, 2], [4, 1], [0, 0]]),
        ((2, 3, 2, 3, 2), [[1, 0], [1, 2], [0, 1], [0, 0], [1, 1]]),
    ],
)
def test_shapes(shape: tuple[int, ...], paddings: list[list[int]], mode: int, dtype: type) -> None:
    check(mirror_pad(tensor(dtype, shape), indices(paddings), mode), values(dtype, shape))


@pytest.mark.parametrize("dtype", TYPES)
def test_types(dtype: type) -> None:
    check(mirror_pad(tensor(dtype, (4, 3)), indices([[3, 0], [1, 2]], np.int64), REFLECT), values(dtype, (4, 3)))


@pytest.mark.parametrize("size", [1, 2, 7])
def test_as_large_as_the_axis(size: int) -> None:
    check(mirror_pad(tensor(np.int8, (size,)), indices([[size, size]]), SYMMETRIC), values(np.int8, (size,)))


def test_malformed() -> None:
    x = tensor(np.int8, (2, 3))
    refused(ModelError, "axis of 2", mirror_pad(x, indices([[2, 0], [0, 0]]), REFLECT))
    refused(ModelError, "axis of 3", mirror_pad(x, indices([[2, 0], [0, 4]]), SYMMETRIC))
    refused(ModelError, "two per axis", mirror_pad(x, indices([[1, 1]]), SYMMETRIC))
    refused(ModelError, "0 or more", mirror_pad(x, indices([[1, -1], [0, 0]]), SYMMETRIC))
    refused(ModelError, "mode 2", mirror_pad(x, indices([[1, 1], [0, 0]]), 2))
    refused(ModelError, "axis of 0", mirror_pad(tensor(np.int8, (0,)), indices([[1, 1]]), SYMMETRIC))
    y = T(np.int8, (1,), 0.06, -7)
    refused(UnsupportedError, "quantization", mirror_pad(x, indices([[1, 1], [0, 0]]), SYMMETRIC, y))
