"""UNSORTED_SEGMENT_PROD: program, reference and LiteRT's BUILTIN_REF give the same bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from elementwise import special_floats, values
from engines import check, run_program, run_reference
from writer import T, model

from int8rt.errors import InputError, ModelError, UnsupportedError


def segments(x: np.ndarray, ids: Any, count: int, constants: str = "ids count") -> bytes:
    """A model of one UNSORTED_SEGMENT_PROD."""
    ids = np.array(ids, np.int32)
    inputs = [
        T(x.dtype, x.shape),
        T(np.int32, ids.shape, data=ids if "ids" in constants else None),
        T(np.int32, (), data=np.array(count, np.int32) if "count" in constants else None),
    ]
    return model("UNSORTED_SEGMENT_PROD", inputs, [T(x.dtype, (count, *x.shape[ids.ndim :]))])


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
@pytest.mark.parametrize("inner", [(), (3,), (2, 5)])
@pytest.mark.parametrize(
    ("ids", "count"),
    [
        ([0], 1),
        ([2, 0, 2], 3),
        ([1, 1, 1], 5),
        ([-1, 0, -7, 0], 2),
        ([[0, 1, 2], [2, 1, 0]], 3),
        ([3] * 40 + [1] * 3, 4),
    ],
)
def test_segments(ids: Any, count: int, inner: Any, dtype: Any) -> None:
    x = values((*np.shape(ids), *inner), dtype)
    check(segments(x, ids, count), x)


@pytest.mark.parametrize("constants", ["", "ids", "count"])
def test_segments_at_run_time(constants: str) -> None:
    x, ids, count = values((4, 3), np.float32), np.array([1, 0, 1, -1], np.int32), np.array(3, np.int32)
    given = [x, *([] if "ids" in constants else [ids]), *([] if "count" in constants else [count])]
    check(segments(x, ids, 3, constants), *given)


def test_special_floats() -> None:
    x = special_floats()[0][3:]
    check(segments(x, np.arange(len(x)) % 2, 3), x)
    check(segments(x[::-1].copy(), np.arange(len(x)) % 2, 3), x[::-1].copy())


def test_ids_beyond_the_segments() -> None:
    """LiteRT refuses them too, where ours are checked when the model runs."""
    x, ids = values((3, 2), np.float32), np.array([0, 2, 1], np.int32)
    for run in (run_program, run_reference):
        with pytest.raises(InputError, match="segment id 2"):
            run(segments(x, ids, 2, "count"), x, ids)


def test_malformed() -> None:
    x = values((3, 2), np.float32)
    with pytest.raises(ModelError, match="not of the first axes"):
        run_program(segments(x, [0, 1], 2), x)
    inputs = [T(x.dtype, x.shape), T(np.int32, (3,), data=np.zeros(3, np.int32))]
    count = T(np.int32, (), data=np.array(-1, np.int32))
    with pytest.raises(ModelError, match="-1 segments"):
        run_program(model("UNSORTED_SEGMENT_PROD", [*inputs, count], [T(x.dtype, (1, 2))]), x)
    with pytest.raises(UnsupportedError, match="supported"):
        run_program(segments(x.astype(np.int64), [0, 0, 1], 2), x.astype(np.int64))
