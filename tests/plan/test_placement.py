"""placement: tensors in parts of others' memory, without copies where that is right and with them where not."""

import numpy as np
from engines import shared
from hypothesis import given
from hypothesis import strategies as st
from moves import indices
from sequences import handle, session
from writer import Op, T, network

from int8rt import steps
from int8rt.format import reader
from int8rt.numerics.rules import numerics
from int8rt.numerics.storage import storage_nbytes
from int8rt.plan import placement
from int8rt.runtime.evaluator import reference
from int8rt.runtime.instance import Instance
from int8rt.runtime.state import State

REFERENCE = numerics("reference")


def tensor(*shape, dtype=np.int8):
    scale = {np.dtype(np.int8): (0.5, -3), np.dtype(np.int16): (0.25, 0)}
    return T(dtype, shape, *scale.get(np.dtype(dtype), ()))


def like(x, *shape):
    return tensor(*(shape or x.shape), dtype=x.dtype)


def relu(x):
    y = like(x)
    return y, Op("RELU", [x], [y])


def add(a, b):
    y = like(a)
    return y, Op("ADD", [a, b], [y])


def reshape(x, *shape):
    y = like(x, *shape)
    return y, Op("RESHAPE", [x, indices(list(shape))], [y])


def split(x, *sizes):
    parts = [like(x, n, *x.shape[1:]) for n in sizes]
    return parts, Op("SPLIT_V", [x, indices(list(sizes)), T(np.int32, (), data=0)], parts, num_splits=len(parts))


def cut(x, begin, size):
    """Rows of x."""
    y = like(x, size, *x.shape[1:])
    rest = len(x.shape) - 1
    return y, Op("SLICE", [x, indices([begin] + [0] * rest), indices([size] + [-1] * rest)], [y])


def unpack(x):
    parts = [like(x, *x.shape[1:]) for _ in range(x.shape[0])]
    return parts, Op("UNPACK", [x], parts, num=len(parts), axis=0)


def concat(*parts, axis=0):
    shape = list(parts[0].shape)
    shape[axis] = sum(t.shape[axis] for t in parts)
    y = like(parts[0], *shape)
    return y, Op("CONCATENATION", list(parts), [y], axis=axis)


def pack(*parts, axis=0):
    shape = list(parts[0].shape)
    shape.insert(axis, len(parts))
    y = like(parts[0], *shape)
    return y, Op("PACK", list(parts), [y], values_count=len(parts), axis=axis)


def product(x, columns):
    """FULLY_CONNECTED, the rows of whose result are seldom whole vectors."""
    depth = x.shape[-1]
    w = T(np.int8, (columns, depth), 0.1, 0, data=np.arange(columns * depth).reshape(columns, depth) % 17 - 8)
    y = tensor(x.shape[0], columns)
    return y, Op("FULLY_CONNECTED", [x, w, None], [y])


def random(t, rng):
    if t.dtype.kind == "f":
        return rng.standard_normal(t.shape).astype(t.dtype)
    return rng.integers(-128, 128, t.shape).astype(t.dtype)


def agrees(content, preserve=False, threads=1, runs=1):
    """Assert that sessions give what the evaluator gives, run by run, and with preserve for every tensor."""
    graph = reader.read(content).main
    running, state, rng = (
        session(content, preserve=preserve, sharing=shared(threads)),
        State(),
        np.random.default_rng(0),
    )
    for _ in range(runs):
        inputs = [random(t, rng) for t in graph.inputs]
        expected = reference(graph, *inputs, state=state)
        for t, y in zip(graph.outputs, running.run(inputs), strict=True):
            assert (y == expected[t.index]).all(), t
            assert y.dtype == t.dtype
        for t in {t for node in graph.nodes for t in node.outputs if preserve and t.dtype != object}:
            assert (running.read_tensor(t.index) == expected[t.index]).all(), t
    return running.program


def checked(nodes, inputs, outputs, runs=1):
    """The program of a network that agrees in every way to run it."""
    content = network(nodes, inputs, outputs)
    for preserve in (True, False):
        agrees(content, preserve, 2, runs)
        plan = agrees(content, preserve, 1, runs)
    return plan


