"""Runs in sequence, which share state: sessions, the reference evaluator and LiteRT must agree at every step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from engines import REFERENCE, run_litert_steps, same
from writer import Graph, Op, T, network

from int8rt.format import reader
from int8rt.runtime.evaluator import reference
from int8rt.runtime.session import Session
from int8rt.runtime.state import State


def handle() -> T:
    """A tensor that says which resource is meant."""
    return T(None, (), type_name="RESOURCE")


def counter() -> bytes:
    """A model with a resource: what it was given, summed up over its runs, squared."""
    size = (1, 3000)
    x, old, new, y = (T(np.float32, size) for _ in range(4))
    handles = [T(np.int32, (1,), type_name="RESOURCE") for _ in range(2)]
    named = [Op("VAR_HANDLE", [], [handle], shared_name="v", container="") for handle in handles]
    zeros = T(np.float32, size, data=np.zeros(size, np.float32))
    begin = Graph([named[1], Op("ASSIGN_VARIABLE", [handles[1], zeros], [])], [], [])
    nodes = [
        Op("CALL_ONCE", [], [], init_subgraph_index=1),
        named[0],
        Op("READ_VARIABLE", [handles[0]], [old]),
        Op("ADD", [x, old], [new]),
        Op("ASSIGN_VARIABLE", [handles[0], new], []),
        Op("MUL", [new, new], [y]),
    ]
    return network(nodes, [x], [y], subgraphs=[begin])


def session(model: bytes, *shapes: Sequence[int], **options: Any) -> Session:
    """A session that is ready, for the shapes that the model declares if none are given."""
    graph = reader.read(model).main
    running = Session(graph, REFERENCE, **options)
    running.prepare(shapes or [t.shape for t in graph.inputs])
    return running


def check_steps(model: bytes, *steps: Sequence[np.ndarray], with_litert: bool = True) -> list[list[np.ndarray]]:
    """Assert that all engines give the same bytes at every step; returns the outputs of each."""
    graph = reader.read(model).main
    running, state = session(model, *(np.shape(x) for x in steps[0])), State()
    found = [running.run([np.array(x, order="C") for x in inputs]) for inputs in steps]
    for inputs, outputs in zip(steps, found, strict=True):
        values = reference(graph, *inputs, state=state)
        same("reference", [values[t.index] for t in graph.outputs], outputs)
    if not with_litert:
        return found
    for theirs, outputs in zip(run_litert_steps(model, steps), found, strict=True):
        same("LiteRT", theirs, outputs)
    return found
