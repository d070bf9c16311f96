"""Float models become int8 ones that run in LiteRT with our bits, near the float model; data come in many forms."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json

import numpy as np
import pytest
from commands import ended
from conformance_cases import BUILDERS, cases
from engines import run_litert
from paths import MODELS, SHARED_MODELS
from writer import RELU, SAME, Op, T, model, network

import int8rt
from int8rt import InputError, ModelError, UnsupportedError
from int8rt.format import reader
from int8rt.graph import Subgraph
from int8rt.quant.rules import RULES
from int8rt.tools.litert import LiteRTError

needs_litert = pytest.mark.needs("litert")
FLOATS = SHARED_MODELS.parent / "models_float"
DIGITS = MODELS / "digits_residual_float32.tflite"
RNG = np.random.default_rng(7)


def f32(*shape, **given):
    return T(np.float32, shape, **given)


def constant(*shape):
    return f32(*shape, data=np.random.default_rng(shape).standard_normal(shape).astype(np.float32))


def dense(**given):
    """Two layers, 6 -> 5 -> 3, with the signature ``classify``."""
    x, h, y = f32(1, 6, name="x"), f32(1, 5, name="h"), f32(1, 3, name="y")
    nodes = [
        Op("FULLY_CONNECTED", [x, constant(5, 6), constant(5)], [h], fused_activation_function=RELU),
        Op("FULLY_CONNECTED", [h, constant(3, 5), constant(3)], [y]),
    ]
    return bytes(network(nodes, [x], [y], signatures={"classify": ({"features": x}, {"scores": y})}, **given))


FEATURES = RNG.uniform(-1, 1, (20, 6)).astype(np.float32)


def digits():
    with np.load(MODELS / "samples" / "test.npz") as samples:
        return samples["images"].astype(np.float32) / 255, samples["labels"]


def assert_runs(content, x):
    """LiteRT's kernels load the file, and its reference gives our bits."""
    made = int8rt.load(content)
    given = [port.quantize(v) for port, v in zip(made.inputs, x, strict=True)]
    outputs = made(*given)
    ours = outputs if isinstance(outputs, tuple) else (outputs,)
    for a, b in zip(ours, run_litert(content, *given), strict=True):
        np.testing.assert_array_equal(a, b)
    run_litert(content, *given, resolver="xnnpack")
    return [port.dequantize(y) for port, y in zip(made.outputs, ours, strict=True)]


# What comes out


@needs_litert
@pytest.mark.parametrize("edges", ["float32", "int8", "uint8"])
def test_digits(edges):
    x, labels = digits()
    made = int8rt.quantize(DIGITS, x[:100], inputs=edges)
    assert made.snr[0] > 25
    quantized = int8rt.load(made.data)
    assert {port.dtype.name for port in (*quantized.inputs, *quantized.outputs)} == {edges}
    scores = quantized(quantized.inputs[0].quantize(x)).reshape(len(x), -1)
    floats = int8rt.load(DIGITS)(x).reshape(len(x), -1)
    assert (scores.argmax(1) == floats.argmax(1)).mean() > 0.98
    assert (scores.argmax(1) == labels).mean() > (floats.argmax(1) == labels).mean() - 0.01
    assert_runs(made.data, [x[:1]])


def test_nothing_float_is_left_inside():
    graph = reader.read(int8rt.quantize(dense(), FEATURES).data).main
    assert [node.op for node in graph.nodes] == ["QUANTIZE", "FULLY_CONNECTED", "FULLY_CONNECTED", "DEQUANTIZE"]
    assert {t.type for node in graph.nodes[1:-1] for t in node.given} == {"int8", "int32"}
    graph = reader.read(int8rt.quantize(dense(), FEATURES, inputs="int8", outputs="float32").data).main
    assert [node.op for node in graph.nodes] == ["FULLY_CONNECTED", "FULLY_CONNECTED", "DEQUANTIZE"]


@pytest.mark.parametrize("edges", ["float32", "int8", "uint8"])
def test_names_and_metadata_stay(edges):
    content = dense(metadata={"TFLITE_METADATA": b"\1\2\3", "min_runtime_version": b"1.5.0"}, description="mine")
    graph = reader.read(int8rt.quantize(content, FEATURES, inputs=edges).data)
    assert (graph.description, dict(graph.metadata)) == ("mine", {"TFLITE_METADATA": b"\1\2\3"})
    assert [(t.name, t.type) for t in (*graph.main.inputs, *graph.main.outputs)] == [("x", edges), ("y", edges)]
    (signature,) = graph.signatures
    assert signature.inputs["features"] is graph.main.inputs[0]
    assert signature.outputs["scores"] is graph.main.outputs[0]


