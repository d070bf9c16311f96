"""TRANSPOSE_CONV: every input pixel adds its filter to the output, the filters of neighbours ``stride`` pixels apart.

    y[i s + h - pad, o] = z_y + rule(s_x s_w[o] / s_y, b[o] + sum over i, h, k of (x[i, k] - z_x) (w[o, h, k] - z_w))

in both directions. What falls outside y is dropped. ``pad`` is that of a convolution from y to x. Rounding: double
rounding under ``reference``. ``_linear`` says what other types than 8 bits do.

Seen from the output, the pixels i s + r - pad of one phase r < s are a convolution of x with every s-th row of the
filter. All phases look at the same pixels of x, so that they are columns of one ``dot``; missing taps weigh nothing.
``interleave`` then puts the phases side by side, unless they come out so. Of floats, whose infinities times nothing are
NaN, phases with fewer taps are a ``dot`` of their own.
"""

from __future__ import annotations

import dataclasses
import itertools
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

    def phases(self, by_taps: bool) -> list[Phases]:
        """All phases; those with fewer taps apart from the others, if that is wanted and they have any."""
        rest = self.filter % self.stride
        if not by_taps or not rest or self.filter < self.stride:
            return [Phases(0, self.stride, self.taps)]
        return [Phases(0, rest, self.taps), Phases(rest, self.stride - rest, self.taps - 1)]


class Phases(NamedTuple):
    """Some phases in a row."""

    first: int
    number: int
    taps: int


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
    top, left = (d.taps - 1 - d.first for d in (v, h))
    g = Window(v.taps, h.taps, 1, 1, 1, 1, top, left, v.groups, h.groups)
    p = f.image(g)
    offsets = row_offsets(p.tensor.shape, p.height, p.width, g)
    by_taps = x.dtype == np.float32
    steps: list[Step] = [*p.calls]
    for rows, cols in itertools.product(v.phases(by_taps), h.phases(by_taps)):
        weights = _weights(f.w, v, h, rows, cols)
        channels = np.tile(np.arange(w.shape[0]), rows.number * cols.number)
        begin = ((v.taps - rows.taps) * p.width + h.taps - cols.taps) * x.shape[3]
        segments = RowSegments(offsets + begin, np.arange(rows.taps) * p.width * x.shape[3], cols.taps * x.shape[3])
        if v.stride == 1 and cols.number == h.stride and h.crop == 0 and h.out == h.groups * h.stride:
            return [*steps, *f.dot(p, segments, weights, channels, Into(y))]
        shape = (x.shape[0], v.groups, h.groups, rows.number, cols.number * w.shape[0])
        z = scratch(f"{y.name}/phases", shape, storage_dtype(y.dtype))
        steps += f.dot(p, segments, weights, channels, Into(z))
        places = rows.first - v.crop, v.stride, cols.first - h.crop, h.stride
        steps.append(Call(interleave, z, *places, y, writes=[y]))
    return steps


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


def _weights(w: np.ndarray, v: Direction, h: Direction, rows: Phases, cols: Phases) -> np.ndarray:
    """OHWI filters as a matrix: a row per phase and output channel, a column per pixel and channel of x, first to last.

    Of the pixels that reach an output pixel the last one meets the first row of its phase's filter.
    """
    channels, depth = w.shape[0], w.shape[3]
    missing = [(0, d.taps * d.stride - d.filter) for d in (v, h)]
    w = np.pad(w, [(0, 0), *missing, (0, 0)]).reshape(channels, v.taps, v.stride, h.taps, h.stride, depth)
    w = w[:, : rows.taps, rows.first :, : cols.taps, cols.first :][:, :, : rows.number, :, : cols.number]
    return w[:, ::-1, :, ::-1].transpose(2, 4, 0, 1, 3, 5).reshape(rows.number * cols.number * channels, -1)


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
def interleave(
    thread: int, threads: int, z: Any, top: int, stride: int, left: int, stride_w: int, y: Any
) -> None:  # fmt: skip
    """y[n, top + i s + r, left + j t + q, c] = z[n, i, j, r, q c], strides s and t; what is outside y is dropped."""
    batch, out_h, out_w, channels = y.shape
    groups_h, groups_w, phases, run = z.shape[1], z.shape[2], z.shape[3], z.shape[4]
    width, step = out_w * channels, stride_w * channels
    total = batch * groups_h * phases
    for line in range(total * thread // threads, total * (thread + 1) // threads):
        n = line // (groups_h * phases)
        group = (line - n * groups_h * phases) // phases
        r = line - (n * groups_h + group) * phases
        row = top + group * stride + r
        if row < 0 or row >= out_h:
            continue
        at = ((n * groups_h + group) * groups_w * phases + r) * run
        begin, to = left * channels, (n * out_h + row) * width
        for _ in range(groups_w):
            first, last = max(begin, 0), min(begin + run, width)
            if last > first:
                copy_within(z, at + first - begin, y, to + first, last - first)
            at += phases * run
            begin += step
