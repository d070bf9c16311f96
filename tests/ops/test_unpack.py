from __future__ import annotations

import numpy as np
import pytest
from engines import check
from moves import TYPES, calls, refused, tensor, values
from writer import T, model

from int8rt.errors import ModelError, UnsupportedError


def unpack(x: T, axis: int, num: int | None = None, outputs: int | None = None) -> bytes:
    num = x.shape[axis] if num is None else num
    parts = [T(x.dtype, (1,), x.scale, x.zero_point) for _ in range(num if outputs is None else outputs)]
    return model("UNPACK", [x], parts, axis=axis, num=num)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((3,), 0),
        ((1,), -1),
        ((2, 4), 0),
        ((2, 4), 1),
        ((4, 2), -1),
        ((4, 2), -2),
        ((2, 3, 5), 1),
        ((1, 5, 3, 4), 3),
        ((1, 5, 3, 4), 2),
        ((2, 5, 3, 4), 0),
        ((2, 1, 2, 1, 3), -3),
        ((2, 2, 2, 1, 3, 2), 4),
        ((1, 3), 0),
        ((25, 2), 0),
    ],
)
def test_shapes(shape: tuple[int, ...], axis: int, dtype: type) -> None:
    check(unpack(tensor(dtype, shape), axis), values(dtype, shape))


@pytest.mark.parametrize("dtype", [t for t in TYPES if t is not np.int64])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_types(dtype: type, axis: int) -> None:
    check(unpack(tensor(dtype, (2, 3, 2)), axis), values(dtype, (2, 3, 2)))


def test_int64() -> None:
    """LiteRT has no UNPACK of int64."""
    x = values(np.int64, (2, 3))
    check(unpack(T(np.int64, (2, 3)), 1), x, litert=list(x.T))


def test_one_output_costs_nothing() -> None:
    assert calls(unpack(tensor(np.int8, (2, 1, 3)), 1)) == []


def test_malformed() -> None:
    x = tensor(np.int8, (2, 3))
    refused(ModelError, "num is 2", unpack(x, 1, num=2))
    refused(ModelError, "outputs", unpack(x, 1, outputs=2))
    refused(ModelError, "axis 2", unpack(x, 2, num=1))
    refused(ModelError, "1 axis or more were expected", unpack(tensor(np.int8, ()), 0, num=1))
    refused(ModelError, "input 0", model("UNPACK", [], [x], num=1))
    refused(ModelError, "is int16", model("UNPACK", [tensor(np.int8, (1, 2))], [tensor(np.int16)], num=1))
    refused(
        UnsupportedError, "quantization", model("UNPACK", [tensor(np.int8, (1, 2))], [T(np.int8, (1,), 0.1, 0)], num=1)
    )