@pytest.mark.skipif(not FLOATS.is_dir(), reason="needs the public float models in ../shared")
@needs_litert
@pytest.mark.parametrize("name", [p.stem for p in sorted(FLOATS.glob("*.tflite"))])
def test_public_models(name):
    content = (FLOATS / f"{name}.tflite").read_bytes()
    ports = int8rt.load(content).inputs
    data = [[RNG.uniform(-1, 1, port.shape).astype(np.float32) for port in ports] for _ in range(4)]
    made = int8rt.quantize(content, data, allow_float=True)
    assert min(made.snr) > 10
    assert_runs(made.data, data[0])


# Operators that have no integer form where an operand is computed, or no result for some values.
PARTIAL = {
    "CONV_2D": "no integer form", "DEPTHWISE_CONV_2D": "no integer form", "FULLY_CONNECTED": "no integer form",
    "TRANSPOSE_CONV": "no integer form", "PRELU": "no integer form", "DIV": "by which it cannot divide",
    "SQRT": "is only defined for", "RSQRT": "is only defined for", "SHAPE": "nothing to quantize",
}  # fmt: skip


@contextlib.contextmanager
def _allowed(text):
    try:
        yield
    except (UnsupportedError, InputError, LiteRTError) as error:
        if text not in str(error):
            raise


