"""REDUCE_WINDOW: a sum, product, extreme, all or any of what a window meets; its measures are inputs of int64.

Runs by its reference; see _reduce_window.
"""

from __future__ import annotations

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops import _reduce_window
from int8rt.ops._move import operand
from int8rt.steps import PythonCall

operands = "x init window strides dilations -> y"

FUNCTIONS = dict(enumerate(("ADD", "MUL", "MINIMUM", "MAXIMUM", "ALL", "ANY"), 1))


def axes(node: Node) -> list[_reduce_window.Axis]:
    """The window. Raises ModelError, and NotConstant where its measures are computed at run time."""
    measures = [operand(node, i) for i in (2, 3, 4)]
    if any(t.dtype != np.int64 for t in measures):
        raise ModelError(f"{node.label}: the window's measures are {measures}; int64 was expected")
    known = [t.data.reshape(-1).tolist() for t in measures if t.data is not None]
    if len(known) < len(measures):
        raise ops.NotConstant(f"{node.label}: the window's measures are not constant")
    return _reduce_window.axes(node, operand(node).shape, *known)


def shapes(node: Node) -> list[tuple[int, ...]]:
    return [tuple(a.places for a in axes(node))]


def reference(
    node: Node, x: np.ndarray, init: np.ndarray, shape: np.ndarray, strides: np.ndarray, dilations: np.ndarray
) -> np.ndarray:
    return _reduce_window.reduced(x, init, axes(node), _formula(node))


def prepare(node: Node, numerics: Numerics) -> PythonCall:
    _reduce_window.checked(node)
    _formula(node)
    return ops.by_reference(node, reference)


def _formula(node: Node) -> _reduce_window.Formula:
    number = node.options.reduce_function
    if number not in FUNCTIONS:
        raise ops.refuse(node, f"reduce function {number}; supported are {FUNCTIONS}")
    return _reduce_window.FORMULAS[FUNCTIONS[number]]
