"""Nodes -> Program: every node prepared, every tensor placed, ready to run in one native call.

A Program is an immutable plan of a segment of nodes whose shapes are known (``infer``). What runs is an Instance of it
(``runtime.instance``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from int8rt import limits, ops
from int8rt.errors import InconsistentNode, UnsupportedError
from int8rt.frozen import frozen
from int8rt.graph import Node, Subgraph, Tensor
from int8rt.memory import guarded
from int8rt.native.abi import Signature, dtype_name, type_name
from int8rt.native.kernel import Kernel
from int8rt.numerics.rules import Numerics
from int8rt.numerics.storage import storage_dtype, to_storage
from int8rt.plan import arena
from int8rt.plan.infer import Segment, infer, located
from int8rt.plan.placement import Alias, place
from int8rt.plan.resources import FRESH, Assumed
from int8rt.plan.sharing import ONE_THREAD, Sharing
from int8rt.plan.subgraphs import refuse_missing
from int8rt.steps import Call, Flat, PythonCall, Step, View, as_steps, tensors

Shapes = Mapping[int, tuple[int, ...]]


@frozen
class Program:
    """A plan: which calls run on which memory."""

    graph: Subgraph  # as inferred, its nodes those of the segment
    segment: Segment
    inputs: tuple[Tensor, ...]  # those of the graph, as the file has them
    outputs: tuple[Tensor, ...]
    steps: tuple[tuple[Node, Step], ...]
    aliases: Mapping[Tensor, Alias]  # of tensors that live in others' memory
    blocks: Mapping[Tensor, arena.Block]
    plan: arena.Plan
    constants: Mapping[Tensor, np.ndarray]  # in storage form
    variables: tuple[Tensor, ...]  # whose memory is a State's
    is_whole: bool  # whether the segment is the whole graph
    sharing: Sharing = ONE_THREAD

    @property
    def calls(self) -> list[Call | PythonCall]:
        """What runs, in order."""
        return [step for _, step in self.steps if not isinstance(step, View)]

    def base(self, tensor: Tensor) -> Tensor:
        """The tensor in whose memory this one lives."""
        return self.alias(tensor).base

    def alias(self, tensor: Tensor) -> Alias:
        """Where in that tensor's memory."""
        return self.aliases.get(tensor) or Alias(tensor, 0)

    def kernels(self) -> list[tuple[Kernel, Signature]]:
        """Which entry points its calls need."""
        return [(c.kernel, call_signature(c)) for c in self.calls if isinstance(c, Call)]


def build(
    graph: Subgraph,
    numerics: Numerics,
    input_shapes: Shapes | None = None,
    preserve: bool = False,
    sharing: Sharing = ONE_THREAD,
    assumed: Assumed = FRESH,
) -> Program:
    """Prepare every node and place every tensor.

    With preserve, each tensor keeps memory of its own, to be read after a run. Where a node has to wait for run-time
    values the program ends before it; its segment says so. Raises UnsupportedError, naming all operators that are
    missing at once, and ModelError where shapes contradict one another.
    """
    refuse_missing(graph)
    shapes = input_shapes or {}
    known = {t: replace(t, shape=tuple(shapes.get(t.index, t.shape))) for t in graph.inputs}
    return build_segment(graph, graph.nodes, known, assumed, numerics, preserve, sharing)


def build_segment(
    graph: Subgraph,
    nodes: Sequence[Node],
    known: Mapping[Tensor, Tensor],
    assumed: Assumed,
    numerics: Numerics,
    preserve: bool = False,
    sharing: Sharing = ONE_THREAD,
    needed: Sequence[Tensor] = (),
) -> Program:
    """The program of the first segment of nodes of a graph; the arguments are those of ``infer`` and ``build``.

    Where the segment is the whole graph the program has the graph's inputs and outputs. Else its inputs are what it
    needs of ``known``, its outputs what it computes and others need: nodes behind it, the caller, or who reads
    ``needed``.
    """
    segment = infer(nodes, known, assumed)
    prepared, segment = _prepared(segment, numerics)
    ports = graph.inputs + graph.outputs
    is_whole = segment.cut is None and tuple(nodes) == graph.nodes and all(t.dtype != object for t in ports)
    inputs, outputs = (graph.inputs, graph.outputs) if is_whole else _ends(graph, segment, needed)
    inferred = replace(
        graph,
        nodes=segment.nodes,
        inputs=tuple(segment.known.get(t, t) for t in inputs),
        outputs=tuple(segment.known.get(t, t) for t in outputs),
        tensors=tuple(segment.known.get(t, t) for t in graph.tensors),
    )
    steps: list[tuple[Node, Step]] = [
        (node, step.for_threads(sharing.parts_of(step)) if isinstance(step, Call) else step) for node, step in prepared
    ]
    placed = place(inferred, steps, preserve)
    mentioned = [*inferred.inputs, *inferred.outputs, *(t for _, step in placed.steps for t in tensors(step))]
    constants = {t: _stored_constant(t) for t in mentioned if t.data is not None}
    variables = tuple(dict.fromkeys(t for t in mentioned if t.is_variable))
    return Program(
        inferred, segment, inputs, outputs, placed.steps, placed.aliases, placed.blocks, placed.plan, constants,
        variables, is_whole, sharing,
    )  # fmt: skip


