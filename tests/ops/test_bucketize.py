from __future__ import annotations

import numpy as np
import pytest
from engines import check
from moves import refused, values
from writer import T, model

from int8rt.errors import ModelError, UnsupportedError


def bucketize(x: T, boundaries: list[float], y: type = np.int32) -> bytes:
    return model("BUCKETIZE", [x], [T(y, (1,))], boundaries=np.array(boundaries, np.float32))


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float32, np.float64])
@pytest.mark.parametrize(
    "boundaries", [[0], [-1, 0, 2.5, 10], [1, 1, 1], [-np.inf, 0, np.inf], list(range(-40, 40)), [16777216, 16777218]]
)
@pytest.mark.parametrize("shape", [(7,), (2, 3, 4)])
def test_bucketize(shape: tuple[int, ...], boundaries: list[float], dtype: type) -> None:
    rng = np.random.default_rng(0)
    check(bucketize(T(dtype, shape), boundaries), rng.choice([*range(-3, 12), 16777217, 2**30], shape).astype(dtype))


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float32])
def test_any_bits(dtype: type) -> None:
    check(bucketize(T(dtype, (64,)), [-1e9, -1, 0, 1, 1e9]), values(dtype, (64,)))


def test_ends() -> None:
    x = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 2.5, np.nextafter(np.float32(2.5), np.float32(0))], np.float32)
    check(bucketize(T(np.float32, (7,)), [-1, 0, 2.5, 10]), x)


def test_malformed() -> None:
    refused(ModelError, "ascend", bucketize(T(np.float32, (2,)), [1, 0]))
    refused(ModelError, "ascend", bucketize(T(np.float32, (2,)), [1, np.nan]))
    refused(UnsupportedError, "supported are", bucketize(T(np.int8, (2,)), [0, 1]))
    refused(UnsupportedError, "int32", bucketize(T(np.float32, (2,)), [0, 1], np.int64))
