"""Model: what goes in and comes out, by position and by name, in batches, from several threads, and what is refused."""

import concurrent.futures
import io

import numpy as np
import pytest
from engines import assert_shared, run_litert
from writer import Op, T, model, network

import int8rt
from int8rt.format import reader
from int8rt.runtime.evaluator import reference
from int8rt.runtime.model import OTHER_SHAPES, Port, random_inputs
from int8rt.tools import litert

needs_litert = pytest.mark.needs("litert")


def doubled(shape=(1, 3), scale=0.5, **kwargs):
    """A network y = 2 x on int8, whose input's tensor is ``x`` and output's ``y``."""
    x = T(np.int8, shape, scale, 0, name="x", **kwargs)
    return model("ADD", [x, x], [T(np.int8, shape, scale, 0, name="y")])


def two_by_two():
    """sum and difference of a and b, int8 [1, 2], as ``total`` and ``gap`` in the signature ``both``."""
    a, b = (T(np.int8, (1, 2), 1.0, 0, name=name) for name in ("t_a", "t_b"))
    s, d = (T(np.int8, (1, 2), 1.0, 0, name=name) for name in ("t_s", "t_d"))
    nodes = [Op("ADD", [a, b], [s]), Op("SUB", [a, b], [d])]
    return network(nodes, [a, b], [s, d], signatures={"both": ({"a": a, "b": b}, {"gap": d, "total": s})})


def int8(*values):
    return np.array([values], np.int8)


# Sources


def test_a_model_comes_from_a_path_bytes_a_memoryview_or_an_open_file(tmp_path):
    content = doubled()
    path = tmp_path / "m.tflite"
    path.write_bytes(content)
    with path.open("rb") as opened:
        sources = [path, str(path), content, bytearray(content), memoryview(content), io.BytesIO(content), opened]
        for source in sources:
            np.testing.assert_array_equal(int8rt.load(source)(int8(1, -2, 3)), [[2, -4, 6]])


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        int8rt.load(tmp_path / "missing.tflite")
    with pytest.raises(int8rt.ModelError):
        int8rt.load(b"not a model at all")
    with pytest.raises(int8rt.InputError, match="not int"):
        int8rt.load(3)


@pytest.mark.parametrize("threads", [0, 65, 1.0, "2", True])
def test_numbers_of_threads_are_checked(threads):
    with pytest.raises(int8rt.InputError, match="expected a number from 1 to 64"):
        int8rt.load(doubled(), threads=threads)


def test_numerics_are_named():
    with pytest.raises(int8rt.InputError, match="reference"):
        int8rt.load(doubled(), numerics="exactly")


def test_all_missing_operators_are_named_at_once():
    x, h, i, y = (T(np.float32, (1, 4)) for _ in range(4))
    nodes = [
        Op("MULTINOMIAL", [x], [h], None),
        Op("MULTINOMIAL", [h], [i], None),
        Op("CUSTOM", [i], [y], custom_code="Mine"),
    ]
    with pytest.raises(int8rt.UnsupportedError) as error:
        int8rt.load(network(nodes, [x], [y]))
    assert "MULTINOMIAL version 1 (float32): 2 nodes" in str(error.value)
    assert "Mine version 1 (float32): 1 node" in str(error.value)


def test_all_refused_nodes_are_named_at_once():
    x = T(np.float64, (1, 4))
    a, b, c = (T(np.float64, (1, 4)) for _ in range(3))
    nodes = [Op("ADD", [x, x], [a]), Op("ADD", [a, a], [b]), Op("MUL", [b, b], [c])]
    with pytest.raises(int8rt.UnsupportedError) as error:
        int8rt.load(network(nodes, [x], [c]))
    assert "ADD" in str(error.value)
    assert "MUL" in str(error.value)
    assert "2 nodes" in str(error.value)


# Calls


