"""Products of int16 activations with weights of 8, 4 and 2 bits against LiteRT's BUILTIN_REF."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from engines import check, run_litert, run_program, run_reference, same
from products import GEOMETRIES, Product, cases, some
from selection import share
from writer import RELU, RELU6, RELU_N1_TO_1, SIGN_BIT, T, model

from int8rt.errors import ModelError, UnsupportedError
from int8rt.format import reader

INT32, INT64 = 2, 4
CONVOLUTIONS = ("CONV_2D", "GROUPED", "TRANSPOSE_CONV")
ALL = (*CONVOLUTIONS, "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
I16 = np.int16


def with_int32_bias(case: Product) -> Product:
    return replace(case, bias=np.int32, options={**case.options, "quantized_bias_type": INT32})


CASES = [
    *cases(*ALL, activations=I16, bias=np.int64),
    *cases(*ALL, activations=I16, bias=np.int64, per_channel=False),
    *(with_int32_bias(case) for case in cases(*CONVOLUTIONS, "FULLY_CONNECTED", activations=I16)),
    *some("TRANSPOSE_CONV", "FULLY_CONNECTED", "DEPTHWISE_CONV_2D", activations=I16),  # no bias
    *some(*ALL, activations=I16, bias=np.int64, activation=RELU),
    *some(*ALL, activations=I16, bias=np.int64, activation=RELU6, fit=0.01),
    *some(*ALL, activations=I16, bias=np.int64, activation=RELU_N1_TO_1, fit=0.01),
    *cases(*ALL, activations=I16, bias=np.int64, values="ends"),
    *cases(*ALL, activations=I16, bias=np.int64, values="lowest", fit=60),
    *some(*ALL, activations=I16, bias=np.int64, fit=100),
    *some(*ALL, activations=I16, bias=np.int64, fit=1e7),
    *some(*ALL, activations=I16, bias=np.int64, fit=0.0002),
    *some(*CONVOLUTIONS, "DEPTHWISE_CONV_2D", step=5, activations=I16, bias=np.int64, fit=2e-6),  # I64 wraps to int32
    *some("CONV_2D", "GROUPED", "FULLY_CONNECTED", activations=I16, bias=np.int64, weights="INT4"),
    *some("FULLY_CONNECTED", activations=I16, bias=np.int64, weights="INT2"),
]


@pytest.mark.parametrize("case", share(CASES, 2, 6), ids=lambda c: f"{c.op} {c}")
def test_int16(case):
    content, inputs = case.model()
    check(content, *inputs)


@pytest.mark.parametrize("depth", [510, 511, 512, 513, 514, 1021, 1022, 1023, 1024, 5000])
def test_long_sums(depth):
    """Sums beyond int32, which come out of the parts into which a long row is cut."""
    geometry = {"op": "FULLY_CONNECTED", "x": (7, depth), "w": (20, depth)}
    for values in ("lowest", "ends"):
        content, inputs = Product(**geometry, activations=I16, bias=np.int64, values=values, fit=60).model()
        check(content, *inputs)
    content, inputs = Product(
        "CONV_2D", (1, 3, 3, depth), (5, 2, 2, depth), activations=I16, bias=np.int64, values="lowest", fit=60
    ).model()
    check(content, *inputs)


@pytest.mark.parametrize("op", ["FULLY_CONNECTED", "CONV_2D", "TRANSPOSE_CONV"])
def test_int32_bias_without_the_option(op):
    """Older converters leave out quantized_bias_type. LiteRT then reads the int32 bias as int64, past its end.

    What is meant is what it computes with the option.
    """
    for geometry in GEOMETRIES[op][:4]:
        case = Product(**geometry, activations=I16, bias=np.int32)
        content, inputs = case.model()
        expected = run_litert(*_flat(with_int32_bias(case).model()))
        same("LiteRT with the option", expected, run_program(content, *inputs))
        same("reference", run_reference(content, *inputs), expected)


def _flat(model):
    return model[0], *model[1]


def test_int32_accumulators_wrap():
    case = Product("FULLY_CONNECTED", (3, 3000), (5, 3000), activations=I16, values="lowest", fit=60)
    content, inputs = with_int32_bias(case).model()
    check(content, *inputs)


@pytest.mark.parametrize("bias", [None, np.int64, np.int32])
@pytest.mark.parametrize("per_channel", [True, False])
def test_weights_of_16_bits(per_channel, bias):
    """FULLY_CONNECTED has them; its scale is then a product in float32 unless it is one per channel.

    Without quantized_bias_type LiteRT takes the words of an int64 bias for int32 ones.
    """
    rng = np.random.default_rng(2)
    w = rng.integers(-32768, 32768, (20, 30)).astype(I16)
    s_w = rng.uniform(1e-5, 3e-5, 20 if per_channel else 1).astype(np.float32)
    b = None if bias is None else T(bias, (20,), 1e-8, data=rng.integers(-(2**30), 2**30, 20))
    inputs = [T(I16, (7, 30), 0.001), T(I16, (20, 30), s_w, data=w), b]
    x = rng.integers(-32768, 32768, (7, 30)).astype(I16)
    options = {np.int32: {"quantized_bias_type": INT32}, np.int64: {"quantized_bias_type": INT64}}.get(bias, {})
    check(model("FULLY_CONNECTED", inputs, [T(I16, (7, 20), 0.003)], **options), x)


@pytest.mark.parametrize("op", ["CONV_2D", "FULLY_CONNECTED", "DEPTHWISE_CONV_2D"])
@pytest.mark.parametrize("value", [2**33, -(2**40), 2**47, 2**62, -(2**62), 2**63 - 1, -(2**63)])
def test_bias_beyond_the_reach_of_the_rule(op, value):
    """LiteRT's rule is for sums of 48 bits; what is beyond wraps as its int64 does.

    FULLY_CONNECTED casts a double to int32, which is undefined beyond; here it ends at the end of the range.
    """
    content, inputs = Product(**GEOMETRIES[op][0], activations=I16, bias=np.int64).model()
    tensor = reader.read(content).main.nodes[0].inputs[2]
    bias = np.array(tensor.data)
    bias[1::3] = value
    content = content.replace(tensor.data.tobytes(), bias.tobytes())
    assert (reader.read(content).main.nodes[0].inputs[2].data == bias).all()
    if op != "FULLY_CONNECTED":
        check(content, *inputs)
        return
    (y,) = run_program(content, *inputs)
    same("reference", run_reference(content, *inputs), [y])
    if abs(value) <= 2**62:  # else the sum itself may wrap
        assert (y.reshape(-1, len(bias))[:, 1::3] == (32767 if value > 0 else -32768)).all()


def test_threads():
    for op in ALL:
        for case in cases(op, activations=I16, bias=np.int64):
            content, inputs = case.model()
            same("one thread", run_program(content, *inputs), run_program(content, *inputs, threads=2))


CONV, DEPTHWISE = GEOMETRIES["CONV_2D"][0], GEOMETRIES["DEPTHWISE_CONV_2D"][0]
REFUSED = {
    "int32 bias of DEPTHWISE": (Product(**DEPTHWISE, activations=I16, bias=np.int32), ModelError),
    "option and bias": (
        replace(Product(**CONV, activations=I16, bias=np.int64), options={"quantized_bias_type": INT32}), ModelError,
    ),
    "unknown option": (
        replace(Product(**CONV, activations=I16, bias=np.int64), options={"quantized_bias_type": 9}), ModelError,
    ),
    "zero point": (Product(**CONV, activations=I16, bias=np.int64, zero_points=(1, 0)), ModelError),
    "zero point of y": (Product(**CONV, activations=I16, bias=np.int64, zero_points=(0, 1)), ModelError),
    "activation": (Product(**CONV, activations=I16, bias=np.int64, activation=SIGN_BIT), UnsupportedError),
    "scale": (Product(**CONV, activations=I16, bias=np.int64, fit=1e-9), UnsupportedError),
    "int4 of TRANSPOSE_CONV": (
        Product(**GEOMETRIES["TRANSPOSE_CONV"][0], activations=I16, weights="INT4"), UnsupportedError,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("case", "error"), REFUSED.values(), ids=REFUSED)
def test_refused(case, error):
    content, inputs = case.model()
    with pytest.raises(error, match=reader.read(content).main.nodes[0].op):
        run_program(content, *inputs)
