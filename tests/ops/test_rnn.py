"""RNN: sequences of runs against LiteRT, in float32 and hybrid."""

from __future__ import annotations

import numpy as np
import pytest
import writer
from recurrent import check_references, check_steps, float_steps, rnn, rnn_weights, steps_beyond_numbers
from writer import T

import int8rt
from int8rt.errors import ModelError, UnsupportedError

FORMS = ["float", "symmetric", "asymmetric"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("batch", "depth", "units"), [(1, 8, 6), (3, 17, 9), (2, 3, 1), (4, 1, 5), (1, 64, 32), (5, 30, 13), (2, 16, 16)]
)
def test_steps(batch: int, depth: int, units: int, form: str) -> None:
    rng = np.random.default_rng(batch)
    is_asymmetric = form == "asymmetric"
    model = rnn(rng, "RNN", (batch, depth), batch, units, form != "float", asymmetric_quantize_inputs=is_asymmetric)
    check_steps(model, float_steps(rng, (batch, depth), 5))


@pytest.mark.parametrize("activation", range(6))
@pytest.mark.parametrize("form", FORMS)
def test_activations(activation: int, form: str) -> None:
    rng = np.random.default_rng(activation)
    is_asymmetric = form == "asymmetric"
    model = rnn(rng, "RNN", (2, 9), 2, 7, form != "float", activation, asymmetric_quantize_inputs=is_asymmetric)
    check_steps(model, float_steps(rng, (2, 9)))


@pytest.mark.parametrize("magnitude", [1e-30, 1e-10, 1e10, 1e30])
def test_magnitudes(magnitude: float) -> None:
    rng = np.random.default_rng(1)
    steps = [[(magnitude * x).astype(np.float32) for x in step] for step in float_steps(rng, (2, 9))]
    check_steps(rnn(rng, "RNN", (2, 9), 2, 7, True, writer.RELU6), steps)


@pytest.mark.parametrize("activation", range(6))
def test_infinity_and_nan(activation: int) -> None:
    rng = np.random.default_rng(activation)
    check_steps(rnn(rng, "RNN", (2, 9), 2, 7, False, activation), steps_beyond_numbers(rng, (2, 9)))


@pytest.mark.parametrize("is_asymmetric", [False, True])
def test_infinity_and_nan_times_int8(is_asymmetric: bool) -> None:
    rng = np.random.default_rng(1)
    content = rnn(rng, "RNN", (2, 9), 2, 7, True, asymmetric_quantize_inputs=is_asymmetric)
    for (y,) in check_references(content, steps_beyond_numbers(rng, (2, 9))):
        assert np.isnan(y[0]).all()
        assert np.isfinite(y[1]).all()


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({0: T(np.float32, (2, 1, 4))}, "2 axes were"),
        ({1: T(np.float32, (3, 5), data=np.zeros((3, 5)))}, "input weights"),
        ({1: T(np.float32, (3,), data=np.zeros(3))}, "2 axes were"),
        ({2: T(np.float32, (3, 4), data=np.zeros((3, 4)))}, "recurrent weights"),
        ({3: T(np.float32, (4,), data=np.zeros(4))}, "bias"),
        ({4: T(np.float32, (2, 3))}, "the state"),
        ({4: T(np.float32, (1, 3), is_variable=True)}, "the state"),
        ({1: T(np.float32, (3, 4))}, "must be constant"),
        ({2: T(np.int8, (3, 3), 0.1, data=np.zeros((3, 3)))}, "the weights"),
        ({3: None}, "no input 3"),
    ],
)
def test_malformed(replaced: dict[int, T | None], message: str) -> None:
    rng = np.random.default_rng(2)
    inputs = [
        T(np.float32, (2, 4)), rnn_weights(rng, False, 3, 4), rnn_weights(rng, False, 3, 3),
        T(np.float32, (3,), data=np.zeros(3)), T(np.float32, (2, 3), is_variable=True),
    ]  # fmt: skip
    given = [replaced.get(i, t) for i, t in enumerate(inputs)]
    with pytest.raises((ModelError, UnsupportedError), match=message):
        int8rt.load(writer.model("RNN", given, [T(np.float32, (2, 3))], fused_activation_function=writer.TANH))


def test_integer_inputs_are_refused() -> None:
    x = T(np.int8, (2, 4), 0.1, 0)
    w, r = (T(np.int8, (3, n), 0.1, data=np.zeros((3, n))) for n in (4, 3))
    bias, h = T(np.float32, (3,), data=np.zeros(3)), T(np.float32, (2, 3), is_variable=True)
    with pytest.raises(ModelError, match="expected float32"):
        int8rt.load(writer.model("RNN", [x, w, r, bias, h], [T(np.float32, (2, 3))]))