def called(plan):
    return [call.name for call in plan.calls]


def held(plan):
    """Which tensors have blocks of their own, scratch left out."""
    return {t for t in plan.blocks if t.index >= 0}


def lives_in(plan, t, root):
    """How far behind the other's begin a tensor of the file lives; None if elsewhere."""
    found, start = plan.alias(t)
    return start if found is root else None


# Parts that are read


def test_parts_are_views():
    x = tensor(6, 5)
    h, first = relu(x)
    (a, b, c), second = split(h, 1, 2, 3)
    plan = checked([first, second], [x], [c, a, b])
    assert len(plan.calls) == 1
    assert len(plan.blocks) == 1
    assert [plan.alias(t).offset for t in plan.graph.outputs] == [15, 0, 5]


def test_parts_of_parts():
    x = tensor(6, 4)
    h, n0 = relu(x)
    a, n1 = cut(h, 1, 4)
    b, n2 = reshape(a, 2, 8)
    rows, n3 = unpack(b)
    y, n4 = cut(rows[1], 3, 2)
    plan = checked([n0, n1, n2, n3, n4], [x], [y])
    assert len(plan.calls) == 1
    assert plan.alias(plan.graph.outputs[0]).offset == 4 + 8 + 3


def test_results_in_place_of_parts():
    """What is done to one part in place leaves the others as they are."""
    x, z = tensor(6, 5), tensor(2, 5)
    h, n0 = relu(x)
    (a, b, c), n1 = split(h, 2, 2, 2)
    d, n2 = add(b, z)
    e, n3 = add(d, c)
    f, n4 = add(e, a)
    plan = checked([n0, n1, n2, n3, n4], [x, z], [f])
    assert len(plan.calls) == 4
    assert len(plan.blocks) == 2


def test_results_larger_than_their_operands():
    """They do not work in place, where they would write over what is still to be read."""
    x, h, y = T(np.int16, (64,), 0.5, 0), T(np.int8, (64,), 0.5, -3), T(np.int16, (64,), 0.25, 0)
    nodes = [Op("QUANTIZE", [x], [h]), Op("QUANTIZE", [h], [y])]
    checked(nodes, [x], [y])
    checked(nodes[1:], [h], [y])


def test_overlapping_parts_are_not_overwritten():
    x = tensor(6, 5)
    h, n0 = relu(x)
    a, n1 = cut(h, 0, 4)
    b, n2 = cut(h, 1, 4)
    c, n3 = add(a, b)
    checked([n0, n1, n2, n3], [x], [c])


def test_a_part_that_its_type_cannot_lie_at_is_copied():
    x, h, a = T(np.uint8, (12,), 0.5, 5), T(np.uint8, (12,), 0.25, 5), T(np.uint8, (4,), 0.25, 5)
    y, z = tensor(dtype=np.int32), tensor(dtype=np.int32)
    for begin, copies in ((3, 1), (4, 0)):
        part = Op("SLICE", [h, indices([begin]), indices([4])], [a])
        nodes = [Op("RELU", [x], [h]), part, Op("BITCAST", [a], [y]), Op("ADD", [y, y], [z])]
        assert called(checked(nodes, [x], [z])).count("move") == copies


def test_rows_between_others_are_copied():
    x = tensor(4, 6)
    h, n0 = relu(x)
    y = like(x, 4, 3)
    n1 = Op("SLICE", [h, indices([0, 1]), indices([4, 3])], [y])
    assert called(checked([n0, n1], [x], [y])).count("move") == 1


# Parts that are written


def test_producers_write_in_place():
    x = tensor(3, 8)
    a, n0 = product(x, 5)
    b, n1 = relu(x)
    c, n2 = product(b, 5)
    y, n3 = concat(a, c)
    plan = checked([n0, n1, n2, n3], [x], [y])
    assert "move" not in called(plan)
    assert sorted(lives_in(plan, call.writes[0], plan.graph.outputs[0]) for call in plan.calls[::2]) == [0, 15]


