from __future__ import annotations

import numpy as np
import pytest
from engines import check
from moves import TYPES, calls, indices, refused, tensor, values
from writer import T, model

from int8rt.errors import ModelError


def slice_(x: T, begin: object, size: object, dtype: type = np.int32) -> bytes:
    box = [v if isinstance(v, T) else indices(v, dtype) for v in (begin, size)]
    return model("SLICE", [x, *box], [T(x.dtype, (), x.scale, x.zero_point)])


CASES = [
    ((6,), [2], [3]),
    ((6,), [2], [-1]),
    ((6,), [5], [1]),
    ((4, 6), [0, 0], [-1, -1]),
    ((4, 6), [1, 2], [2, 3]),
    ((4, 6), [1, 0], [2, -1]),
    ((4, 6), [0, 5], [4, 1]),
    ((1, 5, 7, 3), [0, 1, 2, 0], [1, 3, 4, 3]),
    ((2, 5, 7, 3), [1, 1, 2, 1], [1, 4, -1, 2]),
    ((2, 5, 7, 16), [0, 0, 0, 8], [2, 5, 7, 8]),
    ((2, 5, 7, 3), [0, 4, 6, 2], [2, 1, 1, 1]),
    ((2, 3, 4, 3, 5), [1, 0, 2, 1, 3], [1, 3, 2, -1, 2]),
    ((2, 3, 2, 3, 2, 4), [1, 0, 0, 1, 1, 2], [1, 3, 2, -1, 1, 2]),
    ((4, 6), [4, 2], [0, 3]),
]


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize(("shape", "begin", "size"), CASES)
def test_boxes(shape: tuple[int, ...], begin: list[int], size: list[int], dtype: type) -> None:
    check(slice_(tensor(dtype, shape), begin, size), values(dtype, shape))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("size", [1, 2])
def test_types(dtype: type, size: int) -> None:
    check(slice_(tensor(dtype, (4, 5)), [1, 2], [-1, size], np.int64), values(dtype, (4, 5)))


def test_the_whole_costs_nothing() -> None:
    assert calls(slice_(tensor(np.int8, (2, 3)), [0, 0], [2, -1])) == []


def test_malformed() -> None:
    x = tensor(np.int8, (4, 6))
    for begin, size in (([-1, 0], [1, 1]), ([0, 0], [-2, 1]), ([3, 0], [2, 1]), ([0, 7], [1, -1]), ([0, 0], [1, 7])):
        refused(ModelError, "outside", slice_(x, begin, size))
    refused(ModelError, "rank", slice_(x, [0], [1]))
    refused(ModelError, "rank", slice_(x, [0, 0], [1, 1, 1]))
    refused(ModelError, "input 2", model("SLICE", [x, indices([0, 0])], [tensor(np.int8)]))
    refused(ModelError, "is int16", model("SLICE", [x, indices([0, 0]), indices([1, 1])], [tensor(np.int16)]))
