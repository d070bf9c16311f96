from __future__ import annotations

import numpy as np
import pytest
from engines import check, run_program, run_reference
from moves import indices, refused
from writer import T, model

from int8rt.errors import InputError, ModelError

SHAPES = [
    ([], []),
    ([3], []),
    ([3], [1]),
    ([1], [3]),
    ([1, 3], [2, 4, 1]),
    ([5, 1, 4], [1]),
    ([2, 3], [2, 3]),
    ([0], [1]),
]


def broadcast_args(a: T, b: T) -> bytes:
    return model("BROADCAST_ARGS", [a, b], [T(a.dtype, (1,))])


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize(("a", "b"), SHAPES)
def test_run_time(a: list[int], b: list[int], dtype: type) -> None:
    content = broadcast_args(T(dtype, (len(a),)), T(dtype, (len(b),)))
    check(content, np.array(a, dtype), np.array(b, dtype))


@pytest.mark.parametrize(("a", "b"), SHAPES)
def test_constants(a: list[int], b: list[int]) -> None:
    litert = None if a or b else [np.zeros(0, np.int32)]  # an empty constant is none to LiteRT
    check(broadcast_args(indices(a), indices(b)), litert=litert)


def test_incompatible() -> None:
    content = broadcast_args(T(np.int32, (2,)), T(np.int32, (1,)))
    for run in (run_program, run_reference):
        with pytest.raises(InputError, match="cannot be broadcast"):
            run(content, np.array([2, 3], np.int32), np.array([2], np.int32))


def test_malformed() -> None:
    refused(ModelError, "1 axis was expected", broadcast_args(T(np.int32, (2, 1)), T(np.int32, (2,))))
    refused(ModelError, "int32 or int64 was expected", broadcast_args(T(np.float32, (2,)), T(np.float32, (2,))))
    refused(ModelError, "int64", broadcast_args(T(np.int32, (2,)), T(np.int64, (2,))))
