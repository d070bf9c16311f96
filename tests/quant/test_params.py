"""Scales, zero points, weights and biases: by hand, and TensorFlow's own for the same ranges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from paths import DATA
from writer import Op, T, network

from int8rt.format import reader
from int8rt.quant.params import PER_TENSOR, Params, assign, of_bias, of_range, of_weights, quantized
from int8rt.quant.rewrite import rewrite

THEIRS = np.load(DATA / "quantized.npz")
NETWORKS = sorted({key.rpartition(".")[0] for key in THEIRS.files})
# Where the files differ: LiteRT's SUM of int8 is wrong, so here it stays float; the order of nodes that do not depend
# on each other.
OTHER = {"normalized", "two_heads"}


def f32(*shape, **given):
    return T(np.float32, shape, **given)


def constant(values):
    return f32(*np.shape(values), data=np.asarray(values, np.float32))


# By hand


def test_a_range_becomes_a_scale_and_a_zero_point():
    assert of_range(-1.0, 1.0) == Params("int8", (float(np.float32(2 / 255)),), (-1,))  # -128 + 127.49999
    assert of_range(0.0, 255.0) == Params("int8", (1.0,), (-128,))
    assert of_range(2.0, 255.0) == of_range(0.0, 255.0)  # 0 is always there
    assert of_range(-255.0, -3.0) == Params("int8", (1.0,), (127,))
    np.testing.assert_allclose(of_range(0.0, 0.0).scales, 2e-6 / 255, rtol=1e-6)


def test_weights_are_symmetric_and_leave_out_the_lowest_step():
    w = np.array([[1.27, -0.5], [0.02, -0.0127], [0, 0]], np.float32)
    params = of_weights(w, 0)
    np.testing.assert_allclose(params.scales, [0.01, 0.02 / 127, 5e-7 / 127], rtol=1e-6)
    assert quantized(w, params).tolist() == [[127, -50], [127, -81], [0, 0]]
    assert of_weights(w, PER_TENSOR).scales == of_weights(w, 0).scales[:1]
    assert quantized(-2 * w, params).min() == -127


def test_a_bias_has_the_steps_of_the_accumulator():
    x, w = of_range(-1.0, 1.0), of_weights(np.array([[1.0], [2.0]], np.float32), 0)
    params = of_bias(x, w)
    assert params.scales == tuple(float(np.float32(x.scales[0] * s)) for s in w.scales)
    assert quantized(np.array([1.0, -1.0], np.float32), params).tolist() == [16192, -8096]


def test_a_bias_out_of_reach_makes_the_weights_of_its_channel_coarser():
    x, y = f32(1, 2), f32(1, 2)
    w, b = constant([[1e-6, 0], [1, 1]]), constant([100, 1])
    graph = reader.read(network([Op("FULLY_CONNECTED", [x, w, b], [y])], [x], [y])).main
    found = assign(graph, {0: (-1, 1), 3: (-101, 101)})
    bias, weights = found.values[0, 2], found.values[0, 1]
    assert math.isclose(bias.scales[0], 100 / ((2**31 - 1) // 2), rel_tol=1e-6)
    assert math.isclose(weights.scales[0], bias.scales[0] / of_range(-1, 1).scales[0], rel_tol=1e-6)
    assert weights.scales[1] == of_weights(np.ones((1, 2), np.float32), 0).scales[0]
    assert abs(int(quantized(np.array([100, 1], np.float32), bias)[0])) <= 2**30


def test_parameters_pass_through_operators_with_one_float_input():
    x, h, y = f32(1, 4, 4, 1), f32(1, 2, 2, 1), f32(1, 4)
    pool = Op("AVERAGE_POOL_2D", [x], [h], filter_height=2, filter_width=2, stride_h=2, stride_w=2)
    nodes = [pool, Op("RESHAPE", [h, T(np.int32, (2,), data=[1, 4])], [y])]
    graph = reader.read(network(nodes, [x], [y])).main
    found = assign(graph, {0: (-1, 1), 1: (-0.5, 0.25), 2: (-0.5, 0.25)})
    assert {found.values[t.index] for t in (*graph.inputs, *graph.nodes[0].outputs, *graph.outputs)} == {
        of_range(-1, 1)
    }


def two_parts(extra=False):
    """A CONCATENATION of RELU(x) and x."""
    x, h, y, z = f32(1, 2), f32(1, 2), f32(1, 4), f32(1, 2)
    nodes = [Op("RELU", [x], [h]), Op("CONCATENATION", [h, x], [y], axis=1)]
    outputs = [y, z] if extra else [y]
    return reader.read(network([*nodes, Op("ABS", [h], [z])] if extra else nodes, [x], outputs)).main


def test_parts_of_a_concatenation_have_its_range():
    graph = two_parts()
    h, y = graph.nodes[0].outputs[0].index, graph.outputs[0].index
    ranges = {0: (-1.0, 4.0), h: (0.0, 4.0), y: (-1.0, 4.0)}
    found = assign(graph, ranges)
    assert found.values[h] == found.values[y] == of_range(-1, 4)
    assert not found.inputs
    assert not found.outputs


def test_a_part_that_others_need_keeps_its_range():
    graph = two_parts(extra=True)
    h, y, z = (t.index for t in (*graph.nodes[0].outputs, *graph.outputs))
    ranges = {0: (-1.0, 4.0), h: (0.0, 4.0), y: (-1.0, 4.0), z: (0.0, 4.0)}
    found = assign(graph, ranges)
    assert found.values[h] == of_range(0, 4)
    assert found.inputs[1, 0] == of_range(-1, 4)
    assert assign(graph, ranges, like="tf").values[h] == of_range(-1, 4)


def test_a_fixed_output_is_converted_where_another_is_wanted():
    x, h, y = f32(1, 2), f32(1, 2), f32(1, 4)
    nodes = [Op("LOGISTIC", [x], [h]), Op("CONCATENATION", [h, x], [y], axis=1)]
    graph = reader.read(network(nodes, [x], [y])).main
    h, y = graph.nodes[0].outputs[0].index, graph.outputs[0].index
    ranges = {0: (-1.0, 4.0), h: (0.0, 1.0), y: (-1.0, 4.0)}
    found, fixed = assign(graph, ranges), Params("int8", (1 / 256,), (-128,))
    assert (found.values[h], found.inputs[1, 0]) == (fixed, of_range(-1, 4))
    found = assign(graph, ranges, like="tf")
    assert (found.outputs[h], found.values[h]) == (fixed, of_range(-1, 4))


def test_an_assignment_can_be_read():
    graph = two_parts(extra=True)
    text = str(assign(graph, {t.index: (-1.0, 1.0) for t in graph.tensors}))
    assert "tensor 0: int8 0.007843138 * (q - -1)" in text


# TensorFlow's


def theirs(name):
    """The float graph, TensorFlow's ranges of it, and its int8 graph."""
    graph, made = (reader.read(THEIRS[f"{name}.{kind}"].tobytes()) for kind in ("float", "int8"))
    ranges = THEIRS[f"{name}.ranges"]
    known = [t.index for t in graph.main.tensors if t.data is None and not np.isnan(ranges[t.index, 0])]
    return graph, {t: (float(ranges[t, 0]), float(ranges[t, 1])) for t in known}, made.main


