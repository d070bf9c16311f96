"""hybrid="weight_only": near the float model whose weights are the dequantized ones, and no float copy of them."""

from __future__ import annotations

import dataclasses
import pickle
import tracemalloc

import numpy as np
import pytest
import recurrent
from embeddings import lookup, table
from engines import assert_shared, shared
from matmul import ADJOINTS, SHAPES, matmul, operand
from paths import MODELS, SHARED_MODELS
from products import Product, blockwise, cases, some
from requirements import shared_model
from selection import exhaustive, share
from targets import TARGETS, host_features
from writer import RELU, RELU6, SAME, Op, T, model, network

import int8rt
from int8rt.errors import InputError, UnsupportedError
from int8rt.format import reader
from int8rt.graph import Tensor
from int8rt.numerics.rules import numerics
from int8rt.runtime import session
from int8rt.runtime.model import Model, random_inputs
from int8rt.simd.floats import has_fused
from int8rt.simd.lowerings import WEIGHT_ONLY_ROWS, lower

F32 = np.float32
WEIGHT_ONLY = numerics("reference", "weight_only")
U = 2.0**-24
OPERATORS = ("CONV_2D", "GROUPED", "TRANSPOSE_CONV", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


# The truth in float64


def dequantized(t):
    """A constant's real values, float64."""
    q = t.quantization
    if t.dtype.kind == "f" or q is None:
        return np.asarray(t.data, np.float64)
    scale = q.scale.astype(np.float64)
    if q.block_size:
        return t.data * np.repeat(scale.reshape(len(t.data), -1), q.block_size, axis=1)
    return t.data * (
        scale if len(scale) == 1 else scale.reshape([-1 if i == q.axis else 1 for i in range(t.data.ndim)])
    )


def product(node, x, w):
    """Sums of products in float64, and how many there are at most to one of them."""
    o = node.options
    if node.op == "BATCH_MATMUL":
        x = np.swapaxes(x, -1, -2) if o.adj_x else x
        return x @ (np.swapaxes(w, -1, -2) if o.adj_y else w), x.shape[-1]
    if node.op == "FULLY_CONNECTED":
        return (x.reshape(-1, w.shape[1]) @ w.T).reshape(node.outputs[0].shape), w.shape[1]
    if node.op == "TRANSPOSE_CONV":
        return transposed(x, w, (o.stride_h, o.stride_w), o.padding, node.inputs[0].data), w[0].size
    stride, dilation = (o.stride_h, o.stride_w), (o.dilation_h_factor, o.dilation_w_factor)
    seen = windows(x, w.shape[1:3], stride, dilation, o.padding)
    if node.op == "DEPTHWISE_CONV_2D":
        return np.einsum("nijhwc,hwc->nijc", np.repeat(seen, w.shape[3] // x.shape[3], axis=5), w[0]), w[
            0, :, :, 0
        ].size
    groups = x.shape[3] // w.shape[3]
    parts = zip(np.split(seen, groups, axis=5), np.split(w, groups), strict=True)
    return np.concatenate([np.einsum("nijhwc,ohwc->nijo", *part) for part in parts], axis=3), w[0].size


def windows(x, size, stride, dilation, padding):
    """[n, out_h, out_w, height, width, c]."""
    where = []
    for n, k, s, d in zip(x.shape[1:3], size, stride, dilation, strict=True):
        reach = (k - 1) * d + 1
        out = -(-n // s) if padding == SAME else (n - reach) // s + 1
        before = max(0, (out - 1) * s + reach - n) // 2 if padding == SAME else 0
        where.append(np.arange(out)[:, None] * s - before + np.arange(k) * d)
    rows, cols = (i.clip(-1, n) for i, n in zip(where, x.shape[1:3], strict=True))
    x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return x[:, rows + 1][:, :, :, cols + 1].transpose(0, 1, 3, 2, 4, 5)


def transposed(x, w, stride, padding, shape):
    full = np.zeros(
        (x.shape[0], *((n - 1) * s + max(k, s) + k for n, s, k in zip(x.shape[1:3], stride, w.shape[1:3])), len(w))
    )
    before = []
    for out, n, s, k in zip(shape[1:3], x.shape[1:3], stride, w.shape[1:3], strict=True):
        before.append(max(0, (n - 1) * s + k - out) // 2 if padding == SAME else 0)
    for i in range(x.shape[1]):
        for j in range(x.shape[2]):
            rows, cols = (
                slice(i * stride[0], i * stride[0] + w.shape[1]),
                slice(j * stride[1], j * stride[1] + w.shape[2]),
            )
            full[:, rows, cols] += np.einsum("nc,ohwc->nhwo", x[:, i, j], w)
    full = np.pad(full, ((0, 0), (0, shape[1]), (0, shape[2]), (0, 0)))
    return full[:, before[0] : before[0] + shape[1], before[1] : before[1] + shape[2]]


LIMITS = {0: (-np.inf, np.inf), RELU: (0, np.inf), RELU6: (0, 6)}


def check(content, x):
    """The program's output; its error is within the bound that int8rt.weight_only states."""
    graph = reader.read(content).main
    running = session.Session(graph, WEIGHT_ONLY)
    running.prepare([x.shape])
    (y,) = running.run([x])
    (node,) = running.program.segment.nodes
    first = 1 if node.op == "TRANSPOSE_CONV" else 0
    w = node.inputs[1]
    bias = [t for t in node.inputs[first + 2 :] if t is not None]
    b = dequantized(bias[0]) if bias else np.zeros(1)
    weights = dequantized(w)
    sums, count = product(node, x.astype(np.float64), weights)
    size, _ = product(node, np.abs(x.astype(np.float64)), np.abs(weights))
    lo, hi = LIMITS[getattr(node.options, "fused_activation_function", 0)]
    blocks = w.shape[-1] // w.quantization.block_size if w.quantization and w.quantization.block_size else 1
    roundings = (count + blocks) * (1 if has_fused() else 2) + 2
    error = np.abs(y - np.clip(sums + b, lo, hi))
    bound = roundings * U * (size + np.abs(b)) * (1 + roundings * U) + roundings * 2.0**-149
    assert y.dtype == F32
    assert y.shape == sums.shape
    assert (error <= bound).all(), f"{(error / bound).max()} of the bound"
    return y


CASES = [
    *cases(*OPERATORS, bias=F32),
    *some(*OPERATORS, bias=F32, per_channel=False),
    *some(*OPERATORS, bias=F32, activation=RELU),
    *some(*OPERATORS, activation=RELU6, scale=1.0),
    *some("CONV_2D", "GROUPED", "FULLY_CONNECTED", bias=F32, weights="INT4"),
    *some("FULLY_CONNECTED", weights="INT2"),
    *(
        c
        for values in ("zeros", "tiny", "denormal", "positive", "ends")
        for c in some(*OPERATORS, step=5, values=values)
    ),
]


@pytest.mark.parametrize("case", share(CASES, 4, 6), ids=lambda c: f"{c.op} {c}")
def test_error_is_within_the_bound(case):
    content, (x,) = case.model()
    check(content, x)


@pytest.mark.parametrize("columns", [1, 15, 16, 17, 32, 33, 48, 64, 65, 127, 128, 129, 200])
@pytest.mark.parametrize("rows", [1, 7])
def test_every_tile(rows, columns):
    content, (x,) = Product("FULLY_CONNECTED", (rows, 37), (columns, 37), bias=F32).model()
    check(content, x)


def single_row(x, w, b, scale=0.01):
    """The output for one row, and what is exact."""
    shapes = (1, len(x)), w.shape, (1, len(w))
    tensors = T(F32, shapes[0]), T(np.int8, shapes[1], scale, data=w), T(F32, b.shape, data=b)
    running = int8rt.load(model("FULLY_CONNECTED", tensors, [T(F32, shapes[2])], version=3), hybrid="weight_only")
    real = w * np.float64(F32(scale))
    with np.errstate(invalid="ignore"):
        return running(x.reshape(shapes[0]).astype(F32))[0], real @ x.astype(F32).astype(np.float64) + b, real


@pytest.mark.skipif(lower(WEIGHT_ONLY_ROWS) != "limbs", reason="single rows are multiplied in float32")
@pytest.mark.parametrize("values", ["normal", "wide", "one", "powers", "below powers", "denormal", "huge", "zeros"])
@pytest.mark.parametrize("depth", [1, 5, 64, 255, 256, 257, 1000])
def test_a_single_row_is_within_the_better_bound(depth, values):
    """x has 24 bits of fixed point from 256 products on, 32 below."""
    rng = np.random.default_rng(depth)
    x = {
        "normal": rng.normal(size=depth),
        "wide": rng.normal(size=depth) * 2.0 ** rng.integers(-100, 100, depth),
        "one": np.eye(1, depth, depth // 2)[0] * -1e30 + rng.normal(size=depth),
        "powers": rng.choice([-4.0, 4.0, 2.0, 0.0], depth),
        "below powers": rng.choice([-1, 1], depth) * np.nextafter(F32(4), F32(0)).astype(np.float64),
        "denormal": rng.integers(-100, 100, depth) * 2.0**-149,
        "huge": rng.choice([-1, 1], depth) * 2.0**110,
        "zeros": np.zeros(depth),
    }[values]
    w, b = rng.integers(-128, 128, (70, depth)).astype(np.int8), rng.normal(size=70).astype(F32)
    y, exact, real = single_row(x, w, b)
    half_unit = 2.0**-7 if depth < 256 else 2.0
    bound = U * np.abs(exact) + half_unit * U * np.abs(x).max() * np.abs(real).sum(axis=1) + 2.0**-149
    assert (np.abs(y - exact) <= bound * (1 + 2.0**-20)).all()


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("depth", [3, 300])
def test_a_single_row_that_is_not_finite(depth, value):
    x, b = np.ones(depth), np.ones(70, F32)
    x[depth // 2] = value
    w = np.random.default_rng(0).integers(-128, 128, (70, depth)).astype(np.int8)
    w[:5] = 0  # infinity times zero is not a number
    y, exact, _ = single_row(x, w, b)
    most = np.finfo(F32).max  # which is the limit without an activation
    np.testing.assert_array_equal(y, exact.clip(-most, most))


@pytest.mark.parametrize("adjoint", ADJOINTS)
@pytest.mark.parametrize(("shape1", "shape2"), SHAPES)
def test_batch_matmul(shape1, shape2, adjoint):
    x, w = operand(shape1, F32, adjoint[0]), operand(shape2, np.int8, adjoint[1], 1)
    check(matmul(x, w, adjoint, "w", (None, 0.03, None), out=F32, asymmetric_quantize_inputs=True), x)


def test_batch_matmul_with_a_scale_per_column():
    x, w = operand((2, 5, 7), F32, False), operand((2, 7, 9), np.int8, False, 1)
    check(matmul(x, w, constant="w", scales=(None, np.linspace(0.01, 0.1, 9), None), out=F32), x)


@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize(("rows", "units"), [(1, 4), (2, 17), (7, 70), (1, 130)])
def test_blocks_of_int4(rows, units, size):
    check(*blockwise(rows, 192, units, size))


@pytest.mark.parametrize("name", ["INT8", "INT4"])
def test_embedding_lookup(name):
    """The same in both modes: rows of the table are dequantized as they are looked up."""
    content = lookup(table(name, (5, 64), np.linspace(0.01, 0.1, 5)))
    ids = np.array([0, 4, 4, 2], np.int32)
    found = int8rt.load(content, hybrid="weight_only")
    np.testing.assert_array_equal(found(ids), int8rt.load(content)(ids))
    assert tables(found)[np.dtype(np.int8)] == 5 * 64


# float16 behind DEQUANTIZE


def halved(case):
    """The case's model with float16 weights behind DEQUANTIZE in place of its own, and its input."""
    x, w, b = T(F32, case.x), T(F32, case.w), T(F32, (case.channels,), data=np.linspace(-1, 1, case.channels))
    rng = np.random.default_rng(case.w)
    values = rng.normal(size=case.w).astype(np.float16)
    values.reshape(-1)[::5] *= np.float16(2.0**-12)  # some are denormal
    y = T(F32, case.output_shape())
    half = T(np.float16, case.w, data=values)
    inputs = [x, w, b]
    if case.op == "TRANSPOSE_CONV":
        inputs = [T(np.int32, (4,), data=np.array(y.shape, np.int32)), w, x, b]
    nodes = [Op("DEQUANTIZE", [half], [w]), Op(case.op, inputs, [y], **case._fields())]
    return network(nodes, [x], [y]), case.model()[1][0]


@pytest.mark.parametrize("case", some("CONV_2D", "GROUPED", "TRANSPOSE_CONV", "FULLY_CONNECTED"), ids=str)
def test_float16(case):
    content, x = halved(case)
    check(content, x)
    assert np.dtype(np.uint16) in tables(int8rt.load(content, hybrid="weight_only"))


def test_float16_depthwise():
    (case,) = some("DEPTHWISE_CONV_2D", step=99)
    check(*halved(case))


def test_float32_weights_stay():
    """Those that float16 does not hold: the program is that of the other mode."""
    content, _ = Product("FULLY_CONNECTED", (2, 30), (20, 30), weights="float32").model()
    programs = [int8rt.load(content, hybrid=hybrid).program for hybrid in ("dynamic", "weight_only")]
    assert [[c.name.partition("[")[0] for c in p.calls] for p in programs] == [["float_dot"]] * 2


# Memory


def tables(model):
    """{type: bytes of the constants that a program's calls take}."""
    found = {}
    for call in model.program.calls:
        for a in call.args:
            array = model.program.constants.get(a) if isinstance(a, Tensor) else a
            if isinstance(array, np.ndarray):
                found[array.dtype] = found.get(array.dtype, 0) + array.nbytes
    return found


BIG = {
    "FULLY_CONNECTED": Product("FULLY_CONNECTED", (1, 512), (384, 512), bias=F32),
    "CONV_2D": Product("CONV_2D", (1, 9, 9, 64), (128, 3, 3, 64), bias=F32, options={"padding": SAME}),
    "DEPTHWISE_CONV_2D": Product("DEPTHWISE_CONV_2D", (1, 9, 9, 64), (1, 5, 5, 64), bias=F32),
    "TRANSPOSE_CONV": Product(
        "TRANSPOSE_CONV", (1, 4, 4, 64), (128, 4, 4, 64), size=(8, 8), options={"stride": (2, 2), "padding": SAME}
    ),
}  # fmt: skip


@pytest.mark.parametrize("op", BIG)
def test_no_float_copy_of_weights(op):
    content, _ = BIG[op].model()
    found = tables(int8rt.load(content, hybrid="weight_only"))
    count = np.prod(BIG[op].w)
    assert count <= found[np.dtype(np.int8)] <= 1.5 * count
    assert sum(n for dtype, n in found.items() if dtype.kind == "f") < count / 2


def test_peak_memory():
    """While a model is loaded and runs, less is held at any time than a float copy of its weights."""
    size = 1024
    content, (x,) = Product("FULLY_CONNECTED", (1, size), (size, size), bias=F32).model()
    int8rt.load(content, hybrid="weight_only")(x)  # compiles
    tracemalloc.start()
    try:
        int8rt.load(content, hybrid="weight_only")(x)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size * size <= peak < 4 * size * size


# Whole models

FILES = [
    MODELS / "digits_conv_dynamic_range.tflite",
    MODELS / "digits_residual_dynamic_range.tflite",
    *(SHARED_MODELS / f"{name}_hybrid.tflite" for name in ("dtln_1", "kws", "toycar")),
]


def in_float(graph):
    """The graph with float32 weights wherever a node has integer weights for float activations."""
    (subgraph,) = graph.subgraphs
    floats = {}
    for node in subgraph.nodes:
        if any(t is not None and t.data is None and t.dtype == F32 for t in node.inputs):
            for t in node.inputs:
                if t is not None and t.data is not None and t.dtype == np.int8:
                    data = dequantized(t).astype(F32)
                    floats[t] = dataclasses.replace(t, data=data, dtype=np.dtype(F32), quantization=None, type_name="")
    nodes = tuple(
        dataclasses.replace(n, inputs=tuple(None if t is None else floats.get(t, t) for t in n.inputs))
        for n in subgraph.nodes
    )
    assert floats
    return dataclasses.replace(graph, subgraphs=(dataclasses.replace(subgraph, nodes=nodes),))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_models_are_near_their_float_models(path):
    if path.parent == SHARED_MODELS:
        shared_model(path.name)
    graph = reader.read(path)
    found, expected = Model(graph, WEIGHT_ONLY), Model(in_float(graph), numerics("reference"))
    for seed in range(3):
        x = random_inputs(graph.main, seed)
        for y, z in zip(_tuple(found(*x)), _tuple(expected(*x)), strict=True):
            np.testing.assert_allclose(y, z, rtol=0, atol=1e-5 * np.abs(z).max())


def _tuple(y):
    return y if isinstance(y, tuple) else (y,)


# Other ways to run


def test_threads():
    for case in BIG.values():
        content, (x,) = case.model()
        one, two = (Model(reader.read(content), WEIGHT_ONLY, shared(n)) for n in (1, 2))
        np.testing.assert_array_equal(one(x), two(x))
        assert_shared(two._sessions._first)


RUN_CASES = """
import pickle, sys
from test_weight_only import check
with open(sys.argv[1], "rb") as file:
    for content, x in pickle.load(file):
        check(content, x)
"""


@pytest.fixture(scope="module")
def some_models(tmp_path_factory):
    path = tmp_path_factory.mktemp("cases") / "cases.pickle"
    chosen = some(*OPERATORS, step=11, bias=F32)
    models = [(content, x) for content, (x,) in (case.model() for case in chosen)]
    path.write_bytes(pickle.dumps([*models, *map(halved, some("CONV_2D", "FULLY_CONNECTED", step=9))]))
    return path


@pytest.mark.parametrize("target", ["generic", *exhaustive(*(name for name in TARGETS if name != "generic"))])
def test_every_lowering(target, some_models, python):
    cpu, features, _ = TARGETS[target]
    names = [name for name in features.split(",") if name]
    lacking = set(names) - host_features()
    if lacking:
        pytest.skip(f"this CPU has no {', '.join(sorted(lacking))}")
    python(RUN_CASES, some_models, NUMBA_CPU_NAME=cpu, NUMBA_CPU_FEATURES=",".join(f"+{n}" for n in names))


# What is refused


def test_unknown_mode():
    content, _ = BIG["FULLY_CONNECTED"].model()
    with pytest.raises(InputError, match="known are dynamic, weight_only"):
        int8rt.load(content, hybrid="float")


@pytest.mark.parametrize("op", ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"])
@pytest.mark.parametrize("what", ["constant_weights", "constant_bias"])
def test_weights_of_run_time(op, what):
    content, _ = dataclasses.replace(BIG[op], bias=F32, **{what: False}).model()
    with pytest.raises(UnsupportedError, match="constant weights and bias"):
        int8rt.load(content, hybrid="weight_only")


def test_matrix_of_run_time():
    x, w = operand((5, 6), F32, False), operand((6, 4), np.int8, False, 1)
    with pytest.raises(UnsupportedError, match="constant second operand"):
        int8rt.load(matmul(x, w, scales=(None, 0.03, None), out=F32), hybrid="weight_only")


# Cells with a state, whose weights are never widened as a whole


def of_float_inputs(seed=0):
    rng = np.random.default_rng(seed)
    one, sequence = "LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM"
    return {
        "svdf": (recurrent.svdf(rng, 2, 37, 5, 2, 19, True), (2, 37)),
        "svdf without bias": (recurrent.svdf(rng, 1, 9, 6, 1, 4, True, False), (1, 9)),
        "rnn": (recurrent.rnn(rng, "RNN", (3, 21), 3, 18, True), (3, 21)),
        "rnn of a sequence": (recurrent.rnn(rng, "UNIDIRECTIONAL_SEQUENCE_RNN", (2, 5, 7), 2, 33, True), (2, 5, 7)),
        "rnn both ways": (recurrent.bidirectional_rnn(rng, (2, 5, 7), 2, (8, 17), True), (2, 5, 7)),
        "lstm": (recurrent.float_lstm(one, (3, 20), recurrent.Cell(rng, 3, 20, 17), True), (3, 20)),
        "lstm of a sequence": (recurrent.float_lstm(sequence, (2, 4, 8), recurrent.Cell(rng, 2), True), (2, 4, 8)),
        "lstm with everything": (
            recurrent.float_lstm(sequence, (2, 4, 8), recurrent.Cell(
                rng, 2, cells=19, outputs=5, peephole=True, norm=True), True, cell_clip=0.9, proj_clip=0.8), (2, 4, 8)),
        "lstm both ways": (
            recurrent.bidirectional_lstm((2, 4, 8), [recurrent.Cell(rng, 4), recurrent.Cell(rng, 4)], True), (2, 4, 8)),
    }  # fmt: skip


@pytest.mark.parametrize("name", of_float_inputs())
def test_recurrent(name):
    content, shape = of_float_inputs()[name]
    graph = reader.read(content)
    found, expected = Model(graph, WEIGHT_ONLY), Model(in_float(graph), numerics("reference"))
    for (x,) in recurrent.float_steps(np.random.default_rng(1), shape, 4):
        for y, z in zip(_tuple(found(x)), _tuple(expected(x)), strict=True):
            np.testing.assert_allclose(y, z, rtol=0, atol=3e-6 * max(1, np.abs(z).max()))
    weights = [t for t in graph.main.tensors if t.dtype == np.int8 and t.data.ndim == 2]
    held = tables(found)
    assert held[np.dtype(np.int8)] >= sum(t.size for t in weights)
    largest = max((a for call in found.program.calls for a in call.args if isinstance(a, np.ndarray)
                   and a.dtype == F32), key=np.size, default=np.zeros(0))  # fmt: skip
    assert largest.size < max(t.size for t in weights)