def test_one_output_is_an_array_and_several_are_a_tuple():
    assert isinstance(int8rt.load(doubled())(int8(1, 2, 3)), np.ndarray)
    total, gap = int8rt.load(two_by_two())(int8(3, 4), int8(1, 2))
    assert (total.tolist(), gap.tolist()) == ([[4, 6]], [[2, 2]])


def test_results_are_new_arrays_and_inputs_stay_as_they_are():
    net = int8rt.load(doubled())
    x = int8(1, 2, 3)
    x.flags.writeable = False
    first, second = net(x), net(int8(5, 5, 5))
    assert first.tolist() == [[2, 4, 6]]
    assert first.flags.writeable
    assert not np.shares_memory(first, second)


def test_inputs_may_be_lists_views_and_subclasses():
    net = int8rt.load(doubled())
    strided = np.zeros((1, 6), np.int8)
    strided[:, ::2] = [1, 2, 3]
    fortran = np.asfortranarray(np.array([[1, 2, 3]] * 2, np.int8))
    assert net(strided[:, ::2]).tolist() == [[2, 4, 6]]
    assert net(fortran).tolist() == [[2, 4, 6]] * 2
    assert np.asarray(net(int8(1, 2, 3).view(np.recarray))).tolist() == [[2, 4, 6]]
    with pytest.raises(int8rt.InputError, match="has type int64, expected int8"):
        net([[1, 2, 3]])


@pytest.mark.parametrize("size", [3, 100_000])
def test_a_batch_runs_item_by_item(size):
    net = int8rt.load(doubled((1, size)))
    x = np.random.default_rng(0).integers(-60, 60, (5, size)).astype(np.int8)
    np.testing.assert_array_equal(net(x), 2 * x)
    np.testing.assert_array_equal(net(x[2:3]), 2 * x[2:3])


def test_a_batch_is_a_multiple_of_the_models_own():
    net = int8rt.load(doubled((2, 3)))
    assert net(np.ones((6, 3), np.int8)).shape == (6, 3)
    with pytest.raises(int8rt.InputError, match=r"shape \[3, 3\], expected \[2, 3\], or a multiple"):
        net(np.ones((3, 3), np.int8))


def test_every_input_holds_the_same_batch():
    net = int8rt.load(two_by_two())
    total, gap = net(np.ones((3, 2), np.int8), np.ones((3, 2), np.int8))
    assert total.tolist() == [[2, 2]] * 3
    assert gap.tolist() == [[0, 0]] * 3
    with pytest.raises(int8rt.InputError, match=r"'t_a' 3, 't_b' 1; expected the same"):
        net(np.ones((3, 2), np.int8), np.ones((1, 2), np.int8))


def test_outputs_without_axes_become_one_axis_of_a_batch():
    x, y = T(np.int8, (1, 4), 1.0, 0), T(np.int8, (), 1.0, 0)
    net = int8rt.load(model("MEAN", [x, T(np.int32, (2,), data=[0, 1])], [y], keep_dims=False))
    assert net(np.full((1, 4), 3, np.int8)).shape == ()
    assert net(np.repeat(np.arange(5, dtype=np.int8)[:, None], 4, axis=1)).tolist() == [0, 1, 2, 3, 4]


def test_inputs_without_axes():
    x, y = T(np.int8, (), 1.0, 0), T(np.int8, (), 1.0, 0)
    net = int8rt.load(model("ADD", [x, x], [y]))
    assert net(np.int8(21)) == 42
    with pytest.raises(int8rt.InputError, match=r"expected \[\]"):
        net(np.zeros(1, np.int8))


def test_sizes_that_the_signature_leaves_open():
    net = int8rt.load(doubled((1, 4), shape_signature=(-1, -1)))
    for size in (1, 4, 7, 4, 1):
        x = np.arange(2 * size, dtype=np.int8).reshape(2, size)
        np.testing.assert_array_equal(net(x), 2 * x)
    for size in range(1, 4 * OTHER_SHAPES):  # more shapes than are kept
        assert net(np.ones((1, size), np.int8)).shape == (1, size)
    with pytest.raises(int8rt.InputError, match=r"expected \[1, any\]"):
        net(np.ones((1, 0), np.int8))


