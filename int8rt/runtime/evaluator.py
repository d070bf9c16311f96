"""The reference evaluator: a graph run as its operators are defined, one NumPy array per tensor.

The same meaning as a Program's, without the machinery: nothing is known before its time, and every node is run by the
``reference`` of its operator, on arrays in the types of the model.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from int8rt import limits, ops
from int8rt.graph import Node, Subgraph, Tensor
from int8rt.numerics.storage import from_storage, to_storage
from int8rt.ops import Name
from int8rt.plan.infer import evaluate, evaluate_on, shaped
from int8rt.plan.subgraphs import refuse_missing
from int8rt.runtime.state import State


def reference(graph: Subgraph, *inputs: np.ndarray, state: State | None = None) -> dict[int, np.ndarray]:
    """Every tensor by its index; shapes follow from the inputs given. ``state`` is what earlier runs left, and changes.

    Raises UnsupportedError, ModelError and LimitError as a program does that is built for the same graph.
    """
    refuse_missing(graph)
    values = limits.within(limits.current(), _Evaluator(state or State()).run, graph, inputs)
    return {t.index: value for t, value in values.items()}


class _Evaluator:
    """The Runtime of one evaluation."""

    def __init__(self, state: State) -> None:
        self.state = state

    def run(self, graph: Subgraph, inputs: Sequence[np.ndarray]) -> dict[Tensor, np.ndarray]:
        """The values of all tensors."""
        variables = [t for t in graph.tensors if t.is_variable]
        values: dict[Tensor, np.ndarray] = {t: t.data for t in graph.tensors if t.data is not None}
        values |= {t: from_storage(self.state.array(graph.index, t), t.dtype) for t in variables}
        values |= {t: np.asarray(x, t.dtype) for t, x in zip(graph.inputs, inputs, strict=True)}
        for node in graph.nodes:
            arrays = [None if t is None else values[t] for t in node.inputs]
            values.update(zip(node.outputs, self._results(node, arrays), strict=True))
        for t in variables:
            if values[t].shape == t.shape:
                self.state.array(graph.index, t)[...] = to_storage(values[t])
        return values

    def _results(self, node: Node, arrays: Sequence[np.ndarray | None]) -> Sequence[np.ndarray]:
        """What a node writes; it sees the values of constants and handles only, unless that is not enough."""
        operator = ops.find(node.op)
        inputs = [
            t
            if t is None or a is None or t.data is not None
            else dataclasses.replace(t, shape=a.shape, data=a if a.dtype == object else None)
            for t, a in zip(node.inputs, arrays, strict=True)
        ]
        seen = dataclasses.replace(node, inputs=tuple(inputs))
        outputs = shaped(operator, seen)
        if outputs is None or operator.control is not None:
            return evaluate_on(node, arrays, self)
        return evaluate(operator, dataclasses.replace(seen, outputs=outputs), arrays)

    # What control operators need

    def call(self, subgraph: Subgraph, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Run another subgraph."""
        values = self.run(subgraph, arrays)
        return [values[t] for t in subgraph.outputs]

    def call_once(self, subgraph: Subgraph) -> None:
        """Run another subgraph unless that was done before in this state."""
        if not self.state.resources.is_done(subgraph.index):
            self.run(subgraph, ())
            self.state.resources.mark_done(subgraph.index)

    def read(self, name: Name) -> np.ndarray:
        """The value of a resource."""
        return self.state.resources.read(name)

    def assign(self, name: Name, value: np.ndarray) -> None:
        """Set the value of a resource."""
        self.state.resources.assign(name, value)
