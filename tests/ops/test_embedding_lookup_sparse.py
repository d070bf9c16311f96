from __future__ import annotations

import numpy as np
import pytest
from engines import check, run_program, run_reference
from moves import indices, refused
from writer import T, model

from int8rt.errors import InputError, ModelError, UnsupportedError

SUM, MEAN, SQRTN = range(3)
PLACES = np.array([[0, 0], [0, 1], [1, 0], [3, 0], [3, 1], [3, 2]], np.int32)
IDS = np.array([1, 4, 0, 3, 3, 2], np.int32)


def sparse(places: tuple[int, ...], shape: T, table: T, combiner: int) -> bytes:
    inputs = [T(np.int32, places[:1]), T(np.int32, places), shape, T(np.float32, places[:1]), table]
    return model("EMBEDDING_LOOKUP_SPARSE", inputs, [T(np.float32, (1,))], combiner=combiner)


def weights(count: int) -> np.ndarray:
    return np.random.default_rng(count).normal(size=count).astype(np.float32)


@pytest.mark.parametrize("combiner", [SUM, MEAN, SQRTN])
@pytest.mark.parametrize("row", [(1,), (3,), (2, 2)])
@pytest.mark.parametrize("seed", range(3))
def test_combiners(seed: int, row: tuple[int, ...], combiner: int) -> None:
    table = np.random.default_rng(seed).normal(size=(5, *row)).astype(np.float32)
    content = sparse(PLACES.shape, indices([4, 3]), T(np.float32, table.shape), combiner)
    check(content, IDS, PLACES, weights(6), table)


@pytest.mark.parametrize("combiner", [SUM, MEAN, SQRTN])
def test_three_axes_and_places_out_of_order(combiner: int) -> None:
    places = np.array([[1, 0, 0], [0, 2, 0], [0, 2, 1], [1, 0, 2], [0, 0, 0]], np.int32)
    table = np.random.default_rng(9).normal(size=(5, 2)).astype(np.float32)
    content = sparse(places.shape, indices([2, 3, 9]), T(np.float32, (5, 2), data=table), combiner)
    check(content, IDS[:5], places, weights(5))


def test_out_of_range() -> None:
    content = sparse(PLACES.shape, indices([4, 3]), T(np.float32, (5, 2)), SUM)
    table, w = np.zeros((5, 2), np.float32), weights(6)
    for run in (run_program, run_reference):
        with pytest.raises(InputError, match=r"index 5 is not within 0 \.\.\. 4"):
            run(content, IDS + 1, PLACES, w, table)
        with pytest.raises(InputError, match=r"place 4 is not within 0 \.\.\. 3"):
            run(content, IDS, PLACES + [1, 0], w, table)


def test_malformed() -> None:
    table = T(np.float32, (5, 2))
    refused(ModelError, "do not fit", sparse((6, 3), indices([4, 3]), table, SUM))
    refused(ModelError, "2 axes or more were expected", sparse((6, 2), indices([4, 3]), T(np.float32, (5,)), SUM))
    refused(ModelError, "combiner 3", sparse((6, 2), indices([4, 3]), table, 3))
    refused(UnsupportedError, "float32", sparse((6, 2), indices([4, 3]), T(np.int8, (5, 2)), SUM))
