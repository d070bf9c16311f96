"""SELECT: y = x1 where the condition is true, else x2.

x1 and x2 have one shape; so has the condition, or it is a scalar, or it has one value per index of their first axis.

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


def shapes(node: Node) -> list[tuple[int, ...]]:
    condition, x1, x2 = node.given
    if is_single(node):
        return [node.outputs[0].shape]
    if x1.shape != x2.shape or condition.shape not in (x1.shape, (), x1.shape[:1]):
        found = ", ".join(str(list(t.shape)) for t in (condition, x1, x2))
        raise ModelError(f"{node.label}: shapes {found}; equal ones were expected, or a condition of one axis or none")
    return [x1.shape]


def reference(node: Node, condition: np.ndarray, x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
    check(node)
    return np.where(condition.reshape(_seen(node)), x1, x2)


def prepare(node: Node, numerics: Numerics) -> Call:
    return call(node, _seen(node))


def _seen(node: Node) -> tuple[int, ...]:
    """The condition's shape so that it can be broadcast."""
    condition, x1, _ = node.given
    if len(condition.shape) == 1 and not is_single(node):
        return (*condition.shape, *[1] * (len(x1.shape) - 1))
    return condition.shape
