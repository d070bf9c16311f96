from __future__ import annotations

import itertools

import numpy as np
import pytest
from engines import check, run_program, run_reference, same
from moves import TYPES, calls, indices, refused, tensor, values
from writer import T, model

from int8rt.errors import ModelError


def transpose(x: T, perm: object) -> bytes:
    return model(
        "TRANSPOSE", [x, perm if isinstance(perm, T) else indices(perm)], [T(x.dtype, (1,), x.scale, x.zero_point)]
    )


@pytest.mark.parametrize("perm", list(itertools.permutations(range(4))))
def test_every_permutation_of_four(perm: tuple[int, ...]) -> None:
    check(transpose(tensor(np.int8, (2, 3, 4, 5)), perm), values(np.int8, (2, 3, 4, 5)))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.int64])
@pytest.mark.parametrize(
    ("shape", "perm"),
    [
        ((5,), [0]),
        ((16, 16), [1, 0]),
        ((17, 35), [1, 0]),
        ((64, 3), [1, 0]),
        ((3, 64), [1, 0]),
        ((20, 15), [1, 0]),
        ((1, 19, 18, 16), [0, 3, 1, 2]),
        ((2, 21, 9, 10), [0, 2, 3, 1]),
        ((2, 9, 10, 3), [0, 3, 1, 2]),
        ((2, 3, 9, 10), [0, 2, 3, 1]),
        ((2, 5, 6, 4), [0, 2, 1, 3]),
        ((2, 5, 6, 4), [-4, -1, -2, -3]),
        ((2, 3, 4, 2, 3), [4, 2, 0, 3, 1]),
        ((2, 3, 1, 2, 3, 2), [5, 3, 1, 0, 2, 4]),
        ((1, 2, 3, 2, 1, 2), [3, 4, 5, 0, 1, 2]),
        ((2, 2, 2, 2, 2, 2, 2, 2), [7, 2, 5, 0, 3, 6, 1, 4]),
    ],
)
def test_shapes(shape: tuple[int, ...], perm: list[int], dtype: type) -> None:
    check(transpose(tensor(dtype, shape), perm), values(dtype, shape))


@pytest.mark.parametrize("dtype", TYPES)
def test_types(dtype: type) -> None:
    check(transpose(tensor(dtype, (3, 4, 2)), [2, 0, 1]), values(dtype, (3, 4, 2)))


def test_nothing() -> None:
    check(transpose(tensor(np.int8, (3, 0, 2)), [2, 0, 1]), np.zeros((3, 0, 2), np.int8))


@pytest.mark.parametrize("perm", [(0, 3, 1, 2), (2, 1, 3, 0)])
def test_threads(perm: tuple[int, ...]) -> None:
    content, x = transpose(tensor(np.int8, (3, 60, 41, 20)), perm), values(np.int8, (3, 60, 41, 20))
    same("reference", run_reference(content, x), run_program(content, x, threads=2))


@pytest.mark.parametrize(("shape", "perm"), [((2, 3), [0, 1]), ((1, 5, 1, 3), [2, 1, 3, 0]), ((7, 1), [1, 0])])
def test_what_stays_in_order_costs_nothing(shape: tuple[int, ...], perm: list[int]) -> None:
    content = transpose(tensor(np.int8, shape), perm)
    assert calls(content) == []
    check(content, values(np.int8, shape))


def test_malformed() -> None:
    x = tensor(np.int8, (2, 3))
    for perm in ([0, 0], [1, -1], [0], [0, 1, 1], [[0], [0]]):
        refused(ModelError, "no permutation", transpose(x, perm))
    refused(ModelError, "axis 2", transpose(x, [0, 2]))
    refused(ModelError, "input 1", model("TRANSPOSE", [x], [tensor(np.int8)]))
    refused(ModelError, "is uint8", model("TRANSPOSE", [x, indices([1, 0])], [tensor(np.uint8)]))
