"""LSTM: one step of an LSTM on [batch, depth].

Full kernel (20 or 24 inputs): see ``_lstm``; basic kernel (5 inputs, 4 outputs): see ``_lstm_basic``.
"""

from __future__ import annotations

import numpy as np

from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops import _lstm, _lstm_basic
from int8rt.ops._lstm_full import Full, full, run_reference, step
from int8rt.steps import Step

operands = "x[2] others?* -> y others*"

BASIC = 1  # of the option kernel_type


def shapes(node: Node) -> list[tuple[int, ...]]:
    if node.options.kernel_type == BASIC:
        return _lstm_basic.shapes(node)
    parts = _parts(node)
    return [(parts.x.shape[0], parts.cell.outputs)]


def reference(node: Node, *arrays: np.ndarray | None) -> np.ndarray | tuple[np.ndarray, ...]:
    if node.options.kernel_type == BASIC:
        return _lstm_basic.reference(node, *arrays)  # type: ignore[arg-type]
    return run_reference(node, _parts(node), arrays)


def prepare(node: Node, numerics: Numerics) -> Step:
    if node.options.kernel_type == BASIC:
        return _lstm_basic.prepare(node)
    return step(node, _parts(node), numerics)


def _parts(node: Node) -> Full:
    x = node.given[0]
    return full(node, x, _lstm.steps(x.shape, time_major=True))
