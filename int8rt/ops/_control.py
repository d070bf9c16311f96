"""What the operators share that run other subgraphs or hold resources."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from int8rt.errors import ModelError, UnsupportedError
from int8rt.graph import Node, Subgraph, Tensor
from int8rt.ops import Name
from int8rt.ops._move import operand


def check_call(
    node: Node, subgraph: Subgraph, inputs: Sequence[Tensor | None], outputs: Sequence[Tensor | None]
) -> None:
    """Raise ModelError unless the subgraph takes and gives what the node has, in number and type."""
    for what, given, declared in (("inputs", inputs, subgraph.inputs), ("outputs", outputs, subgraph.outputs)):
        if len(given) != len(declared):
            raise ModelError(
                f"{node.label}: subgraph {subgraph.index} has {len(declared)} {what}; {len(given)} were expected"
            )
        for t, own in zip(given, declared, strict=True):
            if t is None or t.type != own.type:
                found = "nothing" if t is None else f"{t.name!r} of {t.type}"
                raise ModelError(
                    f"{node.label}: {own.name!r} of subgraph {subgraph.index} is {own.type}, what meets it {found}"
                )


def check_condition(node: Node, t: Tensor | None) -> None:
    """Raise ModelError unless a tensor is one bool, as far as its shape is known."""
    if t is None or t.type != "bool":
        raise ModelError(f"{node.label}: the condition is {t!r}; a bool was expected")


def truth(node: Node, value: np.ndarray) -> bool:
    """What a condition says. Raises ModelError unless it is one bool."""
    if value.size != 1:
        raise ModelError(f"{node.label}: the condition has shape {list(value.shape)}; one bool was expected")
    return bool(value.item())


def handle_of(node: Node) -> Name:
    """The resource that the first input names. Raises UnsupportedError where it is known only at run time."""
    data = operand(node).data
    name = data.item() if data is not None and data.dtype == object and data.size == 1 else None
    if not isinstance(name, Name):
        raise UnsupportedError(f"{node.label}: {operand(node).name!r} is no handle that VAR_HANDLE made")
    return name
