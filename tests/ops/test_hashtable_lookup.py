from __future__ import annotations

import numpy as np
import pytest
from engines import check
from moves import TYPES, refused, tensor, values
from writer import T, model

from int8rt.errors import ModelError

KEYS = np.array([-5, 0, 2, 7, 100], np.int32)


def lookup(queries: T, keys: T, rows: T, hits: type = np.uint8) -> bytes:
    return model("HASHTABLE_LOOKUP", [queries, keys, rows], [tensor(rows.dtype, (1,)), T(hits, (1,))])


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("row", [(), (3,), (2, 2)])
def test_lookup(row: tuple[int, ...], dtype: type) -> None:
    queries = np.array([7, -5, 3, 101, 100, 0, -6], np.int32)
    content = lookup(T(np.int32, (7,)), T(np.int32, (5,)), tensor(dtype, (5, *row)))
    check(content, queries, KEYS, values(dtype, (5, *row)))


def test_constant_table() -> None:
    rows = tensor(np.float32, (5, 2), data=values(np.float32, (5, 2)))
    check(lookup(T(np.int32, (2,)), T(np.int32, (5,), data=KEYS), rows), np.array([2, 1], np.int32))


@pytest.mark.parametrize("count", [1, 2, 5, 16, 31])
def test_keys_that_do_not_ascend(count: int) -> None:
    """And keys that come twice: bsearch finds what its halves lead to."""
    rng = np.random.default_rng(count)
    content = lookup(T(np.int32, (40,)), T(np.int32, (count,)), tensor(np.int8, (count, 3)))
    for _ in range(10):
        keys = rng.integers(0, count, count).astype(np.int32)
        check(content, np.arange(-3, 37, dtype=np.int32), keys, values(np.int8, (count, 3)))


def test_malformed() -> None:
    queries, keys, rows = T(np.int32, (2,)), T(np.int32, (5,)), tensor(np.int8, (5, 2))
    refused(ModelError, "row per key", lookup(queries, keys, tensor(np.int8, (4, 2))))
    refused(ModelError, "1 axis was expected", lookup(T(np.int32, (2, 1)), keys, rows))
    refused(ModelError, "int32 was expected", lookup(T(np.int64, (2,)), keys, rows))
    refused(ModelError, "uint8", lookup(queries, keys, rows, np.int8))
