"""ASSIGN_VARIABLE: a resource takes value, shape and type of the second input. The first stands for its memory."""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops import Form, Held, Runtime
from int8rt.ops._control import handle_of
from int8rt.ops._move import copy_whole, operand, same_type
from int8rt.steps import Step

operands = "handle value ->"
keeps_state = True


def shapes(node: Node) -> list[tuple[int, ...]]:
    same_type(node, operand(node, 1))
    return []


def resource(node: Node) -> Held:
    value = operand(node, 1)
    return Held(handle_of(node), Form(value.shape, value.dtype))


def control(node: Node, runtime: Runtime, handle: np.ndarray, value: np.ndarray) -> list[NoReturn]:
    runtime.assign(handle.item(), value)
    return []


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    return copy_whole(operand(node, 1), operand(node))
