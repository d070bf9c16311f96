"""IF: one of two subgraphs on the same inputs, as the first input, a bool, says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from int8rt.graph import Node
from int8rt.ops import Runtime
from int8rt.ops._control import check_call, check_condition, truth


def shapes(node: Node) -> None:
    check_condition(node, node.inputs[0])
    for subgraph in node.subgraphs:
        check_call(node, subgraph, node.inputs[1:], node.outputs)


def control(node: Node, runtime: Runtime, condition: np.ndarray, *arrays: np.ndarray) -> Sequence[np.ndarray]:
    then, otherwise = node.subgraphs
    return runtime.call(then if truth(node, condition) else otherwise, arrays)
