"""STABLEHLO_PAD: a tensor with copies of one value, the second input, around and between its elements.

Padding of less than 0 cuts elements off. Runs by its reference.
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

operands = "x[1+] value -> y"


def axes(node: Node) -> list[_interior.Axis]:
    """How x is padded. Raises ModelError."""
    x, o = operand(node), node.options
    padding = o.edge_padding_low, o.edge_padding_high, o.interior_padding
    if not x.shape or any(len(p) != len(x.shape) for p in padding) or min(o.interior_padding) < 0:
        low, high, interior = map(list, padding)
        raise ModelError(
            f"{node.label}: padding {low}, {high} and {interior} does not fit {list(x.shape)}; one of each per axis, "
            "the last 0 or more, was expected"
        )
    return [_interior.Axis(*map(int, a)) for a in zip(x.shape, *padding, strict=True)]


def shapes(node: Node) -> list[tuple[int, ...]]:
    return [tuple(a.total for a in axes(node))]


def reference(node: Node, x: np.ndarray, value: np.ndarray) -> np.ndarray:
    _interior.check(node, 1)
    return _interior.padded(x, value, axes(node))


def prepare(node: Node, numerics: Numerics) -> PythonCall:
    _interior.check(node, 1)
    return ops.by_reference(node, reference)
