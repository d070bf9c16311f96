"""IF, WHILE, STABLEHLO_COMPOSITE and several subgraphs, against LiteRT."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from engines import check, run_program, run_reference
from moves import indices
from sequences import check_steps, handle, session
from writer import Graph, Op, T, network

import int8rt
from int8rt import Interpreter
from int8rt.errors import Error, ModelError, UnsupportedError
from int8rt.format import reader
from int8rt.plan.subgraphs import keeps_state

SUBGRAPHS = {"then_subgraph_index": 1, "else_subgraph_index": 2}
LOOP = {"cond_subgraph_index": 1, "body_subgraph_index": 2}


def f32(*shape: int, **fields: Any) -> T:
    return T(np.float32, shape or (2,), **fields)


def i8(scale: float = 0.1, zero_point: int = 3, shape: tuple[int, ...] = (4,)) -> T:
    return T(np.int8, shape, scale, zero_point)


def i32(value: int | None = None) -> T:
    return T(np.int32, (), data=None if value is None else np.array(value, np.int32))


def flag(**fields: Any) -> T:
    return T(np.bool_, (), **fields)


def binary(op: str, make: Any = f32) -> Graph:
    """A subgraph that applies an operator to its two inputs."""
    a, b, y = make(), make(), make()
    return Graph([Op(op, [a, b], [y])], [a, b], [y])


A, B = np.array([1, 2], np.float32), np.array([3, -4], np.float32)
YES, NO = np.array(True), np.array(False)


def choice(then: Graph, otherwise: Graph, c: T | None = None, make: Any = f32) -> bytes:
    c, a, b, y = c or flag(), make(), make(), make()
    nodes = [Op("IF", [c, a, b], [y], **SUBGRAPHS)]
    return network(nodes, [t for t in (c, a, b) if t.data is None], [y], subgraphs=[then, otherwise])


# IF


@pytest.mark.parametrize("condition", [YES, NO, np.array([True])])
def test_if(condition):
    c = T(np.bool_, condition.shape)
    check(choice(binary("ADD"), binary("MUL"), c), condition, A, B)


@pytest.mark.parametrize("condition", [YES, NO])
def test_if_within_if_on_weights(condition):
    """Where an input has weights, IF runs as a program by itself, which the inner IF cuts short."""
    x, w, y = f32(2, 2), f32(2, 2, data=np.array([[1, 2], [3, 4]])), f32(2, 2)
    a, b, z, inner = f32(2, 2), f32(2, 2), f32(2, 2), f32(2, 2)
    first, least, truth = T(np.float32, ()), T(np.float32, (), data=np.float32(0)), flag()
    then = Graph(
        [
            Op("REDUCE_MAX", [a, indices([0, 1])], [first]),
            Op("GREATER", [first, least], [truth]),
            Op("IF", [truth, a, b], [inner], then_subgraph_index=2, else_subgraph_index=2),
            Op("NEG", [inner], [z]),
        ],
        [a, b], [z],
    )  # fmt: skip
    c = flag()
    nodes = [Op("IF", [c, x, w], [y], **SUBGRAPHS)]
    content = network(nodes, [c, x], [y], subgraphs=[then, binary("MUL", lambda: f32(2, 2))])
    check(content, condition, np.array([[5, -6], [7, 8]], np.float32))


@pytest.mark.parametrize("condition", [YES, NO])
def test_if_on_weights_that_computes_its_second_output_first(condition):
    """The program by itself gives outputs in the order in which they are computed."""
    x, w = f32(2, 2), f32(2, 2, data=np.array([[1, 2], [3, 4]]))

    def branch(op, second):
        a, b, y, z = (f32(2, 2) for _ in range(4))
        return Graph([Op(op, [a, b], [z]), Op(second, [z], [y])], [a, b], [y, z])

    c, outputs = flag(), (f32(2, 2), f32(2, 2))
    node = Op("IF", [c, x, w], outputs, **SUBGRAPHS)
    content = network([node], [c, x], outputs, subgraphs=[branch("MUL", "NEG"), branch("SUB", "ABS")])
    check(content, condition, np.array([[5, -6], [7, 8]], np.float32))


@pytest.mark.parametrize("condition", [YES, NO])
def test_if_whose_branch_gives_what_is_known_beforehand(condition):
    """LiteRT ends its process, or leaves other memory."""

    def branch(value):
        a, y = f32(2, 3), T(np.int32, ())
        product = Op("REDUCE_PROD", [T(np.int32, (2,), data=[value, 5]), indices([0])], [y], keep_dims=False)
        return Graph([product], [a], [y])

    c, x, y = flag(), f32(2, 3), T(np.int32, ())
    node = Op("IF", [c, x], [y], **SUBGRAPHS)
    content = network([node], [c, x], [y], subgraphs=[branch(3), branch(4)])
    for run in (run_program, run_reference):
        assert int(run(content, condition, np.zeros((2, 3), np.float32))[0]) == (15 if condition else 20)


def test_if_whose_subgraph_ends_in_one_node_that_waits():
    """As many nodes are left as the graph has: that program is not the whole graph."""
    a, b, places, z = f32(4), f32(1, 3), T(np.int64, (1, 1)), f32(1, 3)
    then = Graph([Op("WHERE", [a], [places]), Op("NEG", [b], [z])], [a, b], [places, z])
    c, x, y = flag(data=YES), f32(4), f32(1, 3)
    outputs = T(np.int64, (1, 1)), f32(1, 3)
    nodes = [Op("IF", [c, x, y], outputs, then_subgraph_index=1, else_subgraph_index=1)]
    content = network(nodes, [x, y], outputs, subgraphs=[then])
    check(content, np.array([0, 5, 0, 7], np.float32), np.array([[1, 2, 3]], np.float32))


@pytest.mark.parametrize("condition", [YES, NO])
def test_if_on_quantized_tensors(condition):
    content = choice(binary("ADD", i8), binary("SUB", i8), make=i8)
    check(content, condition, np.array([-128, -1, 3, 127], np.int8), np.array([5, 4, 3, 100], np.int8))


@pytest.mark.parametrize("condition", [YES, NO])
def test_a_branch_may_be_empty(condition):
    a, b = f32(), f32()
    check(choice(binary("ADD"), Graph([], [a, b], [b])), condition, A, B)


def test_a_branch_may_give_a_constant():
    a, b = f32(), f32()
    check(choice(binary("ADD"), Graph([], [a, b], [f32(data=A)])), NO, A, B)


@pytest.mark.parametrize("value", [True, False])
def test_a_condition_that_is_known_costs_nothing(value):
    content = choice(binary("ADD"), binary("MUL"), flag(data=np.array(value)))
    check(content, A, B)
    assert session(content)._direct is not None


@pytest.mark.parametrize("condition", [YES, NO])
def test_branches_may_give_other_shapes(condition):
    a, b, y = (f32(2, shape_signature=(-1,)) for _ in range(3))
    both = Graph([Op("CONCATENATION", [a, b], [y], axis=0)], [a, b], [y])
    c, p, q, r, z = flag(), f32(), f32(), f32(2, shape_signature=(-1,)), f32(2, shape_signature=(-1,))
    nodes = [Op("IF", [c, p, q], [r], **SUBGRAPHS), Op("ADD", [r, r], [z])]
    check(network(nodes, [c, p, q], [z, r], subgraphs=[both, binary("MUL")]), condition, A, B)


@pytest.mark.parametrize("condition", [YES, NO])
def test_nodes_around(condition):
    c, p, q, a, r, y = flag(), f32(), f32(), f32(), f32(), f32()
    nodes = [
        Op("MUL", [p, q], [a]),
        Op("IF", [c, a, q], [r], **SUBGRAPHS),
        Op("SUB", [r, a], [y]),
    ]
    check(network(nodes, [c, p, q], [y, r, a], subgraphs=[binary("ADD"), binary("MUL")]), condition, A, B)


def test_branches_share_variables_with_the_main_graph():
    """A branch assigns a resource that the main graph reads behind it."""
    c, x, y, h = flag(), f32(), f32(), handle()
    g, xx, r = handle(), f32(), f32()
    assigns = Graph(
        [Op("VAR_HANDLE", [], [g], container="", shared_name="v"), Op("ASSIGN_VARIABLE", [g, xx], []),
         Op("ADD", [xx, xx], [r])], [xx], [r],
    )  # fmt: skip
    xo, ro = f32(), f32()
    leaves = Graph([Op("MUL", [xo, xo], [ro])], [xo], [ro])
    first, once = handle(), f32(data=np.array([9, 9], np.float32))
    init = Graph(
        [Op("VAR_HANDLE", [], [first], container="", shared_name="v"), Op("ASSIGN_VARIABLE", [first, once], [])], [], []
    )
    z, sum_ = f32(), f32()
    nodes = [
        Op("CALL_ONCE", [], [], init_subgraph_index=3),
        Op("IF", [c, x], [y], **SUBGRAPHS),
        Op("VAR_HANDLE", [], [h], container="", shared_name="v"),
        Op("READ_VARIABLE", [h], [z]),
        Op("ADD", [y, z], [sum_]),
    ]
    content = network(nodes, [c, x], [sum_], subgraphs=[assigns, leaves, init])
    check_steps(content, [NO, A], [YES, A], [NO, B], [YES, B], [NO, A])


def test_handles_pass_into_subgraphs():
    c, h, x, y, z = flag(), handle(), f32(), f32(), f32()
    branches = []
    for op in ("ADD", "MUL"):
        g, v, old, r = handle(), f32(), f32(), f32()
        nodes = [Op("READ_VARIABLE", [g], [old]), Op(op, [old, v], [r]), Op("ASSIGN_VARIABLE", [g, r], [])]
        branches.append(Graph(nodes, [g, v], [r]))
    nodes = [
        Op("VAR_HANDLE", [], [h], container="", shared_name="v"),
        Op("ASSIGN_VARIABLE", [h, x], []),
        Op("IF", [c, h, x], [y], **SUBGRAPHS),
        Op("READ_VARIABLE", [h], [z]),
    ]
    check_steps(network(nodes, [c, x], [y, z], subgraphs=branches), [YES, A], [NO, B], [YES, B])


# WHILE


def counting(body_nodes: Any, make: Any = f32) -> bytes:
    """Repeats what ``body_nodes(x)`` gives, nodes and their result, while a counter is below 3."""
    i, c, x = i32(), flag(), make()
    condition = Graph([Op("LESS", [i, i32(3)], [c])], [i, x], [c])
    i, n, x = i32(), i32(), make()
    nodes, y = body_nodes(x)
    body = Graph([Op("ADD", [i, i32(1)], [n]), *nodes], [i, x], [n, y])
    i, n, x, y = i32(), i32(), make(), make()
    return network([Op("WHILE", [i, x], [n, y], **LOOP)], [i, x], [n, y], subgraphs=[condition, body])


@pytest.mark.parametrize("start", [0, 2, 3, 7, -5])
def test_while(start):
    def double(x: T) -> Any:
        y = f32()
        return [Op("ADD", [x, x], [y])], y

    check(counting(double), np.array(start, np.int32), A)


def test_while_on_quantized_tensors():
    def step(x: T) -> Any:
        y = i8()
        return [Op("ADD", [x, x], [y])], y

    check(counting(step, i8), np.array(0, np.int32), np.array([-20, 1, 3, 20], np.int8))


def test_while_whose_values_grow():
    def grown() -> T:
        return f32(2, shape_signature=(-1,))

    def step(x: T) -> Any:
        y = grown()
        return [Op("CONCATENATION", [x, x], [y], axis=0)], y

    (_, y) = check(counting(step, grown), np.array(0, np.int32), A)
    assert y.shape == (16,)


def test_while_that_passes_a_value_on():
    check(counting(lambda x: ([], x)), np.array(0, np.int32), A)


def test_while_that_passes_values_on_in_other_places():
    """A body's outputs follow from its inputs all at once; LiteRT overwrites the second before the third reads it."""
    n, a, b, more, twice = i32(), f32(), f32(), i32(), f32()
    body = Graph([Op("ADD", [n, i32(1)], [more]), Op("ADD", [a, a], [twice])], [n, a, b], [more, twice, a])
    inputs, outputs = [i32(), f32(), f32()], [i32(), f32(), f32()]
    m, c, d, goes_on = i32(), f32(), f32(), flag()
    condition = Graph([Op("LESS", [m, i32(3)], [goes_on])], [m, c, d], [goes_on])
    content = network([Op("WHILE", inputs, outputs, **LOOP)], inputs, outputs, subgraphs=[condition, body])
    check(content, np.array(0, np.int32), A, B, litert=[np.array(3, np.int32), 8 * A, 4 * A])


