"""CONV_3D: slide a DHWIO filter over an NDHWC volume, in float32.

    y[o] = clamp(b[o] + sum over d, h, w, i of x w[d, h, w, i, o])

Products are added one after another in that order, as LiteRT's reference does, so results are the same in every bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.native.kernel import kernel
from int8rt.numerics.rules import Numerics
from int8rt.ops._elementwise import clamp, limits
from int8rt.ops._move import operand
from int8rt.ops._operands import optional
from int8rt.ops._volume import arguments, axes, check_float32, finish, paddings, taps
from int8rt.simd.memory import fill_within, get, put
from int8rt.steps import Call

operands = "x[5] w[5] b? -> y"


def shapes(node: Node) -> list[tuple[int, ...]]:
    x, w = _inputs(node)
    out = [a.positions(n, node.options.padding)[0] for a, n in zip(axes(node, w), x.shape[1:4], strict=True)]
    if min(out) < 1:
        raise ModelError(f"{node.label}: a filter {list(w.shape)} does not fit into {list(x.shape)}")
    return [(x.shape[0], *out, w.shape[4])]


def reference(node: Node, x: np.ndarray, w: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
    """Tap by tap; what lies outside is not added, since 0 times an infinite weight is no 0."""
    check_float32(node, *node.inputs)
    (y,) = node.outputs
    acc = np.zeros(y.shape, np.float32)
    geometry = axes(node, operand(node, 1))
    before = paddings(geometry, x.shape[1:4], node.options.padding)
    for tap in np.ndindex(w.shape[:3]):
        at = [taps(a, np.arange(n), p, t) for a, n, p, t in zip(geometry, y.shape[1:4], before, tap, strict=True)]
        inside = [np.flatnonzero((i >= 0) & (i < n)) for i, n in zip(at, x.shape[1:4], strict=True)]
        source = np.ix_(np.arange(x.shape[0]), *(i[k] for i, k in zip(at, inside, strict=True)))
        target = np.ix_(np.arange(x.shape[0]), *inside)
        for channel in range(x.shape[4]):
            acc[target] += x[source][..., channel, None] * w[tap][channel]
    return clamp(acc if b is None else acc + b, limits(node, y))


def prepare(node: Node, numerics: Numerics) -> Call:
    x, w = _inputs(node)
    b, (y,) = optional(node, 2), node.outputs
    check_float32(node, *node.inputs)
    parameters = arguments(node, w, b, w.shape[4], x.shape[1:4])
    return Call(conv_3d, x, w, *parameters, y, writes=[y], work=y.size * w.size // w.shape[4])


def _inputs(node: Node) -> tuple[Tensor, Tensor]:
    x, w = operand(node), operand(node, 1)
    if x.shape[4] != w.shape[3]:
        raise ModelError(f"{node.label}: a filter {list(w.shape)} for {list(x.shape)}; the same channels were expected")
    return x, w


@kernel
def conv_3d(thread: int, threads: int, x: Any, w: Any, bias: Any, places: Any, limits: Any, y: Any) -> None:
    """places [3, 4]: size, stride, dilation and padding of each axis. Threads share the lines of y."""
    _, depth, height, width, inputs = x.shape
    batches, out_d, out_h, out_w, outputs = y.shape
    lines = batches * out_d * out_h
    for line in range(lines * thread // threads, lines * (thread + 1) // threads):
        n = line // (out_d * out_h)
        z = line // out_h - n * out_d
        row = line - (n * out_d + z) * out_h
        for col in range(out_w):
            to = (line * out_w + col) * outputs
            fill_within(y, to, outputs, 0)
            for fd in range(w.shape[0]):
                d = z * get(places, 1) - get(places, 3) + fd * get(places, 2)
                if d < 0 or d >= depth:
                    continue
                for fh in range(w.shape[1]):
                    h = row * get(places, 5) - get(places, 7) + fh * get(places, 6)
                    if h < 0 or h >= height:
                        continue
                    for fw in range(w.shape[2]):
                        v = col * get(places, 9) - get(places, 11) + fw * get(places, 10)
                        if v < 0 or v >= width:
                            continue
                        at = (((n * depth + d) * height + h) * width + v) * inputs
                        tap = ((fd * w.shape[1] + fh) * w.shape[2] + fw) * inputs * outputs
                        for i in range(inputs):
                            value = get(x, at + i)
                            for o in range(outputs):
                                put(y, to + o, get(y, to + o) + value * get(w, tap + i * outputs + o))
            finish(y, to, outputs, bias, limits)
