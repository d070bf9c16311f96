"""Products of float32: every sum has the bits of LiteRT's BUILTIN_REF."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from engines import check, run_litert, run_program, run_reference, same
from products import GEOMETRIES, Product, cases, some
from selection import share
from writer import RELU, RELU6, RELU_N1_TO_1, TANH, Op, T, network

from int8rt.errors import UnsupportedError

ALL = ("CONV_2D", "GROUPED", "TRANSPOSE_CONV", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
F32 = np.float32

CASES = [
    *cases(*ALL, weights="float32", bias=F32),
    *some("TRANSPOSE_CONV", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", weights="float32"),  # no bias
    *some(*ALL, weights="float32", bias=F32, activation=RELU),
    *some(*ALL, weights="float32", bias=F32, activation=RELU6),
    *some(*ALL, weights="float32", bias=F32, activation=RELU_N1_TO_1),
    *some(*ALL, weights="float32", bias=F32, values="huge"),
    *some(*ALL, weights="float32", bias=F32, values="denormal"),
    *some(*ALL, weights="float32", bias=F32, values="negative zeros"),
]
RUN_TIME = [
    *some(*ALL, weights="float32", bias=F32, constant_weights=False),
    *some(*ALL, weights="float32", bias=F32, constant_weights=False, constant_bias=False, activation=RELU),
    *some("CONV_2D", "FULLY_CONNECTED", weights="float32", bias=F32, constant_bias=False),
]


@pytest.mark.parametrize("case", share(CASES + RUN_TIME, 0, 6), ids=lambda c: f"{c.op} {c}")
def test_float(case):
    content, inputs = case.model()
    check(content, *inputs)


def test_infinities_and_nan_in_x():
    for op in ("CONV_2D", "FULLY_CONNECTED"):
        content, (x,) = Product(**GEOMETRIES[op][-1], weights="float32", bias=F32).model()
        x.reshape(-1)[:3] = np.inf, -np.inf, np.nan
        with np.errstate(invalid="ignore"):
            outputs = run_program(content, x), run_reference(content, x), run_litert(content, x)
        for (y,) in outputs:  # bits of NaN may differ
            np.testing.assert_array_equal(y, outputs[0][0])


def test_infinite_weights():
    """Padding would multiply them with zeros."""
    x, y = T(F32, (1, 4, 4, 1)), T(F32, (1, 4, 4, 1))
    w = T(F32, (1, 3, 3, 1), data=np.full((1, 3, 3, 1), np.inf, F32))
    b = T(F32, (1,), data=np.zeros(1, F32))
    node = Op("CONV_2D", [x, w, b], [y], stride_h=1, stride_w=1)
    with pytest.raises(UnsupportedError, match="infinite"):
        run_program(network([node], [x], [y]), np.ones((1, 4, 4, 1), F32))


def test_float16_weights_behind_dequantize():
    """They are widened when the model is loaded."""
    rng = np.random.default_rng(3)
    x, y, w = T(F32, (3, 30)), T(F32, (3, 9)), T(F32, (9, 30))
    half = T(np.float16, (9, 30), data=rng.normal(size=(9, 30)).astype(np.float16))
    nodes = [Op("DEQUANTIZE", [half], [w]), Op("FULLY_CONNECTED", [x, w, None], [y])]
    check(network(nodes, [x], [y]), rng.normal(size=(3, 30)).astype(F32))


def test_threads():
    for case in [*cases(*ALL, weights="float32", bias=F32), *some(*ALL, weights="float32", constant_weights=False)]:
        content, inputs = case.model()
        if case.bias is not None or case.op == "FULLY_CONNECTED":
            same("one thread", run_program(content, *inputs), run_program(content, *inputs, threads=2))


def test_activation_that_only_hybrid_has():
    content, inputs = replace(Product(**GEOMETRIES["CONV_2D"][0], weights="float32", bias=F32), activation=TANH).model()
    with pytest.raises(UnsupportedError, match="activation"):
        run_program(content, *inputs)
