"""Operators that users register, and the example of docs/custom_operators.md."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from engines import check, run_program, run_reference
from moves import refused, values
from paths import ROOT
from sequences import check_steps, handle, session
from writer import Graph, Op, T, model, network

import int8rt
from int8rt import ops
from int8rt.errors import InconsistentNode, InputError, ModelError, UnsupportedError
from int8rt.kernels.product import RowSegments
from int8rt.native.entries import is_cached
from int8rt.native.kernel import kernel
from int8rt.numerics.rules import Numerics, numerics
from int8rt.ops import Name
from int8rt.ops._linear import meaning, product
from int8rt.ops._operands import HybridRules, Into, Operands
from int8rt.steps import Call, Flat

DOCS = ROOT / "docs" / "custom_operators.md"


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What is registered in a test is forgotten after it."""
    names: dict[str, Any] = {}
    monkeypatch.setattr(ops, "_registered", names)
    return names


def custom(code: str, x: T, y: T, **options: Any) -> bytes:
    return model("CUSTOM", [x], [y], None, custom_code=code, custom_options=options)


def doubled(node: Any, x: np.ndarray) -> np.ndarray:
    return x * 2


DOUBLE = SimpleNamespace(shapes=lambda node: [node.inputs[0].shape], reference=doubled)
X = np.array([[1, -2, 3]], np.int32)


def test_the_example_of_the_documentation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """All its code, in order, as it stands there."""
    x, y = T(np.int8, (1, 4), 0.05, -3), T(np.int8, (1, 4), 0.05, -3)
    (tmp_path / "clip.tflite").write_bytes(custom("Example_Clip", x, y, limit=1.5))
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 3
    names: dict[str, Any] = {"__name__": "example"}
    for block in blocks:
        exec(compile(block, str(DOCS), "exec"), names)
    assert capsys.readouterr().out == "[[-33  -1   0  27]]\n"
    assert names["fast"](names["x"]).tolist() == [[-33, -1, 0, 27]]
    assert is_cached(names["clip"], ("uint8[1]", "int", "int", "uint8[1]"))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.bool_, np.int16, np.int32, np.int64, np.float32])
def test_reference_alone(dtype: type) -> None:
    """It sees true values, whatever their storage."""
    seen = []

    def flipped(node: Any, x: np.ndarray) -> np.ndarray:
        seen.append(x)
        return x[::-1]

    ops.register("Flip", SimpleNamespace(shapes=DOUBLE.shapes, reference=flipped))
    x = values(dtype, (5,))
    content = custom("Flip", T(dtype, (5,)), T(dtype, (5,)))
    for run in (run_program, run_reference):
        (y,) = run(content, x)
        assert y.dtype == dtype
        assert y.tobytes() == x[::-1].tobytes()
    assert all(array.dtype == dtype and array.tobytes() == x.tobytes() for array in seen)


def test_between_builtin_operators() -> None:
    ops.register("Double", DOUBLE)
    x, a, b, y = (T(np.int32, (1, 3)) for _ in range(4))
    nodes = [Op("ADD", [x, x], [a]), Op("CUSTOM", [a], [b], None, custom_code="Double"), Op("ADD", [b, x], [y])]
    content = network(nodes, inputs=[x], outputs=[y])
    assert np.array_equal(run_program(content, X)[0], 5 * X)
    loaded = int8rt.load(content)
    assert np.array_equal(loaded(X), 5 * X)
    assert np.array_equal(loaded(np.repeat(X, 3, axis=0)), np.repeat(5 * X, 3, axis=0))


@kernel
def triple(x: Any, y: Any) -> None:
    for i in range(x.size):
        y[i] = 3 * x[i]


def test_kernel() -> None:
    def prepare(node: Any, numerics: Any) -> Call:
        flat = (Flat(t, t.dtype) for t in (*node.inputs, *node.outputs))
        return Call(triple, *flat, writes=node.outputs)

    ops.register("Triple", SimpleNamespace(shapes=DOUBLE.shapes, reference=lambda node, x: 3 * x, prepare=prepare))
    content = custom("Triple", T(np.int32, (1, 3)), T(np.int32, (1, 3)))
    assert np.array_equal(run_program(content, X)[0], 3 * X)
    assert np.array_equal(run_reference(content, X)[0], 3 * X)


# State: an operator of one file, with nothing said of it anywhere else


class Total:
    """y = the sum of all x so far, kept in a resource of the operator's own; in NumPy."""

    keeps_state = True
    KEPT = Name("", "total")

    @staticmethod
    def shapes(node: Any) -> list[tuple[int, ...]]:
        return [node.inputs[0].shape]

    @classmethod
    def control(cls, node: Any, runtime: ops.Runtime, x: np.ndarray) -> list[np.ndarray]:
        with contextlib.suppress(InputError):  # of the first run
            x = runtime.read(cls.KEPT) + x
        runtime.assign(cls.KEPT, x)
        return [x]


