"""UNIDIRECTIONAL_SEQUENCE_LSTM: sequences of runs against LiteRT, in int8, hybrid and float32; the model with one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import writer
from engines import same
from recurrent import (
    Cell,
    check_references,
    check_steps,
    float_inputs,
    float_lstm,
    float_steps,
    int8_lstm,
    int8_steps,
    steps_beyond_numbers,
)
from requirements import shared_model
from writer import T

import int8rt
from int8rt.errors import ModelError, UnsupportedError
from int8rt.ops import _fixed16
from int8rt.tools import litert

OP = "UNIDIRECTIONAL_SEQUENCE_LSTM"

CELLS: dict[str, dict[str, Any]] = {
    "plain": {},
    "mnist": {"cells": 20, "inputs": 28},
    "batch": {"batch": 3, "cells": 5, "inputs": 9},
    "cifg": {"batch": 2, "cells": 7, "cifg": True},
    "peephole": {"cells": 40, "peephole": True},
    "norm": {"batch": 2, "cells": 16, "norm": True},
    "norm, odd": {"cells": 13, "inputs": 3, "norm": True, "cifg": True},
    "projection": {"batch": 2, "outputs": 4},
    "projection without bias": {"cells": 12, "outputs": 7, "projection_bias": False},
    "all": {"batch": 4, "cells": 33, "inputs": 30, "outputs": 5, "cifg": True, "peephole": True, "norm": True},
    "peephole and projection": {"batch": 3, "cells": 37, "outputs": 19, "peephole": True},
}


def shape_of(cell: Cell, time_major: bool) -> tuple[int, int, int]:
    """The input's."""
    return (5, cell.batch, cell.inputs) if time_major else (cell.batch, 5, cell.inputs)


@pytest.mark.parametrize("time_major", [True, False])
@pytest.mark.parametrize("form", ["float", "symmetric", "asymmetric"])
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_float(cell: dict[str, Any], form: str, time_major: bool) -> None:
    rng = np.random.default_rng(1)
    built = Cell(rng, **cell)
    shape = shape_of(built, time_major)
    is_asymmetric = form == "asymmetric"
    model = float_lstm(
        OP, shape, built, form != "float", time_major=time_major, asymmetric_quantize_inputs=is_asymmetric
    )
    check_steps(model, float_steps(rng, shape))


