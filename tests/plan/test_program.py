"""program: what shares memory, what is folded, and runs on threads, in batches and after a fork."""

import os
import threading
from dataclasses import FrozenInstanceError
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from engines import REFERENCE, shared
from hypothesis import given
from hypothesis import strategies as st
from programs import build, convolutions, random_inputs, tensor
from writer import SIGN_BIT, Op, T, model, network

from int8rt import ops, steps
from int8rt.errors import InconsistentNode, LimitError, ModelError, UnsupportedError
from int8rt.format import reader
from int8rt.graph import Tensor
from int8rt.memory import allocate
from int8rt.native.kernel import kernel
from int8rt.plan import arena, program
from int8rt.runtime.evaluator import reference
from int8rt.runtime.instance import Instance
from int8rt.steps import Flat, PythonCall


def agrees(content, seed=0, **options):
    """Assert that a program gives what the reference gives; returns the program and its instance."""
    plan = build(content, **options)
    instance = Instance(plan)
    inputs = random_inputs(plan, seed)
    expected = reference(reader.read(content).main, *inputs)
    for t, y in zip(plan.graph.outputs, instance.run(inputs), strict=True):
        assert (y == expected[t.index]).all(), t
        assert y.dtype == t.dtype
    return plan, instance


def relu(x, y):
    return Op("RELU", [x], [y])


def reshape(x, y):
    return Op("RESHAPE", [x, T(np.int32, (len(y.shape),), data=list(y.shape))], [y])


def add(a, b, y):
    return Op("ADD", [a, b], [y])


@pytest.mark.parametrize("data", [np.ones(3, np.float32), np.ones((2, 2), np.float32), np.ones(4, np.int8)])
def test_constants_have_the_shape_and_type_of_their_tensor(monkeypatch, data):
    """A kernel that gets another shape reads past them, or takes sizes for addresses."""
    x, y = T(np.float32, (4,)), T(np.float32, (4,))
    c = Tensor("c", (4,), np.dtype(np.float32), data=data)

    def prepare(node, numerics):
        return PythonCall(lambda *arrays: None, c, node.outputs[0], writes=node.outputs)

    operator = SimpleNamespace(shapes=lambda node: [node.inputs[0].shape], reference=lambda node, x: x, prepare=prepare)
    monkeypatch.setattr(ops, "_registered", {"Short": ops._Declared(operator)})
    with pytest.raises(InconsistentNode, match="constant 'c'"):
        build(model("CUSTOM", [x], [y], None, custom_code="Short"))


# Memory


def test_views_run_nothing():
    x, h, y = tensor((4, 6)), tensor((2, 12)), tensor((24,))
    plan, _ = agrees(network([reshape(x, h), reshape(h, y)], [x], [y]))
    assert plan.calls == []
    assert len(plan.blocks) == 1


def test_view_of_a_result_and_the_result_itself():
    x, h, v = tensor(), tensor(), tensor((24,))
    plan, _ = agrees(network([relu(x, h), reshape(h, v)], [x], [h, v]))
    assert plan.base(plan.graph.outputs[1]) is plan.base(plan.graph.outputs[0])


def test_elementwise_chain_works_in_place():
    tensors = [tensor(scale=0.5 / 2**i) for i in range(6)]
    nodes = [relu(x, y) for x, y in pairwise(tensors)]
    plan, _ = agrees(network(nodes, tensors[:1], tensors[-1:]))
    assert len(plan.calls) == 5
    assert plan.plan.nbytes <= 2 * 64


def test_nothing_is_overwritten_that_is_needed_later():
    x, a, b, c, y = (tensor(scale=s) for s in (0.5, 0.25, 0.3, 0.4, 0.6))
    plan, _ = agrees(network([relu(x, a), relu(a, b), relu(x, c), add(a, b, y)], [x], [y, c]))
    assert plan.plan.nbytes >= arena.lower_bound(plan.blocks)


def test_outputs_are_not_overwritten():
    x, a, b = (tensor(scale=s) for s in (0.5, 0.25, 0.3))
    agrees(network([relu(x, a), relu(a, b)], [x], [a, b]))
    agrees(network([relu(x, a), relu(a, b)], [x], [x, b]))


def test_output_that_is_an_input():
    x, y = tensor(), tensor()
    plan, instance = agrees(network([relu(x, y)], [x], [x, y]))
    agrees(network([], [x], [x]))
    inputs = random_inputs(plan, 1)
    assert (instance.run(inputs)[0] == inputs[0]).all()