def test_inputs_are_written_in_place():
    x, z = tensor(2, 3), tensor(1, 3)
    y, n0 = concat(x, z)
    plan = checked([n0], [x, z], [y])
    assert plan.calls == []
    assert [plan.alias(t).offset for t in plan.graph.inputs] == [0, 6]


def test_others_may_read_a_part():
    x = tensor(2, 4)
    a, n0 = relu(x)
    b, n1 = add(a, a)
    y, n2 = concat(a, b)
    z, n3 = add(a, x)
    assert "move" not in called(checked([n0, n1, n2, n3], [x], [y, z, a]))


def test_a_tensor_that_comes_twice_is_copied_once():
    x = tensor(2, 4)
    a, n0 = relu(x)
    y, n1 = concat(a, a)
    z, n2 = pack(a, y2 := like(a))
    nodes = [n0, n1, Op("RELU", [a], [y2]), n2]
    assert called(checked([n0, n1], [x], [y])).count("move") == 1
    assert called(checked(nodes, [x], [y, z])).count("move") == 2


def test_constants_are_copied():
    x, c = tensor(2, 4), T(np.int8, (1, 4), 0.5, -3, data=[[1, 2, 3, 4]])
    a, n0 = relu(x)
    y, n1 = concat(c, a, c)
    assert called(checked([n0, n1], [x], [y])).count("move") == 2


def test_nested():
    x = tensor(2, 4)
    a, n0 = relu(x)
    b, n1 = product(x, 4)
    y, n2 = concat(a, b)
    c, n3 = product(y, 4)
    z, n4 = concat(c, y)
    flat, n5 = reshape(z, 32)
    e, n6 = relu(flat)
    plan = checked([n0, n1, n2, n3, n4, n5, n6], [x], [e])
    assert "move" not in called(plan)
    assert held(plan) == {plan.graph.inputs[0], plan.base(plan.graph.outputs[0])}


def test_a_chain_in_place_moves_as_a_whole():
    x, z = tensor(2, 8), tensor(2, 8)
    a, n0 = product(x, 8)
    b, n1 = relu(a)
    c, n2 = add(b, z)
    y, n3 = concat(z, c)
    plan = checked([n0, n1, n2, n3], [x, z], [y])
    assert "move" not in called(plan)
    assert held(plan) == {plan.graph.inputs[0], plan.graph.outputs[0]}


def test_parts_that_are_taken_apart_and_put_together():
    x = tensor(6, 5)
    h, n0 = product(x, 5)
    (a, b), n1 = split(h, 3, 3)
    c, n2 = relu(a)
    d, n3 = add(b, b)
    for order in ((c, d), (d, c), (c, b), (d, a), (a, b), (b, a)):
        y, n4 = concat(*order)
        checked([n0, n1, n2, n3, n4], [x], [y])
        checked([n0, n1, n2, n3, n4], [x], [y, a, d])
    y, n4 = concat(c, d)
    plan = checked([n0, n1, n2, n3, n4], [x], [y])
    assert "move" not in called(plan)
    assert len(held(plan)) == 2


def test_inner_runs_are_copied():
    x = tensor(3, 4)
    a, n0 = relu(x)
    b, n1 = product(x, 5)
    y, n2 = concat(a, b, axis=1)
    assert called(checked([n0, n1, n2], [x], [y])).count("move") == 2


def test_padding_is_not_written_over():
    """MIRROR_PAD copies x as a whole into the middle of y, and rows of it around that."""
    x, y = tensor(2, 3), tensor(6, 3)
    h, n0 = relu(x)
    checked([n0, Op("MIRROR_PAD", [h, T(np.int32, (2, 2), data=[[2, 2], [0, 0]])], [y], mode=1)], [x], [y])


def test_rescaled_parts():
    a, b = (T(np.uint8, (2, 3), s, 5) for s in (0.5, 0.25))
    y = T(np.uint8, (4, 3), 0.5, 5)
    checked([Op("CONCATENATION", [a, b], [y], axis=0)], [a, b], [y])


# Memory


