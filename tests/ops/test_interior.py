"""DILATE and STABLEHLO_PAD: program, reference and LiteRT's BUILTIN_REF give the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import moves
import numpy as np
import pytest
from engines import check, run_program
from writer import T, model

from int8rt.errors import ModelError
from int8rt.format import reader

BITS = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]
TYPES = [np.bool_, *BITS, np.float16, np.float32, np.float64, np.complex64]


def dilate(dtype: Any, shape: Sequence[int], dilations: Any, constant: bool = True, value: Sequence[int] = ()) -> bytes:
    d = np.array(dilations, np.int32)
    inputs = [T(dtype, shape), T(np.int32, d.shape, data=d if constant else None), T(dtype, value)]
    return model("DILATE", inputs, [T(dtype, [1] * len(shape))], options=None)


def pad(
    dtype: Any, shape: Sequence[int], low: Any, high: Any, interior: Any, value: Sequence[int] = (), out: Any = None
) -> bytes:
    fields = {"edge_padding_low": low, "edge_padding_high": high, "interior_padding": interior}
    y = T(out or dtype, [1] * len(shape))
    return model("STABLEHLO_PAD", [T(dtype, shape), T(dtype, value)], [y], "StablehloPadOptions", **fields)


def values(dtype: Any, shape: Sequence[int]) -> np.ndarray:
    if np.dtype(dtype).kind in "fc":
        return np.random.default_rng(0).normal(0, 4, shape).astype(dtype)
    return moves.values(dtype, shape)


@pytest.mark.parametrize("dtype", TYPES)
def test_dilate_types(dtype: Any) -> None:
    check(dilate(dtype, (2, 3), [2, 3]), values(dtype, (2, 3)), np.ones((), dtype))


@pytest.mark.parametrize(
    ("shape", "dilations"),
    [
        ((5,), [1]), ((5,), [4]), ((1, 1), [3, 3]), ((3, 4), [1, 2]), ((3, 4), [3, 1]), ((2, 3, 4), [2, 1, 3]),
        ((2, 3, 4), [1, 1, 1]), ((1, 2, 3, 2, 2, 1), [5, 2, 1, 3, 2, 2]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("constant", [True, False])
def test_dilate_shapes(shape: tuple[int, ...], dilations: list[int], constant: bool) -> None:
    content = dilate(np.int8, shape, dilations, constant)
    inputs = [values(np.int8, shape), *([] if constant else [np.array(dilations, np.int32)]), np.array(-9, np.int8)]
    check(content, *inputs)


@pytest.mark.parametrize("dtype", TYPES)
def test_pad_types(dtype: Any) -> None:
    check(pad(dtype, (2, 3), [1, 0], [0, 2], [1, 0]), values(dtype, (2, 3)), np.ones((), dtype))


@pytest.mark.parametrize(
    ("shape", "low", "high", "interior"),
    [
        ((5,), [2], [3], [0]), ((5,), [-2], [-1], [0]), ((5,), [-2], [4], [2]), ((2, 3), [-1, 0], [0, -2], [1, 1]),
        ((2, 3), [-1, 1], [0, -6], [1, 2]), ((2, 3), [0, 0], [0, 0], [0, 0]), ((1, 1), [3, 3], [1, 1], [4, 4]),
        ((0, 2), [1, 0], [0, 0], [1, 0]), ((0, 2), [1, 1], [2, 2], [0, 0]),
        ((2, 3, 4), [1, -1, 2], [-1, 2, 0], [1, 0, 3]), ((3, 3), [-5, 7], [9, -4], [2, 1]),
        ((1, 2, 1, 2, 1, 2, 2), [1, 0, 1, 0, 1, 0, 1], [0] * 7, [1] * 7),
    ],
)  # fmt: skip
def test_pad_shapes(shape: tuple[int, ...], low: list[int], high: list[int], interior: list[int]) -> None:
    check(pad(np.int8, shape, low, high, interior), values(np.int8, shape), np.array(-9, np.int8))
    check(pad(np.int32, shape, low, high, interior, (1,)), values(np.int32, shape), np.array([-9], np.int32))


def test_pad_of_nothing_has_its_other_axes() -> None:
    """LiteRT gives all axes the size 0 where one is cut off whole."""
    content = pad(np.int8, (2, 3), [-3, 0], [-3, 1], [0, 0])
    check(content, values(np.int8, (2, 3)), np.array(-9, np.int8), litert=[np.zeros((0, 4), np.int8)])


@pytest.mark.parametrize(
    "content",
    [
        dilate(np.int8, (2, 3), [0, 1]),
        dilate(np.int8, (2, 3), [-1, 1]),
        dilate(np.int8, (2, 3), [2]),
        dilate(np.int8, (), []),
        dilate(np.int8, (0, 3), [2, 2]),
        dilate(np.int8, (2, 3), [2, 2], value=(2,)),
        pad(np.int8, (2, 3), [0, 0], [0, 0], [0, -1]),
        pad(np.int8, (2, 3), [0], [0, 0], [0, 0]),
        pad(np.int8, (), [], [], []),
        pad(np.int8, (2, 3), [0, 0], [0, 0], [0, 0], value=(2,)),
        pad(np.int8, (2, 3), [0, 0], [0, 0], [0, 0], out=np.int32),
    ],
)
def test_refused(content: bytes) -> None:
    with pytest.raises(ModelError, match=r"\(node 0\)"):
        run_program(content, *[np.ones(t.shape, t.dtype) for t in reader.read(content).main.inputs])
