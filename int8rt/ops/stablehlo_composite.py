"""STABLEHLO_COMPOSITE: a subgraph that computes what the composite's name says; the name itself is not looked at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from int8rt.graph import Node
from int8rt.ops import Body, Runtime
from int8rt.ops._control import check_call

operands = "x* -> y*"


def shapes(node: Node) -> None:
    (subgraph,) = node.subgraphs
    check_call(node, subgraph, node.inputs, node.outputs)


def body(node: Node) -> Body:
    return Body(node.subgraphs[0])


def control(node: Node, runtime: Runtime, *arrays: np.ndarray) -> Sequence[np.ndarray]:
    return runtime.call(node.subgraphs[0], arrays)