def test_while_in_while():
    """Three times three additions."""
    i, c, x = i32(), flag(), f32()
    below = Graph([Op("LESS", [i, i32(3)], [c])], [i, x], [c])
    i, n, x, y = i32(), i32(), f32(), f32()
    inner = Graph([Op("ADD", [i, i32(1)], [n]), Op("ADD", [x, f32(data=A)], [y])], [i, x], [n, y])
    i, n, x, y, j = i32(), i32(), f32(), f32(), i32()
    outer = Graph(
        [Op("ADD", [i, i32(1)], [n]), Op("WHILE", [i32(0), x], [j, y], cond_subgraph_index=1, body_subgraph_index=2)],
        [i, x], [n, y],
    )  # fmt: skip
    i, n, x, y = i32(), i32(), f32(), f32()
    main = [Op("WHILE", [i, x], [n, y], cond_subgraph_index=1, body_subgraph_index=3)]
    content = network(main, [i, x], [n, y], subgraphs=[below, inner, outer])
    for _, result in (run_program(content, np.array(0, np.int32), B), run_reference(content, np.array(0, np.int32), B)):
        np.testing.assert_array_equal(result, B + 9 * A)


# STABLEHLO_COMPOSITE


def composite(graph: Graph, x: T, y: T) -> bytes:
    options = {"name": "my.op", "decomposition_subgraph_index": 1, "composite_attributes": b"\x00\x00"}
    return network([Op("STABLEHLO_COMPOSITE", [x], [y], **options)], [x], [y], subgraphs=[graph])


