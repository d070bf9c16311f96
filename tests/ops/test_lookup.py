"""Unary operators one after another: results in the memory of their inputs, and tables that change nothing."""

from __future__ import annotations

import numpy as np
import pytest
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


BEYOND = [("ABS", {}), ("LEAKY_RELU", {"alpha": 0.5}), ("QUANTIZE", {}), ("RELU", {}), ("RELU6", {})]


@pytest.mark.parametrize("power", [32, 34, 75, 120])
@pytest.mark.parametrize(("op", "options"), BEYOND)
def test_multipliers_beyond_every_shift(op, options, power):
    """LiteRT shifts an int32 to the left by 32 bits or more, which is undefined; all of them are lost."""
    scale, z = 0.05, 3
    x, y = T(np.int8, (1, 256), scale, z), T(np.int8, (1, 256), scale * 2.0**-power * options.get("alpha", 1), z)
    values = np.arange(-128, 128, dtype=np.int8)[None]
    content = writer.model(op, [x], [y], **options)
    check(content, values, litert=[np.full((1, 256), z, np.int8)])


@pytest.mark.parametrize("alpha", [np.inf, -np.inf, np.nan, 2.0**-140, -(2.0**-140), 1e-30, 2.0**30, -(2.0**26)])
@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_extreme_slopes(dtype, alpha):
    """Of what is no number int32 keeps nothing, and what is below 2**-32 is 0: both give the zero point."""
    z = 3 if dtype == np.int8 else 131
    x, y = (T(dtype, (1, 256), scale, z) for scale in (0.05, 0.04))
    values = np.arange(256, dtype=np.uint8)[None].view(dtype)
    (found,) = check(writer.model("LEAKY_RELU", [x], [y], alpha=alpha), values)
    if not 2.0**-32 < abs(alpha) < np.inf:
        assert (found[values < z] == z).all()
