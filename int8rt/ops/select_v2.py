"""SELECT_V2: y = x1 where the condition is true, else x2, all three of them broadcast.

Source: TFLite's select.cc.
"""

from __future__ import annotations

import numpy as np

from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops._select import call, check, is_single
from int8rt.steps import Call

operands = "condition:bool x1 x2 -> y"
by_value = True


def shapes(node: Node) -> list[tuple[int, ...]]:
    if is_single(node):
        return [node.outputs[0].shape]
    given = [t.shape for t in node.given]
    try:
        return [tuple(map(int, np.broadcast_shapes(*given)))]
    except ValueError:
        raise ModelError(f"{node.label}: {list(map(list, given))} cannot be broadcast to one another") from None


def reference(node: Node, condition: np.ndarray, x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
    check(node)
    return np.where(condition, x1, x2)


def prepare(node: Node, numerics: Numerics) -> Call:
    return call(node, node.given[0].shape)