def test_composite_is_part_of_the_graph_that_uses_it():
    x, h, y = i8(), i8(), i8()
    content = composite(Graph([Op("ADD", [x, x], [h]), Op("MUL", [h, x], [y])], [x], [y]), i8(), i8())
    check(content, np.array([-128, -1, 3, 127], np.int8))
    assert session(content)._direct is not None


def test_composite_whose_tensors_mean_something_else_inside():
    x, y = i8(), i8()
    content = composite(Graph([Op("ADD", [x, x], [y])], [x], [y]), i8(0.5, 1), i8(0.7, 2))
    check(content, np.array([-128, -1, 3, 127], np.int8))


def test_composite_that_passes_its_input_on():
    x = i8()
    check(composite(Graph([], [x], [x]), i8(), i8()), np.array([-128, -1, 3, 127], np.int8))


# Faces


def test_model_and_interpreter():
    content = choice(binary("ADD"), binary("MUL"))
    m, interpreter = int8rt.load(content), Interpreter(model_content=content)
    interpreter.allocate_tensors()
    for condition, expected in [(YES, A + B), (NO, A * B), (YES, A + B)]:
        np.testing.assert_array_equal(m(condition, A, B), expected)
        for details, value in zip(interpreter.get_input_details(), (condition, A, B), strict=True):
            interpreter.set_tensor(details["index"], value)
        interpreter.invoke()
        np.testing.assert_array_equal(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]), expected)
    trace = m.trace(NO, A, B)
    np.testing.assert_array_equal(trace[m.outputs[0].index], A * B)


