"""UNIDIRECTIONAL_SEQUENCE_LSTM: an LSTM over a sequence, [time, batch, depth] or [batch, time, depth].

See ``_lstm`` for the formulas, ``_lstm_int8`` for 8-bit activations, ``_lstm_float`` for float32 ones.
"""

from __future__ import annotations

import numpy as np

from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops import _lstm
from int8rt.ops._lstm_full import Full, full, run_reference, step
from int8rt.steps import Step

operands = "x[3] others?* -> y"


def shapes(node: Node) -> list[tuple[int, ...]]:
    parts = _parts(node)
    return [(*parts.x.shape[:-1], parts.cell.outputs)]


def reference(node: Node, *arrays: np.ndarray | None) -> np.ndarray:
    return run_reference(node, _parts(node), arrays)


def prepare(node: Node, numerics: Numerics) -> Step:
    return step(node, _parts(node), numerics)


def _parts(node: Node) -> Full:
    x = node.given[0]
    return full(node, x, _lstm.steps(x.shape, node.options.time_major))
