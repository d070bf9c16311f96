"""StableHLO's operators on two tensors: program, reference and LiteRT give the same bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from elementwise import values
from engines import check, run_program
from writer import T, model

from int8rt.errors import ModelError, UnsupportedError
from int8rt.format import reader

INTEGERS = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]
FLOATS = [np.float16, np.float32, np.float64]
NUMBERS = ("STABLEHLO_ADD", "STABLEHLO_MULTIPLY", "STABLEHLO_MAXIMUM", "STABLEHLO_MINIMUM")
ALL = (*NUMBERS, "STABLEHLO_AND", "STABLEHLO_SHIFT_LEFT")


def binary(op: str, dtype: Any, shape: tuple[int, ...], quantized: bool = False) -> bytes:
    own = [(0.1, 3), (0.2, -5), (0.3, 7)] if quantized else [()] * 3
    x1, x2, y = (T(dtype, shape, *q) for q in own)
    return model(op, [x1, x2], [y], options=None)


def every_pair(line: np.ndarray) -> list[np.ndarray]:
    return [np.repeat(line, line.size), np.tile(line, line.size)]


def extremes(dtype: Any) -> np.ndarray:
    if np.dtype(dtype).kind == "f":
        top = np.finfo(dtype).max
        return np.array([0.0, -0.0, 1, -1.5, 3.25, np.inf, -np.inf, np.nan, top, -top], dtype)
    info = np.iinfo(dtype)
    return np.array([info.min, info.min + 1, info.max, info.max - 1, 0, 1, 2, 77], dtype)


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("op", [*NUMBERS, "STABLEHLO_AND"])
def test_integers(op: str, dtype: Any) -> None:
    inputs = every_pair(extremes(dtype))
    check(binary(op, dtype, inputs[0].shape), *inputs, resolver="builtin")


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("op", ["STABLEHLO_MAXIMUM", "STABLEHLO_MINIMUM"])
def test_floats_compared(op: str, dtype: Any) -> None:
    inputs = every_pair(extremes(dtype))
    check(binary(op, dtype, inputs[0].shape), *inputs)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("op", ["STABLEHLO_ADD", "STABLEHLO_MULTIPLY"])
def test_floats(op: str, dtype: Any) -> None:
    """The bits of a NaN, which no rule gives, are left out."""
    line = np.concatenate([extremes(dtype), np.linspace(-3, 3, 50, dtype=dtype)])
    a, b = every_pair(line[~np.isnan(line)])
    with np.errstate(all="ignore"):
        known = ~np.isnan(a + b if op.endswith("ADD") else a * b)
    check(binary(op, dtype, (int(known.sum()),)), a[known], b[known])


@pytest.mark.parametrize("op", [*NUMBERS, "STABLEHLO_AND"])
def test_bool(op: str) -> None:
    check(binary(op, np.bool_, (4,)), *every_pair(np.array([False, True])), resolver="builtin")


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32])
def test_shifts(dtype: Any) -> None:
    places = np.arange(8 * np.dtype(dtype).itemsize).astype(dtype)
    x = np.concatenate([extremes(dtype), values((20,), dtype)])
    pairs = [np.repeat(x, places.size), np.tile(places, x.size)]
    check(binary("STABLEHLO_SHIFT_LEFT", dtype, pairs[0].shape), *pairs, resolver="builtin")


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32])
def test_shifts_beyond_all_bits(dtype: Any) -> None:
    """Undefined in LiteRT's C++; StableHLO's implementations give 0."""
    bits = 8 * np.dtype(dtype).itemsize
    places = np.array([-1, -bits, bits, bits + 1, 100], dtype)
    content = binary("STABLEHLO_SHIFT_LEFT", dtype, (5,))
    check(content, np.full(5, 77, dtype), places, litert=[np.zeros(5, dtype)])


@pytest.mark.parametrize("shape", [(), (1,), (2, 3, 4), (1, 2, 1, 3, 2), (0, 3)])
@pytest.mark.parametrize("op", ALL)
def test_shapes(op: str, shape: tuple[int, ...]) -> None:
    places = np.abs(values(shape, np.int32, 1)) % 31
    check(binary(op, np.int32, shape), values(shape, np.int32), places.astype(np.int32), resolver="builtin")


@pytest.mark.parametrize("op", ALL)
def test_quantization_is_not_looked_at(op: str) -> None:
    places = (np.arange(40) % 8).astype(np.int8)
    check(binary(op, np.int8, (40,), quantized=True), values((40,), np.int8), places, resolver="builtin")


@pytest.mark.parametrize("op", ALL)
def test_refused(op: str) -> None:
    x = T(np.int32, (3,))
    bad = [
        (model(op, [x, T(np.int32, (1,))], [T(np.int32, (3,))], options=None), ModelError),
        (model(op, [x, T(np.int16, (3,))], [T(np.int32, (3,))], options=None), ModelError),
        (model(op, [x], [T(np.int32, (3,))], options=None), ModelError),
        (binary(op, np.complex64, (3,)), UnsupportedError),
    ]
    for content, error in bad:
        with pytest.raises(error, match=rf"{op}"):
            run_program(content, *[np.ones(t.shape, t.dtype) for t in reader.read(content).main.inputs])
