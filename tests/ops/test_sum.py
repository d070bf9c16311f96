"""SUM: program, reference and LiteRT give the same bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from engines import check, run_program, same
from reductions import SHAPES_AND_AXES, reduction, special, values
from selection import exhaustive, share
from writer import T, model

from int8rt.errors import ModelError, UnsupportedError
from int8rt.numerics.fixedpoint import quantize_multiplier
from int8rt.tools import litert

TYPES = [np.int32, np.int64, np.float32, np.bool_]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("shape", "axes"), share(SHAPES_AND_AXES, 0))
def test_axes(dtype: Any, shape: Any, axes: Any) -> None:
    x = values(shape, dtype)
    check(reduction("SUM", x, axes, len(axes) == 2), x)


@pytest.mark.parametrize("dtype", [TYPES[0], *exhaustive(*TYPES[1:])])
def test_nothing(dtype: Any) -> None:
    x = np.zeros((0, 3), dtype)
    for axes in ([0], [1], [0, 1]):
        check(reduction("SUM", x, axes), x)


def test_axes_at_run_time() -> None:
    """The shape of the output follows from them."""
    x = values((2, 3, 4), np.float32)
    for axes in ([0], [1, 2], [-1]):
        check(reduction("SUM", x, axes, constant=False), x, np.array(axes, np.int32))


def test_threads() -> None:
    for shape, axes in [((1, 64, 64, 600), [1, 2]), ((64, 64, 60), [2])]:
        x = values(shape, np.float32)
        same(
            "one thread",
            run_program(reduction("SUM", x, axes), x),
            run_program(reduction("SUM", x, axes), x, threads=2),
        )


def true_sum(x: np.ndarray, axes: Any, scales: Any, zero_points: Any) -> np.ndarray:
    """Double rounding on the exact sum, by Python's integers."""
    n = x.size // max(x.sum(axis=tuple(axes)).size, 1)
    m, e = quantize_multiplier(np.float64(np.float32(scales[0])) / np.float64(np.float32(scales[1])))
    total = x.astype(np.int64).sum(axis=tuple(axes)) - n * zero_points[0]
    high = ((total << max(int(e), 0)) * int(m) + (1 << 30)) >> 31
    down = 1 << max(-int(e), 0)
    y = np.where(high < 0, -((-2 * high + down) // (2 * down)), (2 * high + down) // (2 * down)) + zero_points[1]
    info = np.iinfo(x.dtype)
    return np.asarray(y.clip(info.min, info.max).astype(x.dtype))


CASES = [
    ((0.1, 0.2), (3, 5)),
    ((0.05, 1.7), (-128, 127)),
    ((1.0, 1.0), (127, -128)),
    ((0.3, 0.07), (0, 0)),
    ((2.0, 64.0), (9, 9)),
]


@pytest.mark.parametrize(("scales", "zero_points"), CASES)
@pytest.mark.parametrize(("shape", "axes"), [((2, 5, 3, 17), [1, 2]), ((4, 3, 5), [0, 1, 2]), ((50, 3), [1])])
def test_uint8(scales: Any, zero_points: Any, shape: Any, axes: Any) -> None:
    x = values(shape, np.uint8)
    check(reduction("SUM", x, axes, False, scales, [z + 128 for z in zero_points]), x)


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
@pytest.mark.parametrize(("scales", "zero_points"), CASES)
@pytest.mark.parametrize(("shape", "axes"), [((2, 5, 3, 17), [1, 2]), ((4, 3, 5), [0, 1, 2]), ((50, 3), [1])])
def test_int8_and_int16(dtype: Any, scales: Any, zero_points: Any, shape: Any, axes: Any) -> None:
    """BUILTIN_REF reads them as uint8; the optimized kernel rounds in float32."""
    x = values(shape, np.int8, 1).astype(dtype)
    zero_points = zero_points if dtype == np.int8 else (0, 0)
    content = reduction("SUM", x, axes, False, scales, zero_points)
    (y,) = check(content, x, litert=[true_sum(x, axes, scales, zero_points)])
    optimized = litert.run(content, [x], resolver="builtin")[0]
    if scales[0] * (zero_points[0] + 128) < 100:  # else the optimized sums, which are not clamped, may wrap
        inside = (y > np.iinfo(dtype).min) & (y < np.iinfo(dtype).max)
        assert (np.abs(optimized.astype(int) - y)[inside] <= 1).all()


def test_special_floats() -> None:
    x = special((12, 2, 9))
    x[np.isinf(x)] = 7
    for axes in ([1], [0], [0, 1, 2], [1, 2]):
        check(reduction("SUM", x, axes), x)
    x = np.full((3, 3), -0.0, np.float32)
    check(reduction("SUM", x, [1]), x)
    check(reduction("SUM", x, [0, 1]), x)


def test_float_order() -> None:
    x = values((3, 50, 40, 7), np.float32)
    for axes in ([1, 2], [2], [3], [0, 2], [0, 1, 2, 3]):
        check(reduction("SUM", x, axes), x)


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_integers_wrap(dtype: Any) -> None:
    x = values((6, 500), dtype)
    check(reduction("SUM", x, [1]), x)


def test_malformed() -> None:
    x = values((2, 3), np.float32)
    for axes in ([2], [-3]):
        inputs = [T(x.dtype, x.shape), T(np.int32, (1,), data=np.array(axes, np.int32))]
        with pytest.raises(ModelError, match="axes"):
            run_program(model("SUM", inputs, [T(x.dtype, (2,))]), x)
    axes = T(np.int32, (1,), data=np.array([1], np.int32))
    with pytest.raises(ModelError, match=r"SUM \(node 0\)"):
        run_program(model("SUM", [T(x.dtype, x.shape), axes], [T(np.int64, (2,))]), x)
    with pytest.raises(UnsupportedError, match="supported"):
        run_program(reduction("SUM", x.astype(np.float64), [0]), x.astype(np.float64))
    with pytest.raises(ModelError, match="int32 was expected"):
        run_program(model("SUM", [T(x.dtype, x.shape), T(np.int64, (1,), data=np.array([0]))], [T(x.dtype, (3,))]), x)
    with pytest.raises(ModelError, match="positive"):
        run_program(reduction("SUM", values((2, 3)), [0], False, (0.1, 0.0)), values((2, 3)))
    x = values((2, 3), np.int16)
    with pytest.raises(ModelError, match="zero point 0"):
        run_program(reduction("SUM", x, [0], False, (0.1, 0.1), (1, 0)), x)
