"""RESIZE_BILINEAR against its reference and LiteRT."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from engines import check, run_program, run_reference, same
from writer import T, model

from int8rt.errors import ModelError, UnsupportedError

OP = "RESIZE_BILINEAR"
MODES = [(False, False), (True, False), (False, True)]


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
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16])
def test_ends(dtype: Any, mode: Any) -> None:
    for value in (np.iinfo(dtype).min, np.iinfo(dtype).max):
        x = np.full((1, 5, 5, 20), value, dtype)
        check(resize(x, (13, 17), *mode), x)
    x = np.random.default_rng(0).choice([np.iinfo(dtype).min, np.iinfo(dtype).max], (1, 5, 5, 20)).astype(dtype)
    check(resize(x, (13, 17), *mode), x)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16])
def test_ties(dtype: Any) -> None:
    low = 0 if dtype == np.uint8 else -3
    x = np.random.default_rng(1).integers(low, 4, (1, 6, 6, 40)).astype(dtype)
    check(resize(x, (12, 12)), x)
    check(resize(x, (12, 12), False, True), x)


def test_special_floats() -> None:
    x = np.random.default_rng(1).choice(np.array([0.0, -0.0, 3e38, 1e-45, 2], np.float32), (1, 6, 6, 5))
    check(resize(x, (12, 12)), x)
    x = np.full((1, 3, 3, 2), -0.0, np.float32)
    check(resize(x, (5, 5), False, True), x)


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_places_beyond_the_image(dtype: Any) -> None:
    """The scale 3 / 2000 rounds up to 2 / 1024, so that the last places lie beyond the image, where LiteRT reads on."""
    x = values((1, 2, 3, 4), dtype)
    content = resize(x, (2, 2000))
    outputs = check(content, x, litert=run_reference(resize(x, (2, 2000)), x))
    np.testing.assert_array_equal(outputs[0][0, :, 1600:], np.broadcast_to(x[0, :, 2:], (2, 400, 4)))


def test_threads() -> None:
    for dtype in (np.int8, np.float32):
        x = values((2, 20, 20, 24), dtype)
        content = resize(x, (60, 60))
        same("one thread", run_program(content, x), run_program(content, x, threads=2))


def test_malformed() -> None:
    x = values((1, 4, 4, 8))
    with pytest.raises(ModelError, match="exclude"):
        run_program(resize(x, (8, 8), True, True), x)
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
        run_program(resize(x.astype(np.int32), (8, 8)), x.astype(np.int32))
