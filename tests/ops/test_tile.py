from __future__ import annotations

import numpy as np
import pytest
from engines import check, run_program, run_reference, same
from moves import TYPES, indices, refused, tensor, values
from writer import T, model

from int8rt.errors import ModelError


def tile(x: T, counts: T) -> bytes:
    return model("TILE", [x, counts], [tensor(x.dtype, (1,))])


@pytest.mark.parametrize("dtype", [np.int8, np.float32])
@pytest.mark.parametrize("index_dtype", [np.int32, np.int64])
@pytest.mark.parametrize(
    ("shape", "counts"),
    [
        ((3,), [1]),
        ((3,), [4]),
        ((1,), [100]),
        ((2, 3), [1, 5]),
        ((2, 3), [5, 1]),
        ((2, 3), [2, 3]),
        ((1, 1, 1, 3), [1, 7, 9, 1]),
        ((1, 5, 4, 1), [1, 1, 1, 16]),
        ((2, 3, 1, 4), [2, 1, 3, 2]),
        ((2, 1, 3, 1, 2), [1, 2, 1, 3, 2]),
        ((2, 1, 2, 1, 2, 3), [1, 2, 1, 3, 2, 1]),
        ((2, 3), [0, 2]),
    ],
)
def test_shapes(shape: tuple[int, ...], counts: list[int], index_dtype: type, dtype: type) -> None:
    check(tile(tensor(dtype, shape), indices(counts, index_dtype)), values(dtype, shape))


def test_counts_of_another_rank() -> None:
    """The reference could not take them."""
    content, x = tile(tensor(np.int8, (2, 3)), indices([[2, 4]])), values(np.int8, (2, 3))
    same("reference", run_reference(content, x), run_program(content, x))


@pytest.mark.parametrize("dtype", TYPES)
def test_types(dtype: type) -> None:
    check(tile(tensor(dtype, (2, 3)), indices([3, 2])), values(dtype, (2, 3)))


def test_constant() -> None:
    check(tile(tensor(np.int32, (2,), data=np.array([3, 4], np.int32)), indices([2])))


def test_malformed() -> None:
    x = tensor(np.int8, (2, 3))
    refused(ModelError, "one per axis", tile(x, indices([1])))
    refused(ModelError, "0 or more", tile(x, indices([1, -1])))
    refused(ModelError, "float32", tile(x, T(np.float32, (2,), data=np.ones(2, np.float32))))
    refused(ModelError, "int16", model("TILE", [x, indices([1, 1])], [tensor(np.int16, (1,))]))
    refused(ModelError, "input 1", model("TILE", [x], [tensor(np.int8, (1,))]))
