"""SUB: program, reference and LiteRT's BUILTIN_REF give the same bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import writer
from elementwise import BOTH, SHAPES, all_pairs, binary, extreme_integers, special_floats, values
from engines import REFERENCE, check, run_program, run_reference, run_zeros, same
from selection import share
from writer import RELU, RELU6, RELU_N1_TO_1, Op, T

from int8rt.errors import ModelError, UnsupportedError
from int8rt.format import reader
from int8rt.plan.program import build

EIGHT_BITS = [np.int8, np.uint8]
ACTIVATIONS = [0, RELU, RELU_N1_TO_1, RELU6]


@pytest.mark.parametrize("dtype", EIGHT_BITS)
@pytest.mark.parametrize(("shape1", "shape2"), share([*SHAPES, *((b, a) for a, b in SHAPES[:10]), *BOTH], 1))
def test_broadcasting(shape1: tuple[int, ...], shape2: tuple[int, ...], dtype: Any) -> None:
    zero_points = (3, -7, 1) if dtype == np.int8 else (130, 100, 120)
    model = binary("SUB", dtype, shape1, shape2, (0.02, 0.05, 0.06), zero_points)
    check(model, values(shape1, dtype), values(shape2, dtype, 1))


@pytest.mark.parametrize("dtype", EIGHT_BITS)
@pytest.mark.parametrize(
    "scales",
    [
        (0.02, 0.02, 0.02),
        (0.25, 0.125, 0.5),  # ties
        (0.1, 0.003, 0.07),
        (0.003, 0.1, 2.0),
        (2.0**-31, 0.05, 0.05),
        (0.05, 2.0**-40, 0.05),  # the second operand vanishes
        (1e-9, 1e-9, 10.0),
        (1e-20, 3e-20, 2e-20),
        (1e5, 3e4, 1e5),
        (0.05, 0.05, 2e-7),  # the output saturates
    ],
)
@pytest.mark.parametrize("ends", [False, True])
def test_every_pair_of_values(scales: tuple[float, ...], ends: bool, dtype: Any) -> None:
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    zero_points = (low, high, low) if ends else (low + 127, low + 100, low + 131)
    check(binary("SUB", dtype, (256, 256), None, scales, zero_points), *all_pairs(dtype))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [*EIGHT_BITS, np.int16])
def test_fused_activations(dtype: Any, activation: int) -> None:
    zero_points = {np.int8: (3, -7, -20), np.uint8: (130, 100, 110), np.int16: (0, 0, 0)}[dtype]
    scales = (1e-4, 2e-4, 3e-4) if dtype == np.int16 else (0.05, 0.03, 0.06)
    model = binary("SUB", dtype, (3, 61), None, scales, zero_points, fused_activation_function=activation)
    check(model, values((3, 61), dtype), values((3, 61), dtype, 1))


@pytest.mark.parametrize("pot_scale_int16", [False, True])
@pytest.mark.parametrize(
    "scales",
    [
        (1e-3, 2e-3, 3e-3),
        (2.0**-12, 2.0**-9, 2.0**-9),
        (2.0**-9, 2.0**-14, 2.0**-9),
        (2.0**-12, 2.0**-12, 2.0**-12),
        (2.0**-24, 2.0**-9, 2.0**-9),
        (2.0**-12 * 1.0005, 2.0**-9, 2.0**-9),  # nearly a power of two, which counts as one
        (1.0, 1e-6, 1e-4),
    ],
)
def test_int16(scales: tuple[float, ...], pot_scale_int16: bool) -> None:
    model = binary("SUB", np.int16, (3, 700), None, scales, pot_scale_int16=pot_scale_int16)
    check(model, values((3, 700), np.int16), values((3, 700), np.int16, 1))


def test_int16_powers_of_two_with_broadcasting() -> None:
    """The rounding shift of the first operand, by hand."""
    model = binary("SUB", np.int16, (3, 70), (70,), (2.0**-12, 2.0**-9, 2.0**-9), pot_scale_int16=True)
    x1, x2 = values((3, 70), np.int16), values((70,), np.int16, 1)
    v1 = np.trunc(x1 / 8 + np.copysign(0.5, x1)).astype(np.int64)
    expected = (v1 - x2).clip(-32768, 32767).astype(np.int16)
    check(model, x1, x2)
    same("by hand", [expected], run_program(model, x1, x2))


def test_int16_shift_beyond_the_type() -> None:
    """LiteRT's rounding mask overflows its int16 at a shift of 16; results are off by one. x1 counts for nothing."""
    model = binary("SUB", np.int16, (1, 70), None, (2.0**-26, 2.0**-9, 2.0**-9), pot_scale_int16=True)
    x1, x2 = values((1, 70), np.int16), values((1, 70), np.int16, 1)
    expected = (-x2.astype(np.int64)).clip(-32768, 32767).astype(np.int16)
    check(model, x1, x2, litert=[expected])


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_integers(dtype: Any, activation: int) -> None:
    x1, x2 = extreme_integers(dtype)
    check(binary("SUB", dtype, x1.shape, fused_activation_function=activation), x1, x2)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_float32(activation: int) -> None:
    x1, x2 = special_floats()
    check(binary("SUB", np.float32, x1.shape, fused_activation_function=activation), x1, x2)


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float32])
@pytest.mark.parametrize(("shape1", "shape2"), [SHAPES[1], SHAPES[7][::-1], BOTH[0]])
def test_broadcasting_of_other_types(shape1: tuple[int, ...], shape2: tuple[int, ...], dtype: Any) -> None:
    check(binary("SUB", dtype, shape1, shape2), values(shape1, dtype), values(shape2, dtype, 1))


