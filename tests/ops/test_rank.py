from __future__ import annotations

import numpy as np
import pytest
from engines import check
from moves import TYPES, calls, refused, tensor, values
from writer import T, model

from int8rt.errors import ModelError


def rank(x: T, dtype: type = np.int32) -> bytes:
    return model("RANK", [x], [T(dtype, ())])


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(), (1,), (2, 3), (1, 1, 4, 2), (1, 1, 1, 1, 1, 1)])
def test_rank(shape: tuple[int, ...], dtype: type) -> None:
    check(rank(tensor(dtype, shape)), values(dtype, shape))


def test_costs_nothing() -> None:
    assert calls(rank(tensor(np.int8, (2, 3)))) == []


def test_malformed() -> None:
    refused(ModelError, "int32 was expected", rank(tensor(np.int8, (2, 3)), np.float32))
    refused(ModelError, "input 0", model("RANK", [], [T(np.int32, ())]))
