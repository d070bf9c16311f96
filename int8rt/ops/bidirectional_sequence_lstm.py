"""BIDIRECTIONAL_SEQUENCE_LSTM: one LSTM over a sequence, another over its reverse; float32, or hybrid.

Outputs are two, or one with the backward outputs behind the forward ones. Without weights of its own an auxiliary input
is the input of the backward cell. See ``_lstm`` and ``_lstm_float``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.numerics.rules import Numerics
from int8rt.ops import _lstm, _lstm_float
from int8rt.ops._lstm import Direction
from int8rt.ops._move import operand
from int8rt.steps import Step

operands = "x[3] others?{47} -> y backward?"

AUX = 39

FORWARD: _lstm.Positions = {
    "w": (1, 2, 3, 4), "r": (5, 6, 7, 8), "peephole": (9, 10, None, 11), "bias": (12, 13, 14, 15), "projection": 16,
    "projection_bias": 17, "h": 35, "c": 36, "aux": (40, 41, 42, 43),
}  # fmt: skip
BACKWARD: _lstm.Positions = {
    "w": (18, 19, 20, 21), "r": (22, 23, 24, 25), "peephole": (26, 27, None, 28), "bias": (29, 30, 31, 32),
    "projection": 33, "projection_bias": 34, "h": 37, "c": 38, "aux": (44, 45, 46, 47),
}  # fmt: skip


class OneWay(NamedTuple):
    """One of the two cells."""

    cell: _lstm.Cell
    x: int  # which input of the node it reads
    aux: int | None  # and which beside it
    output: int
    direction: Direction


def shapes(node: Node) -> list[tuple[int, ...]]:
    x, _, directions = _parts(node)
    columns = [d.cell.outputs for d in directions]
    return [(*x.shape[:-1], n) for n in ([sum(columns)] if node.options.merge_outputs else columns)]


def reference(node: Node, *arrays: np.ndarray | None) -> tuple[np.ndarray, ...]:
    _, sequence, directions = _parts(node)
    results = [np.zeros((_lstm.rows(s), s[-1]), np.float32) for s in shapes(node)]
    for d, positions in zip(directions, (FORWARD, BACKWARD), strict=True):
        p = _parameters(node, sequence, d)
        h, c = (arrays[positions[state]] for state in ("h", "c"))  # type: ignore[index]
        beside = None if d.aux is None else arrays[d.aux]
        _lstm_float.reference(p, sequence, arrays[d.x], beside, h, c, results[d.output], d.direction)  # type: ignore[arg-type]
    return tuple(results)


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    _, sequence, directions = _parts(node)
    return [
        _lstm_float.call(
            d.cell, sequence, _parameters(node, sequence, d), operand(node, d.x), node.outputs[d.output],
            None if d.aux is None else operand(node, d.aux), d.direction, numerics.hybrid,
        )
        for d in directions
    ]  # fmt: skip


def _parameters(node: Node, sequence: _lstm.Steps, d: OneWay) -> _lstm_float.Parameters:
    aux = None if d.aux is None else operand(node, d.aux)
    return _lstm_float.parameters(node, d.cell, sequence, operand(node, d.x), aux)


def _parts(node: Node) -> tuple[Tensor, _lstm.Steps, tuple[OneWay, OneWay]]:
    x, aux = operand(node, 0), node.inputs[AUX]
    forward, backward = _lstm.cell(node, FORWARD), _lstm.cell(node, BACKWARD)
    has_weights = any(t is not None for t in (*forward.aux, *backward.aux))
    if (has_weights and aux is None) or (aux is not None and aux.shape[:-1] != x.shape[:-1]):
        raise ModelError(f"{node.label}: the auxiliary input is {aux!r}; one of {list(x.shape[:-1])} rows was expected")
    beside = AUX if has_weights else None
    sequence = _lstm.steps(x.shape, node.options.time_major)
    batch = sequence.groups * sequence.batch
    for cell, source in ((forward, x), (backward, x if has_weights or aux is None else aux)):
        _lstm.check(node, cell, source.shape[-1], batch, aux.shape[-1] if has_weights and aux is not None else 0)
    merged = node.options.merge_outputs
    if merged and sequence.groups > 1:
        raise ops.refuse(node, "LiteRT mistakes the rows of the states where outputs are merged and batches come first")
    width = forward.outputs + backward.outputs
    ways = Direction(False, width), Direction(True, width, forward.outputs)
    return x, sequence, (
        OneWay(forward, 0, beside, 0, ways[0] if merged else Direction()),
        OneWay(backward, 0 if has_weights or aux is None else AUX, beside, 0 if merged else 1,
                  ways[1] if merged else Direction(True)),
    )  # fmt: skip
