"""Random graphs: all engines agree, and what generates and judges them can do so.

python -m tests.fuzz.agreement 1000 5000     graphs of other seeds, and figures
"""

from __future__ import annotations

from collections import Counter

import agreement
import graphs
import numpy as np
import pytest
import unrolled
from engines import run_program
from writer import Graph, Op, T, model, network

from int8rt import ops
from int8rt.format import reader

CHUNKS, PER_CHUNK = 10, 12


@pytest.mark.needs("litert")
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_engines_agree(chunk):
    """On every tensor of every run; LiteRT's reference may refuse a graph, but not many."""
    counts: Counter[str] = Counter()
    for seed in range(chunk * PER_CHUNK, (chunk + 1) * PER_CHUNK):
        made = graphs.make(seed)
        result = agreement.outcome(made)
        assert not result.difference, (seed, result.difference, agreement.described(agreement.smallest(made)))
        counts[result.litert.split(":")[0]] += 1
    assert counts["ran"] >= PER_CHUNK * 2 // 3, counts


def test_every_operator_joins():
    """One is drawn from its conformance cases; those that are not are listed with the reason."""
    assert set(graphs.drawable()) | set(graphs.LEFT_OUT) == set(ops.supported())
    assert not set(graphs.drawable()) & set(graphs.LEFT_OUT)
    assert set(graphs.MEANING) | graphs.ANY_SHAPE | graphs.KEEP_STATE <= set(graphs.drawable())
    known = {op for op, types in graphs.oracles()[1] if types in graphs.parts(op)}
    assert set(graphs.drawable()) <= known


def test_a_seed_gives_one_graph():
    first, second = graphs.make(7), graphs.make(7)
    assert first.file() == second.file()
    assert len(first.nodes) >= graphs.SMALLEST
    for x, y in zip(first.steps(), second.steps(), strict=True):
        assert all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(x, y, strict=True))


def test_a_difference_is_found_and_made_small(monkeypatch):
    """Where TRANSPOSE gives other values, as if the program did, one node is left of the graph."""
    made = graphs.make(3, ("ADD", "MUL", "CONCATENATION", "RESHAPE", "TRANSPOSE"))
    sound = agreement.preserved

    def wrong(model, made):
        runs = sound(model, made)
        for node in model.graph.main.nodes:
            if node.op == "TRANSPOSE":
                for run in runs:
                    run[node.outputs[0].index] = run[node.outputs[0].index] + 1
        return runs

    assert not agreement.outcome(made).difference
    monkeypatch.setattr(agreement, "preserved", wrong)
    result = agreement.outcome(made)
    assert "TRANSPOSE" in result.difference
    small = agreement.smallest(made)
    assert len(small.nodes) == 1
    assert "TRANSPOSE" in agreement.described(small)


@pytest.mark.needs("litert")
def test_litert_is_asked_trip_by_trip_about_a_loop():
    """i from 2 to 5, and x doubled as often."""
    i, x, less = T(np.int32, ()), T(np.float32, (3,)), T(bool, ())
    condition = Graph([Op("LESS", [i, T(np.int32, (), data=np.int32(5))], [less])], [i, x], [less])
    a, b, next_a, next_b = T(np.int32, ()), T(np.float32, (3,)), T(np.int32, ()), T(np.float32, (3,))
    step = Op("ADD", [a, T(np.int32, (), data=np.int32(1))], [next_a])
    body = Graph([step, Op("ADD", [b, b], [next_b])], [a, b], [next_a, next_b])
    inputs, outputs = (T(np.int32, ()), T(np.float32, (3,))), (T(np.int32, ()), T(np.float32, (3,)))
    loop = Op("WHILE", inputs, outputs, cond_subgraph_index=1, body_subgraph_index=2)
    graph = reader.read(network([loop], inputs, outputs, subgraphs=[condition, body]))
    values = {0: np.array(2, np.int32), 1: np.array([1, 2, 3], np.float32)}
    found = unrolled.trip_by_trip(graph, graph.main.nodes[0], values)
    assert [y.tolist() for y in found] == [5, [8, 16, 24]]
    assert unrolled.trip_by_trip(graph, graph.main.nodes[0], values | {0: np.array(-999, np.int32)}) is None


def test_parts_of_narrower_results_leave_what_others_read():
    """Found by seed 1314: float32 took the place of int64 while other threads' parts were still reading there."""
    x = np.arange(160) * 10**16 - 8 * 10**17
    content = model("CAST", [T(np.int64, x.shape)], [T(np.float32, x.shape)])
    assert np.array_equal(run_program(content, x, threads=2)[0], x.astype(np.float32))