def test_errors_say_what_was_found_and_expected():
    net = int8rt.load(doubled())
    for inputs, message in [
        ((np.zeros((1, 4), np.int8),), r"input 'x' has shape \[1, 4\], expected \[1, 3\]"),
        ((np.zeros(3, np.int8),), r"input 'x' has shape \[3\], expected \[1, 3\]"),
        ((np.zeros((0, 3), np.int8),), r"input 'x' has shape \[0, 3\], expected \[1, 3\]"),
        ((np.zeros((1, 3)),), r"input 'x' has type float64, expected int8 \(.*quantize"),
        ((np.zeros((1, 3), np.uint8),), r"input 'x' has type uint8, expected int8"),
        ((), "0 inputs given, 1 expected: 'x'"),
        ((int8(1, 2, 3), int8(1, 2, 3)), "2 inputs given, 1 expected: 'x'"),
    ]:
        with pytest.raises(int8rt.InputError, match=message):
            net(*inputs)


# Names


def test_inputs_by_the_names_of_the_signature():
    result = int8rt.load(two_by_two()).run({"b": int8(1, 2), "a": int8(3, 4)})
    assert {name: y.tolist() for name, y in result.items()} == {"gap": [[2, 2]], "total": [[4, 6]]}


def test_inputs_by_the_names_of_tensors():
    result = int8rt.load(two_by_two()).run({"t_a": int8(3, 4), "t_b": int8(1, 2)})
    assert {name: y.tolist() for name, y in result.items()} == {"t_s": [[4, 6]], "t_d": [[2, 2]]}


def test_wrong_names_are_answered_by_the_right_ones():
    with pytest.raises(int8rt.InputError, match=r"\['a', 'c'\]; expected \['a', 'b'\] or \['t_a', 't_b'\]"):
        int8rt.load(two_by_two()).run({"a": int8(3, 4), "c": int8(1, 2)})


def test_names_that_recur_are_told_apart():
    a, b = (T(np.int8, (1, 2), 1.0, 0, name="same") for _ in range(2))
    y, z = (T(np.int8, (1, 2), 1.0, 0, name="out") for _ in range(2))
    net = int8rt.load(network([Op("ADD", [a, b], [y]), Op("SUB", [a, b], [z])], [a, b], [y, z], tensors=[a, b, y, z]))
    result = net.run({"same#0": int8(3, 4), "same#1": int8(1, 2)})
    assert {name: v.tolist() for name, v in result.items()} == {"out#2": [[4, 6]], "out#3": [[2, 2]]}


def test_an_output_may_be_an_input_and_may_recur():
    x, y = T(np.int8, (1, 2), 1.0, 0, name="x"), T(np.int8, (1, 2), 1.0, 0, name="y")
    net = int8rt.load(network([Op("ADD", [x, x], [y])], [x], [y, x, y]))
    assert [r.tolist() for r in net(int8(1, 2))] == [[[2, 4]], [[1, 2]], [[2, 4]]]
    assert sorted(net.run({"x": int8(1, 2)})) == ["x", "y"]


# Ports


def test_ports_describe_the_tensors():
    net = int8rt.load(doubled(shape_signature=(-1, 3)))
    x = net.inputs[0]
    assert (x.name, x.shape, x.dtype, x.scale, x.zero_point) == ("x", (1, 3), np.int8, 0.5, 0)
    assert repr(x) == "<Port 'x' int8[1x3] 0.5 * (q - 0)>"
    assert repr(net).startswith("<Model: <Port 'x'")


SCALES = [(0.5, 0), (0.1, -7), (1 / 255, 3), (3e-5, 0), (1.7e4, 1)]
AWKWARD = np.array(
    [0, -0.0, 0.05, 0.15, 0.25, -0.25, 0.75, -0.75, 1.25, 1e-30, 1e9, -1e9, 3.4e38, np.inf, -np.inf], np.float32
)


