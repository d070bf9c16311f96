"""MUL: program, reference and LiteRT's BUILTIN_REF give the same bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import writer
from elementwise import BOTH, SHAPES, all_pairs, binary, extreme_integers, special_floats, values
from engines import check, run_program, run_reference, run_zeros, same
from selection import share
from writer import RELU, RELU6, RELU_N1_TO_1, Op, T

from int8rt.errors import ModelError, UnsupportedError

EIGHT_BITS = [np.int8, np.uint8]
ACTIVATIONS = [0, RELU, RELU_N1_TO_1, RELU6]


@pytest.mark.parametrize("dtype", EIGHT_BITS)
@pytest.mark.parametrize(("shape1", "shape2"), share([*SHAPES, *((b, a) for a, b in SHAPES[:10]), *BOTH], 2))
def test_broadcasting(shape1: tuple[int, ...], shape2: tuple[int, ...], dtype: Any) -> None:
    zero_points = (3, -7, 1) if dtype == np.int8 else (130, 100, 120)
    model = binary("MUL", dtype, shape1, shape2, (0.02, 0.05, 0.1), zero_points)
    check(model, values(shape1, dtype), values(shape2, dtype, 1))


@pytest.mark.parametrize("dtype", EIGHT_BITS)
@pytest.mark.parametrize(
    "scales",
    [
        (0.02, 0.05, 0.1),
        (0.5, 0.5, 0.5),  # ties
        (0.5, 0.25, 32.0),
        (1.0, 1.0, 1.0),
        (2.0**-31, 0.05, 1e-9),
        (0.05, 0.02, 1e9),  # everything vanishes
        (0.3, 0.7, 0.001),  # a shift to the left
        (0.05, 0.02, 5e-12),  # one that wraps
        (1e18, 1e18, 1e36),
        (1e-20, 1e-18, 1e-38),
    ],
)
@pytest.mark.parametrize("ends", [False, True])
def test_every_pair_of_values(scales: tuple[float, ...], ends: bool, dtype: Any) -> None:
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    zero_points = (low, high, low) if ends else (low + 127, low + 100, low + 131)
    check(binary("MUL", dtype, (256, 256), None, scales, zero_points), *all_pairs(dtype))


@pytest.mark.parametrize("dtype", EIGHT_BITS)
@pytest.mark.parametrize("scale", [1e-13, 3e-35])
def test_output_scale_out_of_reach(scale: float, dtype: Any) -> None:
    """LiteRT shifts an int32 by 32 bits or more, which is undefined. Every product but 0 leaves the output's range."""
    zero_points = (3, -7, 1) if dtype == np.int8 else (130, 100, 120)
    x1, x2 = all_pairs(dtype)
    product = (x1.astype(np.int64) - zero_points[0]) * (x2.astype(np.int64) - zero_points[1])
    info = np.iinfo(dtype)
    expected = np.where(product < 0, info.min, np.where(product > 0, info.max, zero_points[2])).astype(dtype)
    check(binary("MUL", dtype, (256, 256), None, (0.05, 0.02, scale), zero_points), x1, x2, litert=[expected])


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [*EIGHT_BITS, np.int16])
def test_fused_activations(dtype: Any, activation: int) -> None:
    zero_points = {np.int8: (3, -7, -20), np.uint8: (130, 100, 110), np.int16: (0, 0, 0)}[dtype]
    scales = (1e-4, 2e-4, 3e-4) if dtype == np.int16 else (0.05, 0.03, 0.06)
    model = binary("MUL", dtype, (3, 61), None, scales, zero_points, fused_activation_function=activation)
    check(model, values((3, 61), dtype), values((3, 61), dtype, 1))


@pytest.mark.parametrize(
    "scales", [(1e-3, 2e-3, 3e-3), (1e-4, 1e-4, 1.1e-4), (2.0**-15, 2.0**-15, 2.0**-15), (1e-3, 2e-3, 3e-6)]
)
def test_int16(scales: tuple[float, ...]) -> None:
    """The scale is computed in float32, which shows in 16 bits."""
    model = binary("MUL", np.int16, (30, 700), None, scales)
    check(model, values((30, 700), np.int16), values((30, 700), np.int16, 1))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int64])
