"""REDUCE_WINDOW: program, reference and LiteRT's BUILTIN_REF give the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from engines import check, run_litert, run_program
from writer import T, model

from int8rt.errors import Error, ModelError, UnsupportedError
from int8rt.format import reader

ADD, MUL, MINIMUM, MAXIMUM, ALL, ANY = range(1, 7)
TYPES = [np.bool_, np.int8, np.uint8, np.int16, np.int32, np.int64, np.float32, np.float64]


def windows(
    dtype: Any, shape: Sequence[int], window: Any, strides: Any = None, dilations: Any = None, function: int = ADD,
    measure: Any = np.int64,
) -> bytes:  # fmt: skip
    ones = [1] * len(shape)
    measures = [np.array(v, measure) for v in (window, strides or ones, dilations or ones)]
    inputs = [T(dtype, shape), T(dtype, ()), *(T(measure, m.shape, data=m) for m in measures)]
    return model("REDUCE_WINDOW", inputs, [T(dtype, ones)], "ReduceWindowOptions", reduce_function=function)


@pytest.mark.parametrize("function", [ADD, MUL, MINIMUM, MAXIMUM, ALL, ANY])
@pytest.mark.parametrize("dtype", TYPES)
def test_types(dtype: Any, function: int) -> None:
    x = np.random.default_rng(0).integers(0, 120, (3, 5)).astype(dtype)
    x[1, 2] = 0
    content = windows(dtype, (3, 5), (2, 2), function=function)
    for init in (0, 1, 100):
        given = x, np.array(init, dtype)
        # LiteRT adds the bytes of bool as integers, and leaves sums above 1 there
        sums = [run_litert(content, *given)[0].view(np.uint8) != 0] if (dtype, function) == (np.bool_, ADD) else None
        check(content, *given, litert=sums)


@pytest.mark.parametrize(
    ("shape", "window", "strides", "dilations"),
    [
        ((5, 6), (2, 2), [2, 1], [2, 3]), ((5,), (2,), [2], [1]), ((5,), (5,), [1], [1]), ((5,), (1,), [3], [9]),
        ((2, 3, 4), (1, 3, 2), [1, 1, 2], [1, 1, 2]), ((1, 2, 3, 2, 2, 1), (1, 2, 2, 1, 2, 1), [1] * 6, [1] * 6),
    ],
)  # fmt: skip
@pytest.mark.parametrize("dtype", [np.int8, np.float32])
def test_shapes(shape: tuple[int, ...], window: Any, strides: Any, dilations: Any, dtype: Any) -> None:
    x = np.random.default_rng(1).normal(0, 50, shape).astype(dtype)
    check(windows(dtype, shape, window, strides, dilations), x, np.array(3, dtype))


@pytest.mark.parametrize("function", [MINIMUM, MAXIMUM, ALL, ANY])
def test_nan(function: int) -> None:
    x = np.array([np.nan, 2, np.nan, 0, -0.0, 1], np.float32)
    for init in (1, np.nan):
        check(windows(np.float32, (6,), (2,), function=function), x, np.array(init, np.float32))


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (windows(np.int8, (3, 4), (2,)), ModelError),
        (windows(np.int8, (3, 4), (0, 1)), ModelError),
        (windows(np.int8, (3, 4), (2, 2), [0, 1]), ModelError),
        (windows(np.int8, (3, 4), (2, 2), [1, 1], [1, -1]), ModelError),
        (windows(np.int8, (3, 4), (2, 2), measure=np.int32), ModelError),
        (windows(np.int8, (), ()), ModelError),
        (windows(np.int8, (3, 4), (2, 2), function=0), UnsupportedError),
        (windows(np.uint16, (3, 4), (2, 2)), UnsupportedError),
    ],
)
def test_refused(content: bytes, error: type[Error]) -> None:
    with pytest.raises(error, match="REDUCE_WINDOW"):
        run_program(content, *[np.ones(t.shape, t.dtype) for t in reader.read(content).main.inputs])