def test_output_that_comes_twice():
    x, y = tensor(), tensor(scale=0.2)
    agrees(network([relu(x, y)], [x], [y, y]))


def test_output_that_is_a_constant():
    x, y, c = tensor(), tensor(), tensor((3,), data=[1, -2, 3])
    _, instance = agrees(network([relu(x, y)], [x], [c, y, c]))
    for _ in range(2):
        assert instance.run([np.zeros((4, 6), np.int8)])[0].tolist() == [1, -2, 3]


def test_input_that_nothing_reads():
    x, unused, y = tensor(), tensor((5,)), tensor()
    agrees(network([relu(x, y)], [x, unused], [y]))


def test_inputs_are_copied_anew_for_every_run():
    """Work in place destroys what is in memory, not what the caller holds."""
    x, y = tensor(), tensor(scale=0.1)
    plan, instance = agrees(network([relu(x, y)], [x], [y]))
    inputs = random_inputs(plan)
    before = inputs[0].copy()
    first, second = instance.run(inputs)[0], instance.run(inputs)[0]
    assert (first == second).all()
    assert (inputs[0] == before).all()
    first[...] = 0
    assert (instance.run(inputs)[0] == second).all()


def test_preserve_keeps_every_tensor():
    x, a, b, v, y = tensor(), tensor(scale=0.1), tensor(scale=0.3), tensor((24,), scale=0.3), tensor((24,), scale=0.7)
    content = network([relu(x, a), relu(a, b), reshape(b, v), relu(v, y)], [x], [y])
    plan, instance = agrees(content, preserve=True)
    inputs = random_inputs(plan)
    instance.run(inputs)
    expected = reference(reader.read(content).main, *inputs)
    for t in [*plan.graph.inputs, *(t for node in plan.graph.nodes for t in node.outputs)]:
        assert instance.memory.holds(t)
        assert (instance.memory.read(t) == expected[t.index]).all(), t


def test_arena_is_aligned():
    x, y = tensor((1, 1)), tensor((1, 1), scale=0.1)
    _, instance = agrees(network([relu(x, y)], [x], [y]))
    for t in instance.program.blocks:
        assert instance.memory.array(t).__array_interface__["data"][0] % arena.ALIGN == 0


@st.composite
def networks(draw):
    """A random network of views and of operators that may work in place, over eight tensors of 24 values or so."""
    tensors = [tensor(), tensor(scale=0.3, zero_point=5)]
    inputs, nodes = list(tensors), []
    for _ in range(draw(st.integers(1, 12))):
        x = draw(st.sampled_from(tensors))
        kind = draw(st.sampled_from(["RELU", "RESHAPE", "ADD", "MAXIMUM"]))
        scale, zero_point = x.scale, x.zero_point
        if kind in ("RELU", "ADD"):
            scale, zero_point = draw(st.sampled_from([0.3, 0.5, 0.9])), draw(st.integers(-20, 20))
        y = tensor(x.shape, scale, zero_point)
        if kind == "RELU":
            nodes.append(relu(x, y))
        elif kind == "RESHAPE":
            y = tensor(draw(st.sampled_from([(4, 6), (24,), (2, 12), (6, 4)])), scale, zero_point)
            nodes.append(reshape(x, y))
        else:
            same = [t for t in tensors if t.shape == x.shape]
            if kind == "MAXIMUM":
                same = [t for t in same if (t.scale, t.zero_point) == (x.scale, x.zero_point)]
            nodes.append(Op(kind, [x, draw(st.sampled_from(same))], [y]))
        tensors.append(y)
    outputs = draw(st.lists(st.sampled_from(tensors), min_size=1, max_size=4))
    return network(nodes, inputs, outputs)


@given(networks())
def test_random_networks(content):
    agrees(content)
    agrees(content, preserve=True)


# Shapes and constants


def test_nodes_on_constants_run_once():
    a, b = tensor((4, 6), data=np.arange(24)), tensor((4, 6), data=np.arange(24)[::-1])
    x, c, y = tensor(), tensor(scale=0.7), tensor(scale=2.0)
    plan, _ = agrees(network([add(a, b, c), add(c, x, y)], [x], [y]))
    assert [node.op for node in plan.graph.nodes] == ["ADD"]
    assert len(plan.calls) == 1


def test_everything_is_constant():
    a, b = tensor((2,), data=[1, 2]), tensor((2,), data=[3, 4])
    c, x = tensor((2,)), tensor()
    plan, instance = agrees(network([add(a, b, c)], [x], [c]))
    assert plan.calls == []
    assert instance.run(random_inputs(plan))[0].shape == (2,)


