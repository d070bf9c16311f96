from __future__ import annotations

import numpy as np
import pytest
from engines import check
from moves import TYPES, calls, indices, refused, tensor, values
from writer import T, model

from int8rt.errors import ModelError


def split_v(x: T, sizes: object, axis: object, dtype: type = np.int32, count: int | None = None) -> bytes:
    sizes = sizes if isinstance(sizes, T) else indices(sizes, dtype)
    count = sizes.shape[0] if count is None else count
    parts = [T(x.dtype, (1,), x.scale, x.zero_point) for _ in range(count)]
    return model("SPLIT_V", [x, sizes, axis if isinstance(axis, T) else indices(axis)], parts, num_splits=count)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize(
    ("shape", "sizes", "axis"),
    [
        ((6,), [1, 2, 3], 0),
        ((6,), [1, -1, 3], 0),
        ((6,), [-1], 0),
        ((6,), [6, 0], 0),
        ((6,), [0, -1, 6], 0),
        ((4, 6), [1, 3], 0),
        ((4, 6), [5, 1], -1),
        ((4, 6), [-1, 4], 1),
        ((1, 5, 3, 7), [2, 4, 1], 3),
        ((1, 5, 3, 4), [2, 1], 2),
        ((2, 5, 3, 16), [2, 2, -1], 1),
        ((2, 3, 3, 24), [8, 16], 3),
        ((2, 2, 3, 4, 2), [1, 2], 2),
        ((2, 1, 2, 1, 3, 5), [4, 1], -1),
        ((40, 2), [2] * 20, 0),
    ],
)
def test_shapes(shape: tuple[int, ...], sizes: list[int], axis: int, dtype: type) -> None:
    check(split_v(tensor(dtype, shape), sizes, axis), values(dtype, shape))


@pytest.mark.parametrize("dtype", [t for t in TYPES if t is not np.bool_])
@pytest.mark.parametrize("axis", [0, 1])
def test_types(dtype: type, axis: int) -> None:
    check(split_v(tensor(dtype, (4, 4)), [1, 3], axis, np.int64), values(dtype, (4, 4)))


def test_one_part_costs_nothing() -> None:
    assert calls(split_v(tensor(np.int8, (2, 3)), [-1], 1)) == []


def test_malformed() -> None:
    x = tensor(np.int8, (4, 6))
    for sizes in ([1, 2], [-1, -1], [-1, 7], [5, -2, 3], [8, -2]):
        refused(ModelError, "does not split", split_v(x, sizes, 1))
    refused(ModelError, "num_splits is 1", split_v(x, [2, 4], 1, count=1))
    refused(ModelError, "axis 2", split_v(x, [6], 2))
    refused(ModelError, "2 values", split_v(x, [6], [0, 1]))
    refused(ModelError, "input 2", model("SPLIT_V", [x, indices([6])], [tensor(np.int8)], num_splits=1))