@needs_litert
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16])
@pytest.mark.parametrize(("scale", "zero_point"), SCALES)
def test_quantize_and_dequantize_are_those_of_litert(dtype, scale, zero_point):
    zero_point = 0 if dtype == np.int16 else zero_point + (128 if dtype == np.uint8 else 0)
    generator = np.random.default_rng(1)
    steps = generator.integers(-70_000, 70_000, 2000) / 2
    limit = np.float32(2**20) * np.float32(scale)  # LiteRT converts what is beyond int32 as the CPU happens to
    real = np.concatenate([AWKWARD.clip(-limit, limit), (steps * scale).astype(np.float32)])[None]
    q = T(dtype, real.shape, scale, zero_point)
    port = Port(reader.read(model("QUANTIZE", [T(np.float32, real.shape)], [q])).main.outputs[0])
    stored = port.quantize(real)
    np.testing.assert_array_equal(stored, run_litert(model("QUANTIZE", [T(np.float32, real.shape)], [q]), real)[0])
    expected = run_litert(model("DEQUANTIZE", [q], [T(np.float32, real.shape)]), stored)[0]
    assert port.dequantize(stored).tobytes() == expected.tobytes()


def test_quantize_saturates_and_takes_nan_for_zero():
    port = int8rt.load(doubled(scale=1e-3)).inputs[0]
    assert port.quantize([np.inf, -np.inf, np.nan, 1e30, -1e30]).tolist() == [127, -128, 0, 127, -128]
    assert port.quantize(0.0004).shape == ()


def test_ports_that_are_not_quantized_pass_values_on():
    x = T(np.float32, (1, 3))
    port = Port(reader.read(model("ADD", [x, x], [T(np.float32, (1, 3))])).main.inputs[0])
    assert not port.is_quantized
    assert port.quantize([1, 2.5]).dtype == np.float32
    assert port.dequantize(np.float32([1, 2.5])).tolist() == [1, 2.5]


# Traces


def chain():
    """y = relu(x + x) - c, with a constant that is computed."""
    x, h, r, y = (T(np.int8, (1, 4), 0.5, 0, name=name) for name in "xhry")
    c, n = T(np.int8, (1, 4), 0.5, 0, data=[[1, 2, 3, 4]], name="c"), T(np.int8, (1, 4), 0.5, 0, name="n")
    nodes = [Op("ADD", [x, x], [h]), Op("RELU", [h], [r]), Op("ADD", [c, c], [n]), Op("SUB", [r, n], [y])]
    return network(nodes, [x], [y], tensors=[x, h, r, c, n, y])


def test_a_trace_holds_every_tensor_in_order():
    trace = int8rt.load(chain()).trace(int8(-1, 2, -3, 40))
    assert {name: v.tolist()[0] for name, v in trace.items()} == {
        "x": [-1, 2, -3, 40], "h": [-2, 4, -6, 80], "r": [0, 4, 0, 80], "n": [2, 4, 6, 8], "y": [-2, 0, -6, 72],
    }  # fmt: skip
    assert list(trace) == ["x", "h", "r", "n", "y"]
    assert trace[1].tolist() == [[-2, 4, -6, 80]]
    assert 1 in trace
    assert "h" in trace
    assert "nothing" not in trace
    assert len(trace) == 5
    assert repr(trace) == "<Trace of 5 tensors: x, h, r, ...>"


@needs_litert
def test_a_trace_is_what_litert_gives():
    x = int8(-1, 2, -3, 40)
    ours, theirs = int8rt.load(chain()).trace(x), litert.run(chain(), [x], tensors="all")
    for t in ours.tensors.values():
        np.testing.assert_array_equal(ours[t.index], theirs[t.index])


