"""Who is right about a WHILE: LiteRT is asked again, trip by trip, for its condition and its body alone.

Within a loop LiteRT's reference leaves other memory in some outputs, or overwrites what a body only hands on; run by
themselves the same subgraphs do not share memory. Where their results are int8rt's, LiteRT was wrong about the loop.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1] / "cases")]

from engines import kept_litert  # noqa: E402

from int8rt.format import writer  # noqa: E402
from int8rt.graph import Graph, Node, Subgraph  # noqa: E402

MOST_TRIPS = 200


def trip_by_trip(graph: Graph, node: Node, values: Mapping[int, np.ndarray]) -> list[np.ndarray] | None:
    """What LiteRT gives for a WHILE of the main subgraph, whose inputs have these values by their tensors' numbers.

    None where it takes too many trips. Raises what LiteRT's refusals are.
    """
    condition, body = (_alone(graph, subgraph) for subgraph in node.subgraphs)
    state = [np.asarray(t.data if t.data is not None else values[t.index]) for t in node.inputs if t is not None]
    for _ in range(MOST_TRIPS):
        if not bool(_run(condition, state)[0].reshape(-1)[0]):
            return state
        state = _run(body, state)
    return None


def _alone(graph: Graph, subgraph: Subgraph) -> bytes:
    """A model with a subgraph in the place of the main one, which nobody runs."""
    subgraphs = (replace(subgraph, index=0), *graph.subgraphs[1:])
    return writer.write(replace(graph, subgraphs=subgraphs, signatures=()), drop=True)


def _run(content: bytes, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    step = [np.array(x, order="C") for x in inputs]
    return [np.asarray(y) for y in kept_litert().run_steps(content, [step])[0]]
