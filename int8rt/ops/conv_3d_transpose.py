"""CONV_3D_TRANSPOSE: every value of an NDHWC volume spreads over a DHWOI filter's window of the output, in float32.

    y[o] = clamp(b[o] + sum over the values of x whose windows reach y, and i, of x w[d, h, w, o, i])

Products are added in the order of x, as LiteRT's reference does, so results are the same in every bit. The output's
shape is the first input; CONV_3D with the same options makes the shape of x of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.native.kernel import kernel
from int8rt.numerics.rules import Numerics
from int8rt.ops._elementwise import clamp, limits
from int8rt.ops._index import known_shape
from int8rt.ops._move import operand
from int8rt.ops._operands import optional
from int8rt.ops._volume import arguments, axes, check_float32, finish, paddings
from int8rt.simd.memory import fill_within, get, put
from int8rt.steps import Call

operands = "shape[1] w[5] x[5] b? -> y"


def shapes(node: Node) -> list[tuple[int, ...]] | None:
    w, x = _inputs(node)
    shape = known_shape(node, 0)
    if shape is None:
        return None
    counts = [a.positions(n, node.options.padding)[0] for a, n in zip(axes(node, w), shape[1:4], strict=True)]
    if len(shape) != 5 or (shape[0], *counts) != x.shape[:4] or shape[4] != w.shape[3]:
        raise ModelError(f"{node.label}: {list(x.shape)} and a filter {list(w.shape)} do not make {list(shape)}")
    return [shape]


def reference(node: Node, shape: np.ndarray, w: np.ndarray, x: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
    """Value by value into an output that has room for all windows."""
    check_float32(node, *node.inputs[1:])
    (y,) = node.outputs
    geometry = axes(node, operand(node, 1))
    before = paddings(geometry, y.shape[1:4], node.options.padding)
    room = [
        max((n - 1) * a.stride + a.reach, p + m) for a, n, p, m in zip(geometry, x.shape[1:4], before, y.shape[1:4])
    ]
    acc = np.zeros((y.shape[0], *room, y.shape[4]), np.float32)
    for n, *at, i in np.ndindex(x.shape):
        starts = [p * a.stride for a, p in zip(geometry, at, strict=True)]
        window = n, *(slice(s, s + a.reach, a.dilation) for a, s in zip(geometry, starts, strict=True))
        value = x[n, at[0], at[1], at[2], i]
        acc[window] += value * w[..., i]
    middle = slice(None), *(slice(p, p + m) for p, m in zip(before, y.shape[1:4], strict=True))
    inside = acc[middle]
    return clamp(inside if b is None else inside + b, limits(node, y))


def prepare(node: Node, numerics: Numerics) -> Call:
    w, x = _inputs(node)
    b, (y,) = optional(node, 3), node.outputs
    check_float32(node, *node.inputs[1:])
    parameters = arguments(node, w, b, w.shape[3], y.shape[1:4])
    return Call(conv_3d_transpose, x, w, *parameters, y, writes=[y], work=x.size * w.size // w.shape[4])


def _inputs(node: Node) -> tuple[Tensor, Tensor]:
    w, x = operand(node, 1), operand(node, 2)
    if x.shape[4] != w.shape[4]:
        raise ModelError(f"{node.label}: a filter {list(w.shape)} for {list(x.shape)}; the same channels were expected")
    return w, x


@kernel
def conv_3d_transpose(thread: int, threads: int, x: Any, w: Any, bias: Any, places: Any, limits: Any, y: Any) -> None:
    """places [3, 4]: size, stride, dilation and padding of each axis. Threads share the depth of y."""
    batches, depth, height, width, inputs = x.shape
    _, out_d, out_h, out_w, outputs = y.shape
    first, end = out_d * thread // threads, out_d * (thread + 1) // threads
    for n in range(batches):
        start, stop = (n * out_d + first) * out_h * out_w, (n * out_d + end) * out_h * out_w
        fill_within(y, start * outputs, (stop - start) * outputs, 0)
        for position in range(depth * height * width):
            plane = position // (height * width)
            line = position // width
            d0 = plane * get(places, 1) - get(places, 3)
            h0 = (line - plane * height) * get(places, 5) - get(places, 7)
            w0 = (position - line * width) * get(places, 9) - get(places, 11)
            at = (n * depth * height * width + position) * inputs
            for fd in range(w.shape[0]):
                d = d0 + fd * get(places, 2)
                if d < first or d >= end:
                    continue
                for fh in range(w.shape[1]):
                    h = h0 + fh * get(places, 6)
                    if h < 0 or h >= out_h:
                        continue
                    for fw in range(w.shape[2]):
                        v = w0 + fw * get(places, 10)
                        if v < 0 or v >= out_w:
                            continue
                        to = (((n * out_d + d) * out_h + h) * out_w + v) * outputs
                        tap = ((fd * w.shape[1] + fh) * w.shape[2] + fw) * outputs * inputs
                        for o in range(outputs):
                            total = get(y, to + o)
                            for i in range(inputs):
                                total += get(x, at + i) * get(w, tap + o * inputs + i)
                            put(y, to + o, total)
        for pixel in range(start, stop):
            finish(y, pixel * outputs, outputs, bias, limits)
