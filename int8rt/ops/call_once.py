"""CALL_ONCE: run a subgraph that sets variables, the first time that a run comes here in a state."""

from __future__ import annotations

from typing import NoReturn

from int8rt.graph import Node
from int8rt.ops import Runtime
from int8rt.ops._control import check_call

operands = "->"
keeps_state = runs_once = True


def shapes(node: Node) -> None:
    (subgraph,) = node.subgraphs
    check_call(node, subgraph, (), ())


def control(node: Node, runtime: Runtime) -> list[NoReturn]:
    runtime.call_once(node.subgraphs[0])
    return []
