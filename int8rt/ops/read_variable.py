"""READ_VARIABLE: the value of a resource. Where its shape is known, the first input stands for its memory."""

from __future__ import annotations

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops import Held, Runtime
from int8rt.ops._control import handle_of
from int8rt.ops._move import operand
from int8rt.steps import View

operands = "handle -> y"
keeps_state = True


def shapes(node: Node) -> list[tuple[int, ...]] | None:
    held, (y,) = operand(node), node.outputs
    if held.type == "resource":
        return None
    if held.dtype != y.dtype:
        raise ModelError(f"{node.label}: {held.name!r} holds {held.type}, but {y.name!r} is {y.type}")
    return [held.shape]


def resource(node: Node) -> Held:
    return Held(handle_of(node))


def control(node: Node, runtime: Runtime, handle: np.ndarray) -> list[np.ndarray]:
    value = runtime.read(handle.item())
    if value.dtype != node.outputs[0].dtype:
        raise ops.refuse(node, f"the variable holds {value.dtype}")
    return [value]


def prepare(node: Node, numerics: Numerics) -> View:
    return View(node.outputs[0], operand(node))