def test_a_trace_does_not_change_results():
    net = int8rt.load(chain())
    x = int8(-1, 2, -3, 40)
    before = net(x)
    trace = net.trace(x)
    np.testing.assert_array_equal(trace["y"], before)
    np.testing.assert_array_equal(net(x), before)


def test_a_trace_is_of_one_run():
    with pytest.raises(int8rt.InputError, match="one run, and the inputs hold 2"):
        int8rt.load(chain()).trace(np.zeros((2, 4), np.int8))


# State


def test_a_model_with_variables_runs_and_can_be_reset():
    x, v, y = T(np.int8, (1, 3), 1.0, 0), T(np.int8, (1, 3), 1.0, 0, is_variable=True), T(np.int8, (1, 3), 1.0, 0)
    net = int8rt.load(model("ADD", [x, v], [y]))
    assert net(int8(1, 2, 3)).tolist() == [[1, 2, 3]]
    net.reset()
    assert net(np.repeat(int8(1, 2, 3), 4, axis=0)).tolist() == [[1, 2, 3]] * 4


def test_a_variable_of_strings_that_nothing_reads():
    x, v, y = T(np.int8, (2,), 1.0, 0), T(None, (2,), type_name="STRING", is_variable=True), T(np.int8, (2,), 1.0, 0)
    content = network([Op("RELU", [x], [y])], [x], [y], tensors=[v])
    values = np.array([-1, 5], np.int8)
    assert int8rt.load(content)(values).tolist() == [0, 5]
    assert reference(reader.read(content).main, values)[content.indices[0][y]].tolist() == [0, 5]


# Threads


def big():
    """Two convolutions, large enough to be shared between threads."""
    generator = np.random.default_rng(5)
    x, h, y = (T(np.int8, (1, 32, 32, 16), 0.1, 0) for _ in range(3))
    scales = np.full(16, 0.01)
    w = [T(np.int8, (16, 3, 3, 16), scales, data=generator.integers(-127, 128, (16, 3, 3, 16))) for _ in range(2)]
    nodes = [
        Op("CONV_2D", [x, w[0], None], [h], stride_h=1, stride_w=1),
        Op("CONV_2D", [h, w[1], None], [y], stride_h=1, stride_w=1),
    ]
    return network(nodes, [x], [y])


def test_results_do_not_depend_on_the_number_of_threads():
    content = big()
    x = random_inputs(reader.read(content).main)[0]
    x = np.concatenate([x, x[:, ::-1], x[:, :, ::-1]])
    expected = int8rt.load(content)(x)
    for threads in (2, 3):
        net = int8rt.load(content, threads=threads)
        np.testing.assert_array_equal(net(x), expected)
        np.testing.assert_array_equal(net(x[:1]), expected[:1])
        assert_shared(net._sessions._first)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("make", [doubled, big])
def test_several_threads_may_call_one_model(threads, make):
    content = make()
    net = int8rt.load(content, threads=threads)
    graph = reader.read(content).main
    inputs = [random_inputs(graph, seed)[0] for seed in range(8)]
    expected = [int8rt.load(content)(x) for x in inputs]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for _ in range(10):
            for found, wanted in zip(pool.map(net, inputs), expected, strict=True):
                np.testing.assert_array_equal(found, wanted)


# Random inputs


def test_random_inputs_are_seeded_and_fit():
    content = two_by_two()
    graph = reader.read(content).main
    first, again, other = (random_inputs(graph, seed) for seed in (1, 1, 2))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert any((a != b).any() for a, b in zip(first, other, strict=True))
    int8rt.load(content)(*first)


def test_progress_hears_of_every_kernel_that_is_compiled(monkeypatch):
    monkeypatch.setattr("int8rt.native.helpers.is_cached", lambda kernel, signature: False)
    heard = []
    int8rt.load(doubled(), progress=lambda *call: heard.append(call))
    assert [done for _, done, _ in heard] == list(range(len(heard)))
    assert {total for _, _, total in heard} == {len(heard) - 1}
