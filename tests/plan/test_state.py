"""Variable tensors and resources, kept from run to run as LiteRT keeps them."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from moves import indices
from requirements import shared_model
from sequences import check_steps, handle, session
from writer import Graph, Op, T, network

import int8rt
from int8rt import Interpreter
from int8rt.errors import InputError, ModelError, UnsupportedError
from int8rt.format import reader
from int8rt.runtime.evaluator import reference
from int8rt.runtime.state import State
from int8rt.tools import litert


def floats(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def var(h: T, name: str = "v", container: str = "") -> Op:
    return Op("VAR_HANDLE", [], [h], container=container, shared_name=name)


def read(h: T, y: T) -> Op:
    return Op("READ_VARIABLE", [h], [y])


def assign(h: T, x: T) -> Op:
    return Op("ASSIGN_VARIABLE", [h, x], [])


def once(subgraph: int = 1) -> Op:
    return Op("CALL_ONCE", [], [], init_subgraph_index=subgraph)


def initial(data: np.ndarray, name: str = "v", container: str = "", **quantization: Any) -> Graph:
    """A subgraph that sets a variable."""
    h = handle()
    value = T(data.dtype, data.shape, data=data, **quantization)
    return Graph([var(h, name, container), assign(h, value)], [], [])


def accumulator() -> bytes:
    """y = v = v + x."""
    h, x, y, total = handle(), T(np.float32, (2,)), T(np.float32, (2,)), T(np.float32, (2,))
    nodes = [once(), var(h), read(h, y), Op("ADD", [y, x], [total]), assign(h, total)]
    return network(nodes, [x], [total], subgraphs=[initial(floats(5, 6))])


STEPS = [[floats(1, 2)], [floats(0.5, 0.25)], [floats(3, 4)], [floats(-1, 0)]]


# Resources


def test_accumulator():
    check_steps(accumulator(), *STEPS)


def test_it_is_one_native_call():
    running = session(accumulator())
    assert running._direct is not None
    assert running._direct.is_native


def test_a_value_read_does_not_change_when_the_variable_does():
    """READ_VARIABLE is a view where that is safe, else a copy; outputs are as of the time of reading."""
    h, x, (old, new, z) = handle(), T(np.float32, (2,)), (T(np.float32, (2,)) for _ in range(3))
    nodes = [once(), var(h), read(h, old), assign(h, x), read(h, new), Op("ADD", [old, new], [z])]
    check_steps(network(nodes, [x], [z, old, new], subgraphs=[initial(floats(5, 6))]), *STEPS)


def test_a_value_read_is_preserved_when_a_later_segment_changes_the_variable():
    """IF ends the segment of READ_VARIABLE."""
    h, x, c, (old, y) = handle(), T(np.float32, (2,)), T(np.bool_, ()), (T(np.float32, (2,)) for _ in range(2))
    a, b = T(np.float32, (2,)), T(np.float32, (2,))
    choice = Op("IF", [c, x], [y], then_subgraph_index=2, else_subgraph_index=2)
    nodes = [once(), var(h), read(h, old), choice, assign(h, y)]
    others = [initial(floats(5, 6)), Graph([Op("NEG", [a], [b])], [a], [b])]
    content = network(nodes, [x, c], [y], subgraphs=others)
    graph, running, state = reader.read(content).main, session(content, preserve=True), State()
    for (given,) in STEPS:
        expected = reference(graph, given, np.array(True), state=state)
        running.run([given, np.array(True)])
        assert running.read_tensor(content.indices[0][old]).tolist() == expected[content.indices[0][old]].tolist()


def test_a_variable_that_is_an_input_holds_what_the_caller_gives():
    """Also where a node waits for it, and programs look for it in the state."""
    x, shape, y = T(np.float32, (3,)), T(np.int32, (2,), is_variable=True), T(np.float32, (1, 1))
    content = network([Op("RESHAPE", [x, shape], [y], None)], [x, shape], [y])
    graph, running, state = reader.read(content).main, session(content), State()
    for given in ([1, 3], [3, 1], [1, 3]):
        inputs = [np.ones(3, np.float32), np.array(given, np.int32)]
        (found,) = running.run(inputs)
        assert found.shape == reference(graph, *inputs, state=state)[graph.outputs[0].index].shape == tuple(given)


def test_a_variable_read_has_its_own_shape_whatever_is_declared():
    """LiteRT prepares the nodes behind READ_VARIABLE for the declared shape, and computes with that."""
    h, x, old, y = handle(), T(np.float32, (3,)), T(np.float32, (1,)), T(np.float32, (3,))
    nodes = [once(), var(h), read(h, old), Op("ADD", [old, x], [y])]
    content = network(nodes, [x], [y], subgraphs=[initial(floats(1, 2, 3))])
    (found,) = session(content).run([floats(10, 20, 30)])
    assert found.tolist() == [11, 22, 33]


def test_views_of_views():
    h, x = handle(), T(np.float32, (2,))
    old, row, column, y = (T(np.float32, s) for s in [(2,), (1, 2), (2, 1), (2, 1)])
    nodes = [
        once(), var(h), read(h, old),
        Op("RESHAPE", [old, indices([1, 2])], [row]),
        Op("RESHAPE", [row, indices([2, 1])], [column]),
        assign(h, x),
        Op("ADD", [column, column], [y]),
    ]  # fmt: skip
    check_steps(network(nodes, [x], [y], subgraphs=[initial(floats(5, 6))]), *STEPS)


def test_swap():
    g, h, (a, b) = handle(), handle(), (T(np.float32, (2,)) for _ in range(2))
    nodes = [once(1), once(2), var(g, "g"), var(h, "h"), read(g, a), read(h, b), assign(g, b), assign(h, a)]
    content = network(nodes, [], [a, b], subgraphs=[initial(floats(1, 2), "g"), initial(floats(3, 4), "h")])
    check_steps(content, [], [], [])


def test_names_and_containers():
    g, h, i, (a, b, c) = handle(), handle(), handle(), (T(np.float32, (2,)) for _ in range(3))
    nodes = [once(1), once(2), var(g), var(h, container="c"), var(i), read(g, a), read(h, b), assign(g, b), read(i, c)]
    content = network(nodes, [], [a, b, c], subgraphs=[initial(floats(1, 2)), initial(floats(3, 4), container="c")])
    check_steps(content, [], [])


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int32, np.int64, np.bool_, np.float32])
def test_types(dtype):
    quantization = {"scale": 0.5, "zero_point": 0 if dtype == np.int16 else 3} if dtype in (np.int8, np.int16) else {}
    data = np.array([[0, 1, 1], [1, 0, 1]]).astype(dtype)
    h, x, y = handle(), T(dtype, (2, 3), **quantization), T(dtype, (2, 3), **quantization)
    nodes = [once(), var(h), read(h, y), assign(h, x)]
    content = network(nodes, [x], [y], subgraphs=[initial(data, **quantization)])
    check_steps(content, [1 - data if dtype != np.bool_ else ~data], [data], [data])


def test_a_variable_takes_the_shape_of_what_is_assigned():
    h, x, (y, z) = handle(), T(np.float32, (1, 2)), (T(np.float32, (1, 2), shape_signature=(-1, 2)) for _ in range(2))
    join = Op("CONCATENATION", [y, x], [z], axis=0)
    nodes = [once(), var(h), read(h, y), join, assign(h, z)]
    content = network(nodes, [x], [z], subgraphs=[initial(floats(5, 6)[None])])
    found = check_steps(content, *([x.reshape(1, 2)] for (x,) in STEPS), with_litert=False)  # it keeps the first shape
    assert found[3][0].tolist() == [[5, 6], [1, 2], [0.5, 0.25], [3, 4], [-1, 0]]


def test_shape_changes_within_a_run():
    h, x, y, z = handle(), T(np.float32, (2,)), T(np.float32, (1, 4)), T(np.float32, (2,))
    wide = T(np.float32, (1, 4), data=floats(1, 2, 3, 4).reshape(1, 4))
    nodes = [once(), var(h), assign(h, wide), read(h, y), assign(h, x), read(h, z)]
    check_steps(network(nodes, [x], [y, z], subgraphs=[initial(floats(5, 6, 7))]), *STEPS)


def test_once_behind_other_nodes():
    """A first run that comes to CALL_ONCE late sets the variable late."""
    h, x, y, z = handle(), T(np.float32, (2,)), T(np.float32, (2,)), T(np.float32, (2,))
    nodes = [Op("ADD", [x, x], [y]), var(h), assign(h, y), once(), read(h, z)]
    found = check_steps(network(nodes, [x], [z], subgraphs=[initial(floats(5, 6))]), *STEPS)
    assert found[0][0].tolist() == [5, 6]
    assert found[1][0].tolist() == [1, 0.5]


def test_read_before_anything_was_assigned():
    h, y = handle(), T(np.float32, (2,))
    content = network([var(h), read(h, y)], [], [y])
    with pytest.raises(InputError, match="'v' is read before"):
        session(content).run([])
    with pytest.raises(InputError, match="'v' is read before"):
        reference(reader.read(content).main)
    with pytest.raises(litert.LiteRTError, match="variable"):
        litert.run(content, [], resolver="reference")


def test_read_as_another_type():
    h, y = handle(), T(np.int32, (2,))
    content = network([once(), var(h), read(h, y)], [], [y], subgraphs=[initial(floats(5, 6))])
    with pytest.raises(ModelError, match="holds float32"):
        session(content)


def test_malformed():
    h, x, y = handle(), T(np.float32, (2,)), T(np.float32, (2,))
    with pytest.raises(UnsupportedError, match="handle"):
        session(network([read(h, y)], [h], [y]))
    with pytest.raises(UnsupportedError, match="handle"):
        session(network([read(x, y)], [x], [y]))
    taking = Graph([], [T(np.float32, (2,))], [])
    with pytest.raises(ModelError, match="subgraph 1 has 1 inputs; 0 were expected"):
        session(network([once()], [x], [x], subgraphs=[taking]))


# Faces


def test_model():
    m = int8rt.load(accumulator())
    first = [m(*step) for step in STEPS]
    assert first[0].tolist() == [6, 8]
    second = [m(*step) for step in STEPS]
    assert second[0].tolist() == [first[-1][0] + 1, first[-1][1] + 2]
    m.reset()
    np.testing.assert_array_equal([m(*step) for step in STEPS], first)
    m.reset()
    np.testing.assert_array_equal(m(np.concatenate([x for (x,) in STEPS])), np.concatenate(first))
    trace = m.trace(floats(1, 1))
    np.testing.assert_array_equal(trace[m.outputs[0].index], [6, 7])


def test_calls_from_threads_take_turns():
    m = int8rt.load(accumulator())
    threads = [threading.Thread(target=lambda: [m(floats(1, 1)) for _ in range(200)]) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert m(floats(0, 0)).tolist() == [805, 806]


def test_interpreter():
    """As in LiteRT, resources outlive reset_all_variables and allocate_tensors."""
    interpreter = Interpreter(model_content=accumulator())
    index, output = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    found = []
    for act in (interpreter.allocate_tensors, interpreter.reset_all_variables, lambda: None):
        act()
        interpreter.set_tensor(index, floats(1, 2))
        interpreter.invoke()
        found.append(interpreter.get_tensor(output).tolist())
    assert found == [[6, 8], [7, 10], [8, 12]]


def test_signatures_share_resources():
    """One signature sets what another one reads."""
    g, h, x, y = handle(), handle(), T(np.float32, (2,)), T(np.float32, (2,))
    content = network(
        [var(g), assign(g, x)], [x], [], subgraphs=[Graph([var(h), read(h, y)], [], [y])],
        signatures={"set": ({"x": x}, {}), "get": ({}, {"y": y}, 1)},
    )  # fmt: skip
    interpreter = Interpreter(model_content=content)
    set_, get = interpreter.get_signature_runner("set"), interpreter.get_signature_runner("get")
    with pytest.raises(InputError, match="'v' is read before"):
        get()
    for value in (floats(1, 2), floats(3, 4)):
        assert set_(x=value) == {}
        np.testing.assert_array_equal(get()["y"], value)


def test_wakeword():
    content = shared_model("wakeword_okay_nabu_int8.tflite").read_bytes()
    rng = np.random.default_rng(0)
    steps = [[rng.integers(-128, 128, (1, 1, 40)).astype(np.int8)] for _ in range(20)]
    found = check_steps(content, *steps)
    assert len({int(y[0].item()) for y in found}) > 2
    assert session(content)._direct is not None


# Variable tensors


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.float32])
def test_variables_begin_at_zero(dtype):
    """Of int8 at the zero point, of other types with bytes of 0, as LiteRT has it."""
    q = {} if dtype == np.float32 else {"scale": 0.5, "zero_point": 0 if dtype == np.int16 else 7}
    v, x, y = T(dtype, (2,), is_variable=True, **q), T(dtype, (2,), **q), T(dtype, (2,), **q)
    content = network([Op("ADD", [v, x], [y])], [x], [y], tensors=[v])
    check_steps(content, [np.array([1, 2], dtype)], [np.array([3, 4], dtype)])


def test_state_of_the_reference_is_kept_where_it_is_given():
    state, graph = State(), reader.read(accumulator()).main
    output = graph.outputs[0].index
    assert [reference(graph, *step, state=state)[output].tolist() for step in STEPS[:2]] == [[6, 8], [6.5, 8.25]]
    assert reference(graph, *STEPS[0])[output].tolist() == [6, 8]
