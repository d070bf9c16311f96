from __future__ import annotations

import numpy as np
import pytest
from engines import check, run_program, run_reference
from moves import TYPES, indices, refused, tensor, values
from writer import T, model

from int8rt.errors import InputError, ModelError


def scatter_nd(places: T, updates: T, shape: T) -> bytes:
    return model("SCATTER_ND", [places, updates, shape], [tensor(updates.dtype, (1,))])


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.float32])
@pytest.mark.parametrize(
    ("places", "shape"),
    [
        ((1, 1), [5]),
        ((3, 1), [5]),
        ((9, 1), [5]),
        ((1, 2), [5, 4]),
        ((20, 2), [5, 4]),
        ((3, 1), [5, 4]),
        ((2, 3, 2), [4, 3, 2]),
        ((2, 3, 3), [4, 3, 2]),
        ((7, 2), [3, 3, 2, 2]),
        ((40, 1), [2, 7]),
    ],
)
def test_shapes(places: tuple[int, ...], shape: list[int], dtype: type) -> None:
    """With places that are named several times, so that order and overflow show."""
    rng = np.random.default_rng(places)
    at = rng.integers(0, shape[: places[-1]], places).astype(np.int32)
    updates = (*places[:-1], *shape[places[-1] :])
    u = rng.normal(size=updates).astype(dtype) if dtype is np.float32 else values(dtype, updates)
    check(scatter_nd(T(np.int32, places), tensor(dtype, updates), indices(shape)), at, u)


@pytest.mark.parametrize("dtype", TYPES)
def test_types(dtype: type) -> None:
    at, u = np.array([[0, 2], [1, 1], [1, 1]], np.int32), values(dtype, (3, 4))
    expected = np.zeros((2, 3, 4), dtype)
    np.add.at(expected, (at[:, 0], at[:, 1]), u)
    litert = [expected] if dtype is np.int16 else None  # which LiteRT refuses
    check(scatter_nd(T(np.int32, (3, 2)), tensor(dtype, (3, 4)), indices([2, 3, 4])), at, u, litert=litert)


def test_wide_indices() -> None:
    """LiteRT has int32 alone."""
    content = scatter_nd(T(np.int64, (1, 1)), tensor(np.int8, (1,)), indices([3], np.int64))
    expected = [np.array([0, -7, 0], np.int8)]
    check(content, np.array([[1]], np.int64), np.array([-7], np.int8), litert=expected)


@pytest.mark.parametrize("wrong", [[-1, 0], [0, 3], [5, 0]])
@pytest.mark.parametrize("dtype", [np.int8, np.bool_])
def test_index_out_of_range(wrong: list[int], dtype: type) -> None:
    content = scatter_nd(T(np.int32, (2, 2)), tensor(dtype, (2,)), indices([5, 3]))
    inputs = np.array([[0, 0], wrong], np.int32), values(dtype, (2,))
    for run in (run_program, run_reference):
        with pytest.raises(InputError, match=r"row 1 of the indices|is not within"):
            run(content, *inputs)


def test_malformed() -> None:
    at, u = T(np.int32, (3, 2)), tensor(np.int8, (3, 4))
    refused(ModelError, "do not fit", scatter_nd(at, u, indices([2, 3])))
    refused(ModelError, "do not fit", scatter_nd(at, u, indices([2, 3, 5])))
    refused(ModelError, "do not fit", scatter_nd(at, u, indices([2])))
    refused(ModelError, "no shape", scatter_nd(at, u, indices([2, -3, 4])))
    refused(ModelError, "is not within", scatter_nd(indices([[2, 0]]), tensor(np.int8, (1, 4)), indices([2, 3, 4])))
    refused(ModelError, "int32 or int64 was expected", scatter_nd(T(np.float32, (3, 2)), u, indices([2, 3, 4])))