@kernel
def accumulate(held: Any, x: Any, y: Any) -> None:
    for i in range(x.size):
        held[i] += x[i]
        y[i] = held[i]


class NativeTotal:
    """The same in a resource that another node gives the handle of, as a kernel."""

    keeps_state = True

    @staticmethod
    def shapes(node: Any) -> list[tuple[int, ...]]:
        return [node.inputs[1].shape]

    @staticmethod
    def resource(node: Any) -> ops.Held:
        return ops.Held(node.inputs[0].data.item())

    @staticmethod
    def control(node: Any, runtime: ops.Runtime, handle: np.ndarray, x: np.ndarray) -> list[np.ndarray]:
        y = runtime.read(handle.item()) + x
        runtime.assign(handle.item(), y)
        return [y]

    @staticmethod
    def prepare(node: Any, numerics: Any) -> Call:
        held, x, y = (Flat(t, t.dtype) for t in (*node.inputs, *node.outputs))
        return Call(accumulate, held, x, y, writes=[held.tensor, y.tensor])


class VariableTotal:
    """The same in a variable tensor, which a reference updates in place."""

    shapes = staticmethod(NativeTotal.shapes)

    @staticmethod
    def reference(node: Any, held: np.ndarray, x: np.ndarray) -> np.ndarray:
        held += x
        return held.copy()


def totals() -> bytes:
    """A model with all three: y1, y2, y3 = so much as x has been in all; the second begins at 100."""
    x, h, g, (y1, y2, y3) = T(np.int32, (1, 3)), handle(), handle(), (T(np.int32, (1, 3)) for _ in range(3))
    held, start = T(np.int32, (1, 3), is_variable=True), T(np.int32, (1, 3), data=np.full((1, 3), 100))
    names = {"container": "", "shared_name": "v"}
    nodes = [
        Op("CALL_ONCE", [], [], init_subgraph_index=1),
        Op("VAR_HANDLE", [], [h], **names),
        Op("CUSTOM", [x], [y1], None, custom_code="Total"),
        Op("CUSTOM", [h, x], [y2], None, custom_code="NativeTotal"),
        Op("CUSTOM", [held, x], [y3], None, custom_code="VariableTotal"),
    ]
    once = Graph([Op("VAR_HANDLE", [], [g], **names), Op("ASSIGN_VARIABLE", [g, start], [])], [], [])
    return network(nodes, [x], [y1, y2, y3], tensors=[held], subgraphs=[once])


def test_operators_that_keep_state() -> None:
    """In sessions, the evaluator and models, across runs and resets; the kernel is part of one native call."""
    for operator in (Total, NativeTotal, VariableTotal):
        ops.register(operator.__name__, operator)
    content = totals()
    steps = [[X], [10 * X], [-3 * X]]
    found = check_steps(content, *steps, with_litert=False)
    for total, outputs in zip((1, 11, 8), found, strict=True):
        for y, start in zip(outputs, (0, 100, 0), strict=True):
            np.testing.assert_array_equal(y, start + total * X)
    model = int8rt.load(content)
    for _ in range(2):
        assert np.array_equal(model(X), [X, 100 + X, X])
        assert np.array_equal(model(X), [2 * X, 100 + 2 * X, 2 * X])
        model.reset()


def test_a_native_operator_that_keeps_state_is_one_native_call() -> None:
    ops.register("NativeTotal", NativeTotal)
    x, h, g, y = T(np.int32, (1, 3)), handle(), handle(), T(np.int32, (1, 3))
    start, names = T(np.int32, (1, 3), data=X), {"container": "", "shared_name": "v"}
    once = Graph([Op("VAR_HANDLE", [], [g], **names), Op("ASSIGN_VARIABLE", [g, start], [])], [], [])
    nodes = [
        Op("CALL_ONCE", [], [], init_subgraph_index=1),
        Op("VAR_HANDLE", [], [h], **names),
        Op("CUSTOM", [h, x], [y], None, custom_code="NativeTotal"),
    ]
    running = session(network(nodes, [x], [y], subgraphs=[once]))
    assert np.array_equal(running.direct(X), 2 * X)
    assert np.array_equal(running.direct(X), 3 * X)
    running.reset()
    assert np.array_equal(running.run([X])[0], 2 * X)


def test_constants_are_folded() -> None:
    ops.register("Double", DOUBLE)
    content = custom("Double", T(np.int32, (1, 3), data=X), T(np.int32, (1, 3)))
    assert np.array_equal(run_program(content)[0], 2 * X)


def test_registered_wins() -> None:
    """Over custom operators of int8rt and over builtin ones."""
    ops.register("TFLite_Detection_PostProcess", DOUBLE)
    ops.register("ABS", DOUBLE)
    x, y = T(np.int32, (1, 3)), T(np.int32, (1, 3))
    assert np.array_equal(run_program(custom("TFLite_Detection_PostProcess", x, y), X)[0], 2 * X)
    assert np.array_equal(run_program(model("ABS", [x], [y]), X)[0], 2 * X)
    assert "TFLite_Detection_PostProcess" in ops.supported()