@pytest.mark.parametrize(
    "sizes", [(4, 33, 20), (6, 33, 20), (5, 45, 31), (9, 17, 7), (3, 8, 5), (8, 20, 12), (2, 64, 2)]
)
def test_float_order_of_sums(sizes: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(2)
    batch, inputs, cells = sizes
    cell = Cell(rng, batch, inputs, cells)
    check_steps(float_lstm(OP, (3, batch, inputs), cell, False, time_major=True), float_steps(rng, (3, batch, inputs)))


@pytest.mark.parametrize("activation", [writer.RELU, writer.RELU_N1_TO_1, writer.RELU6, writer.SIGN_BIT])
@pytest.mark.parametrize("is_hybrid", [False, True])
def test_float_activations(activation: int, is_hybrid: bool) -> None:
    rng = np.random.default_rng(3)
    check_steps(float_lstm(OP, (2, 3, 8), Cell(rng, 2), is_hybrid, activation), float_steps(rng, (2, 3, 8)))


@pytest.mark.parametrize("clip", [0.0, 0.5])
@pytest.mark.parametrize(
    "cell", [{}, {"norm": True}, {"outputs": 4}, {"outputs": 4, "norm": True, "cifg": True}], ids=str
)
def test_infinity_and_nan(cell: dict[str, Any], clip: float) -> None:
    """Clips take NaN for more than the upper limit; the functions of gates keep it."""
    rng = np.random.default_rng(1)
    steps = steps_beyond_numbers(rng, (2, 3, 8))
    check_steps(float_lstm(OP, (2, 3, 8), Cell(rng, 2, **cell), False, cell_clip=clip, proj_clip=clip), steps)
    hybrid = float_lstm(OP, (2, 3, 8), Cell(rng, 2, **cell), True, cell_clip=clip, proj_clip=clip)
    for (y,) in check_references(hybrid, steps):
        assert np.isfinite(y[1]).all()


@pytest.mark.parametrize("is_hybrid", [False, True])
def test_float_clips(is_hybrid: bool) -> None:
    rng = np.random.default_rng(4)
    model = float_lstm(OP, (2, 6, 8), Cell(rng, 2, outputs=4), is_hybrid, cell_clip=0.3, proj_clip=0.2)
    found = check_steps(model, float_steps(rng, (2, 6, 8)))
    assert np.abs(found[0][0]).max() == np.float32(0.2)


@pytest.mark.parametrize("magnitude", [1e-30, 1e-5, 1e5, 1e30])
def test_hybrid_magnitudes(magnitude: float) -> None:
    rng = np.random.default_rng(5)
    steps = [[(magnitude * x).astype(np.float32) for x in step] for step in float_steps(rng, (2, 3, 8))]
    check_steps(float_lstm(OP, (2, 3, 8), Cell(rng, 2), True, asymmetric_quantize_inputs=True), steps)


@pytest.mark.parametrize("time_major", [True, False])
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_int8(cell: dict[str, Any], time_major: bool) -> None:
    rng = np.random.default_rng(6)
    built = Cell(rng, **cell)
    shape = shape_of(built, time_major)
    found = check_steps(int8_lstm(rng, OP, shape, built, time_major=time_major), int8_steps(rng, shape))
    assert len(np.unique(found)) > 10


@pytest.mark.parametrize(
    "change",
    [{"c_log2": log2} for log2 in range(-15, -8)]
    + [
        {"x_zero": -128, "h_zero": 127}, {"x_zero": 127, "h_zero": -128}, {"magnitude": 8.0}, {"magnitude": 1e-3},
        {"h_scale": 1e-4}, {"h_scale": 1.0}, {"x_scale": 1.0}, {"cell_clip": 0.5}, {"cell_clip": 1e6},
    ],
    ids=str,
)  # fmt: skip
def test_int8_extremes(change: dict[str, Any]) -> None:
    rng = np.random.default_rng(7)
    cell = Cell(rng, 2, 9, 12, peephole=True)
    check_steps(int8_lstm(rng, OP, (2, 6, 9), cell, **change), int8_steps(rng, (2, 6, 9)))


@pytest.mark.parametrize(
    "change", [{"hidden_zero": -128}, {"hidden_zero": 127}, {"hidden_scale": 1e-3}, {"proj_clip": 0.1}]
)
def test_int8_projections(change: dict[str, Any]) -> None:
    rng = np.random.default_rng(8)
    cell = Cell(rng, 2, 9, 12, outputs=5)
    check_steps(int8_lstm(rng, OP, (6, 2, 9), cell, time_major=True, **change), int8_steps(rng, (6, 2, 9)))


def test_sixteen_bit_functions_are_close_to_the_real_ones() -> None:
    x = np.arange(-32768, 32768)
    assert np.abs(_fixed16.sigmoid() / 32768 - 1 / (1 + np.exp(-x / 4096))).max() < 4e-4
    for integer_bits in range(7):
        error = np.abs(_fixed16.tanh(integer_bits) / 32768 - np.tanh(x / 2.0 ** (15 - integer_bits)))
        assert error.max() < 3e-3


@pytest.mark.needs("litert")
def test_mnist() -> None:
    path = shared_model("mnist_lstm_int8.tflite")
    rng = np.random.default_rng(9)
    steps = [[rng.integers(-128, 128, (1, 28, 28)).astype(np.int8)] for _ in range(20)]
    loaded = int8rt.load(path)
    in_sequence = litert.run_steps(path, steps)
    for inputs, expected in zip(steps, in_sequence, strict=True):
        same("LiteRT", expected, [loaded(*inputs)])
    for inputs in steps:
        loaded.reset()
        same("LiteRT", litert.run(path, inputs), [loaded(*inputs)])


def _float_inputs() -> list[T | None]:
    return float_inputs(Cell(np.random.default_rng(10), 2), T(np.float32, (2, 5, 8)), False)


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({0: T(np.float32, (2, 8))}, "expected"),
        ({0: T(np.float32, (3, 5, 8))}, "output state"),
        ({0: T(np.float32, (2, 5, 7))}, "input weights"),
        ({4: None}, "output gate"),
        ({2: None}, "forget gate"),
        ({1: None}, "input gate"),
        ({6: T(np.float32, (6, 5), data=np.zeros((6, 5)))}, "recurrent weights"),
        ({8: T(np.float32, (6,), data=np.zeros(6))}, "diagonal"),
        ({10: T(np.float32, (6,), data=np.zeros(6))}, "peephole"),
        ({13: T(np.float32, (5,), data=np.zeros(5))}, "bias"),
        ({14: T(np.float32, (6,))}, "must be constant"),
        ({16: T(np.float32, (5, 6), data=np.zeros((5, 6)))}, "projection"),
        ({17: T(np.float32, (6,), data=np.zeros(6))}, "projection bias"),
        ({18: T(np.float32, (2, 6))}, "variable"),
        ({19: T(np.float32, (2, 5), is_variable=True)}, "cell state"),
        ({21: T(np.float32, (6,), data=np.zeros(6))}, "normalization"),
        ({3: T(np.int8, (6, 8), 0.1, data=np.zeros((6, 8)))}, "the weights"),
        ({15: T(np.int32, (6,), 0.1, data=np.zeros(6))}, "expected float32"),
    ],
)
def test_malformed(replaced: dict[int, T | None], message: str) -> None:
    given = [replaced.get(i, t) for i, t in enumerate(_float_inputs())]
    y = T(np.float32, (2, 5, 6))
    with pytest.raises((ModelError, UnsupportedError), match=message):
        int8rt.load(writer.model(OP, given, [y], fused_activation_function=writer.TANH))


@pytest.mark.parametrize(
    ("count", "options", "message"),
    [
        (19, {"fused_activation_function": writer.TANH}, "20 or 24"),
        (24, {"fused_activation_function": writer.NONE}, "activation 0"),
        (24, {"fused_activation_function": writer.TANH, "cell_clip": -1.0}, "clips"),
    ],
)
def test_options(count: int, options: dict[str, Any], message: str) -> None:
    with pytest.raises((ModelError, UnsupportedError), match=message):
        int8rt.load(writer.model(OP, _float_inputs()[:count], [T(np.float32, (2, 5, 6))], **options))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"c_log2": -8}, "power of two"), ({"c_log2": -16}, "power of two"), ({"x_scale": 0.0}, "scale 0")],
)
def test_int8_scales(change: dict[str, Any], message: str) -> None:
    rng = np.random.default_rng(11)
    with pytest.raises(ModelError, match=message):
        int8rt.load(int8_lstm(rng, OP, (1, 2, 8), Cell(rng), **change))
