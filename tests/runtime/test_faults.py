"""A run whose values are out of range: it is one run, which ends in one error, and the next one is as good as any."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sequences import session
from writer import Op, T, network

import int8rt
from int8rt import Interpreter, ops
from int8rt.errors import InputError
from int8rt.memory import aligned_empty
from int8rt.native.kernel import kernel
from int8rt.ops._index import report
from int8rt.steps import Call, Flat, scratch

GOOD, BAD = np.array([1, 2, 3], np.int32), np.array([1, -7, 3], np.int32)


@kernel
def count_and_add(runs: Any, held: Any, x: Any, y: Any, found: Any) -> None:
    """y = held = held + x; values below 0 are faults."""
    runs[0] += 1
    for i in range(x.size):
        if x[i] < 0:
            report(found, x[i])
        held[i] += x[i]
        y[i] = held[i]


@pytest.fixture(params=["with a variable", "without"])
def model(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[bytes, np.ndarray]:
    """A model of a kernel that counts its runs, and the count."""
    runs = aligned_empty((1,), np.int64)  # so that the call keeps this array
    runs[0] = 0
    is_variable = request.param == "with a variable"

    def prepare(node: Any, numerics: Any) -> Call:
        x, y = node.inputs[-1], node.outputs[0]
        held = node.inputs[0] if is_variable else scratch("held", x.shape, np.int32)
        found = ops.fault("{} is below 0")
        flat = (Flat(t, t.dtype) for t in (held, x, y))
        return Call(count_and_add, runs, *flat, found, writes=[y, found, held])

    shapes = lambda node: [node.inputs[-1].shape]  # noqa: E731
    counted = SimpleNamespace(shapes=shapes, reference=lambda node, *arrays: arrays[-1], prepare=prepare)
    monkeypatch.setattr(ops, "_registered", {})
    ops.register("Counted", counted)
    held, x, y = T(np.int32, (3,), is_variable=True), T(np.int32, (3,)), T(np.int32, (3,))
    inputs = [held, x] if is_variable else [x]
    content = network([Op("CUSTOM", inputs, [y], None, custom_code="Counted")], [x], [y], tensors=[held])
    return content, runs


def test_a_session_runs_once(model: tuple[bytes, np.ndarray]) -> None:
    content, runs = model
    running = session(content)
    for run in (running.run, lambda inputs: running.direct(*inputs)):
        before = int(runs[0])
        with pytest.raises(InputError, match="-7 is below 0"):
            run([BAD])
        assert runs[0] == before + 1
        run([GOOD])
        assert runs[0] == before + 2


def test_a_batch_runs_once(model: tuple[bytes, np.ndarray]) -> None:
    content, runs = model
    with pytest.raises(InputError, match="-7 is below 0"):
        int8rt.load(content)(np.concatenate([GOOD, BAD, GOOD]))
    assert runs[0] == 3


def test_a_model_runs_once(model: tuple[bytes, np.ndarray]) -> None:
    content, runs = model
    loaded = int8rt.load(content)
    for count in (1, 2):
        with pytest.raises(InputError, match="-7 is below 0"):
            loaded(BAD)
        assert runs[0] == count
    if loaded.program.variables:  # which each run has changed once
        assert loaded(np.zeros(3, np.int32)).tolist() == [2, -14, 6]


def test_an_interpreter_runs_once(model: tuple[bytes, np.ndarray]) -> None:
    content, runs = model
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    index = interpreter.get_input_details()[0]["index"]
    for count, x in enumerate((BAD, GOOD, BAD, GOOD), 1):
        interpreter.set_tensor(index, x)
        if x is BAD:
            with pytest.raises(InputError, match="-7 is below 0"):
                interpreter.invoke()
        else:
            interpreter.invoke()
        assert runs[0] == count
