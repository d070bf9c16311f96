"""BATCH_MATMUL: program, reference and LiteRT's BUILTIN_REF give the same bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from elementwise import values
from engines import check, run_program, run_reference, same
from matmul import ADJOINTS, SHAPES, matmul, operand
from writer import T, model

from int8rt.errors import ModelError, UnsupportedError

Q8 = (0.05, 0.03, 0.9), (-3, 5, 7)


@pytest.mark.parametrize("constant", ["", "w"])
@pytest.mark.parametrize("adjoint", ADJOINTS)
@pytest.mark.parametrize(("shape1", "shape2"), SHAPES)
def test_int8(shape1: Any, shape2: Any, adjoint: Any, constant: str) -> None:
    x, w = operand(shape1, np.int8, adjoint[0]), operand(shape2, np.int8, adjoint[1], 1)
    check(matmul(x, w, adjoint, constant, *Q8), *([x] if constant else [x, w]))


@pytest.mark.parametrize("constant", ["", "w"])
@pytest.mark.parametrize("adjoint", ADJOINTS)
@pytest.mark.parametrize(("shape1", "shape2"), SHAPES[3:9:2])
@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_other_types(dtype: Any, shape1: Any, shape2: Any, adjoint: Any, constant: str) -> None:
    x, w = operand(shape1, dtype, adjoint[0]), operand(shape2, dtype, adjoint[1], 1)
    scales = (0.01, 0.01, 900.0) if dtype == np.int16 else (None, None, None)
    check(matmul(x, w, adjoint, constant, scales), *([x] if constant else [x, w]))


@pytest.mark.parametrize("constant", ["", "w"])
@pytest.mark.parametrize("ratio", [2.0**-33, 1e-4, 0.3, 1.0, 1.7, 30.0])
@pytest.mark.parametrize("zero_points", [(-128, 127, 0), (127, -128, -128), (0, 0, 127), (-128, -128, 5)])
def test_scales(zero_points: Any, ratio: float, constant: str) -> None:
    x, w = values((9, 20), np.int8), values((20, 33), np.int8, 1)
    given = [x] if constant else [x, w]
    check(matmul(x, w, (False, False), constant, (ratio, 0.5, 0.5), zero_points), *given)


@pytest.mark.parametrize("constant", ["", "w"])
@pytest.mark.parametrize("end", [-128, 127])
def test_ends(end: int, constant: str) -> None:
    x, w = np.full((3, 600), end, np.int8), np.full((600, 20), -128, np.int8)
    given = [x] if constant else [x, w]
    check(matmul(x, w, (False, False), constant, (0.1, 0.1, 900.0), (0, 0, 0)), *given)


def test_int16_ends() -> None:
    x, w = np.full((3, 600), -32768, np.int16), np.full((600, 20), -32768, np.int16)
    check(matmul(x, w, scales=(0.1, 0.1, 1e6)), x, w)


@pytest.mark.parametrize("constant", ["", "w"])
@pytest.mark.parametrize("adjoint", ADJOINTS)
@pytest.mark.parametrize(("shape1", "shape2"), SHAPES[::2])
def test_int16_with_int8(shape1: Any, shape2: Any, adjoint: Any, constant: str) -> None:
    x, w = operand(shape1, np.int16, adjoint[0]), operand(shape2, np.int8, adjoint[1], 1)
    depth = shape1[-1]
    check(matmul(x, w, adjoint, constant, (0.01, 0.02, 0.01 * depth)), *([x] if constant else [x, w]))


@pytest.mark.parametrize("constant", ["", "w"])
@pytest.mark.parametrize("ratio", [2.0**-33, 1e-4, 0.3, 1.7, 30.0, 5000.0])
@pytest.mark.parametrize("other", [np.int8, np.int16])
def test_int16_scales(other: Any, ratio: float, constant: str) -> None:
    """Results beyond int32 wrap before they are clamped."""
    x, w = values((9, 20), np.int16), values((20, 33), other, 1)
    check(matmul(x, w, (False, False), constant, (ratio, 0.5, 0.5)), *([x] if constant else [x, w]))


@pytest.mark.parametrize("constant", ["", "w"])
def test_int16_with_int8_sums_beyond_32_bits(constant: str) -> None:
    x, w = np.full((3, 6000), -32768, np.int16), np.full((6000, 20), -128, np.int8)
    x[1] = 32767
    x[2] = values((6000,), np.int16)
    check(matmul(x, w, (False, False), constant, (0.1, 0.1, 9e3)), *([x] if constant else [x, w]))


@pytest.mark.parametrize("constant", ["", "w"])
@pytest.mark.parametrize("adjoint", ADJOINTS)
def test_int8_into_int32(adjoint: Any, constant: str) -> None:
    """Stored values are multiplied: LiteRT leaves the zero points out."""
    x, w = operand((2, 9, 20), np.int8, adjoint[0]), operand((20, 33), np.int8, adjoint[1], 1)
    content = matmul(x, w, adjoint, constant, (0.1, 0.2, 0.02), (3, 4, 0), np.int32)
    check(content, *([x] if constant else [x, w]))


def test_constant_x() -> None:
    for dtype, scales in ((np.int8, (0.05, 0.03, 0.9)), (np.float32, (None, None, None))):
        x, w = values((2, 9, 20), dtype), values((2, 20, 33), dtype, 1)
        check(matmul(x, w, (False, False), "x", scales), w)


@pytest.mark.parametrize("constant", ["", "w"])
def test_special_floats(constant: str) -> None:
    """Sums in the order of k, without limits."""
    x = np.array([[3e38, 3e38, -3e38, 1], [1e-40, -1e-40, 0.0, -0.0], [-0.0, -0.0, -0.0, -0.0]], np.float32)
    w = np.array([[1, -1, 1e-3], [1, 1, 1e3], [1, 0, 0], [1, -0.0, 5]], np.float32)
    check(matmul(x, w, (False, False), constant), *([x] if constant else [x, w]))
    x = values((7, 501), np.float32) * 10 ** values((7, 501), np.float32, 2)
    w = values((501, 19), np.float32, 1)
    check(matmul(x, w, (False, False), constant), *([x] if constant else [x, w]))


@pytest.mark.parametrize("constant", ["", "w"])
@pytest.mark.parametrize("asymmetric", [False, True])
@pytest.mark.parametrize("adjoint", ADJOINTS)
@pytest.mark.parametrize(("shape1", "shape2"), [SHAPES[3], SHAPES[4], SHAPES[7]])
def test_hybrid(shape1: Any, shape2: Any, adjoint: Any, asymmetric: bool, constant: str) -> None:
    x, w = operand(shape1, np.float32, adjoint[0]), operand(shape2, np.int8, adjoint[1], 1)
    content = matmul(x, w, adjoint, constant, (None, 0.03, None), version=4, asymmetric_quantize_inputs=asymmetric)
    check(content, *([x] if constant else [x, w]), resolver="builtin")


def test_hybrid_per_column() -> None:
    x, w = values((5, 20), np.float32), values((20, 6), np.int8, 1)
    scales = np.linspace(0.01, 0.2, 6).astype(np.float32)
    for asymmetric in (False, True):
        content = matmul(
            x, w, (False, False), "w", (None, scales, None), version=4, asymmetric_quantize_inputs=asymmetric
        )
        check(content, x, resolver="builtin")
    x[2] = 0
    check(content, x, resolver="builtin")


def test_nothing() -> None:
    x, w = np.zeros((0, 5), np.float32), values((5, 3), np.float32)
    check(matmul(x, w), x, w)


def test_threads() -> None:
    for dtype, other, scales in (
        (np.int8, np.int8, (0.05, 0.03, 0.9)),
        (np.int16, np.int8, (0.05, 0.03, 90)),
        (np.float32, np.float32, (None, None, None)),
    ):
        x, w = values((4, 50, 60), dtype), values((4, 60, 70), other, 1)
        content = matmul(x, w, scales=scales)
        same("reference", run_reference(content, x, w), run_program(content, x, w, threads=3))


@pytest.mark.parametrize(
    ("x", "w", "fields", "error"),
    [
        (np.ones((2, 3), np.int8), np.ones((4, 5), np.int8), {"scales": (0.1, 0.1, 0.1)}, ModelError),
        (np.ones((2, 3), np.int8), np.ones((3, 5), np.int8), {"scales": (0.1, 0.0, 0.1)}, ModelError),
        (np.ones((2, 3), np.int8), np.ones((3, 5), np.int8), {"scales": (1e30, 1e30, 1e-30)}, UnsupportedError),
        (np.ones((2, 3), np.int8), np.ones((3, 2), np.int8), {"scales": (0.1, [0.1, 0.2], 0.1)}, UnsupportedError),
        (np.ones((2, 3), np.int16), np.ones((3, 5), np.int16), {"scales": (1e6, 1.0, 1.0)}, UnsupportedError),
        (
            np.ones((2, 3), np.int16),
            np.ones((3, 5), np.int16),
            {"scales": (0.1, 0.1, 0.1), "zero_points": (1, 0, 0)},
            ModelError,
        ),
        (
            np.ones((2, 3), np.int16),
            np.ones((3, 5), np.int8),
            {"scales": (0.1, 0.1, 0.1), "zero_points": (0, 1, 0)},
            ModelError,
        ),
        (np.ones((2, 3), np.int8), np.ones((3, 5), np.int16), {"scales": (0.1, 0.1, 0.1)}, UnsupportedError),
        (np.ones((2, 3), np.uint8), np.ones((3, 5), np.uint8), {"scales": (0.1, 0.1, 0.1)}, UnsupportedError),
        (np.ones((2, 3), np.int32), np.ones((3, 5), np.int32), {}, UnsupportedError),
        (np.ones((2, 3), np.int16), np.ones((3, 5), np.int16), {"out": np.int32}, UnsupportedError),
    ],
)
def test_refused(x: np.ndarray, w: np.ndarray, fields: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"BATCH_MATMUL \(node 0\)"):
        run_program(matmul(x, w, **fields), x, w)


def test_malformed() -> None:
    x = np.ones((3,), np.float32)
    with pytest.raises(ModelError, match="2 axes or more were expected"):
        run_program(model("BATCH_MATMUL", [T(np.float32, (3,))] * 2, [T(np.float32, (3,))]), x)
    y = T(np.float32, (2, 2, 2))
    inputs = [T(np.float32, (2, 2, 2)), T(np.float32, (3, 2, 2))]
    with pytest.raises(ModelError, match="cannot be multiplied"):
        run_program(model("BATCH_MATMUL", inputs, [y]), np.ones((2, 2, 2), np.float32), np.ones((3, 2, 2), np.float32))