def keeping(rows, columns):
    """A network that needs the first row of a tensor behind two others as large as that, and then in a concat."""
    x = tensor(rows, columns)
    a, n0 = product(x, columns)
    small, n1 = cut(a, 0, 1)
    b, n2 = product(a, columns)
    c, n3 = product(b, columns)
    d, n4 = product(c, columns)
    e, n5 = cut(d, 0, 1)
    f, n6 = relu(e)
    g, n7 = add(f, small)
    y, n8 = concat(f, g)
    return [n0, n1, n2, n3, n4, n5, n6, n7, n8], [x], [y]


def test_small_arenas_may_grow():
    assert "move" not in called(checked(*keeping(8, 8)))


def test_copies_come_back_where_large_arenas_would_grow():
    """Those that save memory: what is written in place stays."""
    plan = checked(*keeping(96, 96))
    assert called(plan).count("move") == 2
    assert lives_in(plan, plan.graph.nodes[6].outputs[0], plan.graph.outputs[0]) == 0


def test_no_copy_is_saved_at_any_price(monkeypatch):
    monkeypatch.setattr(placement, "GROWTH", 0.0)
    monkeypatch.setattr(placement, "GROWTH_NBYTES", 0)
    assert called(agrees(network(*keeping(16, 16)))).count("move") == 2


# Variables


def variables(*names):
    return {name: (h := handle(), Op("VAR_HANDLE", [], [h], container="", shared_name=name)) for name in names}


def test_ring_of_rows():
    """What streaming models do: the rows kept and the new one in one tensor, of which the last rows are kept."""
    (v, node), x = variables("v")["v"], tensor(1, 4)
    zero = T(np.int8, (2, 4), 0.5, -3, data=np.full((2, 4), -3))
    a, n0 = relu(x)
    held = tensor(2, 4)
    y, n2 = concat(held, a)
    last, n3 = cut(y, 1, 2)
    z, n5 = product(y, 3)
    nodes = [node, n0, Op("READ_VARIABLE", [v], [held]), n2, n3, Op("ASSIGN_VARIABLE", [v, last], []), n5]
    first = [variables("v")["v"][1], Op("ASSIGN_VARIABLE", [v, zero], [])]
    plan = checked([node, first[1], *nodes[1:]], [x], [z], runs=3)
    assert called(plan).count("move") == 3


def test_parts_of_a_variable_that_changes():
    (v, node), x = variables("v")["v"], tensor(4, 3)
    old, new = tensor(4, 3), tensor(4, 3)
    first = Op("ASSIGN_VARIABLE", [v, x], [])
    h, n1 = relu(x)
    (a, b), n2 = split(old, 1, 3)
    rows, n3 = unpack(b)
    y, n4 = concat(a, new)
    nodes = [
        node, n1, first, Op("READ_VARIABLE", [v], [old]), n2, n3,
        Op("ASSIGN_VARIABLE", [v, h], []), Op("READ_VARIABLE", [v], [new]), n4,
    ]  # fmt: skip
    checked(nodes, [x], [y, rows[2], old, new], runs=2)


# Random networks