def test_signatures_of_several_subgraphs():
    a, b, y = f32(), f32(), f32()
    other = binary("MUL")
    signatures = {
        "add": ({"a": a, "b": b}, {"sum": y}),
        "mul": ({"a": other.inputs[0], "b": other.inputs[1]}, {"product": other.outputs[0]}, 1),
    }
    content = network([Op("ADD", [a, b], [y])], [a, b], [y], subgraphs=[other], signatures=signatures)
    interpreter = Interpreter(model_content=content)
    np.testing.assert_array_equal(interpreter.get_signature_runner("add")(a=A, b=B)["sum"], A + B)
    np.testing.assert_array_equal(interpreter.get_signature_runner("mul")(a=A, b=B)["product"], A * B)


# Malformed


def one(make: Any = f32) -> Graph:
    """A subgraph that gives what it gets."""
    x = make()
    return Graph([], [x], [x])


@pytest.mark.parametrize(
    ("error", "message", "content"),
    [
        (ModelError, "subgraph 1 has 1 inputs; 2 were expected", lambda: choice(one(), binary("ADD"))),
        (ModelError, "subgraph 2 has 2 outputs; 1 were expected", lambda: choice(binary("ADD"), two_outputs())),
        (ModelError, "of subgraph 2 is int8", lambda: choice(binary("ADD"), binary("ADD", i8))),
        (ModelError, "bool was expected", lambda: choice(binary("ADD"), binary("MUL"), i32())),
        (ModelError, "condition has 2 outputs", lambda: loop(two_outputs(), binary("ADD"))),
        (ModelError, "a bool was expected", lambda: loop(binary("ADD"), two_outputs())),
        (ModelError, "subgraph 2 has 1 outputs; 2 were expected", lambda: loop(comparison(), binary("ADD"))),
        (ModelError, "subgraph 1 has 2 inputs; 1 were expected", lambda: composite(binary("ADD"), f32(), f32())),
        (UnsupportedError, "BUILTIN_250", lambda: choice(binary("ADD"), unknown())),
    ],
)
def test_malformed(error: type[Error], message: str, content: Any):
    with pytest.raises(error, match=message):
        session(content())


