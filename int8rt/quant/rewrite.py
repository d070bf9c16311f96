"""The quantized graph: a float one with the parameters of ``params``, its constants in steps.

Tensors keep their numbers and names where the quantized one takes the place of the float one; what is added comes
behind them. Nodes without an integer form stay float, between DEQUANTIZE and QUANTIZE. Numbers of nodes change, so
metadata that mentions them (``model_control_dependencies``) is left out; so is ``min_runtime_version``, which was that
of the float operators.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType, SimpleNamespace

import numpy as np

from int8rt.frozen import frozen
from int8rt.graph import Graph, Node, Signature, Subgraph, Tensor
from int8rt.quant.params import FLOAT32, Assignment, Params, Use, is_float, quantized
from int8rt.quant.rules import rule_of, version_of

OUTDATED = ("model_control_dependencies", "min_runtime_version")


@frozen
class Rewritten:
    """A quantized graph, and which of its nodes took the place of each of the float one's, by number."""

    graph: Graph
    nodes: Mapping[int, Node]


def rewrite(graph: Graph, assignment: Assignment, inputs: str = "float32", outputs: str = "float32") -> Rewritten:
    """The graph with its main subgraph quantized, which takes and gives values of these types.

    inputs, outputs: float32, int8 or uint8, of what is a float in the float graph.
    """
    writer = _Rewriter(graph.main, assignment, inputs, outputs)
    main = writer.subgraph()
    metadata = {name: content for name, content in graph.metadata.items() if name not in OUTDATED}
    signatures = tuple(_signature(s, writer.edges) if s.subgraph == main.index else s for s in graph.signatures)
    made = replace(
        graph,
        subgraphs=(main, *graph.subgraphs[1:]),
        signatures=signatures,
        metadata=MappingProxyType(metadata),
    )
    return Rewritten(made, writer.made)


