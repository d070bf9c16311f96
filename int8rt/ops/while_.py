"""WHILE: as long as the first subgraph says true of the values, the second one makes them anew.

What the body gives may have other shapes than what it got. ``limits`` bounds how often it runs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from int8rt import limits
from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.ops import Runtime
from int8rt.ops._control import check_call, check_condition, truth

operands = "x* -> y*"


def shapes(node: Node) -> None:
    condition, body = node.subgraphs
    check_call(node, condition, node.inputs, condition.outputs)
    if len(condition.outputs) != 1:
        raise ModelError(f"{node.label}: the condition has {len(condition.outputs)} outputs; one was expected")
    check_condition(node, condition.outputs[0])
    check_call(node, body, node.inputs, node.outputs)
    check_call(node, body, body.outputs, node.outputs)


def control(node: Node, runtime: Runtime, *arrays: np.ndarray) -> Sequence[np.ndarray]:
    condition, body = node.subgraphs
    values: Sequence[np.ndarray] = arrays
    while truth(node, runtime.call(condition, values)[0]):
        limits.trip()
        values = runtime.call(body, values)
    return values
