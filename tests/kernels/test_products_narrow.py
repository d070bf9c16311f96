"""Weights of 4 and 2 bits, mostly with int8 activations, and weights that are computed, against LiteRT."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from engines import check, run_program, same
from products import cases, some
from selection import share
from writer import RELU, RELU6, T, model

from int8rt.errors import UnsupportedError

I8, I16, I32, I64, F32 = np.int8, np.int16, np.int32, np.int64, np.float32
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


MISREAD = [  # accepted by LiteRT, which reads past their end or takes packed bytes for weights
    *cases("CONV_2D", activations=I16, bias=I64, weights="INT2"),
    *some("GROUPED", activations=I16, bias=I64, weights="INT2"),
    *some("CONV_2D", activations=I16, bias=I64, weights="INT2", per_channel=False, activation=RELU6, fit=0.01),
    *cases("CONV_2D", bias=F32, weights="INT2"),
    *some("CONV_2D", bias=F32, weights="INT2", per_channel=False),
    *some("GROUPED", bias=F32, weights="INT2", activation=RELU),
    *(c for w in ("INT4", "INT2") for c in cases("DEPTHWISE_CONV_2D", activations=I16, bias=I64, weights=w)),
    *(
        c
        for w in ("INT4", "INT2")
        for c in some("DEPTHWISE_CONV_2D", activations=I16, weights=w, per_channel=False, values="ends")
    ),
]


@pytest.mark.parametrize("case", share(CASES, 3, 6), ids=lambda c: f"{c.op} {c}")
def test_narrow(case):
    content, inputs = case.model()
    check(content, *inputs)


@pytest.mark.parametrize("case", MISREAD, ids=lambda c: f"{c.op} {c}")
def test_what_litert_misreads(case):
    """What the file means: the same as with the weights in int8, which LiteRT computes."""
    content, inputs = case.model()
    unpacked, _ = replace(case, is_unpacked=True).model()
    check(content, *inputs, litert=check(unpacked, *inputs))


def test_all_values_of_weights_below_8_bits():
    """The lowest ones, -8 and -2, have no counterpart above zero."""
    for bits, type_name in ((4, "INT4"), (2, "INT2")):
        values = np.arange(-(1 << bits >> 1), 1 << bits >> 1).reshape(1, 1, 1, -1)
        x = np.random.default_rng(bits).integers(-32768, 32768, (1, 5, 5, values.size)).astype(I16)
        both = [
            model("DEPTHWISE_CONV_2D", [T(I16, x.shape, 0.1), T(I8, values.shape, 0.1, data=values, type_name=kind)],
                  [T(I16, x.shape, 0.05)], stride_h=1, stride_w=1, depth_multiplier=1)
            for kind in (type_name, None)
        ]  # fmt: skip
        check(both[0], x, litert=check(both[1], x))


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
