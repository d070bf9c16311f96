"""Unary operators one after another: results in the memory of their inputs, and tables that change nothing."""

from __future__ import annotations

import numpy as np
import unary
import writer
from engines import check
from writer import Op, T

from int8rt.format import reader
from int8rt.plan import program
from int8rt.plan.program import Program

SHAPE = (2, 5, 7, 3)


def build(content: bytes) -> Program:
    return program.build(reader.read(content).main, unary.REFERENCE)


def chain(dtype, scales, z):
    """QUANTIZE from float32, three unary operators and DEQUANTIZE."""
    a, b, c, d = (T(dtype, SHAPE, s, z) for s in scales)
    x, y = T(np.float32, SHAPE), T(np.float32, SHAPE)
    nodes = [
        Op("QUANTIZE", [x], [a]),
        Op("LEAKY_RELU", [a], [b], alpha=0.1),
        Op("RELU6", [b], [c]),
        Op("TANH", [c], [d]),
        Op("DEQUANTIZE", [d], [y]),
    ]
    return writer.network(nodes, [x], [y])


def test_chains():
    x = np.random.default_rng(0).normal(size=SHAPE, scale=5).astype(np.float32)
    check(chain(np.int8, (0.05, 0.04, 0.03, 1 / 128), 3), x)
    check(chain(np.uint8, (0.05, 0.04, 0.03, 1 / 128), 130), x)
    check(chain(np.int16, (1e-3, 9e-4, 8e-4, 1 / 32768), 0), x)


def test_results_take_over_memory():
    plan = build(chain(np.int8, (0.05, 0.04, 0.03, 1 / 128), 3))
    unary_calls = [call for call in plan.calls if call.name == "look_up_bytes"]
    assert len(unary_calls) == 3
    assert len({plan.base(call.writes[0]) for call in unary_calls}) == 1


def test_an_input_that_is_needed_later_is_kept():
    x, h, y = (T(np.int8, SHAPE, 0.05, 3) for _ in range(3))
    nodes = [Op("RELU", [x], [h]), Op("TANH", [x], [y])]
    values = np.random.default_rng(0).integers(-128, 128, SHAPE).astype(np.int8)
    check(writer.network(nodes, [x], [h, y, x]), values)


def test_identity_is_a_view():
    """RELU of a tensor whose smallest value is 0 changes nothing."""
    x = unary.every(np.int8)
    content = unary.node("RELU", unary.Case(np.int8, 0.1, -128, 0.1, -128), x.shape)
    assert build(content).calls == []
    check(content, x)
