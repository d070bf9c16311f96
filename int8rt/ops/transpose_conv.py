"""TRANSPOSE_CONV: every input pixel adds its filter to the output, the filters of neighbours ``stride`` pixels apart.

    y[i s + h - pad, o] = z_y + rule(s_x s_w[o] / s_y, b[o] + sum over i, h, k of (x[i, k] - z_x) (w[o, h, k] - z_w))

in both directions. What falls outside y is dropped. ``pad`` is that of a convolution from y to x. Rounding: double
rounding under ``reference``. ``_linear`` says what other types than 8 bits do.

Seen from the output, the pixels i s + r - pad of one phase r < s are a convolution of x with every s-th row of the
filter. All phases look at the same pixels of x, so that they are columns of one ``dot``; missing taps weigh nothing.
``interleave`` then puts the phases side by side, unless they come out so.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.kernels.product import RowSegments
from int8rt.native.kernel import kernel
from int8rt.numerics.rules import NUMERICS, Numerics
from int8rt.numerics.storage import storage_dtype
from int8rt.ops._linear import meaning, product
from int8rt.ops._operands import HybridRules, Into, Operands, kind_of, optional
from int8rt.ops._window import Window, row_offsets, window
from int8rt.simd.memory import copy_within
from int8rt.steps import Call, Step, scratch

operands = "shape[1]:int32 w[4] x[4] b? -> y"

BIAS = 3


class Direction(NamedTuple):
    """Height or width of the geometry."""

    filter: int
    stride: int
    pad: int
    out: int

    @property
    def taps(self) -> int:
        """How many pixels of x reach an output pixel, at most."""
        return -(-self.filter // self.stride)

    @property
    def first(self) -> int:
        """The last pixel of x that reaches output pixel 0."""
        return self.pad // self.stride

    @property
    def groups(self) -> int:
        """How many groups of ``stride`` output pixels cover y; the first is cut where it begins before y."""
        return (self.out - 1 + self.pad) // self.stride + 1 - self.first

    @property
    def crop(self) -> int:
        """How many pixels of the first group lie before y."""
        return self.pad % self.stride


def shapes(node: Node) -> list[tuple[int, ...]]:
    _directions(node)
    return [_output_shape(node)]


def reference(
    node: Node, shape: np.ndarray, w: np.ndarray, x: np.ndarray, b: np.ndarray | None = None
) -> np.ndarray:  # fmt: skip
    v, h = _directions(node)
    m = meaning(_operands(node, NUMERICS["reference"]), x, w, b)
    reach = [(n - 1) * d.stride + d.filter for n, d in zip(x.shape[1:3], (v, h), strict=True)]
    room = [max(r, d.pad + d.out) for r, d in zip(reach, (v, h), strict=True)]
    acc = np.zeros((x.shape[0], *room, w.shape[0]), m.x.dtype)
    for row in reversed(range(v.filter)):  # the first pixels of x are the first to be added
        for col in reversed(range(h.filter)):
            rows = slice(row, row + (x.shape[1] - 1) * v.stride + 1, v.stride)
            cols = slice(col, col + (x.shape[2] - 1) * h.stride + 1, h.stride)
            m.add(acc[:, rows, cols], m.x, m.w[:, row, col])
    return m.finish(acc[:, v.pad : v.pad + v.out, h.pad : h.pad + h.out])


def prepare(node: Node, numerics: Numerics) -> Step | list[Step]:
    x, w = _inputs(node)
    (y,) = node.outputs
    v, h = _directions(node)
    operands = _operands(node, numerics)
    if not operands.is_constant:
        kind_of(operands)
        return ops.by_reference(node, reference)
    f = product(operands)
    weights = _phases(f.w, v, h)
    channels = np.tile(np.arange(w.shape[0]), v.stride * h.stride)
    top, left = (d.taps - 1 - d.first for d in (v, h))
    g = Window(v.taps, h.taps, 1, 1, 1, 1, top, left, v.groups, h.groups)
    p = f.image(g)
    offsets = row_offsets(p.tensor.shape, p.height, p.width, g)
    segments = RowSegments(offsets, np.arange(v.taps) * p.width * x.shape[3], h.taps * x.shape[3])
    if v.stride == 1 and h.crop == 0 and h.out == h.groups * h.stride:
        return [*p.calls, *f.dot(p, segments, weights, channels, Into(y))]
    shape = (x.shape[0], v.groups, h.groups, v.stride, h.stride * w.shape[0])
    z = scratch(f"{y.name}/phases", shape, storage_dtype(y.dtype))
    products = f.dot(p, segments, weights, channels, Into(z))
    return [*p.calls, *products, Call(interleave, z, v.crop, h.crop, y, writes=[y])]


def _operands(node: Node, numerics: Numerics) -> Operands:
    x, w = _inputs(node)
    return Operands(
        node=node,
        x=x,
        w=w,
        b=optional(node, BIAS),
        y=node.outputs[0],
        axis=0,
        rounding=numerics.convolution,
        hybrid=HybridRules(numerics.hybrid, by_terms=True),
    )


def _phases(w: np.ndarray, v: Direction, h: Direction) -> np.ndarray:
    """OHWI filters as a matrix: a row per phase and output channel, a column per pixel and channel of x, first to last.

    Of the pixels that reach an output pixel the last one meets the first row of its phase's filter.
    """
    channels, depth = w.shape[0], w.shape[3]
    missing = [(0, d.taps * d.stride - d.filter) for d in (v, h)]
    w = np.pad(w, [(0, 0), *missing, (0, 0)]).reshape(channels, v.taps, v.stride, h.taps, h.stride, depth)
    return w[:, ::-1, :, ::-1].transpose(2, 4, 0, 1, 3, 5).reshape(v.stride * h.stride * channels, -1)


def _inputs(node: Node) -> tuple[Tensor, Tensor]:
    w, x = node.given[1:3]
    if min(*w.shape, *x.shape[1:]) < 1 or x.shape[3] != w.shape[3]:
        raise ModelError(f"{node.label}: a filter {list(w.shape)} does not fit the channels of {list(x.shape)}")
    return x, w


def _output_shape(node: Node) -> tuple[int, ...]:
    """What the first input says."""
    x, w = _inputs(node)
    given = node.given[0]
    if given.shape != (4,):
        raise ModelError(f"{node.label}: the output shape is {given!r}; four sizes were expected")
    if given.data is None:
        raise ops.NotConstant(f"{node.label}: the output shape {given.name!r} is not a constant")
    shape = tuple(int(n) for n in given.data)
    if (shape[0], shape[3]) != (x.shape[0], w.shape[0]) or min(shape[1:]) < 1:
        raise ModelError(
            f"{node.label}: output shape {list(shape)}; batch {x.shape[0]}, {w.shape[0]} channels and a positive "
            "height and width were expected"
        )
    return shape


def _directions(node: Node) -> tuple[Direction, Direction]:
    """Vertical and horizontal: the geometry of a convolution from y to x."""
    x, w = _inputs(node)
    y = dataclasses.replace(node.outputs[0], shape=_output_shape(node))
    g = window(node, y, *w.shape[1:3])
    if (g.out_h, g.out_w) != x.shape[1:3]:
        raise ModelError(
            f"{node.label}: output shape {list(y.shape)} belongs to inputs of {g.out_h}x{g.out_w}, not {list(x.shape)}"
        )
    vertical = Direction(g.height, g.stride_h, g.pad_top, y.shape[1])
    return vertical, Direction(g.width, g.stride_w, g.pad_left, y.shape[2])


@kernel
def interleave(thread: int, threads: int, z: Any, top: int, left: int, y: Any) -> None:
    """y[n, i s + r - top, j t + q - left, c] = z[n, i, j, r, q c] where z is [n, i, j, s, t c]; the rest is dropped."""
    batch, out_h, out_w, channels = y.shape
    groups_h, groups_w, stride, run = z.shape[1], z.shape[2], z.shape[3], z.shape[4]
    width = out_w * channels
    for line in range(batch * out_h * thread // threads, batch * out_h * (thread + 1) // threads):
        n = line // out_h
        row = line - n * out_h + top
        group = row // stride
        at = ((n * groups_h + group) * groups_w * stride + row - group * stride) * run
        begin = -left * channels
        for _ in range(groups_w):
            first, last = max(begin, 0), min(begin + run, width)
            copy_within(z, at + first - begin, y, line * width + first, last - first)
            at += stride * run
            begin += run
