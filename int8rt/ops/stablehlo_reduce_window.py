"""STABLEHLO_REDUCE_WINDOW: x with copies of the second input around and between its elements, reduced by windows.

The function is the one operator of a subgraph. Runs by its reference; see _reduce_window and _interior.
"""

from __future__ import annotations

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops import _interior, _reduce_window
from int8rt.ops._move import operand
from int8rt.steps import PythonCall

operands = "x init -> y"

FUNCTIONS = {
    "ADD": "ADD", "STABLEHLO_ADD": "ADD", "MUL": "MUL", "STABLEHLO_MULTIPLY": "MUL", "MINIMUM": "MINIMUM",
    "STABLEHLO_MINIMUM": "MINIMUM", "MAXIMUM": "MAXIMUM", "STABLEHLO_MAXIMUM": "MAXIMUM", "LOGICAL_AND": "ALL",
    "STABLEHLO_AND": "ALL", "LOGICAL_OR": "ANY",
}  # fmt: skip


def padding(node: Node) -> list[_interior.Axis]:
    """What comes around and between the elements of x. Raises ModelError."""
    x, o = operand(node), node.options
    rank = len(x.shape)
    if len(o.padding) != 2 * rank or len(o.base_dilations) != rank or min(o.base_dilations, default=0) < 1:
        raise ModelError(
            f"{node.label}: padding {list(o.padding)} and dilations {list(o.base_dilations)} do not fit {list(x.shape)}"
        )
    values = zip(x.shape, o.padding[::2], o.padding[1::2], o.base_dilations, strict=True)
    return [_interior.Axis(n, int(low), int(high), int(dilation) - 1) for n, low, high, dilation in values]


def axes(node: Node) -> list[_reduce_window.Axis]:
    """The window over x when it is padded. Raises ModelError."""
    o, shape = node.options, [a.total for a in padding(node)]
    return _reduce_window.axes(node, shape, o.window_dimensions, o.window_strides, o.window_dilations)


def shapes(node: Node) -> list[tuple[int, ...]]:
    return [tuple(a.places for a in axes(node))]


def reference(node: Node, x: np.ndarray, init: np.ndarray) -> np.ndarray:
    return _reduce_window.reduced(_interior.padded(x, init, padding(node)), init, axes(node), _formula(node))


def prepare(node: Node, numerics: Numerics) -> PythonCall:
    _reduce_window.checked(node)
    _formula(node)
    return ops.by_reference(node, reference)


def _formula(node: Node) -> _reduce_window.Formula:
    inner = [n.op for n in node.subgraphs[0].nodes]
    if len(inner) != 1 or inner[0] not in FUNCTIONS:
        raise ops.refuse(node, f"it computes {', '.join(inner)}; supported is one of {', '.join(FUNCTIONS)}")
    return _reduce_window.FORMULAS[FUNCTIONS[inner[0]]]
