"""LSTM, the full kernel: sequences of runs against LiteRT, in int8, hybrid and float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import writer
from recurrent import Cell, check_steps, float_inputs, float_lstm, float_steps, int8_lstm, int8_steps
from writer import T

import int8rt
from int8rt.errors import ModelError

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
    with pytest.raises(ModelError, match="batch, depth"):
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
    expected = int8rt.litert.run_steps(content, steps)
    assert np.array_equal(found, [outputs[0] for outputs in expected])