def _stored_constant(t: Tensor) -> np.ndarray:
    """The values of a constant in storage form. Raises InconsistentNode where they are not as many as its shape says.

    Calls get the shape of the tensor, and kernels read as much as that.
    """
    assert t.data is not None
    if t.data.shape != t.shape or t.data.dtype != t.dtype:
        found = f"{t.data.dtype}{list(t.data.shape)}"
        raise InconsistentNode(f"constant {t.name!r} is {found}; {t.dtype}{list(t.shape)} was expected")
    return guarded(limits.hold(to_storage(t.data)))


def _ends(graph: Subgraph, segment: Segment, needed: Sequence[Tensor]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """What a segment reads that it does not compute, and what it computes that others need; as the graph has them.

    Handles of resources have no memory.
    """
    computed = dict.fromkeys(t for node in segment.origins for t in node.outputs)
    read = dict.fromkeys(t for node in segment.origins for t in node.inputs if t is not None)
    behind = segment.rest if segment.cut is None else (segment.cut, *segment.rest)
    wanted = {t for node in behind for t in node.inputs}.union(graph.outputs, needed)
    given = (t for t in read if t not in computed and not t.is_variable and t.dtype != object)
    inputs = (t for t in given if segment.known.get(t, t).data is None)
    return tuple(inputs), tuple(t for t in computed if t in wanted)


def _prepared(segment: Segment, numerics: Numerics) -> tuple[list[tuple[Node, Step]], Segment]:
    """The steps of each node, and the segment, ended where a node has to wait for values.

    Raises UnsupportedError with all reasons at once, the nodes behind each counted.
    """
    prepared: list[tuple[Node, Step]] = []
    refused: dict[str, list[tuple[Node, str]]] = {}
    for number, node in enumerate(segment.nodes):
        try:
            steps = as_steps(located(node, ops.find(node.op).prepare, node, numerics))
            located(node, _count, steps)
            prepared += [(node, step) for step in steps if not _is_empty(node, step)]
        except ops.NotConstant:
            segment = segment.ended_before(number)
            break
        except UnsupportedError as error:
            refused.setdefault(str(error).replace(node.label, node.op), []).append((node, str(error)))
    if refused:
        listed = [why if len(nodes) > 1 else nodes[0][1] for why, nodes in refused.items()]
        counts = [f": {len(nodes)} nodes" if len(nodes) > 1 else "" for nodes in refused.values()]
        raise UnsupportedError("; ".join(why + count for why, count in zip(listed, counts, strict=True)))
    return prepared, segment


def _count(steps: Sequence[Step]) -> None:
    """Count the arrays that steps were given: packed weights, tables."""
    for step in steps:
        if not isinstance(step, View):
            for arg in step.args:
                if isinstance(arg, np.ndarray):
                    limits.hold(arg)
    limits.check_held()


def _is_empty(node: Node, step: Step) -> bool:
    """Whether a step does nothing, as all that its node writes is empty."""
    changes_state = not isinstance(step, View) and any(t.is_variable for t in step.writes)
    return bool(node.outputs) and all(t.size == 0 for t in node.outputs) and not changes_state


def call_signature(call_: Call) -> Signature:
    return tuple(_type_name(arg) for arg in call_.args)


def _type_name(arg: Any) -> str:
    if isinstance(arg, Flat):
        return f"{dtype_name(arg.dtype)}[1]"
    if isinstance(arg, Tensor):
        return f"{dtype_name(storage_dtype(arg.dtype))}[{len(arg.shape)}]"
    return type_name(arg)
