"""Planning takes time in proportion to the graph, and what is cheaper for large graphs is as right as the rest."""

import time

import large
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sequences import session
from test_arena import blocks, overlaps
from test_placement import agrees, networks
from writer import Graph, Op, T, network

from int8rt.format import reader
from int8rt.numerics.rules import numerics
from int8rt.plan import arena, placement, program
from int8rt.plan.arena import Block, aligned, lower_bound, plan
from int8rt.plan.subgraphs import keeps_state, reached
from int8rt.runtime.session import plan as planned

REFERENCE = numerics("reference")


def seconds(function, *args):
    """Of this process's CPU time, which neighbours disturb least."""
    start = time.process_time()
    function(*args)
    return time.process_time() - start


def placing(content, preserve=False):
    """A function that places the tensors of a model, as ``program`` has it done."""
    asked = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "place", lambda *args: asked.append(args) or placement.place(*args))
        planned(reader.read(content).main, REFERENCE)
    graph, steps, _ = asked[-1]
    return lambda: placement.place(graph, steps, preserve)


@pytest.mark.parametrize("preserve", [False, True])
@pytest.mark.parametrize("name", large.SHAPES)
def test_placing_is_nearly_linear(name, preserve):
    """A quadratic algorithm takes sixteen times as long for four times as much, and a second or more for the larger."""
    small, much = (placing(large.SHAPES[name](n), preserve) for n in (400, 1600))
    least = min(seconds(small) for _ in range(3))
    assert min(seconds(much) for _ in range(3)) < 8 * max(least, 0.04)


@pytest.mark.parametrize("name", ["outputs", "views", "mixture"])
def test_loading_is_nearly_linear(name):
    small, much = (large.SHAPES[name](n) for n in (300, 1200))
    planned(reader.read(small).main, REFERENCE)
    least = seconds(lambda: planned(reader.read(small).main, REFERENCE))
    assert seconds(lambda: planned(reader.read(much).main, REFERENCE)) < 8 * max(least, 0.2)


@pytest.mark.parametrize("name", [name for name in large.SHAPES if name != "subgraphs"])
def test_results(name):
    """Of the program and of the evaluator, with limits so low that each is met."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arena, "MAX_PAIRS", 500)
        patch.setattr(placement, "LOOKS", 100)
        agrees(large.SHAPES[name](64))


@pytest.mark.parametrize("limit", ["MAX_PAIRS", "LOOKS"])
@given(networks())
def test_random_networks_beyond_a_limit(limit, content):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arena if limit == "MAX_PAIRS" else placement, limit, -1)
        patch.setattr(placement, "FEW", 1)
        agrees(content, runs=2)


@given(blocks(), st.sampled_from([-1, arena.MAX_PAIRS]))
def test_arena_in_either_order(blocks_, limit):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arena, "MAX_PAIRS", limit)
        found = plan(blocks_)
    assert overlaps(blocks_, found) == []
    assert lower_bound(blocks_) <= found.nbytes <= sum(aligned(b.nbytes) for b in blocks_.values())
    assert all(offset >= 0 and offset % arena.ALIGN == 0 for offset in found.offsets.values())


def test_arena_of_many_that_live_to_the_end_is_as_small_as_it_can_be():
    blocks_ = {i: Block(64 * (1 + i % 7), i, 6000) for i in range(6000)}
    assert plan(blocks_).nbytes == lower_bound(blocks_)


def test_arena_gives_memory_back():
    """Thousands that live to the end, and between them others that live for two steps."""
    kept = {i: Block(64, i, 3000) for i in range(3000)}
    short = {3000 + i: Block(640, i, i + 1) for i in range(3000)}
    assert plan(kept | short).nbytes <= 1.1 * lower_bound(kept | short)


def doubling(levels):
    """IF whose branches run the next two subgraphs, each on one row more: 2**levels ways lead to the last."""
    row = T(np.float32, (1, 2), data=np.ones((1, 2), np.float32))

    def body(level):
        c, x, y = T(np.bool_, ()), T(np.float32, (1, 2)), T(np.float32, (1, 2))
        if level >= levels:
            return Graph([Op("RELU", [x], [y])], [c, x], [y])
        longer = T(np.float32, (2, 2))
        nodes = [
            Op("CONCATENATION", [x, row], [longer], axis=0),
            Op("IF", [c, c, longer], [y], then_subgraph_index=level + 1, else_subgraph_index=level + 2),
        ]
        return Graph(nodes, [c, x], [y])

    first = body(0)
    return network(first.nodes, first.inputs, first.outputs, subgraphs=[body(i) for i in range(1, levels + 2)])


def test_ways_through_subgraphs_are_not_counted():
    graph = reader.read(doubling(40)).main
    assert seconds(lambda: (keeps_state(graph), reached(graph), repr(graph))) < 1


def test_subgraphs_are_prepared_once():
    """Not once for each way that leads to them, each with another shape."""
    content = doubling(40)
    assert seconds(session, content) < 10
