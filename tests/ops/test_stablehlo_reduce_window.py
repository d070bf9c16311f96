"""STABLEHLO_REDUCE_WINDOW: program, reference and LiteRT's BUILTIN_REF give the same bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conformance_cases import stablehlo_windows
from engines import check, run_program

from int8rt.errors import ModelError, UnsupportedError

X = (np.arange(12).reshape(3, 4) - 5).astype(np.int32)


@pytest.mark.parametrize("op", ["ADD", "MUL", "MAXIMUM", "MINIMUM", *(
    f"STABLEHLO_{op}" for op in ("ADD", "MULTIPLY", "MAXIMUM", "MINIMUM"))])  # fmt: skip
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int32, np.int64, np.float32, np.float64])
def test_types(dtype: Any, op: str) -> None:
    check(stablehlo_windows(dtype, (3, 4), op), np.abs(X).astype(dtype), np.array(1, dtype))


@pytest.mark.parametrize(
    "fields",
    [
        {"window_strides": [2, 1]}, {"base_dilations": [2, 3]}, {"window_dilations": [1, 2]},
        {"padding": [1, 0, 0, 2]}, {"padding": [-1, 0, 0, -1]}, {"window_dimensions": [1, 4]},
        {"window_strides": [2, 1], "base_dilations": [2, 1], "window_dilations": [1, 2], "padding": [1, 0, -1, 2]},
    ],
)  # fmt: skip
def test_measures(fields: dict[str, Any]) -> None:
    check(stablehlo_windows(np.int32, (3, 4), "STABLEHLO_ADD", **fields), X, np.array(100, np.int32))


def test_refused() -> None:
    for fields in ({"window_strides": [0, 1]}, {"base_dilations": [0, 1]}, {"padding": [1]}, {"window_dimensions": []}):
        with pytest.raises(ModelError, match="STABLEHLO_REDUCE_WINDOW"):
            run_program(stablehlo_windows(np.int32, (3, 4), "ADD", **fields), X, np.array(0, np.int32))
    with pytest.raises(UnsupportedError, match="it computes SUB"):
        run_program(stablehlo_windows(np.int32, (3, 4), "SUB"), X, np.array(0, np.int32))