def _signature(signature: Signature, edges: Mapping[int, Tensor]) -> Signature:
    """The signature with the tensors that stand at the edges now."""

    def named(names: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return MappingProxyType({name: edges.get(t.index, t) for name, t in names.items()})

    return replace(signature, inputs=named(signature.inputs), outputs=named(signature.outputs))


def is_quantized(node: Node, assignment: Assignment) -> bool:
    """Whether a node runs on integers: it has such a form, and all its float tensors have parameters."""
    rule = rule_of(node)
    if rule is None or not any(map(is_float, (*node.inputs, *node.outputs))):
        return False
    inputs = [(i, t) for i, t in enumerate(node.inputs) if t is not None and is_float(t)]
    if any(t.data is None for i, t in inputs if i in rule.weights):
        return False  # weights have zero point 0, and what is computed has not
    known = all(assignment.of_input(node, i) is not None for i, _ in inputs)
    return known and all(t.index in assignment.values for t in node.outputs if is_float(t))


class _Rewriter:
    """A subgraph on its way. Of each float tensor there is an integer form, a float one, or both, made when needed."""

    def __init__(self, graph: Subgraph, assignment: Assignment, inputs: str, outputs: str) -> None:
        self.graph, self.assignment = graph, assignment
        self.types = inputs, outputs
        self.tensors = list(graph.tensors)
        self.nodes: list[Node] = []
        self.made: dict[int, Node] = {}
        self.names = {t.name for t in graph.tensors}
        self.integers: dict[int, Tensor] = {}  # by the float tensor's number
        self.floats: dict[int, Tensor] = {}
        self.others: dict[tuple[int, Params], Tensor] = {}  # with parameters that an operator asked for
        self.edges: dict[int, Tensor] = {}
        self.quantized = {node for node in graph.nodes if is_quantized(node, assignment)}
        others = (t for node in graph.nodes if node not in self.quantized for t in node.inputs)
        self.read_as_floats = {*others, *graph.outputs}

    def subgraph(self) -> Subgraph:
        """All of it."""
        inputs = [self._input(t) for t in self.graph.inputs]
        for node in self.graph.nodes:
            if node in self.quantized:
                self._quantized(node)
            else:
                self._kept(node)
        outputs = [self._output(t) for t in self.graph.outputs]
        return replace(
            self.graph,
            tensors=tuple(self.tensors),
            nodes=tuple(self.nodes),
            inputs=tuple(inputs),
            outputs=tuple(outputs),
        )

    # Nodes

    def _quantized(self, node: Node) -> None:
        """A node on integers; where it gives other parameters than its output has, a QUANTIZE follows."""
        inputs = [None if t is None else self._integer_input(node, i, t) for i, t in enumerate(node.inputs)]
        outputs, later = [], []
        for t in node.outputs:
            if not is_float(t):
                outputs.append(t)
                continue
            y = self._integer(t)
            given = self.assignment.outputs.get(t.index)
            if given is not None:
                later.append((made := self._added(t, given, "given"), y))
                y = made
            outputs.append(y)
        self._node(replace(node, inputs=tuple(inputs), outputs=tuple(outputs), version=version_of(node)), node.index)
        for x, y in later:
            self._convert(x, y)

    def _kept(self, node: Node) -> None:
        """A node as it is, on floats."""
        inputs = [t if t is None or not is_float(t) or t.data is not None else self._float(t) for t in node.inputs]
        outputs = [self._float_output(t) for t in node.outputs]
        self._node(replace(node, inputs=tuple(inputs), outputs=tuple(outputs)), node.index)

    def _node(self, node: Node, number: int | None = None) -> None:
        self.nodes.append(replace(node, index=len(self.nodes)))
        if number is not None:
            self.made[number] = self.nodes[-1]

    def _convert(self, x: Tensor, y: Tensor) -> None:
        """QUANTIZE or DEQUANTIZE, from x to y."""
        op = "DEQUANTIZE" if y.dtype == FLOAT32 else "QUANTIZE"
        version = 2 if op == "DEQUANTIZE" else 1
        self._node(Node(op, (x,), (y,), SimpleNamespace(), version))

    # Tensors

    def _integer_input(self, node: Node, position: int, t: Tensor) -> Tensor:
        """What a node on integers reads at an input."""
        if not is_float(t):
            return t
        params = self.assignment.of_input(node, position)
        assert params is not None
        if t.data is not None:
            return self._constant(t, params, (node.index, position))
        x = self._integer(t)
        return x if params == self.assignment.values[t.index] else self._other(x, t, params)

    def _constant(self, t: Tensor, params: Params, use: Use) -> Tensor:
        """A constant in steps: in the place of the float one, for the first who asks."""
        if (t.index, params) not in self.others:
            assert t.data is not None
            data = quantized(t.data, params)
            data.flags.writeable = False
            is_first = t.index not in self.integers
            form = replace(
                t,
                dtype=data.dtype,
                data=data,
                quantization=params.quantization,
                sparsity=None,
                noted_range=None,
                name=t.name if is_first else self._name(t, f"node{use[0]}"),
            )
            form = self._put(form, t.index if is_first and t not in self.read_as_floats else None)
            self.integers.setdefault(t.index, form)
            self.others[t.index, params] = form
        return self.others[t.index, params]

    def _integer(self, t: Tensor) -> Tensor:
        """The integer form of a tensor, converted if it is a float so far."""
        if t.index not in self.integers:
            params = self.assignment.values[t.index]
            if t.index in self.floats or self._is_edge(t):
                self.integers[t.index] = self._added(t, params, "int8")
                if t.index in self.floats:
                    self._convert(self.floats[t.index], self.integers[t.index])
            else:
                self.integers[t.index] = self._put(self._form(t, params), t.index)
        return self.integers[t.index]

    def _is_edge(self, t: Tensor) -> bool:
        """Whether the place of a tensor is taken by an output that is no int8."""
        return t in self.graph.outputs and self.types[1] != "int8"

    def _float(self, t: Tensor) -> Tensor:
        """The float form of a tensor, converted if it is an integer so far."""
        if t.is_variable:
            return t
        if t.index not in self.floats:
            x = self.integers[t.index]
            self.floats[t.index] = t if self.tensors[t.index] is t else self._added(t, None, "float32")
            self._convert(x, self.floats[t.index])
        return self.floats[t.index]

    def _float_output(self, t: Tensor) -> Tensor:
        if is_float(t):
            self.floats[t.index] = t
        return t

    def _other(self, x: Tensor, t: Tensor, params: Params) -> Tensor:
        """A tensor with the parameters that somebody asks for."""
        if (t.index, params) not in self.others:
            self.others[t.index, params] = self._added(t, params, "requantized")
            self._convert(x, self.others[t.index, params])
        return self.others[t.index, params]

    def _form(self, t: Tensor, params: Params | None) -> Tensor:
        if params is None:
            return replace(t, quantization=None)
        return replace(t, dtype=np.dtype(params.dtype), quantization=params.quantization, noted_range=None)

    def _added(self, t: Tensor, params: Params | None, suffix: str) -> Tensor:
        """A new tensor like another one."""
        return self._put(replace(self._form(t, params), name=self._name(t, suffix)), None)

    def _name(self, t: Tensor, suffix: str) -> str:
        name, number = f"{t.name}_{suffix}", 1
        while name in self.names:
            number += 1
            name = f"{t.name}_{suffix}_{number}"
        self.names.add(name)
        return name

    def _put(self, t: Tensor, number: int | None) -> Tensor:
        """A tensor in its place among all."""
        if number is None:
            number = len(self.tensors)
            self.tensors.append(t)
        self.tensors[number] = replace(t, index=number)
        return self.tensors[number]

    # Edges

    def _input(self, t: Tensor) -> Tensor:
        """What the caller feeds."""
        if not is_float(t):
            return t
        self.edges[t.index] = t
        params = self.assignment.values.get(t.index)
        if params is None or self.types[0] == "float32":
            self.floats[t.index] = t
            return t
        self.edges[t.index] = self._edge(t, params, self.types[0])
        if self.types[0] == "uint8":
            self.integers[t.index] = self._added(t, params, "int8")
            self._convert(self.edges[t.index], self.integers[t.index])
        else:
            self.integers[t.index] = self.edges[t.index]
        return self.edges[t.index]

    def _output(self, t: Tensor) -> Tensor:
        """What the caller gets."""
        if not is_float(t) or t.data is not None:
            return t
        if t.index in self.edges:  # an input too
            return self.edges[t.index]
        params = self.assignment.values.get(t.index)
        if params is None or self.types[1] == "float32":
            y = self._float(t)
        elif self.types[1] == "uint8":
            y = self._uint8(self._integer(t), t, params)
        else:
            y = self._integer(t)
        self.edges[t.index] = y
        return y

    def _uint8(self, x: Tensor, t: Tensor, params: Params) -> Tensor:
        """An output as uint8, made of its int8 form; in the place of the float one, if that is free."""
        is_free = t.index not in self.floats and x.index != t.index
        y = self._edge(t, params, "uint8") if is_free else self._added(t, _unsigned(params), "uint8")
        self._convert(x, y)
        return y

    def _edge(self, t: Tensor, params: Params, dtype: str) -> Tensor:
        """A tensor at an edge, in the place of the float one."""
        return self._put(self._form(t, _unsigned(params) if dtype == "uint8" else params), t.index)


def _unsigned(params: Params) -> Params:
    """The same steps as uint8."""
    return params._replace(dtype="uint8", zero_points=tuple(z + 128 for z in params.zero_points))