@st.composite
def networks(draw):
    """A random network that takes tensors apart, puts them together and works in place, with two variables perhaps."""
    dtype = draw(st.sampled_from([np.int8, np.int8, np.float32]))
    inputs = [tensor(4, 6, dtype=dtype), tensor(2, 6, dtype=dtype)]
    tensors, nodes = list(inputs), []
    tensors.append(T(dtype, (2, 6), *((0.5, -3) if dtype == np.int8 else ()), data=np.arange(12).reshape(2, 6)))
    known = variables("v", "w") if draw(st.booleans()) else {}
    for h, node in known.values():
        nodes += [node, Op("ASSIGN_VARIABLE", [h, inputs[0]], [])]
    kinds = ["RELU", "RELU", "ADD", "RESHAPE", "SPLIT", "SLICE", "UNPACK", "CONCATENATION", "CONCATENATION", "PACK"]
    kinds += ["FULLY_CONNECTED", "QUANTIZE"] * (dtype == np.int8) + ["READ", "ASSIGN"] * bool(known)
    for _ in range(draw(st.integers(1, 14))):
        x, kind = draw(st.sampled_from(tensors)), draw(st.sampled_from(kinds))
        rows = x.shape[0]
        made = None
        if kind == "RELU":
            made = relu(x)
        elif kind == "ADD":
            made = add(x, draw(st.sampled_from([t for t in tensors if (t.shape, t.dtype) == (x.shape, x.dtype)])))
        elif kind == "RESHAPE":
            size = int(np.prod(x.shape))
            made = reshape(x, *draw(st.sampled_from([(size,), *((n, size // n) for n in (2, 4, 6) if size % n == 0)])))
        elif kind == "SPLIT":
            at = draw(st.integers(0, rows))
            made = split(x, at, rows - at)
        elif kind == "SLICE" and rows > 0:
            begin = draw(st.integers(0, rows - 1))
            made = cut(x, begin, draw(st.integers(1, rows - begin)))
        elif kind == "UNPACK" and 0 < rows <= 6 and len(x.shape) > 1:
            made = unpack(x)
        elif kind == "CONCATENATION":
            fit = [t for t in tensors if (t.shape[1:], t.dtype) == (x.shape[1:], x.dtype)]
            made = concat(*draw(st.lists(st.sampled_from(fit), min_size=1, max_size=4)))
        elif kind == "PACK":
            fit = [t for t in tensors if (t.shape, t.dtype) == (x.shape, x.dtype)]
            axis = draw(st.integers(0, 1))
            made = pack(*draw(st.lists(st.sampled_from(fit), min_size=1, max_size=3)), axis=axis)
        elif (
            kind == "FULLY_CONNECTED"
            and x.dtype == np.int8
            and len(x.shape) == 2
            and x.shape[0] > 0
            and 0 < x.shape[1] <= 40
        ):
            made = product(x, draw(st.sampled_from([3, 6])))
        elif kind == "QUANTIZE":
            y = tensor(*x.shape, dtype=np.int16 if x.dtype == np.int8 else np.int8)
            made = y, Op("QUANTIZE", [x], [y])
        elif kind == "READ":
            y = like(inputs[0])
            made = y, Op("READ_VARIABLE", [draw(st.sampled_from([h for h, _ in known.values()]))], [y])
        elif kind == "ASSIGN":
            held = inputs[0].shape, inputs[0].dtype
            value = draw(st.sampled_from([t for t in tensors if (t.shape, t.dtype) == held]))
            nodes.append(Op("ASSIGN_VARIABLE", [draw(st.sampled_from([h for h, _ in known.values()])), value], []))
        if made:
            found = made[0] if isinstance(made[0], list) else [made[0]]
            tensors += [t for t in found if 0 < np.prod(t.shape) <= 500 and len(t.shape) <= 3]
            nodes.append(made[1])
    outputs = draw(st.lists(st.sampled_from(tensors), min_size=1, max_size=4))
    return network(nodes, inputs, outputs)


@given(networks())
def test_random_networks(content):
    agrees(content, runs=2)
    agrees(content, preserve=True, runs=2)


@given(networks())
def test_random_networks_on_threads(content):
    agrees(content, threads=2)


@given(networks())
def test_calls_write_nothing_but_what_they_say(content):
    """Neighbours in memory are no longer 64 bytes apart: a vector too many would be seen."""
    plan = session(content).program
    if not plan.is_whole:
        return
    instance = Instance(plan, state=State())
    for t in filter(instance.memory.holds, plan.graph.inputs):
        instance.memory.write(t, random(t, np.random.default_rng(1)))
    for _, call, run in instance.runners():
        before = instance.memory.arena.copy()
        run(1)
        for t in (t for t in steps.tensors(call) if t in call.writes and plan.base(t) in plan.blocks):
            start = plan.plan.offsets[plan.base(t)] + plan.alias(t).offset
            before[start : start + storage_nbytes(t)] = instance.memory.arena[start : start + storage_nbytes(t)]
        assert (before == instance.memory.arena).all(), call
