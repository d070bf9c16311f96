"""A subgraph together with those that it runs: what holds of all, and those that become a part of it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError, UnsupportedError
from int8rt.graph import Node, Subgraph, Tensor

MAX_NESTING = 48  # subgraphs that run one another: each takes a dozen frames of Python's stack; real files have few


def reached(graph: Subgraph) -> list[Subgraph]:
    """A subgraph and all that it runs, directly or not: each once, however often it is run."""
    found = {graph: None}
    waiting = [graph]
    while waiting:
        new = dict.fromkeys(g for node in waiting.pop().nodes for g in node.subgraphs if g not in found)
        found.update(new)
        waiting += new
    return list(found)


def keeps_state(graph: Subgraph) -> bool:
    """Whether a run depends on those before it."""
    return any(
        any(t.is_variable for t in g.tensors)
        or any(ops.has(node) and ops.find(node.op).keeps_state for node in g.nodes)
        for g in reached(graph)
    )


def refuse_nesting(graph: Subgraph) -> None:
    """Raise ModelError where subgraphs run one another deeper than MAX_NESTING; the reader has refused circles."""
    depth: dict[Subgraph, int] = {}  # of those that are done
    entered: set[Subgraph] = set()
    path = [graph]
    while path:
        g = path[-1]
        inner = dict.fromkeys(s for node in g.nodes for s in node.subgraphs)
        if g in depth:
            path.pop()
        elif g in entered:
            depth[g] = 1 + max((depth[s] for s in inner), default=-1)
        else:
            entered.add(g)
            path += [s for s in inner if s not in depth]
    if depth[graph] > MAX_NESTING:
        raise ModelError(f"subgraphs run one another {depth[graph]} deep; at most {MAX_NESTING} were expected")


def refuse_missing(graph: Subgraph) -> None:
    """Raise UnsupportedError that names all operators of a graph which are missing, and how often each occurs.

    Raises ModelError where subgraphs are nested too deep for anybody to walk.
    """
    refuse_nesting(graph)
    missing: dict[str, int] = {}
    for node in (node for g in reached(graph) for node in g.nodes if not ops.has(node)):
        types = ", ".join("-" if t is None else t.type for t in node.inputs)
        what = f"{node.op} version {node.version} ({types})"
        missing[what] = missing.get(what, 0) + 1
    if missing:
        listed = "; ".join(f"{what}: {count} node{'s' if count > 1 else ''}" for what, count in missing.items())
        raise UnsupportedError(f"the model needs operators that int8rt does not have: {listed}")


def inlined(body: ops.Body, node: Node) -> list[Node] | None:
    """The nodes of a subgraph on the tensors of a node, as the graph has them, whose place they take.

    None where the subgraph has to be called: where a tensor means something else inside than outside.
    """
    subgraph, inputs = body.subgraph, node.inputs[body.first :]
    pairs = [*zip(subgraph.inputs, inputs), *zip(subgraph.outputs, node.outputs)]
    written = {t for inner in subgraph.nodes for t in inner.outputs}
    is_plain = (
        (len(subgraph.inputs), len(subgraph.outputs)) == (len(inputs), len(node.outputs))
        and all(t is not None and _same_meaning(t, own) for own, t in pairs)
        and written.issuperset(subgraph.outputs)
        and len(set(subgraph.outputs)) == len(subgraph.outputs)
        and not any(t.is_variable for t in subgraph.tensors)
    )
    if not is_plain:
        return None
    outer: dict[Tensor, Any] = dict(pairs)
    for t in written - set(outer):
        outer[t] = dataclasses.replace(t, index=-1)
    return [
        dataclasses.replace(
            inner,
            inputs=tuple(None if t is None else outer.get(t, t) for t in inner.inputs),
            outputs=tuple(outer[t] for t in inner.outputs),
        )
        for inner in subgraph.nodes
    ]


def _same_meaning(a: Tensor, b: Tensor) -> bool:
    """Whether the values of one tensor mean the same as another's."""
    p, q = a.quantization, b.quantization
    if p is None or q is None:
        return a.type == b.type and p is q
    return a.type == b.type and np.array_equal(p.scale, q.scale) and np.array_equal(p.zero_point, q.zero_point)