@functools.cache
def floats_of(op: str) -> list[tuple[bytes, Subgraph]]:
    """Conformance cases of an operator on floats."""
    found = []
    for case in cases([op]):
        graph = reader.read(case.model).main
        plain = all(t.quantization is None for t in graph.tensors)
        if plain and any(t.type == "float32" for t in graph.inputs):
            found.append((bytes(case.model), graph))
    return found[:: max(1, len(found) // 4)]


@needs_litert
@pytest.mark.parametrize("op", sorted(set(BUILDERS) & set(RULES)))
def test_every_operator(op):
    for content, graph in floats_of(op):
        rng = np.random.default_rng(len(content))
        data = [[_values(t, rng) for t in graph.inputs] for _ in range(3)]
        edges = ("float32", "int8", "uint8")[len(content) % 3]
        with contextlib.nullcontext() if op not in PARTIAL else _allowed(PARTIAL[op]):
            assert_runs(int8rt.quantize(content, data, inputs=edges).data, data[0])


def _values(t, rng):
    if t.dtype.kind == "f":
        return rng.standard_normal(t.shape).astype(t.dtype)
    return rng.integers(0, 2, t.shape).astype(t.dtype)


@needs_litert
def test_one_constant_for_two_operators():
    """As a bias and as an operand, with other parameters at each place."""
    x, h, y, c = f32(1, 4), f32(1, 4), f32(1, 4), constant(4)
    nodes = [Op("FULLY_CONNECTED", [x, constant(4, 4), c], [h]), Op("ADD", [h, c], [y])]
    content = bytes(network(nodes, [x], [y]))
    made = int8rt.quantize(content, FEATURES[:, :4], like="tf")
    graph = reader.read(made.data).main
    assert [graph.nodes[1].inputs[2].type, graph.nodes[2].inputs[1].type] == ["int32", "int8"]
    (found,) = assert_runs(made.data, [FEATURES[:1, :4]])
    np.testing.assert_allclose(found, int8rt.load(content)(FEATURES[:1, :4]), atol=0.1)


@needs_litert
def test_an_input_that_is_an_output_too():
    x, y = f32(1, 4), f32(1, 4)
    content = bytes(network([Op("ABS", [x], [y])], [x], [x, y]))
    for edges in ("float32", "int8", "uint8"):
        made = int8rt.quantize(content, FEATURES[:, :4], inputs=edges)
        assert_runs(made.data, [FEATURES[:1, :4]])


@needs_litert
def test_float16_constants_are_quantized_as_any():
    x, y = f32(1, 6), f32(1, 5)
    half = T(np.float16, (5, 6), data=constant(5, 6).data.astype(np.float16))
    w = f32(5, 6)
    nodes = [Op("DEQUANTIZE", [half], [w]), Op("FULLY_CONNECTED", [x, w, constant(5)], [y])]
    made = int8rt.quantize(bytes(network(nodes, [x], [y])), FEATURES)
    assert [n.op for n in reader.read(made.data).main.nodes] == ["QUANTIZE", "FULLY_CONNECTED", "DEQUANTIZE"]
    assert_runs(made.data, [FEATURES[:1]])


# What has no integer form


def mixed():
    """SIN and FLOOR between layers."""
    x, a, b, y = f32(1, 6), f32(1, 6), f32(1, 6), f32(1, 5)
    nodes = [Op("SIN", [x], [a]), Op("ABS", [a], [b]), Op("FULLY_CONNECTED", [b, constant(5, 6), constant(5)], [y])]
    z = f32(1, 5)
    return bytes(network([*nodes, Op("FLOOR", [y], [z])], [x], [z, b]))


def test_what_has_no_integer_form_is_named():
    with pytest.raises(
        UnsupportedError, match=r"2 nodes have no integer form: SIN \(node 0\), FLOOR \(node 3\); allow"
    ):
        int8rt.quantize(mixed(), FEATURES)


@needs_litert
@pytest.mark.parametrize("edges", ["float32", "int8", "uint8"])
def test_what_has_no_integer_form_stays_float(edges):
    made = int8rt.quantize(mixed(), FEATURES, allow_float=True, inputs=edges)
    assert made.kept == ("SIN (node 0)", "FLOOR (node 3)")
    assert [r.params is None for r in made.report] == [True, False, False, True]
    assert_runs(made.data, [FEATURES[:1]])


def test_weights_that_are_computed_have_no_integer_form():
    x, w, y = f32(1, 6), f32(5, 6), f32(1, 5)
    content = bytes(model("FULLY_CONNECTED", [x, w, constant(5)], [y]))
    with pytest.raises(UnsupportedError, match=r"1 nodes have no integer form: FULLY_CONNECTED"):
        int8rt.quantize(content, [[FEATURES[:1], constant(5, 6).data]])


def test_what_is_quantized_already_is_refused():
    made = int8rt.quantize(dense(), FEATURES)
    with pytest.raises(UnsupportedError, match="the model is quantized already"):
        int8rt.quantize(made.data, FEATURES)
    with pytest.raises(UnsupportedError, match="there is nothing to quantize"):
        int8rt.quantize(bytes(model("SIN", [f32(1, 6)], [f32(1, 6)])), FEATURES, allow_float=True)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_constants_that_no_scale_reaches_stay_float(value):
    x, y, z = f32(1, 6), f32(1, 6), f32(1, 6)
    odd = f32(6, data=np.array([value, 1, 2, 3, 4, 5], np.float32))
    content = bytes(network([Op("ADD", [x, odd], [y]), Op("ABS", [x], [z])], [x], [y, z]))
    with pytest.raises(UnsupportedError, match=r"1 nodes have no integer form: ADD"):
        int8rt.quantize(content, FEATURES)
    assert int8rt.quantize(content, FEATURES, allow_float=True).kept == ("ADD (node 0)",)


def test_ranges_at_the_ends_of_float32():
    x, y = f32(1, 6), f32(1, 6)
    data = np.array([[-3e38, 3e38, 0, 1, 2, 3]], np.float32)
    made = int8rt.quantize(bytes(model("RELU", [x], [y])), data)
    assert made.assignment.values[0].scales[0] == np.float32(6e38 / 255)


# Data


def forms(tmp_path):
    np.savez(tmp_path / "x.npz", features=FEATURES)
    np.savez(tmp_path / "one.npz", anything=FEATURES)
    np.save(tmp_path / "x.npy", FEATURES)
    return {
        "array": FEATURES,
        "float64": FEATURES.astype(np.float64),
        "tensor's name": {"x": FEATURES},
        "signature's name": {"features": FEATURES},
        "generator": ([row[None]] for row in FEATURES),
        "function, as for TensorFlow": lambda: ([row[None]] for row in FEATURES),
        "iterable of arrays": [row[None] for row in FEATURES],
        "iterable by name": ({"x": FEATURES[i : i + 4]} for i in range(0, 20, 4)),
        "npz": tmp_path / "x.npz",
        "npz of one array": str(tmp_path / "one.npz"),
        "npy": tmp_path / "x.npy",
    }


def test_data_in_many_forms(tmp_path):
    expected = int8rt.quantize(dense(), FEATURES).data
    for name, data in forms(tmp_path).items():
        assert int8rt.quantize(dense(), data).data == expected, name


def test_progress_is_told():
    seen = []
    int8rt.quantize(dense(), FEATURES, progress=seen.append)
    assert seen == list(range(1, 21))


def test_values_that_are_not_finite_do_not_count():
    data = FEATURES.copy()
    data[3, 2], data[4, 1] = np.nan, np.inf
    made, clean = int8rt.quantize(dense(), data, like="tf"), int8rt.quantize(dense(), FEATURES, like="tf")
    assert made.assignment.values[0] == clean.assignment.values[0]


WRONG = {
    "nothing": ([], "the data set is empty"),
    "shape": (np.zeros((4, 7), np.float32), "expected"),
    "name": ({"z": FEATURES}, "expected"),
    "number": (7, "expected arrays, a path, an iterable"),
    "too many": ([[FEATURES, FEATURES]], "expected an array for each input: 'x'"),
    "text": ([["a"]], "numbers"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_data(name):
    data, message = WRONG[name]
    with pytest.raises(InputError, match=message):
        int8rt.quantize(dense(), data)


def test_wrong_files(tmp_path):
    (tmp_path / "x.npz").write_bytes(b"no archive")
    with pytest.raises(InputError, match="cannot be read"):
        int8rt.quantize(dense(), tmp_path / "x.npz")
    with pytest.raises(OSError, match="none"):
        int8rt.quantize(dense(), tmp_path / "none.npy")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="has no images"):
        int8rt.quantize(dense(), tmp_path / "empty")
    with pytest.raises(ModelError):
        int8rt.quantize(b"no model", FEATURES)


@pytest.mark.parametrize("options", [{"scheme": "int7"}, {"inputs": "int16"}, {"outputs": 3}, {"like": "keras"}])
def test_wrong_options(options):
    with pytest.raises(InputError, match="; known are "):
        int8rt.quantize(dense(), FEATURES, **options)


# Corrected biases


def coarse():
    """Depthwise layers whose channels' weights differ so much that rounding moves the means."""
    rng = np.random.default_rng(3)
    tensors = [f32(1, 8, 8, 8, name=f"h{i}") for i in range(5)]
    nodes = []
    for x, y in itertools.pairwise(tensors):
        w = (rng.uniform(0.2, 1, (8, 3, 3, 8)) * 0.02).astype(np.float32)
        w[:, 1, 1, 0] = 1  # which the scale has to reach
        b = f32(8, data=rng.standard_normal(8).astype(np.float32) * 0.1)
        options = {"padding": SAME, "stride_h": 1, "stride_w": 1, "fused_activation_function": RELU}
        nodes.append(Op("CONV_2D", [x, f32(8, 3, 3, 8, data=w), b], [y], **options))
    return bytes(network(nodes, tensors[:1], tensors[-1:])), rng.uniform(0, 1, (12, 8, 8, 8)).astype(np.float32)


def test_corrected_biases_bring_outputs_nearer():
    content, data = coarse()
    plain, corrected = int8rt.quantize(content, data, like="tf"), int8rt.quantize(content, data)
    assert corrected.snr[0] > plain.snr[0] + 3
    before, after = (reader.read(made.data).main for made in (plain, corrected))
    same = [np.array_equal(a.data, b.data) for a, b in zip(before.tensors, after.tensors) if a.data is not None]
    kinds = [t.type for t in before.tensors if t.data is not None]
    assert all(equal == (kind == "int8") for equal, kind in zip(same, kinds, strict=True))


def test_the_result_is_the_same_every_time():
    content, data = coarse()
    assert int8rt.quantize(content, data).data == int8rt.quantize(content, data).data


def test_every_output_has_its_signal_to_noise_ratio():
    """Also one that is a node's second."""
    x, a, b = f32(1, 6, name="x"), f32(1, 3), f32(1, 3)
    split = Op("SPLIT", [T(np.int32, (), data=np.int32(1)), x], [a, b], num_splits=2)
    made = int8rt.quantize(bytes(network([split], [x], [a, b])), FEATURES)
    assert len(made.snr) == 2
    assert min(made.snr) > 30


# The command


def test_the_command(tmp_path, capsys):
    source, data, target = tmp_path / "float.tflite", tmp_path / "x.npy", tmp_path / "int8.tflite"
    source.write_bytes(mixed())
    np.save(data, FEATURES)
    status, out, _ = ended(capsys, "quantize", source, "--data", data, "-o", target, "--allow-float")
    assert status == 0
    assert "FULLY_CONNECTED (node 2)" in out
    assert "kept as floats: SIN (node 0), FLOOR (node 3)" in out
    made = int8rt.quantize(mixed(), FEATURES, allow_float=True)
    assert target.read_bytes() == made.data
    status, out, _ = ended(
        capsys, "quantize", source, "--data", data, "-o", target, "--allow-float", "--inputs=int8", "--json"
    )
    found = json.loads(out)
    assert (found["kept"], len(found["nodes"])) == (list(made.kept), 4)
    status, _, err = ended(capsys, "quantize", source, "--data", data, "-o", target)
    assert (status, "2 nodes have no integer form" in err) == (2, True)
