"""DILATE: a tensor with copies of one value, the third input, between its elements; the second says how far apart.

Runs by its reference.
"""

from __future__ import annotations

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops import _interior
from int8rt.ops._move import operand
from int8rt.steps import PythonCall

operands = "x[1+] dilations[1]:int32 value -> y"


def axes(node: Node) -> list[_interior.Axis]:
    """How x is spread. Raises ModelError, and NotConstant where the dilations are computed at run time."""
    x, dilations = operand(node), operand(node, 1)
    if dilations.shape != (len(x.shape),) or 0 in x.shape:
        raise ModelError(f"{node.label}: dilations {dilations!r} do not fit {list(x.shape)}; one per axis was expected")
    if dilations.data is None:
        raise ops.NotConstant(f"{node.label}: the dilations {dilations.name!r} are not constant")
    if dilations.data.min() < 1:
        raise ModelError(f"{node.label}: dilations {dilations.data.tolist()}; 1 or more was expected")
    return [_interior.Axis(n, 0, 0, int(d) - 1) for n, d in zip(x.shape, dilations.data, strict=True)]


def shapes(node: Node) -> list[tuple[int, ...]]:
    return [tuple(a.total for a in axes(node))]


def reference(node: Node, x: np.ndarray, dilations: np.ndarray, value: np.ndarray) -> np.ndarray:
    _interior.check(node, 2)
    return _interior.padded(x, value, axes(node))


def prepare(node: Node, numerics: Numerics) -> PythonCall:
    _interior.check(node, 2)
    return ops.by_reference(node, reference)
