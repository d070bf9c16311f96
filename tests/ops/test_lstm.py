"""LSTM, full and basic kernel: sequences of runs against LiteRT, in int8, hybrid and float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import writer
from recurrent import Cell, basic_lstm, check_steps, float_inputs, float_lstm, float_steps, int8_lstm, int8_steps
from writer import T

import int8rt
from int8rt.errors import ModelError, UnsupportedError
from int8rt.tools import litert

CELLS: dict[str, dict[str, Any]] = {
    "plain": {},
    "wide": {"cells": 20, "inputs": 28},
    "batch": {"batch": 3, "cells": 5, "inputs": 9},
    "cifg": {"batch": 2, "cells": 7, "cifg": True},
    "peephole": {"cells": 20, "peephole": True},
    "norm": {"batch": 2, "cells": 13, "norm": True},
    "projection": {"batch": 2, "outputs": 4},
    "all": {"batch": 4, "cells": 21, "inputs": 30, "outputs": 5, "cifg": True, "peephole": True, "norm": True},
}


@pytest.mark.parametrize("form", ["float", "symmetric", "asymmetric"])
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_float(cell: dict[str, Any], form: str) -> None:
    rng = np.random.default_rng(1)
    built = Cell(rng, **cell)
    shape = built.batch, built.inputs
    model = float_lstm("LSTM", shape, built, form != "float", asymmetric_quantize_inputs=form == "asymmetric")
    check_steps(model, float_steps(rng, shape, 6))


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_int8(cell: dict[str, Any]) -> None:
    rng = np.random.default_rng(2)
    built = Cell(rng, **cell)
    shape = built.batch, built.inputs
    check_steps(int8_lstm(rng, "LSTM", shape, built, cell_clip=2.0), int8_steps(rng, shape, 6))


def test_twenty_inputs() -> None:
    rng = np.random.default_rng(3)
    inputs = float_inputs(Cell(rng), T(np.float32, (1, 8)), False)[:20]
    model = writer.model("LSTM", inputs, [T(np.float32, (1, 6))], fused_activation_function=writer.TANH)
    check_steps(model, float_steps(rng, (1, 8)))


def test_input_must_be_a_matrix() -> None:
    inputs = float_inputs(Cell(np.random.default_rng(4)), T(np.float32, (1, 1, 8)), False)
    with pytest.raises(ModelError, match="2 axes were expected"):
        int8rt.load(writer.model("LSTM", inputs, [T(np.float32, (1, 6))], fused_activation_function=writer.TANH))


def test_two_cells_with_states_of_their_own() -> None:
    rng = np.random.default_rng(5)
    x, h, y = T(np.float32, (1, 8)), T(np.float32, (1, 6)), T(np.float32, (1, 6))
    nodes = [
        writer.Op("LSTM", float_inputs(Cell(rng), x, True), [h], fused_activation_function=writer.TANH),
        writer.Op("LSTM", float_inputs(Cell(rng, inputs=6), h, False), [y], fused_activation_function=writer.TANH),
    ]
    content = writer.network(nodes, [x], [y])
    steps = float_steps(rng, (1, 8), 8)
    loaded = int8rt.load(content)
    found = [loaded(*inputs) for inputs in steps]
    expected = litert.run_steps(content, steps)
    assert np.array_equal(found, [outputs[0] for outputs in expected])


SIZES = [(1, 8, 4), (1, 17, 7), (3, 9, 5), (5, 30, 12), (4, 20, 33), (2, 3, 2)]


@pytest.mark.parametrize("sizes", SIZES)
def test_basic_float(sizes: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(6)
    check_steps(basic_lstm(rng, *sizes, np.float32), float_steps(rng, sizes[:2], 5))


def uint8_steps(rng: np.random.Generator, shape: tuple[int, int]) -> list[list[np.ndarray]]:
    """Inputs of several runs, extreme ones among them."""
    return [[rng.integers(0, 256, shape).astype(np.uint8)] for _ in range(5)] + [[np.full(shape, 255, np.uint8)]]


@pytest.mark.parametrize("sizes", SIZES)
def test_basic_uint8(sizes: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(7)
    check_steps(basic_lstm(rng, *sizes, np.uint8), uint8_steps(rng, sizes[:2]))


@pytest.mark.parametrize(
    "change", [{"w_zero": 0}, {"w_zero": 255}, {"bias_scale": 1e-6}, {"bias_scale": 3e-3}, {"bias_scale": 2**-13}]
)
def test_basic_uint8_extremes(change: dict[str, Any]) -> None:
    rng = np.random.default_rng(8)
    check_steps(basic_lstm(rng, 3, 20, 9, np.uint8, **change), uint8_steps(rng, (3, 20)))


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({1: T(np.float32, (2, 3))}, "variable"),
        ({4: T(np.float32, (2, 4), is_variable=True)}, "cell state"),
        ({2: T(np.float32, (12, 8), data=np.zeros((12, 8)))}, "weights"),
        ({3: T(np.float32, (11,), data=np.zeros(11))}, "bias"),
        ({2: T(np.float32, (12, 7))}, "must be constants"),
        ({0: T(np.float32, (2, 1, 4))}, "2 axes were"),
        ({0: None}, "no input 0"),
        ({0: T(np.int8, (2, 4), 0.1, 0)}, "float32 and uint8"),
        ({3: T(np.int32, (12,), 0.1, data=np.zeros(12))}, "expected float32"),
    ],
)
def test_basic_malformed(replaced: dict[int, T | None], message: str) -> None:
    inputs = [
        T(np.float32, (2, 4)), T(np.float32, (2, 3), is_variable=True), T(np.float32, (12, 7), data=np.zeros((12, 7))),
        T(np.float32, (12,), data=np.zeros(12)), T(np.float32, (2, 3), is_variable=True),
    ]  # fmt: skip
    outputs = [T(np.float32, (2, n)) for n in (3, 3, 7, 12)]
    given = [replaced.get(i, t) for i, t in enumerate(inputs)]
    with pytest.raises((ModelError, UnsupportedError), match=message):
        int8rt.load(writer.model("LSTM", given, outputs, kernel_type=1))


def test_basic_cell_state_must_have_four_integer_bits() -> None:
    x, h = T(np.uint8, (1, 4), 1 / 128, 128), T(np.uint8, (1, 3), 1 / 128, 128, is_variable=True)
    w = T(np.uint8, (12, 7), 0.1, 128, data=np.zeros((12, 7)))
    bias = T(np.int32, (12,), 0.1 / 128, data=np.zeros(12))
    c = T(np.int16, (1, 3), 2.0**-10, 0, is_variable=True)
    outputs = [T(np.uint8, (1, 3)), T(np.int16, (1, 3), 2.0**-10), T(np.uint8, (1, 7)), T(np.int16, (1, 12))]
    with pytest.raises(ModelError, match="scale"):
        int8rt.load(writer.model("LSTM", [x, h, w, bias, c], outputs, kernel_type=1))
