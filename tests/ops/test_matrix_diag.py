from __future__ import annotations

import numpy as np
import pytest
from engines import check
from moves import TYPES, refused, tensor, values
from writer import T, model

from int8rt.errors import ModelError


def matrix_diag(x: T) -> bytes:
    return model("MATRIX_DIAG", [x], [tensor(x.dtype, (1,))])


@pytest.mark.parametrize("dtype", [t for t in TYPES if t is not np.bool_])
@pytest.mark.parametrize("shape", [(1,), (5,), (2, 3), (3, 1), (2, 3, 4), (1, 2, 1, 2, 3)])
def test_matrix_diag(shape: tuple[int, ...], dtype: type) -> None:
    check(matrix_diag(tensor(dtype, shape)), values(dtype, shape))


def test_bool() -> None:
    """LiteRT leaves other memory around the diagonal."""
    x = np.array([True, True, False])
    check(matrix_diag(tensor(np.bool_, (3,))), x, litert=[np.diag(x)])


def test_malformed() -> None:
    refused(ModelError, "1 axis or more were expected", matrix_diag(tensor(np.int8, ())))
    refused(ModelError, "int16", model("MATRIX_DIAG", [tensor(np.int8, (3,))], [tensor(np.int16, (1,))]))
