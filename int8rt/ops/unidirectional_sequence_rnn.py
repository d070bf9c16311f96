"""UNIDIRECTIONAL_SEQUENCE_RNN: an RNN over a sequence, [time, batch, depth] or [batch, time, depth]. See ``_rnn``."""

from __future__ import annotations

import math

import numpy as np

from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops import _lstm, _rnn
from int8rt.ops._rnn import Rnn
from int8rt.steps import Step

operands = "x[3] w[2] r b h -> y"

STATE = 4


def shapes(node: Node) -> list[tuple[int, ...]]:
    rnn = _parts(node)
    return [(*rnn.x.shape[:-1], rnn.units)]


def reference(node: Node, *arrays: np.ndarray) -> np.ndarray:
    rnn = _parts(node)
    y = np.zeros((math.prod(rnn.x.shape[:-1]), rnn.units), np.float32)
    _rnn.reference(node, rnn, arrays[0], None, arrays[STATE], y)
    return y


def prepare(node: Node, numerics: Numerics) -> Step:
    return _rnn.call(node, _parts(node), numerics)


def _parts(node: Node) -> Rnn:
    x, w, r, bias, h = node.given
    rnn = Rnn(x, None, w, r, None, bias, h, node.outputs[0], _lstm.steps(x.shape, node.options.time_major))
    _rnn.check(node, rnn)
    return rnn
