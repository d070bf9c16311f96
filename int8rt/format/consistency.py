"""What a file's values must say of one another: numbers exist, tensors are written once and before they are read.

Scales are finite but where LiteRT computes with others; subgraphs run one another without a circle.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from typing import Any

import numpy as np

from int8rt.errors import ModelError
from int8rt.graph import Node, Quantization, Subgraph


def pick(items: Sequence[Any], index: int, kind: str, where: str) -> Any:
    """The item of that number, if there is one."""
    if not 0 <= index < len(items):
        raise ModelError(f"{where}: {kind} {index} does not exist, there are {len(items)}")
    return items[index]


def check_finite(quantization: Quantization, where: str) -> None:
    """Negative scales and 0 do occur and can be computed with."""
    scale = quantization.scale
    if not np.isfinite(scale).all():
        raise ModelError(f"{where} has scale {scale[~np.isfinite(scale)][0]}, expected finite scales")


# {operator: the inputs, weights and bias, of which LiteRT runs scales that are infinite or NaN; ops._linear says which}
_MAY_BE_INFINITE = {"CONV_2D": (1, 2), "DEPTHWISE_CONV_2D": (1, 2), "FULLY_CONNECTED": (1, 2), "TRANSPOSE_CONV": (1, 3)}


def check_scales(subgraph: Subgraph, where: str) -> None:
    """Scales are finite, but for those of constants that are weights or a bias, and nothing else."""
    infinite = {
        t.index: t
        for t in subgraph.tensors
        if t.quantization is not None and not np.isfinite(t.quantization.scale).all()
    }
    if not infinite:
        return
    weights: set[int] = set()
    others = {t.index for t in (*subgraph.inputs, *subgraph.outputs)}
    for node in subgraph.nodes:
        positions = () if node.is_custom else _MAY_BE_INFINITE.get(node.op, ())
        for position, t in enumerate(node.inputs):
            if t is not None:
                (weights if position in positions else others).add(t.index)
    for index, t in infinite.items():
        if t.data is None or index not in weights or index in others:
            assert t.quantization is not None
            check_finite(t.quantization, f"{where}, tensor {index} {t.name!r}")


def check_order(subgraph: Subgraph, where: str) -> None:
    """Every tensor is written once: by the file, as state, by the caller or by one node, and before it is read."""
    writer = {}
    for tensor in subgraph.tensors:
        if tensor.data is not None or tensor.is_variable:
            writer[tensor.index] = "the file"
    for tensor in subgraph.inputs:
        if writer.get(tensor.index) == "the caller":
            raise ModelError(f"{where} has tensor {tensor.index} {tensor.name!r} twice among its inputs")
        writer[tensor.index] = "the caller"
    for node in subgraph.nodes:
        for tensor in filter(None, node.inputs):
            if tensor.index not in writer:
                raise ModelError(
                    f"{where}, {node.label} reads tensor {tensor.index} {tensor.name!r}, which is not known by then: "
                    "expected a constant, a variable, an input or an earlier node's output"
                )
        for tensor in node.outputs:
            if tensor.index in writer:
                first = writer[tensor.index]
                raise ModelError(f"{where}, {node.label} writes tensor {tensor.index} {tensor.name!r}, as does {first}")
            writer[tensor.index] = node.label
    for tensor in subgraph.outputs:
        if tensor.index not in writer:
            raise ModelError(f"{where} gives tensor {tensor.index} {tensor.name!r}, which nothing writes")


def _called(node: Node) -> Iterable[int]:
    """The numbers of the subgraphs that a node runs."""
    for name, value in vars(node.options).items():
        if name == "subgraph" or name.endswith("subgraph_index"):
            yield value
        elif name.endswith("subgraph_indices"):
            yield from value


def linked(subgraphs: Sequence[Subgraph]) -> tuple[Subgraph, ...]:
    """The subgraphs with nodes that hold those they run, which exist; none runs itself, however indirectly."""
    calls: list[dict[int, str]] = [
        {i: f"subgraph {subgraph.index}, {node.label}" for node in subgraph.nodes for i in _called(node)}
        for subgraph in subgraphs
    ]
    for called in calls:
        for index, where in called.items():
            pick(subgraphs, index, "subgraph", where)
    try:
        order = list(TopologicalSorter(dict(enumerate(calls))).static_order())
    except CycleError as error:
        raise ModelError(f"subgraphs {error.args[1][:16]} run one another in a circle") from None
    complete = list(subgraphs)
    for index in order:  # those that others run come first
        if calls[index]:
            nodes = (replace(n, subgraphs=tuple(complete[i] for i in _called(n))) for n in complete[index].nodes)
            complete[index] = replace(complete[index], nodes=tuple(nodes))
    return tuple(complete)
