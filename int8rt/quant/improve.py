"""Better weights without training: biases that make up for what rounding does to the mean of each channel.

Rounded weights on quantized inputs give another mean than the float layer, and the differences of many layers add up.
The bias takes it back, layer by layer, each on what the corrected layers before it give:
``b += mean(W x + b) - mean(W' x' + b)``, over all positions and samples, before the activation (Nagel et al.,
"Data-Free Quantization Through Weight Equalization and Bias Correction", 2019, section 4.2, with measured means).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace

import numpy as np

from int8rt.graph import Graph, Node, Subgraph, Tensor
from int8rt.limits import Budget, within
from int8rt.numerics.rules import numerics
from int8rt.quant.params import Assignment, quantized
from int8rt.quant.rewrite import is_quantized, rewrite
from int8rt.quant.rules import rule_of
from int8rt.runtime.model import Model, Port

Run = list[np.ndarray]


def with_corrected_biases(graph: Graph, assignment: Assignment, runs: Sequence[Run], budget: Budget) -> Graph:
    """The float graph with other biases, for which quantized layers give the means of the float ones.

    ``budget`` is what running them may take. Raises what running the model does.
    """
    targets = [node for node in graph.main.nodes if _has_bias(node) and is_quantized(node, assignment)]
    expected = _float_means(graph, targets, runs, budget)
    for node, wanted in zip(targets, expected, strict=True):
        now = graph.main.nodes[node.index]  # with the bias of before
        found = _quantized_mean(graph, assignment, now, runs, budget)
        graph = _with_bias(graph, now, wanted - found)
    return graph


def _has_bias(node: Node) -> bool:
    """Whether a node multiplies constant weights and adds a constant."""
    rule = rule_of(node)
    if rule is None or rule.bias is None or len(node.inputs) <= rule.bias:
        return False
    bias = node.inputs[rule.bias]
    return bias is not None and bias.data is not None


def _places(node: Node) -> tuple[int, int, int]:
    """Which operands of a node with a bias are the input, the weights and the bias."""
    rule = rule_of(node)
    assert rule is not None
    assert rule.bias is not None
    return (*rule.product, rule.bias)


def _float_means(graph: Graph, nodes: Sequence[Node], runs: Sequence[Run], budget: Budget) -> list[np.ndarray]:
    """The mean of each channel of each node, before the activation, in the float model."""
    session = Model(graph, numerics("reference"), budget=budget).session(preserve=True)
    layers = [_layer(node, None, budget) for node in nodes]
    sums: list[np.ndarray | float] = [0.0] * len(nodes)
    for run in runs:
        within(budget, session.run, run)
        for i, node in enumerate(nodes):
            x = session.read_tensor(_operand(node, _places(node)[0]).index)
            assert x is not None
            sums[i] = sums[i] + _means(layers[i], x)
        session.reset()
    return [np.asarray(total) / len(runs) for total in sums]


def _quantized_mean(
    graph: Graph, assignment: Assignment, node: Node, runs: Sequence[Run], budget: Budget
) -> np.ndarray:  # fmt: skip
    """The same with the node's weights in steps, on what the quantized model gives it."""
    of_x, of_w, _ = _places(node)
    w = _operand(node, of_w)
    params = assignment.of_input(node, of_w)
    assert params is not None
    assert w.data is not None
    layer = _layer(node, _real(quantized(w.data, params), params.scales, params.axis, len(w.shape)), budget)
    made = rewrite(graph, assignment)
    last = made.nodes[node.index]
    x = _operand(last, of_x)
    before = replace(made.graph.main, nodes=made.graph.main.nodes[: last.index], outputs=(x,))
    model = Model(Graph((before,)), numerics("reference"), budget=budget)
    port = Port(x)
    return sum((_means(layer, port.dequantize(model(*run))) for run in runs), np.zeros(1)) / len(runs)


def _operand(node: Node, position: int) -> Tensor:
    t = node.inputs[position]
    assert t is not None
    return t


def _real(steps: np.ndarray, scales: Sequence[float], axis: int, rank: int) -> np.ndarray:
    """The real values of weights, whose zero point is 0."""
    shape = [1] * rank
    shape[axis] = len(scales)
    return np.asarray(steps * np.array(scales, np.float32).reshape(shape), np.float32)


def _layer(node: Node, weights: np.ndarray | None, budget: Budget) -> Model:
    """A model of the node alone, without its activation; with other weights if they are given."""
    of_x, of_w, _ = _places(node)
    inputs = list(node.inputs)
    if weights is not None:
        inputs[of_w] = replace(_operand(node, of_w), data=weights, sparsity=None)
    numbered = {t: i for i, t in enumerate(dict.fromkeys([t for t in inputs if t is not None] + list(node.outputs)))}
    tensors = {t: replace(t, index=i, shape_signature=()) for t, i in numbered.items()}
    options = SimpleNamespace(**{**vars(node.options), "fused_activation_function": 0})
    alone = replace(
        node,
        index=0,
        inputs=tuple(None if t is None else tensors[t] for t in inputs),
        outputs=tuple(tensors[t] for t in node.outputs),
        options=options,
    )
    x = alone.inputs[of_x]
    assert x is not None
    subgraph = Subgraph("layer", tuple(tensors.values()), (alone,), (x,), alone.outputs)
    return Model(Graph((subgraph,)), numerics("reference"), budget=budget)


def _means(layer: Model, x: np.ndarray) -> np.ndarray:
    """The mean of each channel, the last axis: float64 [channels]."""
    y = np.asarray(layer(x))
    return np.asarray(y.mean(axis=tuple(range(y.ndim - 1)), dtype=np.float64))


def _with_bias(graph: Graph, node: Node, added: np.ndarray) -> Graph:
    """The graph with something added to a node's bias; others who share the constant keep it."""
    *_, of_b = _places(node)
    bias = _operand(node, of_b)
    assert bias.data is not None
    data = np.asarray(bias.data.astype(np.float64) + added.reshape(bias.shape), np.float32)
    data.flags.writeable = False
    main = graph.main
    users = [n for n in main.nodes if bias in n.inputs]
    is_alone = len(users) == 1 and users[0].inputs.count(bias) == 1 and bias not in main.outputs
    number = bias.index if is_alone else len(main.tensors)
    new = replace(bias, data=data, index=number, sparsity=None)
    tensors = [*main.tensors[:number], new, *main.tensors[number + 1 :]]
    nodes = list(main.nodes)
    inputs = tuple(new if i == of_b else t for i, t in enumerate(node.inputs))
    nodes[node.index] = replace(node, inputs=inputs)
    changed = replace(main, tensors=tuple(tensors), nodes=tuple(nodes))
    return replace(graph, subgraphs=(changed, *graph.subgraphs[1:]))
