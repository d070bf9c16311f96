"""UNIDIRECTIONAL_SEQUENCE_LSTM: an LSTM over a sequence, [time, batch, depth] or [batch, time, depth].

See ``_lstm`` for the formulas, ``_lstm_int8`` for 8-bit activations, ``_lstm_float`` for float32 ones.
"""

from __future__ import annotations

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.numerics import Numerics
from int8rt.ops import Step, _lstm, _lstm_int8


def shapes(node: Node) -> list[tuple[int, ...]]:
    x, cell, _ = _parts(node)
    return [(*x.shape[:-1], cell.outputs)]


def reference(node: Node, *arrays: np.ndarray | None) -> np.ndarray:
    x, cell, sequence = _parts(node)
    given = [arrays[0], *(arrays[_lstm.FULL[state]] for state in ("h", "c"))]  # type: ignore[index]
    if x.dtype == np.int8:
        return _lstm_int8.reference(node, cell, sequence, *given)  # type: ignore[arg-type]
    raise ops.refuse(node, "not supported")


def prepare(node: Node, numerics: Numerics) -> Step:
    x, cell, sequence = _parts(node)
    if x.dtype == np.int8:
        return _lstm_int8.call(cell, sequence, _lstm_int8.parameters(node, cell, x), x, node.outputs[0])
    raise ops.refuse(node, "not supported")


def _parts(node: Node) -> tuple[Tensor, _lstm.Cell, _lstm.Steps]:
    x = node.inputs[0]
    if len(node.inputs) not in (20, 24) or x is None or len(x.shape) != 3:
        raise ModelError(f"{node.label}: {len(node.inputs)} inputs, the first {x!r}; 20 or 24, the first of rank 3")
    cell = _lstm.cell(node, _lstm.FULL)
    sequence = _lstm.steps(x.shape, node.options.time_major)
    _lstm.check(node, cell, x.shape[-1], sequence.groups * sequence.batch)
    return x, cell, sequence
