from __future__ import annotations

import numpy as np
import pytest
from engines import check, run_program, run_reference
from moves import TYPES, indices, refused, tensor, values
from writer import T, model

from int8rt.errors import InputError, ModelError


def gather_nd(x: T, places: T) -> bytes:
    return model("GATHER_ND", [x, places], [tensor(x.dtype, (1,))])


def some(shape: tuple[int, ...], places: tuple[int, ...], dtype: type = np.int32) -> np.ndarray:
    sizes = np.array(shape[: places[-1]])
    return np.random.default_rng(places).integers(0, sizes, places).astype(dtype)


@pytest.mark.parametrize("dtype", [np.int8, np.float32])
@pytest.mark.parametrize(
    ("shape", "places"),
    [
        ((5,), (1,)),
        ((5,), (3, 1)),
        ((5, 4), (1,)),
        ((5, 4), (2,)),
        ((5, 4), (3, 1)),
        ((5, 4), (3, 2)),
        ((2, 3, 4), (6, 1)),
        ((2, 3, 4), (6, 2)),
        ((2, 3, 4), (6, 3)),
        ((2, 3, 4), (2, 2, 3)),
        ((1, 8, 8, 17), (9, 4)),
        ((2, 3, 1, 2, 2), (4, 3)),
        ((2, 3), (0, 2)),
    ],
)
def test_shapes(shape: tuple[int, ...], places: tuple[int, ...], dtype: type) -> None:
    check(gather_nd(tensor(dtype, shape), T(np.int32, places)), values(dtype, shape), some(shape, places))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("index_dtype", [np.int16, np.int32, np.int64])
def test_types(index_dtype: type, dtype: type) -> None:
    content = gather_nd(tensor(dtype, (5, 3)), T(index_dtype, (4, 2)))
    check(content, values(dtype, (5, 3)), some((5, 3), (4, 2), index_dtype))


def test_constants() -> None:
    check(gather_nd(tensor(np.int8, (5, 3)), indices([[4, 0], [1, 2]])), values(np.int8, (5, 3)))


@pytest.mark.parametrize("wrong", [[-1, 0], [0, 3], [5, 0], [4, -1]])
def test_index_out_of_range(wrong: list[int]) -> None:
    """Also where the place lies within the tensor, another row of it: LiteRT takes that."""
    content = gather_nd(tensor(np.int8, (5, 3)), T(np.int32, (2, 2)))
    inputs = values(np.int8, (5, 3)), np.array([[0, 0], wrong], np.int32)
    with pytest.raises(InputError, match="row 1 of the indices"):
        run_program(content, *inputs)
    with pytest.raises(InputError, match="is not within"):
        run_reference(content, *inputs)


def test_malformed() -> None:
    x = tensor(np.int8, (2, 3))
    refused(ModelError, "do not fit", gather_nd(x, T(np.int32, (2, 3))))
    refused(ModelError, "1 axis or more were expected", gather_nd(x, T(np.int32, ())))
    refused(ModelError, "1 axis or more were expected", gather_nd(tensor(np.int8, ()), T(np.int32, (1,))))
    refused(ModelError, "index 3 is not within 0 ... 2", gather_nd(x, indices([[0, 3]])))
    refused(ModelError, "int16 or int32 or int64 was expected", gather_nd(x, T(np.float32, (2,))))
    refused(ModelError, "int16", model("GATHER_ND", [x, T(np.int32, (2,))], [tensor(np.int16, (1,))]))
