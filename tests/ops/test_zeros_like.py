from __future__ import annotations

import numpy as np
import pytest
from engines import check
from moves import calls, refused, tensor, values
from writer import T, model

from int8rt.errors import ModelError, UnsupportedError


def zeros_like(x: T) -> bytes:
    return model("ZEROS_LIKE", [x], [tensor(x.dtype, (1,))])


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float32])
@pytest.mark.parametrize("shape", [(), (1,), (2, 3), (1, 1, 4, 2), (2, 0)])
def test_zeros_like(shape: tuple[int, ...], dtype: type) -> None:
    check(zeros_like(tensor(dtype, shape)), values(dtype, shape))


def test_bool() -> None:
    """LiteRT has no ZEROS_LIKE of bool."""
    check(zeros_like(T(np.bool_, (2,))), np.ones(2, bool), litert=[np.zeros(2, bool)])


def test_costs_nothing() -> None:
    assert calls(zeros_like(tensor(np.int32, (2, 3)))) == []


def test_malformed() -> None:
    refused(UnsupportedError, "supported are", zeros_like(tensor(np.int8, (2, 3))))
    refused(ModelError, "int64", model("ZEROS_LIKE", [tensor(np.int32, (2,))], [T(np.int64, (2,))]))