def test_shapes_follow_from_the_inputs():
    x, w, y = tensor((1, 6)), tensor((5, 6), 0.1, 0, data=np.ones((5, 6))), tensor((1, 5))
    graph = reader.read(model("FULLY_CONNECTED", [x, w, None], [y])).main
    plan = program.build(graph, REFERENCE, {0: (7, 6)})
    assert plan.graph.outputs[0].shape == (7, 5)
    (out,) = Instance(plan).run([np.ones((7, 6), np.int8)])
    assert (out == reference(graph, np.ones((7, 6), np.int8))[2]).all()


def test_declared_shapes_are_not_believed():
    x, y = tensor((4, 6)), tensor((1,))
    assert build(model("RELU", [x], [y])).graph.outputs[0].shape == (4, 6)


# Errors


def test_all_missing_operators_are_named_at_once():
    x, y = T(np.float32, (2,)), T(np.float32, (2,))
    h = [T(np.float32, (2,)) for _ in range(3)]
    nodes = [
        Op("CUSTOM", [x], h[:1], custom_code="Mine", version=2),
        Op("RELU", h[:1], h[1:2]),
        Op("CUSTOM", h[1:2], h[2:3], custom_code="Theirs"),
        Op("CUSTOM", h[2:3], [y], custom_code="Mine", version=2),
    ]
    with pytest.raises(UnsupportedError) as raised:
        build(network(nodes, [x], [y]))
    for words in ("Mine version 2 (float32): 2 nodes", "Theirs version 1 (float32): 1 node"):
        assert words in str(raised.value)


def test_all_refused_nodes_are_named_at_once():
    x, h, y = tensor((2, 3)), tensor((2, 4)), tensor((2, 4))
    w, v = (tensor(shape, 0.1, 0, data=np.ones(shape)) for shape in ((4, 3), (4, 4)))
    nodes = [
        Op("FULLY_CONNECTED", [x, w, None], [h], weights_format=1),
        Op("FULLY_CONNECTED", [h, v, None], [y], fused_activation_function=SIGN_BIT),
    ]
    with pytest.raises(UnsupportedError, match=r"\(node 0\).*shuffled.*; FULLY_CONNECTED \(node 1\).*activation 5"):
        build(network(nodes, [x], [y]))


def test_malformed_nodes_are_named():
    x, y = tensor((2, 3)), tensor((5,))
    with pytest.raises(ModelError, match=r"RESHAPE \(node 1\)"):
        build(network([relu(x, h := tensor((2, 3))), reshape(h, y)], [x], [y]))


def test_number_of_outputs():
    x = tensor()
    with pytest.raises(ModelError, match=r"RELU \(node 0\).*2 outputs"):
        build(model("RELU", [x], [tensor(), tensor()]))


@pytest.mark.parametrize("nbytes", [2**55, 2**62, 2**64, 2**90])
def test_more_memory_than_there_is(nbytes):
    with pytest.raises(LimitError, match=f"{nbytes:,} bytes"):
        allocate(nbytes)


def test_sizes_do_not_wrap():
    assert Tensor("x", (2**31, 2**31, 4), np.dtype(np.int8)).size == 2**64
    x = T(np.int8, (2**31 - 1, 2**31 - 1, 2**31 - 1), 1.0)
    with pytest.raises((LimitError, UnsupportedError, ModelError)):
        Instance(build(model("RELU", [x], [T(np.int8, x.shape, 1.0)])))


# Runs


@pytest.mark.parametrize("threads", [2, 3, 7])
def test_threads_give_the_same_bits(threads):
    content = convolutions()
    for seed in range(5):
        agrees(content, seed, sharing=shared(threads))


