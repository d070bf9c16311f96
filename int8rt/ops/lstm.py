"""LSTM: one step of an LSTM on [batch, depth].

Full kernel (20 or 24 inputs): see ``_lstm``.
"""

from __future__ import annotations

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.numerics import Numerics
from int8rt.ops import Step, _lstm
from int8rt.ops._lstm_full import Full, full, run_reference, step

BASIC = 1  # of the option kernel_type


def shapes(node: Node) -> list[tuple[int, ...]]:
    parts = _parts(node)
    return [(parts.x.shape[0], parts.cell.outputs)]


def reference(node: Node, *arrays: np.ndarray | None) -> np.ndarray:
    return run_reference(node, _parts(node), arrays)


def prepare(node: Node, numerics: Numerics) -> Step:
    return step(node, _parts(node))


def _parts(node: Node) -> Full:
    if node.options.kernel_type == BASIC:
        raise ops.refuse(node, "the basic kernel is not supported")
    x = node.inputs[0] if node.inputs else None
    if x is None or len(x.shape) != 2:
        raise ModelError(f"{node.label}: the input is {x!r}; [batch, depth] was expected")
    return full(node, x, _lstm.steps(x.shape, time_major=True))
