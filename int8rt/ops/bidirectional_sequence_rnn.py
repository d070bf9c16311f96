"""BIDIRECTIONAL_SEQUENCE_RNN: one RNN over a sequence, another over its reverse; float32, or hybrid.

Outputs are two, or one with the backward outputs behind the forward ones. Without weights of its own an auxiliary input
is the input of the backward cell; of sequences with the batch first, LiteRT gives the backward cell the input all the
same. Hybrid sequences with time first it runs as often as they have steps, the states going on, and so does this. See
``_rnn``.
"""

from __future__ import annotations

import math

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.numerics.rules import Numerics
from int8rt.ops import _lstm, _rnn
from int8rt.ops._lstm import Direction
from int8rt.ops._move import operand
from int8rt.ops._rnn import Rnn
from int8rt.steps import Step

operands = "x[3] others?{11} -> y backward?"

INPUTS = 12
AUX = 9
WEIGHTS, STATES, AUX_WEIGHTS = (1, 5), (4, 8), (10, 11)


def shapes(node: Node) -> list[tuple[int, ...]]:
    directions = _parts(node)
    units = [d.units for d in directions]
    return [(*directions[0].x.shape[:-1], n) for n in ([sum(units)] if node.options.merge_outputs else units)]


def reference(node: Node, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    results = [np.zeros((math.prod(s[:-1]), s[-1]), np.float32) for s in shapes(node)]
    for number, d in enumerate(_parts(node)):
        x = arrays[0] if d.x is node.inputs[0] else arrays[AUX]
        _rnn.reference(node, d, x, arrays[AUX], arrays[STATES[number]], results[0 if d.y is node.outputs[0] else 1])
    return tuple(results)


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    return [_rnn.call(node, d, numerics) for d in _parts(node)]


def _parts(node: Node) -> tuple[Rnn, Rnn]:
    """The forward and the backward RNN. Raises ModelError, UnsupportedError."""
    x, aux = operand(node, 0), _aux(node)
    merged, time_major = node.options.merge_outputs, node.options.time_major
    beside = [node.inputs[i] for i in AUX_WEIGHTS]
    has_weights = beside[0] is not None
    sequence = _lstm.steps(x.shape, time_major)
    is_hybrid = operand(node, 1).dtype == np.int8
    if aux is not None and (time_major or is_hybrid) and aux.shape[-1] != x.shape[-1]:
        raise ops.refuse(node, "LiteRT reads rows of the input's depth from an auxiliary input of another depth")
    units, more = (operand(node, i).shape[0] for i in WEIGHTS)
    both = units + more
    directions = Direction(False, both if merged else 0), Direction(True, *((both, units) if merged else ()))
    sources = x, aux if aux is not None and not has_weights and time_major else x
    found = []
    for number, (direction, source) in enumerate(zip(directions, sources, strict=True)):
        w, r, bias = (operand(node, WEIGHTS[number] + i) for i in range(3))
        rnn = Rnn(
            x=source,
            aux=aux if has_weights else None,
            w=w,
            r=r,
            a=beside[number],
            bias=bias,
            h=operand(node, STATES[number]),
            y=node.outputs[0 if merged else number],
            sequence=sequence,
            direction=direction,
            passes=sequence.steps if is_hybrid and time_major else 1,
        )
        _rnn.check(node, rnn)
        found.append(rnn)
    return found[0], found[1]


def _aux(node: Node) -> Tensor | None:
    """The auxiliary input, if any. Raises ModelError where inputs contradict one another."""
    x, aux = operand(node, 0), node.inputs[AUX]
    weights = [node.inputs[i] for i in AUX_WEIGHTS]
    given = [t is not None for t in weights]
    if given[0] != given[1] or (given[0] and aux is None):
        raise ModelError(
            f"{node.label}: auxiliary weights {weights} and input {aux!r}; all of them or none were expected"
        )
    if aux is not None and aux.shape[:-1] != x.shape[:-1]:
        raise ModelError(f"{node.label}: the auxiliary input {aux!r} has other rows than the input {x!r}")
    return aux
