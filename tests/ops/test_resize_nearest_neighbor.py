"""RESIZE_NEAREST_NEIGHBOR against its reference and LiteRT."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from engines import check, run_program, same
from writer import T, model

from int8rt.errors import ModelError, UnsupportedError

OP = "RESIZE_NEAREST_NEIGHBOR"
MODES = [(False, False), (True, False), (False, True), (True, True)]


def resize(x: np.ndarray, size: Any, align_corners: bool = False, half_pixel_centers: bool = False) -> bytes:
    """A model that resizes x; scales and zero points play no part."""
    quant = {"scale": 0.05, "zero_point": 0 if x.dtype == np.int16 else 3} if x.dtype.kind in "iu" else {}
    inputs = [T(x.dtype, x.shape, **quant), T(np.int32, (2,), data=np.array(size, np.int32))]
    y = T(x.dtype, (x.shape[0], *np.abs(size), x.shape[3]), **quant)
    return model(OP, inputs, [y], align_corners=align_corners, half_pixel_centers=half_pixel_centers, version=3)


def values(shape: Any, dtype: Any = np.int8, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if dtype == np.float32:
        return rng.normal(0, 4, shape).astype(dtype)
    if dtype == np.bool_:
        return rng.integers(0, 2, shape).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype, endpoint=True)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.float32])
@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((1, 4, 4, 16), (8, 8)),
        ((2, 5, 3, 7), (11, 9)),
        ((1, 15, 15, 24), (31, 29)),
        ((1, 15, 15, 1), (7, 40)),
        ((1, 9, 8, 3), (4, 4)),
        ((1, 6, 6, 5), (6, 6)),
        ((1, 1, 1, 33), (3, 5)),
        ((3, 7, 6, 2), (1, 1)),
        ((1, 2, 3, 4), (50, 64)),
    ],
)
def test_shapes(shape: Any, size: Any, dtype: Any, mode: Any) -> None:
    x = values(shape, dtype)
    check(resize(x, size, *mode), x)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", [np.int32, np.bool_])
def test_moved_as_they_are(dtype: Any, mode: Any) -> None:
    x = values((2, 4, 5, 3), dtype)
    check(resize(x, (7, 3), *mode), x)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("size", "out_size"), [(5, 4), (5, 10), (7, 3), (10, 7), (3, 100), (100, 3), (49, 50), (1, 2)])
def test_places(size: int, out_size: int, mode: Any) -> None:
    x = np.arange(size, dtype=np.int8).reshape(1, size, 1, 1)
    check(resize(x, (out_size, 1), *mode), x)
    check(resize(x.reshape(1, 1, size, 1), (1, out_size), *mode), x.reshape(1, 1, size, 1))


def test_threads() -> None:
    for dtype in (np.int8, np.float32):
        x = values((2, 20, 20, 24), dtype)
        content = resize(x, (60, 60))
        same("one thread", run_program(content, x), run_program(content, x, threads=2))


def test_malformed() -> None:
    x = values((1, 4, 4, 8))
    for size in ((0, 3), (3, -1)):
        with pytest.raises(ModelError, match="cannot resize"):
            run_program(resize(x, size), x)
    for empty in ((1, 0, 4, 8), (1, 4, 0, 8)):
        with pytest.raises(ModelError, match="cannot resize"):
            run_program(resize(np.zeros(empty, np.int8), (8, 8)), np.zeros(empty, np.int8))
    y = T(np.int8, (1, 8, 8, 8), 0.1)
    sizes = [T(np.int32, (3,), data=np.array([8, 8, 8], np.int32)), T(np.int64, (2,), data=np.array([8, 8]))]
    for size, said in zip(sizes, ("height and width were expected", "int32 was expected"), strict=True):
        with pytest.raises(ModelError, match=said):
            run_program(model(OP, [T(np.int8, x.shape, 0.1), size], [y]), x)
    with pytest.raises(ModelError, match="4 axes were expected"):
        run_program(model(OP, [T(np.int8, (4, 4), 0.1), T(np.int32, (2,), data=np.array([8, 8], np.int32))], [y]),
                    x[0, 0])  # fmt: skip
    with pytest.raises(UnsupportedError, match="supported"):
        run_program(resize(x.astype(np.int64), (8, 8)), x.astype(np.int64))
