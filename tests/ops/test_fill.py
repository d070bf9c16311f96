from __future__ import annotations

import numpy as np
import pytest
from engines import check
from moves import TYPES, indices, refused, tensor, values
from writer import T, model

from int8rt.errors import ModelError, UnsupportedError


def fill(shape: T, value: T, y: T | None = None) -> bytes:
    return model("FILL", [shape, value], [y or tensor(value.dtype, (1,))])


@pytest.mark.parametrize("index_dtype", [np.int32, np.int64])
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(), (1,), (7,), (2, 3), (1, 4, 4, 3), (2, 1, 2, 1, 2, 3), (2, 0)])
def test_fill(shape: tuple[int, ...], dtype: type, index_dtype: type) -> None:
    check(fill(indices(list(shape), index_dtype), tensor(dtype, ())), values(dtype, ()))


@pytest.mark.parametrize("value", [-128, -1, 0, 127])
def test_constant(value: int) -> None:
    check(fill(indices([2, 3]), tensor(np.int8, (), data=np.array(value, np.int8))))


def test_malformed() -> None:
    refused(ModelError, "no shape", fill(indices([2, -3]), tensor(np.int8, ())))
    refused(ModelError, "1 axis was expected", fill(indices([[2, 3]]), tensor(np.int8, ())))
    refused(ModelError, "scalar", fill(indices([2, 3]), tensor(np.int8, (2,))))
    refused(ModelError, "scalar", fill(indices([2, 3]), tensor(np.int8, (1,))))
    refused(ModelError, "int16", fill(indices([2, 3]), tensor(np.int8, ()), tensor(np.int16, (1,))))
    refused(UnsupportedError, "quantization", fill(indices([2]), tensor(np.int8, ()), T(np.int8, (1,), 0.06, -7)))
