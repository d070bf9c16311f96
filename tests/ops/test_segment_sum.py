"""SEGMENT_SUM, which BUILTIN_REF lacks, against its reference and LiteRT's optimized resolver."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from elementwise import values
from engines import check, run_program
from writer import T, model

from int8rt.errors import ModelError, UnsupportedError


def segment_sum(x: np.ndarray, ids: Any, constant: bool = True) -> bytes:
    """A model of one SEGMENT_SUM."""
    ids = np.array(ids, np.int32)
    inputs = [T(x.dtype, x.shape), T(np.int32, ids.shape, data=ids if constant else None)]
    return model("SEGMENT_SUM", inputs, [T(x.dtype, (int(ids.max(initial=-1)) + 1, *x.shape[1:]))])


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("inner", [(), (3,), (2, 5)])
@pytest.mark.parametrize("ids", [[0], [0, 0, 0], [0, 1, 2], [0, 0, 1, 1, 1, 2, 3], [0] * 40 + [1] * 3])
def test_segments(ids: Any, inner: Any, constant: bool, dtype: Any) -> None:
    x = values((len(ids), *inner), dtype)
    given = [x] if constant else [x, np.array(ids, np.int32)]
    check(segment_sum(x, ids, constant), *given, resolver="builtin")


def test_malformed() -> None:
    x = values((3, 2), np.float32)
    for ids in ([1, 1, 2], [0, 2, 3], [0, 1, 0], [-1, 0, 1]):
        with pytest.raises(ModelError, match="rise by 0 or 1"):
            run_program(segment_sum(x, ids), x)
    with pytest.raises(ModelError, match="for each row"):
        run_program(segment_sum(x, [0, 1]), x)
    with pytest.raises(UnsupportedError, match="supported"):
        run_program(segment_sum(x.astype(np.int64), [0, 0, 1]), x.astype(np.int64))
