"""UNIDIRECTIONAL_SEQUENCE_RNN: sequences of runs against LiteRT, in float32 and hybrid."""

from __future__ import annotations

import numpy as np
import pytest
import writer
from recurrent import check_steps, float_steps, rnn, rnn_weights
from writer import T

import int8rt
from int8rt.errors import ModelError

OP = "UNIDIRECTIONAL_SEQUENCE_RNN"


@pytest.mark.parametrize("time_major", [True, False])
@pytest.mark.parametrize("form", ["float", "symmetric", "asymmetric"])
@pytest.mark.parametrize(
    ("time", "batch", "depth", "units"), [(5, 1, 8, 6), (4, 3, 9, 5), (1, 2, 17, 8), (6, 4, 3, 1), (3, 2, 40, 33)]
)
def test_sequences(time: int, batch: int, depth: int, units: int, form: str, time_major: bool) -> None:
    rng = np.random.default_rng(time)
    shape = (time, batch, depth) if time_major else (batch, time, depth)
    is_asymmetric = form == "asymmetric"
    model = rnn(
        rng, OP, shape, batch, units, form != "float", time_major=time_major, asymmetric_quantize_inputs=is_asymmetric
    )
    check_steps(model, float_steps(rng, shape))


@pytest.mark.parametrize("activation", range(6))
@pytest.mark.parametrize("is_hybrid", [False, True])
def test_activations(activation: int, is_hybrid: bool) -> None:
    rng = np.random.default_rng(activation)
    model = rnn(rng, OP, (3, 2, 9), 2, 7, is_hybrid, activation, time_major=True)
    check_steps(model, float_steps(rng, (3, 2, 9)))


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({0: T(np.float32, (2, 4))}, "3 axes were"),
        ({1: T(np.float32, (3, 5), data=np.zeros((3, 5)))}, "input weights"),
        ({4: T(np.float32, (5, 3), is_variable=True)}, "the state"),
        ({4: None}, "no input 4"),
    ],
)
def test_malformed(replaced: dict[int, T | None], message: str) -> None:
    rng = np.random.default_rng(2)
    inputs = [
        T(np.float32, (5, 2, 4)), rnn_weights(rng, False, 3, 4), rnn_weights(rng, False, 3, 3),
        T(np.float32, (3,), data=np.zeros(3)), T(np.float32, (2, 3), is_variable=True),
    ]  # fmt: skip
    given = [replaced.get(i, t) for i, t in enumerate(inputs)]
    with pytest.raises(ModelError, match=message):
        int8rt.load(writer.model(OP, given, [T(np.float32, (5, 2, 3))], time_major=True))
