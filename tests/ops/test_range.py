from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from engines import check
from moves import refused
from writer import T, model

from int8rt.errors import ModelError, UnsupportedError


def arange(dtype: Any, *ends: float) -> bytes:
    return model("RANGE", [T(dtype, (), data=np.array(v, dtype)) for v in ends], [T(dtype, (1,))])


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float32])
@pytest.mark.parametrize(
    "ends",
    [(0, 10, 1), (0, 10, 3), (10, 0, -1), (10, -5, -4), (-3, 3, 2), (5, 5, 1), (5, 5, -1), (0, 1000, 7), (2, 3, 9)],
)
def test_constants(ends: tuple[float, ...], dtype: type) -> None:
    empty = [np.zeros(0, dtype)] if ends[0] == ends[1] else None  # which LiteRT's Python interface cannot return
    check(arange(dtype, *ends), litert=empty)


@pytest.mark.parametrize("ends", [(0, 1, 0.1), (0.1, 7, 0.3), (-1, 1, 1e-3), (1, -1, -0.07), (1e7, 1e7 + 9, 0.7)])
def test_float(ends: tuple[float, ...]) -> None:
    check(arange(np.float32, *ends))


def test_malformed() -> None:
    for ends in ((0, 10, 0), (0, 10, -1), (10, 0, 1)):
        refused(ModelError, "leads nowhere", arange(np.int32, *ends))
    refused(ModelError, "has no end", arange(np.float32, 0, np.inf, 1))
    refused(UnsupportedError, "supported are", arange(np.int8, 0, 10, 1))
    vector = T(np.int32, (2,), data=np.array([0, 1], np.int32))
    refused(ModelError, "a scalar was expected", model("RANGE", [vector] * 3, [T(np.int32, (1,))]))
