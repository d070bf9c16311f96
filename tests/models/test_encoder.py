"""A transformer encoder of TensorFlow's converter, int8 and dynamic-range, against LiteRT's BUILTIN_REF.

``data/make_encoder.py`` makes the models. All tensors of the int8 one are equal. In the other GELU alone is not: LiteRT
approximates erfc, and 16 units in the last place are GELU's bound. What follows from it is compared by itself, from
LiteRT's values.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from engines import check, near, run_program, run_reference, same
from paths import DATA
from selection import exhaustive

from int8rt.format import reader
from int8rt.graph import Subgraph
from int8rt.numerics.rules import numerics
from int8rt.runtime.session import Session
from int8rt.tools import litert
from int8rt.tools.compare import compare

pytestmark = pytest.mark.needs("litert")

INT8, DYNAMIC = (DATA / f"encoder_{kind}.tflite" for kind in ("int8", "dynamic"))
TOKENS = [np.random.default_rng(seed).integers(100, size=(1, 96), dtype=np.int32) for seed in range(10)]
GELU_ULPS = 16

LAYER_NORM = {"MEAN": 6, "SQUARED_DIFFERENCE": 3, "RSQRT": 3, "SUB": 3}
PIECES = {"EMBEDDING_LOOKUP": 1, "BATCH_MATMUL": 2, "SOFTMAX": 1, "GELU": 1} | LAYER_NORM


@pytest.mark.parametrize(("path", "between"), [(INT8, "int8"), (DYNAMIC, "float32")])
def test_models_have_all_pieces(path: Path, between: str) -> None:
    nodes = reader.read(path).main.nodes
    counted = Counter(node.op for node in nodes)
    assert {op: counted[op] for op in PIECES} == PIECES
    assert {t.dtype.name for node in nodes[1:] for t in node.outputs} == {between}
    (lookup,) = (node for node in nodes if node.op == "EMBEDDING_LOOKUP")
    assert lookup.inputs[1].dtype == np.int8
    (softmax,) = (node for node in nodes if node.op == "SOFTMAX")
    assert softmax.inputs[0].shape == (1, 2, 96, 96)


@pytest.mark.exhaustive
def test_every_tensor_of_int8_is_equal() -> None:
    result = compare(INT8, [[x] for x in TOKENS])
    assert (result.tensors, result.runs, result.not_compared) == (55, 10, [])
    assert not result.differences


@pytest.mark.parametrize("tokens", [TOKENS[0], *exhaustive(*TOKENS[1:])])
def test_outputs_of_int8_are_equal(tokens: np.ndarray) -> None:
    (y,) = check(INT8.read_bytes(), tokens)
    assert len(np.unique(y)) > 100  # so equality says something


@pytest.mark.exhaustive
def test_differences_of_dynamic_arise_in_gelu() -> None:
    result = compare(DYNAMIC, [[x] for x in TOKENS])
    assert (result.tensors, result.runs, result.not_compared) == (55, 10, [])
    assert {difference.op for difference in result.origins} <= {"GELU"}


def test_every_operator_of_dynamic_from_the_values_of_litert() -> None:
    graph = reader.read(DYNAMIC).main
    gelu = next(i for i, node in enumerate(graph.nodes) if node.op == "GELU")
    parts = [part_of(graph, *at) for at in ((0, gelu), (gelu, gelu + 1), (gelu + 1, len(graph.nodes)))]
    sessions = [prepared(part) for part in parts]
    for tokens in TOKENS:
        theirs = {graph.inputs[0].index: tokens} | litert.run(DYNAMIC, [tokens], tensors="all")
        for part, session in zip(parts, sessions, strict=True):
            session.run([theirs[t.index] for t in part.inputs])
            for node in part.nodes:
                ours = [session.read_tensor(t.index) for t in node.outputs]
                expected = [theirs[t.index] for t in node.outputs]
                if node.op == "GELU":
                    near("LiteRT", expected, ours, GELU_ULPS)
                else:
                    same(f"LiteRT's {node.label}", expected, ours)


@pytest.mark.parametrize("tokens", [TOKENS[0], *exhaustive(*TOKENS[1:])])
def test_outputs_of_dynamic_are_those_of_its_operators(tokens: np.ndarray) -> None:
    model = DYNAMIC.read_bytes()
    same("reference", run_reference(model, tokens), run_program(model, tokens))


def part_of(graph: Subgraph, start: int, stop: int) -> Subgraph:
    """Some of the nodes, with all that they take from before as inputs."""
    nodes = graph.nodes[start:stop]
    written = [t for node in nodes for t in node.outputs]
    read = dict.fromkeys(t for node in nodes for t in node.inputs if t is not None and t.data is None)
    inputs = tuple(t for t in read if t not in written)
    return dataclasses.replace(graph, nodes=nodes, inputs=inputs, outputs=tuple(nodes[-1].outputs))


def prepared(part: Subgraph) -> Session:
    session = Session(part, numerics("reference"), preserve=True)
    session.prepare([t.shape for t in part.inputs])
    return session
