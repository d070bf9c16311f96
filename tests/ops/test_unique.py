from __future__ import annotations

import numpy as np
import pytest
from engines import check
from moves import TYPES, refused, tensor
from writer import T, model

from int8rt.errors import ModelError

INDEX_TYPES = {np.int32: 2, np.int64: 4}  # the number that the file has for them


def unique(x: T, which: type = np.int32) -> bytes:
    return model("UNIQUE", [x], [tensor(x.dtype, (1,)), T(which, (1,))], idx_out_type=INDEX_TYPES[which])


@pytest.mark.parametrize("which", INDEX_TYPES)
@pytest.mark.parametrize("dtype", [t for t in TYPES if t is not np.bool_])
@pytest.mark.parametrize("x", [[7], [3, 1, 3, 2, 2, 1, 0, 5, 3], [4, 4, 4], [5, 4, 3, 2, 1]])
def test_constants(x: list[int], dtype: type, which: type) -> None:
    check(unique(tensor(dtype, (len(x),), data=np.array(x, dtype)), which))


def test_malformed() -> None:
    refused(ModelError, "1 axis was expected", unique(tensor(np.int32, (2, 2))))
    refused(ModelError, "no output 1", model("UNIQUE", [tensor(np.int32, (2,))], [tensor(np.int32, (2,))]))
    y = [tensor(np.int64, (1,)), T(np.int32, (1,))]
    refused(ModelError, "int64", model("UNIQUE", [tensor(np.int32, (2,))], y, idx_out_type=2))