def said(t):
    """What has to be equal of a tensor."""
    if t is None:
        return None
    q = t.quantization
    numbers = None if q is None else (q.scale.tolist(), q.zero_point.tolist(), q.axis if len(q.scale) > 1 else 0)
    return t.type, t.shape, numbers, None if t.data is None else t.data.tolist()


@pytest.mark.parametrize("name", NETWORKS)
def test_every_number_is_tensorflows(name):
    graph, ranges, expected = theirs(name)
    found = rewrite(graph, assign(graph.main, ranges, like="tf")).graph.main
    if name in OTHER:
        assert [node.op for node in found.nodes] != [node.op for node in expected.nodes]
        return
    versions = [(n.op, 2 if n.op == "TILE" else n.version) for n in expected.nodes]  # LiteRT's reference has no TILE 3
    assert [(n.op, n.version) for n in found.nodes] == versions
    for ours, other in zip(found.nodes, expected.nodes, strict=True):
        assert [said(t) for t in ours.inputs] == [said(t) for t in other.inputs], ours.label
        assert [said(t) for t in ours.outputs] == [said(t) for t in other.outputs], ours.label


def test_where_tensorflow_clips_what_another_node_needs():
    """MINIMUM(x, 0.25) and MAXIMUM(x, y): the range of the former's output must not be that of x."""
    graph, ranges, _ = theirs("halves")
    minimum = next(node for node in graph.main.nodes if node.op == "MINIMUM")
    x, y = minimum.inputs[0].index, minimum.outputs[0].index
    assert ranges[y][1] < ranges[x][1]
    assert assign(graph.main, ranges, like="tf").values[x] == of_range(*ranges[y])
    split = next(node for node in graph.main.nodes if node.op == "SPLIT")
    assert assign(graph.main, ranges).values[x] == of_range(*ranges[split.inputs[1].index])
