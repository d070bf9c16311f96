"""MEAN against its reference and LiteRT, and the loops that all reductions share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from engines import check, run_program, same
from writer import T, model

from int8rt.errors import ModelError, UnsupportedError
from int8rt.native.kernel import inline
from int8rt.ops import _reduce

TYPES = [np.int8, np.uint8, np.int16, np.int32, np.int64, np.float32]


def mean(
    x: np.ndarray, axes: Any, keep_dims: bool = False, scales: Any = (0.1, 0.07), zero_points: Any = (0, 0)
) -> bytes:
    """A model with one MEAN; scales and zero points are those of input and output."""
    axes = np.asarray(axes, np.int32)
    reduced = {int(a) % max(x.ndim, 1) for a in axes.reshape(-1)}
    shape = [1 if i in reduced else n for i, n in enumerate(x.shape) if keep_dims or i not in reduced]
    quantized = x.dtype in (np.int8, np.uint8, np.int16)
    quant = [{"scale": s, "zero_point": z} if quantized else {} for s, z in zip(scales, zero_points, strict=True)]
    inputs = [T(x.dtype, x.shape, **quant[0]), T(np.int32, axes.shape, data=axes)]
    return model("MEAN", inputs, [T(x.dtype, shape, **quant[1])], keep_dims=keep_dims)


def values(shape: Any, dtype: Any = np.int8, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if dtype == np.float32:
        return rng.normal(0, 4, shape).astype(dtype)
    info = np.iinfo(dtype)
    return np.asarray(rng.integers(info.min, info.max, shape, dtype, endpoint=True))


SHAPES_AND_AXES = [
    ((1, 7, 7, 300), [1, 2]),
    ((2, 5, 3, 17), [2, 1]),
    ((2, 5, 3, 17), [-1]),
    ((4, 3, 5), [0]),
    ((4, 3, 5), [0, 2]),
    ((4, 3, 5), [0, 1, 2]),
    ((4, 3, 5), [-3, 0, -1]),
    ((2, 3, 4, 5, 2, 3), [0, 2, 4]),
    ((2, 3, 4, 5, 2, 3), [1, 3, 5]),
    ((3, 1, 4, 1), [1, 3]),
    ((1,), [0]),
    ((9,), []),
]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("shape", "axes"), SHAPES_AND_AXES)
def test_axes(dtype: Any, shape: Any, axes: Any) -> None:
    x = values(shape, dtype)
    check(mean(x, axes, keep_dims=len(axes) == 2), x)


@pytest.mark.parametrize("dtype", [np.int8, np.float32])
def test_scalars(dtype: Any) -> None:
    x = np.array(5, dtype)
    check(mean(x, []), x)
    x = values((6,), dtype)
    check(mean(x, np.int32(0)), x)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("ratio", [2.0**-33, 2.0**-31, 1e-4, 0.3, 1.0, 1.0001, 3.7, 2.0**12, 2.0**30])
def test_scales(dtype: Any, ratio: float) -> None:
    info = np.iinfo(dtype)
    x = values((2, 6, 7, 24), dtype, seed=3)
    for zero_points in [(info.min, info.max), (info.max, info.min), (100, 3)]:
        check(mean(x, [1, 2], scales=(ratio, 1.0), zero_points=zero_points), x)
        check(mean(x, [3], scales=(ratio * 2.0**-20, 2.0**-20), zero_points=zero_points), x)


@pytest.mark.parametrize("value", [-128, 127])
def test_ends(value: int) -> None:
    x = np.full((1, 16, 16, 8), value, np.int8)
    check(mean(x, [1, 2], zero_points=(-5, 12)), x)


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_ties(dtype: Any) -> None:
    x = np.random.default_rng(4).integers(-3, 4, (1, 4, 4, 32)).astype(dtype)
    check(mean(x, [1, 2], scales=(0.5, 0.5)), x)
    check(mean(x, [3], scales=(0.5, 0.25)), x)


def test_int16_with_many_elements() -> None:
    x = np.full((1, 180, 360, 2), 32767, np.int16)
    check(mean(x, [1, 2], scales=(0.5, 0.5)), x)


@pytest.mark.parametrize("value", [-32768, 32767])
def test_int32_sums_wrap(value: int) -> None:
    x = np.full((2, 300, 400), value, np.int16)
    check(mean(x, [1, 2], scales=(0.5, 0.5)), x)


def test_int64_sums_wrap() -> None:
    x = np.array([[2**62, 2**62, 2**62, 5], [-(2**63), 1, 0, 0], [-(2**63), -(2**63), 0, 0]])
    check(mean(x, [1]), x)


def test_division_truncates() -> None:
    x = np.array([[7, 0], [-7, 0], [-8, 0], [-1, 0], [1, 0]], np.int32)
    check(mean(x, [1]), x)


def test_special_floats() -> None:
    special = np.array([np.inf, -np.inf, -0.0, 1e-45, 3e38], np.float32)
    x = np.random.default_rng(1).choice(special, (12, 2, 9))
    check(mean(x, [1]), x)
    x = np.full((3, 4), -0.0, np.float32)
    check(mean(x, [1]), x)


def test_float_order() -> None:
    x = values((3, 50, 40, 7), np.float32)
    for axes in ([1, 2], [2], [3], [0, 2], [0, 1, 2, 3]):
        check(mean(x, axes), x)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.float32])
def test_mean_of_nothing(dtype: Any) -> None:
    x = np.zeros((0, 3), dtype)
    check(mean(x, [0], zero_points=(3, 5)), x)
    check(mean(x, [1], zero_points=(3, 5)), x)


def test_threads() -> None:
    for shape, axes in [((1, 64, 64, 600), [1, 2]), ((64, 64, 60), [2])]:
        x = values(shape)
        same("one thread", run_program(mean(x, axes), x), run_program(mean(x, axes), x, threads=2))


def test_malformed() -> None:
    x = values((2, 3))
    for axes in ([2], [-3]):
        inputs = [T(np.int8, x.shape, 0.1), T(np.int32, (1,), data=np.array(axes, np.int32))]
        with pytest.raises(ModelError, match="axes"):
            run_program(model("MEAN", inputs, [T(np.int8, (2,), 0.1)]), x)
    with pytest.raises(ModelError, match="must be positive"):
        run_program(mean(x, [0], scales=(0.0, 0.1)), x)
    with pytest.raises(ModelError, match="zero point 0"):
        run_program(mean(x.astype(np.int16), [0], zero_points=(1, 0)), x.astype(np.int16))
    with pytest.raises(UnsupportedError, match="supported"):
        run_program(mean(x.astype(np.float64), [0]), x.astype(np.float64))
    inputs = [T(np.int8, x.shape, 0.1), T(np.int64, (1,), data=np.array([0]))]
    with pytest.raises(ModelError, match="int32 was expected"):
        run_program(model("MEAN", inputs, [T(np.int8, (3,), 0.1)]), x)


# The loops


@inline
def larger(a: Any, b: Any) -> Any:
    return b if b > a else a


@inline
def product(a: Any, b: Any) -> Any:
    return a * b


@pytest.mark.parametrize(("shape", "axes"), SHAPES_AND_AXES)
def test_reduction(shape: Any, axes: Any) -> None:
    x = values(shape)
    reduced = tuple({a % len(shape) for a in axes})
    p = _reduce.plan(shape, reduced)
    y = np.zeros(x.max(axis=reduced, keepdims=True).size, np.int8)
    _reduce.reduction(larger)(0, 1, x, *p, np.zeros(0, np.int8), y)
    np.testing.assert_array_equal(y, x.max(axis=reduced).reshape(-1))
    _reduce.reduction(product)(0, 1, x, *p, np.ones(1, np.int8), y)
    np.testing.assert_array_equal(y, x.prod(axis=reduced, dtype=np.int8).reshape(-1))