def test_integers(dtype: Any, activation: int) -> None:
    x1, x2 = extreme_integers(dtype)
    check(binary("MUL", dtype, x1.shape, fused_activation_function=activation), x1, x2)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_float32(activation: int) -> None:
    x1, x2 = special_floats()
    check(binary("MUL", np.float32, x1.shape, fused_activation_function=activation), x1, x2)


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int64, np.float32])
@pytest.mark.parametrize(("shape1", "shape2"), [SHAPES[1], SHAPES[7][::-1], BOTH[0]])
def test_broadcasting_of_other_types(shape1: tuple[int, ...], shape2: tuple[int, ...], dtype: Any) -> None:
    check(binary("MUL", dtype, shape1, shape2), values(shape1, dtype), values(shape2, dtype, 1))


@pytest.mark.parametrize("constant_first", [False, True])
def test_constant_operand(constant_first: bool) -> None:
    x = T(np.int8, (2, 3, 8), 0.05, 4)
    c = T(np.int8, (8,), 0.02, -5, data=values((8,), np.int8, 1))
    inputs = [c, x] if constant_first else [x, c]
    check(writer.model("MUL", inputs, [T(np.int8, (2, 3, 8), 0.06, 1)]), values((2, 3, 8), np.int8))


def test_in_place_chain() -> None:
    x, a, b, y = (T(np.uint8, (1, 9, 9, 5), s, z) for s, z in ((0.1, 120), (0.2, 90), (0.3, 140), (0.6, 127)))
    nodes = [Op("MUL", [x, x], [a]), Op("MUL", [x, a], [b]), Op("MUL", [b, b], [y])]
    check(writer.network(nodes, [x], [y]), values((1, 9, 9, 5), np.uint8))


@pytest.mark.parametrize(("shape1", "shape2"), [SHAPES[1], SHAPES[7][::-1], BOTH[0], SHAPES[10]])
def test_unsigned_integers_wrap(shape1: tuple[int, ...], shape2: tuple[int, ...]) -> None:
    check(binary("MUL", np.uint32, shape1, shape2), values(shape1, np.uint32), values(shape2, np.uint32, 1))


def test_threads() -> None:
    model = binary("MUL", np.int8, (1, 90, 64), (3, 1, 64), (0.02, 0.05, 0.1), (3, -7, 1))
    inputs = values((1, 90, 64), np.int8), values((3, 1, 64), np.int8, 1)
    same("reference", run_reference(model, *inputs), run_program(model, *inputs, threads=3))


@pytest.mark.parametrize(
    ("model", "error"),
    [
        (binary("MUL", np.int8, (4,)), ModelError),
        (binary("MUL", np.int8, (4,), None, (0.0, 0.1, 0.1)), ModelError),
        (binary("MUL", np.int8, (4,), None, (1e30, 1e30, 0.1)), UnsupportedError),  # infinite in float32
        (binary("MUL", np.int16, (4,), None, (0.1, 0.1, 1e-20)), UnsupportedError),
        (binary("MUL", np.int16, (4,), None, (0.1, 0.1, 0.1), (0, 5, 0)), UnsupportedError),
        (binary("MUL", np.int8, (4,), None, (0.1, 0.1, 0.1), fused_activation_function=4), UnsupportedError),
        (binary("MUL", np.float64, (4,)), UnsupportedError),
        (writer.model("MUL", [T(np.int32, (2, 3)), T(np.int32, (3, 2))], [T(np.int32, (2, 3))]), ModelError),
        (writer.model("MUL", [T(np.int32, (4,)), T(np.int64, (4,))], [T(np.int32, (4,))]), ModelError),
        (writer.model("MUL", [T(np.int32, (4,))], [T(np.int32, (4,))]), ModelError),
    ],
)
def test_refused(model: bytes, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"MUL \(node 0\)"):
        run_zeros(model)
