"""MAX_POOL_2D against its reference and LiteRT."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from engines import check, run_program, same
from writer import NONE, RELU, RELU6, RELU_N1_TO_1, SAME, TANH, VALID, T, model

from int8rt.errors import ModelError, UnsupportedError


def pool(x: np.ndarray, size: Any, stride: Any, padding: int, activation: int = NONE, **quant: Any) -> bytes:
    """A model with one pool over x; quant: scale and zero_point of input and output."""
    out = [
        -(-n // s) if padding == SAME else (n + s - k) // s for n, s, k in zip(x.shape[1:3], stride, size, strict=True)
    ]
    quant = {"scale": 0.05, "zero_point": 3, **quant} if x.dtype.kind in "iu" else {}
    x_, y_ = T(x.dtype, x.shape, **quant), T(x.dtype, (x.shape[0], *out, x.shape[3]), **quant)
    return model(
        "MAX_POOL_2D", [x_], [y_], padding=padding, filter_height=size[0], filter_width=size[1], stride_h=stride[0],
        stride_w=stride[1], fused_activation_function=activation,
    )  # fmt: skip


def values(shape: tuple[int, ...], dtype: Any = np.int8, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if dtype == np.float32:
        return rng.normal(0, 4, shape).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype, endpoint=True)


GEOMETRIES = [
    ((1, 8, 8, 16), (2, 2), (2, 2), VALID),
    ((1, 7, 7, 3), (3, 3), (2, 2), SAME),
    ((2, 5, 9, 17), (3, 2), (1, 2), SAME),
    ((1, 7, 7, 300), (7, 7), (7, 7), VALID),
    ((1, 3, 2, 5), (5, 7), (1, 1), SAME),
    ((1, 1, 1, 1), (1, 1), (1, 1), VALID),
    ((3, 6, 4, 2), (1, 3), (3, 1), VALID),
    ((1, 9, 9, 33), (2, 2), (3, 4), SAME),
]


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.float32])
@pytest.mark.parametrize(("shape", "size", "stride", "padding"), GEOMETRIES)
def test_geometry(dtype: Any, shape: Any, size: Any, stride: Any, padding: int) -> None:
    x = values(shape, dtype)
    check(pool(x, size, stride, padding, zero_point=0), x)


@pytest.mark.parametrize("activation", [NONE, RELU, RELU6, RELU_N1_TO_1])
@pytest.mark.parametrize(("dtype", "zero_point"), [(np.int8, -128), (np.int8, 127), (np.uint8, 0), (np.uint8, 200),
                                                  (np.int16, 0), (np.float32, 0)])  # fmt: skip
def test_activation(dtype: Any, zero_point: int, activation: int) -> None:
    x = values((1, 6, 6, 20), dtype, seed=activation)
    check(pool(x, (2, 2), (2, 2), VALID, activation, zero_point=zero_point, scale=0.03), x)


@pytest.mark.parametrize("value", [-128, 127])
def test_ends(value: int) -> None:
    x = np.full((1, 4, 4, 8), value, np.int8)
    check(pool(x, (3, 3), (1, 1), SAME), x)


def test_special_floats() -> None:
    special = np.array([np.nan, -np.inf, np.inf, -0.0, 0.0, np.finfo(np.float32).min, 1e-45, 7], np.float32)
    x = np.random.default_rng(1).choice(special, (1, 12, 12, 9))
    check(pool(x, (2, 2), (2, 2), VALID), x)
    check(pool(x, (2, 1), (1, 1), SAME, RELU6), x)


def test_scales_that_differ_do_not_matter() -> None:
    x = values((1, 4, 4, 8))
    x_, y_ = T(np.int8, x.shape, 0.5, 7), T(np.int8, (1, 2, 2, 8), 0.1, -3)
    check(model("MAX_POOL_2D", [x_], [y_], padding=VALID, filter_height=2, filter_width=2, stride_h=2, stride_w=2), x)


def test_threads() -> None:
    x = values((2, 40, 40, 64))
    content = pool(x, (3, 3), (1, 1), SAME)
    same("one thread", run_program(content, x), run_program(content, x, threads=2))


def test_malformed() -> None:
    x = values((1, 4, 4, 8))
    for size, stride, padding in [((0, 2), (2, 2), VALID), ((2, 2), (0, 1), SAME)]:
        content = model(
            "MAX_POOL_2D", [T(np.int8, x.shape, 1)], [T(np.int8, x.shape, 1)], padding=padding, filter_height=size[0],
            filter_width=size[1], stride_h=stride[0], stride_w=stride[1],
        )  # fmt: skip
        with pytest.raises(ModelError, match="must be positive"):
            run_program(content, x)
    with pytest.raises(ModelError, match="does not fit"):
        run_program(pool(x, (5, 5), (1, 1), VALID), x)
    with pytest.raises(UnsupportedError, match="activation"):
        run_program(pool(x, (2, 2), (1, 1), VALID, TANH), x)
    with pytest.raises(ModelError, match="scale"):
        run_program(pool(x, (2, 2), (1, 1), VALID, RELU, scale=None), x)
    with pytest.raises(ModelError, match="4 axes were expected"):
        run_program(model("MAX_POOL_2D", [T(np.int8, (4, 4), 1)], [T(np.int8, (4, 4), 1)], stride_h=1, stride_w=1,
                          filter_height=1, filter_width=1), x[0, :, :, 0])  # fmt: skip
    with pytest.raises(UnsupportedError, match="supported"):
        run_program(pool(x.astype(np.int32), (2, 2), (1, 1), VALID), x.astype(np.int32))