def two_outputs() -> Graph:
    a, b = f32(), f32()
    return Graph([], [a, b], [a, b])


def comparison() -> Graph:
    a, b, c = f32(), f32(), T(np.bool_, (2,))
    return Graph([Op("LESS", [a, b], [c])], [a, b], [c])


def unknown() -> Graph:
    a, b, y = f32(), f32(), f32()
    return Graph([Op(250, [a, b], [y])], [a, b], [y])


def loop(condition: Graph, body: Graph) -> bytes:
    a, b, y, z = f32(), f32(), f32(), f32()
    return network([Op("WHILE", [a, b], [y, z], **LOOP)], [a, b], [y, z], subgraphs=[condition, body])


def test_a_condition_of_several_values():
    with pytest.raises(ModelError, match=r"condition has shape \[2\]"):
        run_program(loop(comparison(), two_outputs()), A, B)


def test_nodes_hold_their_subgraphs():
    graph = reader.read(choice(binary("ADD"), binary("MUL")))
    assert [g.nodes[0].op for g in graph.main.nodes[0].subgraphs] == ["ADD", "MUL"]
    assert graph.main.nodes[0].subgraphs == graph.subgraphs[1:]


def test_subgraphs_that_multiply_are_bounded():
    """20 composites that each use the next one twice are a million nodes."""
    depth, graphs = 20, []
    for level in range(1, depth + 1):
        x, h, y = f32(), f32(), f32()
        options = {"name": "d", "decomposition_subgraph_index": level + 1, "composite_attributes": b"\x00\x00"}
        last = level == depth
        nodes = [
            Op("ADD", [a, a], [b]) if last else Op("STABLEHLO_COMPOSITE", [a], [b], **options)
            for a, b in ((x, h), (h, y))
        ]
        graphs.append(Graph(nodes, [x], [y]))
    x, y = f32(), f32()
    options = {"name": "d", "decomposition_subgraph_index": 1, "composite_attributes": b"\x00\x00"}
    content = network([Op("STABLEHLO_COMPOSITE", [x], [y], **options)], [x], [y], subgraphs=graphs)
    with pytest.raises(UnsupportedError, match="nodes"):
        session(content)


def test_subgraphs_that_many_run_are_visited_once():
    """40 levels of IF, each of whose branches run the next level: 2^40 ways to the last one."""
    depth, graphs = 40, []
    for level in range(1, depth):
        graphs.append(both_run(level + 1))
    c, x, y = flag(), f32(), f32()
    graphs.append(Graph([Op("ADD", [x, x], [y])], [c, x], [y]))
    first = both_run(1)
    content = network(first.nodes, first.inputs, first.outputs, subgraphs=graphs)
    assert not keeps_state(reader.read(content).main)
    np.testing.assert_array_equal(int8rt.load(content)(YES, A), A + A)
    np.testing.assert_array_equal(run_reference(content, NO, A)[0], A + A)


def both_run(subgraph: int) -> Graph:
    """An IF whose branches run the same subgraph."""
    c, x, y = flag(), f32(), f32()
    nodes = [Op("IF", [c, c, x], [y], then_subgraph_index=subgraph, else_subgraph_index=subgraph)]
    return Graph(nodes, [c, x], [y])


def test_indices_are_here_for_dynamic_shapes_too():
    """A branch with a shape that is known at run time only."""
    a, p, y = f32(), T(np.int32, (2,)), f32(1, 1)
    shaped = Graph([Op("RESHAPE", [a, p], [y])], [a, p], [y])
    b, q, z = f32(), T(np.int32, (2,)), f32(1, 1)
    fixed = Graph([Op("RESHAPE", [b, indices([2, 1])], [z])], [b, q], [z])
    c, x, s, r = flag(), f32(), T(np.int32, (2,)), f32(1, 1, shape_signature=(-1, -1))
    content = network([Op("IF", [c, x, s], [r], **SUBGRAPHS)], [c, x, s], [r], subgraphs=[shaped, fixed])
    for condition in (YES, NO):
        check(content, condition, A, np.array([1, 2], np.int32))