@pytest.mark.parametrize("constant_first", [False, True])
def test_constant_operand(constant_first: bool) -> None:
    x = T(np.int8, (2, 3, 8), 0.05, 4)
    c = T(np.int8, (8,), 0.02, -5, data=values((8,), np.int8, 1))
    inputs = [c, x] if constant_first else [x, c]
    check(writer.model("SUB", inputs, [T(np.int8, (2, 3, 8), 0.06, 1)]), values((2, 3, 8), np.int8))


def test_in_place_chain() -> None:
    """Each sum can take over the memory of an operand; one of them is both operands of the next."""
    x, a, b, c, y = (T(np.int8, (1, 9, 9, 5), s, z) for s, z in ((0.1, 3), (0.2, 1), (0.3, -9), (0.5, 0), (0.6, 7)))
    nodes = [Op("SUB", [x, x], [a]), Op("SUB", [x, a], [b]), Op("SUB", [b, b], [c]), Op("SUB", [c, x], [y])]
    model = writer.network(nodes, [x], [y])
    assert len(build(reader.read(model).main, REFERENCE).aliases) >= 2
    check(model, values((1, 9, 9, 5), np.int8))


def test_threads() -> None:
    model = binary("SUB", np.int8, (3, 200, 64), (200, 1), (0.02, 0.05, 0.06), (3, -7, 1))
    inputs = values((3, 200, 64), np.int8), values((200, 1), np.int8, 1)
    same("reference", run_reference(model, *inputs), run_program(model, *inputs, threads=3))


@pytest.mark.parametrize(
    ("model", "error"),
    [
        (binary("SUB", np.int8, (4,), None, (0.1, 0.1, 1e-8)), UnsupportedError),  # LiteRT aborts or shifts by -1
        (binary("SUB", np.int8, (4,)), ModelError),
        (binary("SUB", np.int8, (4,), None, (0.0, 0.1, 0.1)), ModelError),
        (binary("SUB", np.int8, (4,), None, (-0.1, 0.1, 0.1)), ModelError),
        (binary("SUB", np.int8, (4,), None, ([0.1, 0.2, 0.3, 0.4], 0.1, 0.1)), ModelError),
        (binary("SUB", np.int8, (4,), None, (0.1, 0.1, 0.1), fused_activation_function=4), UnsupportedError),
        (binary("SUB", np.float32, (4,), fused_activation_function=5), UnsupportedError),
        (binary("SUB", np.int16, (4,), None, (0.1, 0.1, 0.1), (0, 5, 0)), UnsupportedError),
        (binary("SUB", np.int16, (4,), None, (0.5, 0.25, 0.125)), UnsupportedError),
        (writer.model("SUB", [T(np.int16, (4,)), T(np.int16, (4,))], [T(np.int16, (4,), 0.1)]), ModelError),
        (binary("SUB", np.float64, (4,)), UnsupportedError),
        (writer.model("SUB", [T(np.int32, (2, 3)), T(np.int32, (3, 2))], [T(np.int32, (2, 3))]), ModelError),
        (writer.model("SUB", [T(np.int32, (4,)), T(np.int64, (4,))], [T(np.int32, (4,))]), ModelError),
        (writer.model("SUB", [T(np.int8, (4,), 0.1)] * 2, [T(np.float32, (4,))]), ModelError),  # LiteRT aborts
    ],
)
def test_refused(model: bytes, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"SUB \(node 0\)"):
        run_zeros(model)


@pytest.mark.parametrize(("count", "said"), [(1, "no input 1"), (3, "at most 2 were expected")])
def test_number_of_inputs(count: int, said: str) -> None:
    t = T(np.int32, (4,))
    with pytest.raises(ModelError, match=said):
        run_zeros(writer.model("SUB", [t] * count, [T(np.int32, (4,))]))
    with pytest.raises(ModelError, match="no input 1"):
        run_zeros(writer.model("SUB", [t, None], [T(np.int32, (4,))]))
