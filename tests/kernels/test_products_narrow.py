"""int8 activations with weights of 4 and 2 bits, and with weights that are computed, against LiteRT."""

from __future__ import annotations

import numpy as np
import pytest
from engines import check, run_program, same
from products import cases, some
from writer import RELU, RELU6

from int8rt.errors import UnsupportedError

I8, I32 = np.int8, np.int32
WITH_INT4 = ("CONV_2D", "GROUPED", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
ALL = (*WITH_INT4, "TRANSPOSE_CONV")
ZEROS = (-7, 11)

CASES = [
    *cases(*WITH_INT4, activations=I8, weights="INT4", bias=I32, zero_points=ZEROS),
    *cases(*WITH_INT4, activations=I8, weights="INT4", bias=I32, zero_points=(127, -128), per_channel=False),
    *some(*WITH_INT4, activations=I8, weights="INT4", bias=I32, zero_points=ZEROS, activation=RELU),
    *some(*WITH_INT4, activations=I8, weights="INT4", bias=I32, zero_points=ZEROS, values="ends", activation=RELU6),
    *cases("FULLY_CONNECTED", activations=I8, weights="INT2", bias=I32, zero_points=ZEROS),
    *some("FULLY_CONNECTED", activations=I8, weights="INT2", zero_points=ZEROS, per_channel=False),
]
RUN_TIME = [
    *some(*ALL, activations=I8, bias=I32, zero_points=ZEROS, constant_weights=False),
    *some(*ALL, activations=I8, bias=I32, zero_points=ZEROS, constant_weights=False, per_channel=False),
    *some(*ALL, activations=I8, bias=I32, zero_points=ZEROS, constant_bias=False),
    *some(*ALL, activations=I8, bias=I32, zero_points=ZEROS, constant_weights=False, constant_bias=False),
    *some(
        "FULLY_CONNECTED", activations=I8, zero_points=ZEROS, constant_weights=False, activation=RELU6, values="ends"
    ),
    *some("FULLY_CONNECTED", activations=np.int16, bias=np.int64, constant_weights=False),
    *some("FULLY_CONNECTED", bias=np.float32, constant_weights=False),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.op} {c}")
def test_narrow(case):
    content, inputs = case.model()
    check(content, *inputs)


@pytest.mark.parametrize("case", RUN_TIME, ids=lambda c: f"{c.op} {c}")
def test_weights_at_run_time(case):
    content, inputs = case.model()
    check(content, *inputs)


def test_threads():
    for case in some("FULLY_CONNECTED", activations=I8, zero_points=ZEROS, constant_weights=False):
        content, inputs = case.model()
        same("one thread", run_program(content, *inputs), run_program(content, *inputs, threads=2))


@pytest.mark.parametrize(
    ("op", "weights"),
    [("TRANSPOSE_CONV", "INT4"), ("TRANSPOSE_CONV", "INT2"), ("CONV_2D", "INT2"), ("DEPTHWISE_CONV_2D", "INT2")],
)
def test_refused(op, weights):
    content, inputs = some(op, activations=I8, weights=weights, bias=I32)[0].model()
    with pytest.raises(UnsupportedError, match=op):
        run_program(content, *inputs)
