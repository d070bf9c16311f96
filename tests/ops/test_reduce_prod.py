"""REDUCE_PROD: program, reference and LiteRT give the same bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from engines import check, run_program, run_reference, same
from reductions import SHAPES_AND_AXES, reduction, special, values
from selection import exhaustive, share
from writer import T, model

from int8rt.errors import ModelError, UnsupportedError

TYPES = [np.int16, np.int32, np.int64, np.float32, np.bool_, np.int8, np.uint8]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("shape", "axes"), share(SHAPES_AND_AXES, 3))
def test_axes(dtype: Any, shape: Any, axes: Any) -> None:
    x = values(shape, dtype)
    check(reduction("REDUCE_PROD", x, axes, len(axes) == 2), x)


@pytest.mark.parametrize("dtype", [TYPES[0], *exhaustive(*TYPES[1:])])
def test_nothing(dtype: Any) -> None:
    x = np.zeros((0, 3), dtype)
    for axes in ([0], [1], [0, 1]):
        check(reduction("REDUCE_PROD", x, axes), x)


def test_axes_at_run_time() -> None:
    """The shape of the output follows from them."""
    x = values((2, 3, 4), np.float32)
    for axes in ([0], [1, 2], [-1]):
        check(reduction("REDUCE_PROD", x, axes, constant=False), x, np.array(axes, np.int32))


def test_threads() -> None:
    for shape, axes in [((1, 64, 64, 600), [1, 2]), ((64, 64, 60), [2])]:
        x = values(shape, np.float32)
        same(
            "one thread",
            run_program(reduction("REDUCE_PROD", x, axes), x),
            run_program(reduction("REDUCE_PROD", x, axes), x, threads=2),
        )


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
@pytest.mark.parametrize(
    ("scales", "zero_point"),
    [
        ((0.1, 0.2), (0, 0)),
        ((0.5, 0.5), (3, -7)),
        ((0.02, 1e-3), (-128, 127)),
        ((1.5, 40.0), (5, 0)),
        ((0.9, 0.1), (1, 1)),
    ],
)
@pytest.mark.parametrize(
    ("shape", "axes"), [((2, 5, 3, 17), [1, 2]), ((4, 3, 5), [0, 1, 2]), ((50, 3), [1]), ((9,), [])]
)
def test_rescaled(dtype: Any, scales: Any, zero_point: Any, shape: Any, axes: Any) -> None:
    x = values(shape, np.int8, 5).astype(dtype) // 8
    zero_point = zero_point if dtype == np.int8 else (0, 0)
    check(reduction("REDUCE_PROD", x, axes, False, scales, zero_point), x)


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_rescaled_extremes(dtype: Any) -> None:
    info = np.iinfo(dtype)
    x = np.random.default_rng(1).choice(np.array([info.min, info.max, -1, 0, 1], dtype), (40, 2))
    check(reduction("REDUCE_PROD", x, [1], False, (0.01, 0.3)), x)


def test_a_constant_of_one_element_is_rescaled_too() -> None:
    """LiteRT copies what is stored, whatever the scales."""
    x, y = T(np.int8, (1,), 0.1, -128, data=[-118]), T(np.int8, (), 0.05, -7)
    content = model("REDUCE_PROD", [x, T(np.int32, (1,), data=[0])], [y], keep_dims=False)
    for run in (run_program, run_reference):
        assert int(run(content)[0]) == 13  # (-118 + 128) * 0.1 / 0.05 - 7


def test_special_floats() -> None:
    x = special((12, 2, 9))
    x[np.isinf(x)] = 7
    for axes in ([1], [0], [0, 1, 2], [1, 2]):
        check(reduction("REDUCE_PROD", x, axes), x)
    x = np.full((3, 3), -0.0, np.float32)
    check(reduction("REDUCE_PROD", x, [1]), x)
    check(reduction("REDUCE_PROD", x, [0, 1]), x)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int32, np.int64])
def test_integers_wrap(dtype: Any) -> None:
    x = values((6, 5), dtype) | dtype(1)
    check(reduction("REDUCE_PROD", x, [1]), x)


def test_malformed() -> None:
    x = values((2, 3), np.float32)
    for axes in ([2], [-3]):
        inputs = [T(x.dtype, x.shape), T(np.int32, (1,), data=np.array(axes, np.int32))]
        with pytest.raises(ModelError, match="axes"):
            run_program(model("REDUCE_PROD", inputs, [T(x.dtype, (2,))]), x)
    axes = T(np.int32, (1,), data=np.array([1], np.int32))
    with pytest.raises(ModelError, match=r"REDUCE_PROD \(node 0\)"):
        run_program(model("REDUCE_PROD", [T(x.dtype, x.shape), axes], [T(np.int64, (2,))]), x)
    with pytest.raises(UnsupportedError, match="supported"):
        run_program(reduction("REDUCE_PROD", x.astype(np.float64), [0]), x.astype(np.float64))
    with pytest.raises(ModelError, match="int32 was expected"):
        run_program(
            model("REDUCE_PROD", [T(x.dtype, x.shape), T(np.int64, (1,), data=np.array([0]))], [T(x.dtype, (3,))]), x
        )
    x = values((2, 3), np.uint8)
    with pytest.raises(UnsupportedError, match="int8 and int16"):
        run_program(reduction("REDUCE_PROD", x, [0], False, (0.1, 0.2)), x)
    with pytest.raises(ModelError, match="positive"):
        run_program(reduction("REDUCE_PROD", values((2, 3)), [0], False, (0.1, 0.0)), values((2, 3)))
    with pytest.raises(UnsupportedError, match="multiplier"):
        run_program(reduction("REDUCE_PROD", values((2, 3)), [0], False, (1e6, 1e-6)), values((2, 3)))
