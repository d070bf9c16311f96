from __future__ import annotations

import numpy as np
import pytest
from engines import check
from moves import TYPES, refused, tensor, values
from writer import T, model

from int8rt.errors import ModelError


def set_diag(x: T, diagonal: T) -> bytes:
    return model("MATRIX_SET_DIAG", [x, diagonal], [tensor(x.dtype, (1,))])


@pytest.mark.parametrize("dtype", [t for t in TYPES if t is not np.bool_])
@pytest.mark.parametrize(
    "shape", [(1, 1), (3, 3), (2, 5), (5, 2), (1, 4), (4, 1), (2, 3, 3), (2, 3, 2, 4), (2, 1, 2, 5, 3)]
)
def test_matrix_set_diag(shape: tuple[int, ...], dtype: type) -> None:
    diagonal = (*shape[:-2], min(shape[-2:]))
    content = set_diag(tensor(dtype, shape), tensor(dtype, diagonal))
    check(content, values(dtype, shape), values(dtype, diagonal, 1))


def test_malformed() -> None:
    x = tensor(np.int8, (2, 3, 4))
    refused(ModelError, "diagonal", set_diag(x, tensor(np.int8, (2, 4))))
    refused(ModelError, "diagonal", set_diag(x, tensor(np.int8, (3,))))
    refused(ModelError, "2 axes or more were expected", set_diag(tensor(np.int8, (2,)), tensor(np.int8, (2,))))
    refused(ModelError, "int16", set_diag(x, tensor(np.int16, (2, 3))))