@pytest.mark.parametrize("threads", [1, 2])
def test_instances_in_several_python_threads(threads):
    content = convolutions()
    plan = build(content, sharing=shared(threads))
    inputs = [random_inputs(plan, seed) for seed in range(4)]
    expected = [Instance(plan).run(x)[0] for x in inputs]
    wrong = []

    def work(x, y):
        instance = Instance(plan)
        wrong.extend(1 for _ in range(20) if (instance.run(x)[0] != y).any())

    workers = [threading.Thread(target=work, args=pair) for pair in zip(inputs, expected)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_runs_after_a_fork():
    """Threads do not survive a fork: the child makes its own."""
    plan, instance = agrees(convolutions(), sharing=shared(2))
    inputs = random_inputs(plan)
    expected = instance.run(inputs)[0]
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if (instance.run(inputs)[0] == expected).all() else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (instance.run(inputs)[0] == expected).all()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_batch_is_a_loop(threads, count):
    content = convolutions()
    plan = build(content, sharing=shared(threads))
    instance = Instance(plan)
    (x,) = random_inputs(plan, count=count)
    (y,) = instance.run([x], count)
    assert y.shape == (3 * count, 10)
    for item in range(count):
        part = np.ascontiguousarray(x[3 * item : 3 * item + 3])
        assert (y[3 * item : 3 * item + 3] == instance.run([part])[0]).all()


def test_batch_of_several_inputs_and_outputs():
    a, b, y = tensor((2, 3)), tensor((2, 3), 0.25), tensor((2, 3), 0.75)
    v = tensor((6,), 0.75)
    plan, instance = agrees(network([add(a, b, y), reshape(y, v)], [a, b], [v, a]))
    inputs = random_inputs(plan, count=4)
    outputs = instance.run(inputs, 4)
    assert [y.shape for y in outputs] == [(24,), (8, 3)]
    for item in range(4):
        parts = [np.ascontiguousarray(x[2 * item : 2 * item + 2]) for x in inputs]
        one = instance.run(parts)
        assert (outputs[0][6 * item : 6 * item + 6] == one[0]).all()
        assert (outputs[1][2 * item : 2 * item + 2] == one[1]).all()


@pytest.mark.parametrize("where", ["first", "middle", "last", "alone"])
def test_python_between_native_calls(where, monkeypatch):
    def negate(x, y):
        y[...] = 255 - x  # stored form of -1 - x

    def prepare(node, rules):
        return PythonCall(negate, node.inputs[0], node.outputs[0], writes=node.outputs)

    negation = SimpleNamespace(
        shapes=lambda node: [node.inputs[0].shape], reference=lambda node, x: -1 - x, prepare=prepare
    )
    monkeypatch.setattr(ops, "_registered", {})
    ops.register("NEG", negation)
    x, h, y = tensor(), tensor(scale=0.3), tensor(scale=0.9)
    nodes = {
        "first": [Op("NEG", [x], [h]), relu(h, y)],
        "middle": [relu(x, h), Op("NEG", [h], [g := tensor(scale=0.3)]), relu(g, y)],
        "last": [relu(x, h), Op("NEG", [h], [y])],
        "alone": [Op("NEG", [x], [y])],
    }[where]
    plan, instance = agrees(network(nodes, [x], [y]))
    assert not instance.is_native
    inputs = random_inputs(plan, count=3)
    whole = instance.run(inputs, 3)[0]
    parts = [instance.run([np.ascontiguousarray(inputs[0][4 * i : 4 * i + 4])])[0] for i in range(3)]
    assert (whole == np.concatenate(parts)).all()


def test_calls_do_not_change():
    x, y = Tensor("x", (64,), np.dtype(np.uint8)), Tensor("y", (64,), np.dtype(np.uint8))
    own = steps.scratch_per_thread("own", 5, np.uint8)
    call = steps.Call(doubled, Flat(x, x.dtype), Flat(own, own.dtype), y, writes=[y, own], in_place=x)
    alone = steps.Call(doubled, x, y, writes=[y], in_place=x, in_place_shared=False, work=7)
    shared = call.for_threads(3)
    assert [t.shape for t in steps.tensors(call)] == [(64,), (1, 5), (64,)]
    assert [t.shape for t in steps.tensors(shared)] == [(64,), (3, 5), (64,)]
    assert shared.writes == (y, steps.tensors(shared)[1])
    assert shared.in_place is x
    assert (alone.for_threads(1).in_place, alone.for_threads(2).in_place, alone.in_place) == (x, None, x)
    assert alone.for_threads(2).work == 7
    for step in (call, PythonCall(print, x, writes=[])):
        with pytest.raises(FrozenInstanceError):
            step.writes = ()


@kernel
def doubled(x, y):
    y[0] = x[0]


def test_invoke_runs_on_what_is_in_memory():
    x, y = tensor(), tensor(scale=0.1)
    content = network([relu(x, y)], [x], [y])
    plan, instance = agrees(content, preserve=True)
    inputs = random_inputs(plan, 3)
    instance.memory.write(plan.graph.inputs[0], inputs[0])
    instance.invoke()
    assert (instance.memory.read(plan.graph.outputs[0]) == instance.run(inputs)[0]).all()