def test_the_last_registration_counts() -> None:
    ops.register("Double", DOUBLE)
    content = custom("Double", T(np.int32, (1, 3)), T(np.int32, (1, 3)))
    before = int8rt.load(content)
    ops.register("Double", SimpleNamespace(shapes=DOUBLE.shapes, reference=lambda node, x: x + 100))
    assert np.array_equal(before(X), 2 * X)
    assert np.array_equal(int8rt.load(content)(X), X + 100)


def test_unknown_names() -> None:
    """Also that of a builtin operator, which a custom code is not."""
    x, y = T(np.int8, (1, 3), 0.1), T(np.int8, (1, 3), 0.1)
    for code in ("Mystery", "RELU", "TFLITE_DETECTION_POSTPROCESS", "relu"):
        refused(UnsupportedError, f"{code} version 1", custom(code, x, y))


def test_what_is_no_operator() -> None:
    with pytest.raises(InputError, match="lacks"):
        ops.register("Double", SimpleNamespace(shapes=DOUBLE.shapes))
    with pytest.raises(InputError, match="lacks"):
        ops.register("Double", None)
    with pytest.raises(InputError, match="needs a name"):
        ops.register("", DOUBLE)


def test_errors_of_an_operator() -> None:
    """Those of int8rt's kinds pass; what else goes wrong before the run is the model's contradiction."""

    def wrong(node: Any) -> list[tuple[int, ...]]:
        raise KeyError("limit")

    def unsupported(node: Any, numerics: Any) -> Call:
        raise ops.refuse(node, "not today")

    content = custom("Wrong", T(np.int32, (1, 3)), T(np.int32, (1, 3)))
    ops.register("Wrong", SimpleNamespace(shapes=wrong, reference=doubled))
    refused(InconsistentNode, "Wrong .node 0. contradicts itself: KeyError", content)
    with pytest.raises(AssertionError, match="trips over a sound model") as failed:
        check(content, X)
    assert isinstance(failed.value.__cause__, KeyError)
    ops.register("Wrong", SimpleNamespace(shapes=DOUBLE.shapes, reference=doubled, prepare=unsupported))
    refused(UnsupportedError, "not today", content)
    ops.register("Wrong", SimpleNamespace(shapes=lambda node: [(1, 3), (2,)], reference=doubled))
    refused(ModelError, "1 outputs", content)


class Rotated:
    """y = x rotated by one along its last axis, times weights: an operator with weights, in one object."""

    @staticmethod
    def shapes(node: Any) -> list[tuple[int, ...]]:
        x, w = node.inputs
        return [(x.shape[0], w.shape[0])]

    @staticmethod
    def reference(node: Any, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        m = meaning(Rotated.of(node, numerics("reference")), np.roll(x, -1, axis=1), w, None)
        acc = np.zeros((len(x), len(w)), m.x.dtype)
        m.add(acc, m.x, m.w)
        return m.finish(acc)

    @staticmethod
    def prepare(node: Any, rules: Numerics) -> list[Any]:
        x, w = node.inputs
        f, depth = product(Rotated.of(node, rules)), w.shape[1]
        rows = f.rows()
        segments = RowSegments(np.arange(x.shape[0], dtype=np.int32) * np.int32(depth), np.zeros(1, np.int64), depth)
        return [
            *rows.calls,
            *f.dot(rows, segments, np.roll(f.w, 1, axis=1), np.arange(w.shape[0]), Into(node.outputs[0])),
        ]

    @staticmethod
    def of(node: Any, rules: Numerics) -> Operands:
        x, w = node.inputs
        return Operands(
            node=node, x=x, w=w, b=None, y=node.outputs[0], axis=0, rounding=rules.convolution,
            hybrid=HybridRules(rules.hybrid, symmetric=True),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("activations", "weights"), [("int8", "int8"), ("int16", "int8"), ("float32", "int8"), ("float32",) * 2]
)
def test_a_weighted_operator_is_one_object(activations: str, weights: str) -> None:
    """Packing, bias, zero points and roundings of every type come from the kinds of ``_linear``."""
    ops.register("Rotated", Rotated)
    rng = np.random.default_rng(0)
    data = rng.integers(-100, 100, (5, 40)).astype(weights)
    zero = 3 if activations == "int8" else 0
    x = T(activations, (2, 40), None if activations == "float32" else 0.05, zero)
    w = T(weights, data.shape, None if weights == "float32" else [0.01, 0.02, 0.03, 0.01, 0.02], data=data)
    y = T(activations, (2, 5), None if activations == "float32" else 0.5, zero)
    content = model("CUSTOM", [x, w], [y], None, custom_code="Rotated", custom_options={"a": 1})
    values_ = rng.integers(-100, 100, (2, 40)).astype(activations)
    (found,) = run_program(content, values_)
    assert (found == run_reference(content, values_)[0]).all()
    assert len(np.unique(found)) > 5
