from __future__ import annotations

import numpy as np
import pytest
from engines import check
from moves import TYPES, calls, refused, tensor, values
from writer import T, model

from int8rt.errors import ModelError, UnsupportedError


def pack(parts: list[T], axis: int, y: T | None = None, count: int | None = None) -> bytes:
    y = y or T(parts[0].dtype, (1,), parts[0].scale, parts[0].zero_point)
    return model("PACK", parts, [y], axis=axis, values_count=len(parts) if count is None else count)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize(
    ("shape", "count", "axis"),
    [
        ((), 3, 0),
        ((), 1, -1),
        ((4,), 2, 0),
        ((4,), 3, 1),
        ((4,), 3, -1),
        ((4,), 3, -2),
        ((2, 3), 2, 1),
        ((2, 3), 5, 2),
        ((1, 5, 3, 4), 2, 3),
        ((1, 5, 3, 4), 2, 4),
        ((2, 5, 3, 4), 2, 0),
        ((2, 1, 2, 1, 3), 3, -3),
        ((2, 0), 3, 1),
        ((2, 3), 1, 1),
        ((1,), 25, 0),
    ],
)
def test_shapes(shape: tuple[int, ...], count: int, axis: int, dtype: type) -> None:
    parts = [tensor(dtype, shape) for _ in range(count)]
    check(pack(parts, axis), *(values(dtype, shape, seed=i) for i in range(count)))


@pytest.mark.parametrize("dtype", [t for t in TYPES if t is not np.bool_])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_types(dtype: type, axis: int) -> None:
    parts = [tensor(dtype, (2, 3)), tensor(dtype, (2, 3))]
    check(pack(parts, axis), values(dtype, (2, 3)), values(dtype, (2, 3), 1))


def test_bool() -> None:
    """LiteRT has no PACK of bool."""
    arrays = [values(np.bool_, (2, 3), i) for i in range(2)]
    check(pack([T(np.bool_, (2, 3)), T(np.bool_, (2, 3))], 1), *arrays, litert=[np.stack(arrays, 1)])


def test_one_tensor_several_times_and_constants() -> None:
    x = tensor(np.int32, (2,))
    constant = tensor(np.int32, (2,), data=np.array([7, 8], np.int32))
    check(pack([x, constant, x], 1), np.array([1, 2], np.int32))
    check(pack([x, constant, x], 0), np.array([1, 2], np.int32))
    check(pack([constant, constant], 0))


def test_one_input_costs_nothing() -> None:
    assert calls(pack([tensor(np.int8, (2, 3))], 1)) == []


def test_malformed() -> None:
    a = tensor(np.int8, (2, 3))
    refused(ModelError, "one shape", pack([a, tensor(np.int8, (3, 2))], 0))
    refused(ModelError, "2 of one shape", pack([a], 0, count=2))
    refused(ModelError, "axis 3", pack([a, a], 3))
    refused(ModelError, "axis -4", pack([a, a], -4))
    refused(ModelError, "int16", pack([a, tensor(np.int16, (2, 3))], 0))
    refused(ModelError, "input 0", model("PACK", [], [a], axis=0, values_count=0))
    refused(UnsupportedError, "quantization", pack([a, T(np.int8, (2, 3), 0.06, -7)], 0))
    refused(UnsupportedError, "quantization", pack([a, a], 0, T(np.int8, (1,), 0.05, 7)))
