"""IF: one of two subgraphs on the same inputs, as the first input, a bool, says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from int8rt.graph import Node
from int8rt.ops import Body, Runtime
from int8rt.ops._control import check_call, check_condition, truth

operands = "condition:bool more* -> y*"


def shapes(node: Node) -> None:
    check_condition(node, node.inputs[0])
    for subgraph in node.subgraphs:
        check_call(node, subgraph, node.inputs[1:], node.outputs)


def body(node: Node) -> Body | None:
    condition = node.inputs[0] if node.inputs else None
    if condition is None or condition.data is None:
        return None
    shapes(node)
    then, otherwise = node.subgraphs
    return Body(then if truth(node, condition.data) else otherwise, first=1)


def control(node: Node, runtime: Runtime, condition: np.ndarray, *arrays: np.ndarray) -> Sequence[np.ndarray]:
    then, otherwise = node.subgraphs
    return runtime.call(then if truth(node, condition) else otherwise, arrays)
