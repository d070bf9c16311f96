"""What LSTM and UNIDIRECTIONAL_SEQUENCE_LSTM share: one cell given by 20 or 24 inputs, in every type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.numerics.rules import Numerics
from int8rt.ops import _lstm, _lstm_float, _lstm_int8
from int8rt.steps import Step


class Full(NamedTuple):
    """The input, the cell and how it runs."""

    x: Tensor
    cell: _lstm.Cell
    sequence: _lstm.Steps


def full(node: Node, x: Tensor, sequence: _lstm.Steps) -> Full:
    """What the node says. Raises ModelError, UnsupportedError."""
    if len(node.inputs) not in (20, 24):
        raise ModelError(f"{node.label} has {len(node.inputs)} inputs; 20 or 24 were expected")
    cell = _lstm.cell(node, _lstm.FULL)
    _lstm.check(node, cell, x.shape[-1], sequence.groups * sequence.batch)
    return Full(x, cell, sequence)


def run_reference(node: Node, parts: Full, arrays: Sequence[np.ndarray | None]) -> np.ndarray:
    """The outputs; the arrays of the states change in place."""
    x, h, c = (arrays[i] for i in (0, _lstm.FULL["h"], _lstm.FULL["c"]))  # type: ignore[index]
    assert x is not None
    assert h is not None
    assert c is not None
    if x.dtype == np.int8:
        return _lstm_int8.reference(_lstm_int8.parameters(node, parts.cell, parts.x), parts.sequence, x, h, c)
    y = np.zeros((_lstm.rows(x.shape), parts.cell.outputs), np.float32)
    p = _lstm_float.parameters(node, parts.cell, parts.sequence, parts.x)
    _lstm_float.reference(p, parts.sequence, x, None, h, c, y, _lstm.FORWARD)
    return y


def step(node: Node, parts: Full, numerics: Numerics) -> Step:
    """The step that runs the node. Raises ModelError, UnsupportedError."""
    x, cell, sequence = parts
    if x.dtype == np.int8:
        return _lstm_int8.call(cell, sequence, _lstm_int8.parameters(node, cell, x), x, node.outputs[0])
    if x.dtype != np.float32:
        raise ops.refuse(node, "inputs must be int8 or float32")
    p = _lstm_float.parameters(node, cell, sequence, x)
    return _lstm_float.call(cell, sequence, p, x, node.outputs[0], hybrid=numerics.hybrid)
