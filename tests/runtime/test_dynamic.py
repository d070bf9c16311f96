"""Shapes that are known at run time only, and resized inputs: programs of segments, against LiteRT."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest
from engines import assert_shared, check, run_program, shared
from moves import indices, tensor, values
from requirements import shared_model
from writer import VALID, Op, T, model, network

import int8rt
from int8rt import Interpreter
from int8rt.errors import InputError, ModelError
from int8rt.format import reader
from int8rt.numerics.rules import numerics
from int8rt.runtime import session
from int8rt.tools import litert
from int8rt.tools.profile import profile


def run_time(*v: Any) -> tuple[T, np.ndarray]:
    """A parameter that is an input, and its value."""
    array = np.array(v[0] if len(v) == 1 else v, np.int32)
    return T(np.int32, array.shape), array


X = values(np.int8, (2, 3, 4))


@pytest.mark.parametrize("shape", [[6, 4], [-1], [2, -1, 2], [1, 24], [4, 3, 2]])
def test_reshape(shape):
    p, v = run_time(shape)
    check(model("RESHAPE", [tensor(np.int8, (2, 3, 4)), p], [tensor(np.int8, (5, 5))]), X, v)


@pytest.mark.parametrize(
    ("op", "parameters", "options"),
    [
        ("SLICE", [[0, 1, 1], [2, 2, -1]], {}),
        ("SLICE", [[1, 0, 0], [1, 3, 2]], {}),
        ("STRIDED_SLICE", [[0, 0, 1], [2, 3, 4], [1, 2, 2]], {}),
        ("STRIDED_SLICE", [[1, 0, 0], [2, 3, 4], [1, 1, 1]], {"shrink_axis_mask": 1}),
        ("PAD", [[[0, 1], [2, 0], [1, 1]]], {}),
        ("TRANSPOSE", [[2, 0, 1]], {}),
        ("TRANSPOSE", [[1, 0, 2]], {}),
        ("EXPAND_DIMS", [1], {}),
        ("MEAN", [[1]], {"keep_dims": False}),
        ("MEAN", [[0, 2]], {"keep_dims": True}),
        ("TILE", [[2, 1, 3]], {}),
    ],
)
def test_parameters(op, parameters, options):
    given = [run_time(p) for p in parameters]
    y = tensor(np.int8, (1,) * 3, shape_signature=(-1,) * 3)  # LiteRT's SLICE believes declared shapes without a -1
    content = model(op, [tensor(np.int8, (2, 3, 4)), *(p for p, _ in given)], [y], **options)
    check(content, X, *(v for _, v in given))


def test_parameter_beside_constants():
    p, v = run_time([2, 3, 3])
    nodes = [tensor(np.int8, (2, 3, 4)), indices([0, 0, 1]), p, indices([1, 1, 1])]
    check(model("STRIDED_SLICE", nodes, [tensor(np.int8, (1,))]), X, v)


def test_arg_max_and_resize():
    p, v = run_time(1)
    check(model("ARG_MAX", [tensor(np.int8, (2, 3, 4)), p], [T(np.int32, (1,))], output_type=2), X, v)
    p, v = run_time([5, 6])
    content = model("RESIZE_NEAREST_NEIGHBOR", [tensor(np.int8, (1, 3, 4, 2)), p], [tensor(np.int8, (1, 1, 1, 2))])
    check(content, values(np.int8, (1, 3, 4, 2)), v)


@pytest.mark.parametrize("condition", [[True, False, True, True], [False] * 4, [True] * 4])
def test_where(condition):
    """The shape depends on data; the nodes behind it follow, also where nothing is left."""
    expected = None if any(condition) else [np.zeros((0, 1), np.int64)] * 2  # LiteRT's Python refuses empty tensors
    c, w, y = T(np.bool_, (4,)), T(np.int64, (0, 1)), T(np.int64, (0, 1))
    nodes = [Op("WHERE", [c], [w]), Op("ADD", [w, w], [y])]
    check(network(nodes, [c], [y, w]), np.array(condition), litert=expected)


def test_fill_range_and_the_shape_of_what_they_give():
    n, v = run_time(5)
    zero, one = indices(0), indices(1)
    r, s, f, y = T(np.int32, (0,)), T(np.int32, (1,)), T(np.int32, (0,)), T(np.int32, (0,))
    nodes = [
        Op("RANGE", [zero, n, one], [r]),
        Op("SHAPE", [r], [s], out_type=np.int32),
        Op("FILL", [s, indices(7)], [f]),
        Op("ADD", [f, r], [y]),
    ]
    check(network(nodes, [n], [y, s]), v)


def convolution(x: T, channels: int = 3) -> tuple[Op, T]:
    """A convolution whose output has the spatial size of its input."""
    w = T(np.int8, (channels, 1, 1, x.shape[-1]), 0.02, 0, data=values(np.int8, (channels, 1, 1, x.shape[-1])))
    y = T(np.int8, (1, 1, 1, channels), 0.3, 3)
    b = T(np.int32, (channels,), np.float32(0.1) * np.float32(0.02), 0, data=np.arange(channels, dtype=np.int32))
    return Op("CONV_2D", [x, w, b], [y], stride_h=1, stride_w=1, padding=VALID), y


def chain() -> bytes:
    """Native nodes before, between and after two cuts."""
    x = T(np.int8, (1, 4, 6, 2), 0.1, 2)
    first, a = convolution(x, 4)
    shape, crop = T(np.int32, (4,)), T(np.int32, (4,))
    b = T(np.int8, (1, 1, 1, 4), 0.3, 3)
    second, c = convolution(b, 5)
    d = T(np.int8, (1, 1, 1, 5), 0.3, 3, shape_signature=(-1, -1, -1, 5))
    third, e = convolution(d, 2)
    total = T(np.int8, (1, 1, 1, 2), 0.3, 3)
    nodes = [
        first,
        Op("RESHAPE", [a, shape], [b]),
        second,
        Op("SLICE", [c, indices([0, 0, 0, 0]), crop], [d]),
        third,
        Op("ADD", [e, e], [total]),
    ]
    return network(nodes, [x, shape, crop], [total, a, e])


SHAPES = [([1, 4, 6, 4], [1, 2, 2, 5]), ([1, 8, 3, 4], [1, 8, 1, 5]), ([2, 4, 3, 4], [1, 4, 3, 5])]


@pytest.mark.parametrize("threads", [1, 2])
def test_native_parts_around_cuts(threads):
    x = values(np.int8, (1, 4, 6, 2))
    running = session.Session(reader.read(chain()).main, numerics("reference"), sharing=shared(threads))
    running.prepare([x.shape, (4,), (4,)])
    for shape, crop in SHAPES * 2:
        inputs = [x, np.array(shape, np.int32), np.array(crop, np.int32)]
        expected = litert.run(chain(), inputs, resolver="reference")
        for e, f in zip(expected, running.run(inputs), strict=True):
            np.testing.assert_array_equal(f, e)
    if threads > 1:
        assert_shared(running)


def test_reference():
    check(chain(), values(np.int8, (1, 4, 6, 2)), *(np.array(v, np.int32) for v in SHAPES[1]))


def test_programs_are_kept_but_not_without_bound(monkeypatch):
    monkeypatch.setattr(session, "KEPT", 3)
    monkeypatch.setattr(session, "KEPT_INSTANCES", 4)
    p = T(np.int32, (2,))
    x, b, y = tensor(np.int8, (2, 12)), tensor(np.int8, (1, 1)), tensor(np.int8, (1, 1))
    content = network([Op("RESHAPE", [x, p], [b]), Op("ADD", [b, b], [y])], [x, p], [y])
    running = session.Session(reader.read(content).main, numerics("reference"))
    running.prepare([(2, 12), (2,)])
    data = values(np.int8, (2, 12))
    seen = []
    for shape in [(2, 12), (3, 8), (4, 6), (6, 4), (8, 3), (12, 2), (24, 1)]:
        assert running.run([data, np.array(shape, np.int32)])[0].shape == shape
        seen.append(weakref.ref(running._trail[-1]))
    gc.collect()
    assert len([stage for stage in seen if stage() is not None]) <= 4
    assert len(running._instances) <= 4
    stage = running._trail[-1]
    running.run([data, np.array((24, 1), np.int32)])
    assert running._trail[-1] is stage


def test_static_model_is_one_native_call():
    """Shapes that follow from those of the inputs cost nothing at run time."""
    x, s, y = tensor(np.int8, (2, 3)), T(np.int32, (2,)), tensor(np.int8, (1, 1))
    nodes = [
        Op("SHAPE", [x], [s], out_type=np.int32),
        Op("RESHAPE", [x, s], [y]),
        Op("ADD", [y, y], [z := tensor(np.int8)]),
    ]
    running = session.Session(reader.read(network(nodes, [x], [z])).main, numerics("reference"))
    running.prepare([(2, 3)])
    assert running._direct is not None
    assert running._direct.is_native


# Faces


def test_model():
    m = int8rt.load(chain())
    x = values(np.int8, (1, 4, 6, 2))
    for shape, crop in SHAPES:
        inputs = [x, np.array(shape, np.int32), np.array(crop, np.int32)]
        for e, f in zip(litert.run(chain(), inputs, resolver="reference"), m(*inputs), strict=True):
            np.testing.assert_array_equal(f, e)
        trace = m.trace(*inputs)
        everything = litert.run(chain(), inputs, resolver="reference", tensors="all")
        for t in trace.tensors.values():
            np.testing.assert_array_equal(trace[t.index], everything[t.index])


def test_batches():
    p, _ = run_time([3, 4])
    x = tensor(np.int8, (1, 12))
    m = int8rt.load(network([Op("RESHAPE", [x, p], [y := tensor(np.int8, (1, 1))])], [x, p], [y]))
    data = values(np.int8, (2, 12))
    np.testing.assert_array_equal(m(data, np.array([3, 4, 3, 4], np.int32)), data.reshape(6, 4))
    with pytest.raises(InputError, match=r"\[3, 4\], \[4, 3\]"):
        m(data, np.array([3, 4, 4, 3], np.int32))


def test_interpreter():
    interpreter = Interpreter(model_content=chain(), experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    x = values(np.int8, (1, 4, 6, 2))
    for shape, crop in SHAPES:
        arrays = [x, np.array(shape, np.int32), np.array(crop, np.int32)]
        for details, array in zip(inputs, arrays, strict=True):
            interpreter.set_tensor(details["index"], array)
        interpreter.invoke()
        everything = litert.run(chain(), arrays, resolver="reference", tensors="all")
        for details in interpreter.get_tensor_details():
            found = interpreter.get_tensor(details["index"])
            np.testing.assert_array_equal(found, everything[details["index"]])
            np.testing.assert_array_equal(found.shape, details["shape"])
        for details in outputs:
            np.testing.assert_array_equal(interpreter.tensor(details["index"])(), everything[details["index"]])


def test_resized_inputs():
    x = T(np.int8, (1, 4, 6, 2), 0.1, 2, shape_signature=(-1, -1, -1, 2))
    op, y = convolution(x)
    content = network([op], [x], [y])
    m, interpreter = int8rt.load(content), Interpreter(model_content=content)
    for shape in [(1, 4, 6, 2), (1, 7, 3, 2), (3, 2, 2, 2), (1, 7, 3, 2)]:
        data = values(np.int8, shape)
        (expected,) = litert.run(content, [data], resolver="reference", resize=[shape])
        interpreter.resize_tensor_input(0, shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(0, data)
        interpreter.invoke()
        np.testing.assert_array_equal(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]), expected)
        if shape[0] == 1:
            np.testing.assert_array_equal(m(data), expected)


def test_values_that_contradict():
    p, v = run_time([5, 5])
    content = model("RESHAPE", [tensor(np.int8, (2, 3, 4)), p], [tensor(np.int8, (1, 1))])
    with pytest.raises(ModelError, match=r"RESHAPE .*does not fit"):
        run_program(content, X, v)


def test_transpose_conv():
    w = T(np.int8, (3, 3, 3, 2), 0.02, 0, data=values(np.int8, (3, 3, 3, 2)))
    x, y, p = T(np.int8, (1, 4, 4, 2), 0.1, 2), T(np.int8, (1, 9, 9, 3), 0.3, 3), T(np.int32, (4,))
    content = model("TRANSPOSE_CONV", [p, w, x], [y], stride_h=2, stride_w=2, padding=VALID)
    data = values(np.int8, (1, 4, 4, 2))
    for shape in [(1, 9, 9, 3), (1, 10, 9, 3), (1, 10, 10, 3)]:
        check(content, np.array(shape, np.int32), data)


@pytest.mark.parametrize("name", ["transpose_conv0", "transpose_conv3"])
def test_seanet(name):
    path = shared_model(f"seanet_int16x8/{name}.tflite")
    graph = reader.read(path).main
    _, x = graph.inputs
    inputs = [np.array(graph.outputs[0].shape, np.int32), values(x.dtype, x.shape)]
    check(path.read_bytes(), *inputs)


def test_profile_counts_the_nodes_between_programs():
    inputs = [values(np.int8, (1, 4, 6, 2)), *(np.array(v, np.int32) for v in SHAPES[1])]
    rows = profile(int8rt.load(chain()), inputs, repeat=1)
    assert [row.node for row in rows if row.kernel in ("reshape", "slice")] == [1, 3]
    assert list(dict.fromkeys(row.op for row in rows)) == ["CONV_2D", "RESHAPE", "SLICE", "ADD"]
    assert all(row.seconds > 0 for row in rows)


def test_shapes_that_no_tensor_can_have():
    p, v = T(np.int32, (3,)), np.array([2**12, 2**12, 2**12], np.int32)
    content = model("FILL", [p, indices(1)], [T(np.int32, (1, 1, 1))])
    with pytest.raises(ModelError, match=r"\[4096, 4096, 4096\]"):
        run_program(content, v)


def test_programs_share_their_threads():
    x, p = T(np.int8, (1, 64, 64, 32), 0.1, 2), T(np.int32, (4,))
    first, a = convolution(x, 32)
    b = T(np.int8, (1, 1, 1, 32), 0.3, 3)
    second, c = convolution(b, 32)
    content = network([first, Op("RESHAPE", [a, p], [b]), second], [x, p], [c])
    running = session.Session(reader.read(content).main, numerics("reference"), sharing=shared(2))
    running.prepare([(1, 64, 64, 32), (4,)])
    data = values(np.int8, (1, 64, 64, 32))
    for shape in ([1, 32, 128, 32], [1, 16, 256, 32]):
        found = running.run([data, np.array(shape, np.int32)])[0]
        alone = session.Session(reader.read(content).main, numerics("reference"))
        alone.prepare([(1, 64, 64, 32), (4,)])
        np.testing.assert_array_equal(found, alone.run([data, np.array(shape, np.int32)])[0])
    assert len(running._instances) == 3
    assert len({id(instance.pool) for instance in running._instances.values()}) == 1
