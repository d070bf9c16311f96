"""SVDF: sequences of runs against LiteRT, in int8, hybrid and float32."""

from __future__ import annotations

import numpy as np
import pytest
import writer
from recurrent import (
    check_references,
    check_steps,
    float_steps,
    int8_steps,
    int8_svdf,
    rnn_weights,
    steps_beyond_numbers,
    svdf,
)
from writer import T

import int8rt
from int8rt.errors import ModelError, UnsupportedError

SIZES = {  # batch, depth, units, rank, memory
    "small": (1, 8, 4, 1, 3),
    "tails": (3, 17, 5, 2, 8),
    "ranks": (2, 33, 3, 6, 10),
    "no memory": (2, 5, 7, 4, 1),
    "ones": (1, 1, 1, 1, 1),
    "vectors": (2, 40, 9, 4, 12),
}


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("form", ["float", "symmetric", "asymmetric"])
def test_float(sizes: tuple[int, int, int, int, int], form: str) -> None:
    rng = np.random.default_rng(1)
    model = svdf(rng, *sizes, form != "float", asymmetric_quantize_inputs=form == "asymmetric")
    check_steps(model, float_steps(rng, sizes[:2], 6))


@pytest.mark.parametrize("activation", [writer.RELU, writer.RELU_N1_TO_1, writer.RELU6, writer.TANH, writer.SIGN_BIT])
@pytest.mark.parametrize("is_hybrid", [False, True])
def test_float_activations(activation: int, is_hybrid: bool) -> None:
    rng = np.random.default_rng(2)
    check_steps(svdf(rng, 2, 9, 5, 2, 4, is_hybrid, False, activation), float_steps(rng, (2, 9)))


@pytest.mark.parametrize("activation", [writer.NONE, writer.RELU, writer.RELU_N1_TO_1, writer.RELU6, writer.TANH])
def test_infinity_and_nan(activation: int) -> None:
    """The limits take NaN for less than the lower one."""
    rng = np.random.default_rng(2)
    check_steps(svdf(rng, 2, 9, 5, 2, 4, False, False, activation), steps_beyond_numbers(rng, (2, 9)))


@pytest.mark.parametrize("is_asymmetric", [False, True])
def test_infinity_and_nan_times_int8(is_asymmetric: bool) -> None:
    """LiteRT casts NaN to integers; here all outputs of the row are NaN."""
    rng = np.random.default_rng(2)
    content = svdf(rng, 2, 9, 5, 2, 4, True, False, asymmetric_quantize_inputs=is_asymmetric)
    for (y,) in check_references(content, steps_beyond_numbers(rng, (2, 9))):
        assert np.isnan(y[0]).all()
        assert np.isfinite(y[1]).all()


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("has_bias", [True, False])
def test_int8(sizes: tuple[int, int, int, int, int], has_bias: bool) -> None:
    rng = np.random.default_rng(3)
    found = check_steps(int8_svdf(rng, *sizes, has_bias), int8_steps(rng, sizes[:2], 8))
    assert sizes == SIZES["ones"] or len(np.unique(found)) > 3


@pytest.mark.parametrize(
    "change",
    [{"x_zero": -128, "y_zero": 127}, {"x_zero": 127, "y_zero": -128}, {"state_scale": 1e-6}, {"state_scale": 1.0},
     {"y_scale": 1e-5}, {"y_scale": 100.0}],
)  # fmt: skip
def test_int8_extremes(change: dict[str, float]) -> None:
    rng = np.random.default_rng(4)
    check_steps(int8_svdf(rng, 2, 9, 5, 2, 6, **change), int8_steps(rng, (2, 9), 8))  # type: ignore[arg-type]


def test_int8_activation_must_be_relu() -> None:
    with pytest.raises(UnsupportedError, match="must be RELU"):
        int8rt.load(int8_svdf(np.random.default_rng(5), 1, 4, 2, 1, 3, activation=writer.NONE))


@pytest.mark.parametrize(
    ("replaced", "rank", "message"),
    [
        ({1: T(np.float32, (6, 5), data=np.zeros((6, 5)))}, 2, "do not fit"),
        ({2: T(np.float32, (5, 3), data=np.zeros((5, 3)))}, 2, "do not fit"),
        ({}, 4, "do not fit rank 4"),
        ({}, 0, "do not fit rank 0"),
        ({3: T(np.float32, (4,), data=np.zeros(4))}, 2, "the bias"),
        ({4: T(np.float32, (2, 18))}, 2, "the state"),
        ({4: T(np.float32, (2, 17), is_variable=True)}, 2, "the state"),
        ({1: T(np.float32, (6, 4))}, 2, "must be constants"),
        ({2: None}, 2, "no input 2"),
        ({2: T(np.int8, (6, 3), 0.1, data=np.zeros((6, 3)))}, 2, "the weights"),
        ({1: T(np.uint8, (6, 4), 0.1, data=np.zeros((6, 4)))}, 2, "int8 or float32"),
    ],
)
def test_malformed(replaced: dict[int, T | None], rank: int, message: str) -> None:
    rng = np.random.default_rng(6)
    inputs = [
        T(np.float32, (2, 4)), rnn_weights(rng, False, 6, 4), rnn_weights(rng, False, 6, 3), None,
        T(np.float32, (2, 18), is_variable=True),
    ]  # fmt: skip
    given = [replaced.get(i, t) for i, t in enumerate(inputs)]
    with pytest.raises((ModelError, UnsupportedError), match=message):
        int8rt.load(writer.model("SVDF", given, [T(np.float32, (2, 3))], rank=rank))
