from __future__ import annotations

import numpy as np
import pytest
from engines import check
from moves import TYPES, calls, indices, refused, tensor, values
from writer import T, model

from int8rt.errors import ModelError


def split(x: T, axis: object, count: int, outputs: int | None = None) -> bytes:
    parts = [T(x.dtype, (1,), x.scale, x.zero_point) for _ in range(count if outputs is None else outputs)]
    return model("SPLIT", [axis if isinstance(axis, T) else indices(axis), x], parts, num_splits=count)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize(
    ("shape", "axis", "count"),
    [
        ((6,), 0, 2),
        ((6,), -1, 6),
        ((4, 6), 0, 2),
        ((4, 6), 1, 3),
        ((4, 6), -2, 4),
        ((1, 5, 3, 4), 3, 2),
        ((1, 5, 3, 4), 3, 4),
        ((1, 5, 3, 4), 2, 3),
        ((2, 4, 3, 16), 1, 2),
        ((2, 4, 3, 16), 3, 2),
        ((2, 4, 3, 4, 2), 3, 2),
        ((2, 1, 2, 1, 3, 4), -1, 2),
        ((2, 3), 1, 1),
        ((20, 2), 0, 20),
        ((4, 0), 0, 2),
    ],
)
def test_shapes(shape: tuple[int, ...], axis: int, count: int, dtype: type) -> None:
    check(split(tensor(dtype, shape), axis, count), values(dtype, shape))


@pytest.mark.parametrize("dtype", [t for t in TYPES if t is not np.bool_])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_types(dtype: type, axis: int) -> None:
    check(split(tensor(dtype, (2, 4, 2)), axis, 2), values(dtype, (2, 4, 2)))


def test_bool() -> None:
    """LiteRT has no SPLIT of bool."""
    x = values(np.bool_, (2, 4))
    check(split(T(np.bool_, (2, 4)), 1, 2), x, litert=[x[:, :2], x[:, 2:]])


def test_axis_as_a_vector() -> None:
    check(split(tensor(np.int8, (4, 6)), [1], 2), values(np.int8, (4, 6)))


def test_one_part_costs_nothing() -> None:
    assert calls(split(tensor(np.int8, (2, 3)), 1, 1)) == []


def test_malformed() -> None:
    x = tensor(np.int8, (4, 6))
    refused(ModelError, "does not split", split(x, 1, 4))
    refused(ModelError, "does not split", split(x, 1, 0, outputs=1))
    refused(ModelError, "2 outputs", split(x, 1, 3, outputs=2))
    refused(ModelError, "axis 2", split(x, 2, 2))
    refused(ModelError, "axis -3", split(x, -3, 2))
    refused(ModelError, "2 values", split(x, [0, 1], 2))
    refused(ModelError, "0 values", split(x, T(np.int32, (0,), data=np.zeros(0, np.int32)), 2))
    refused(ModelError, "is int16", model("SPLIT", [indices(0), x], [tensor(np.int16)], num_splits=1))
    refused(ModelError, "input 1", model("SPLIT", [indices(0)], [x], num_splits=1))
