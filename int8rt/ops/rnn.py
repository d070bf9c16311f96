"""RNN: one step, h <- activation(W x + R h + b), on [batch, depth]; float32 or hybrid. See ``_rnn``."""

from __future__ import annotations

import numpy as np

from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops import _rnn
from int8rt.ops._lstm import Steps
from int8rt.ops._rnn import Rnn
from int8rt.steps import Step

operands = "x[2] w[2] r b h -> y"

STATE = 4


def shapes(node: Node) -> list[tuple[int, ...]]:
    rnn = _parts(node)
    return [(rnn.x.shape[0], rnn.units)]


def reference(node: Node, *arrays: np.ndarray) -> np.ndarray:
    rnn = _parts(node)
    y = np.zeros((rnn.x.shape[0], rnn.units), np.float32)
    _rnn.reference(node, rnn, arrays[0], None, arrays[STATE], y)
    return y


def prepare(node: Node, numerics: Numerics) -> Step:
    return _rnn.call(node, _parts(node), numerics)


def _parts(node: Node) -> Rnn:
    x, w, r, bias, h = node.given
    rnn = Rnn(x, None, w, r, None, bias, h, node.outputs[0], Steps(1, 1, x.shape[0]))
    _rnn.check(node, rnn)
    return rnn
