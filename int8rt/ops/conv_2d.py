"""CONV_2D: slide an OHWI filter over an NHWC image.

    y[o] = z_y + rule(s_x s_w[o] / s_y, b[o] + sum over h, w, i of (x - z_x) (w[o, h, w, i] - z_w))

Taps outside the image count as x = z_x. A filter over fewer input channels than x has works on groups of them. Rounding:
rule A under ``reference``.

No window is copied: the pixels under a filter row lie side by side in a padded image, so a window is one segment of
``dot`` per filter row.
"""

from __future__ import annotations

import numpy as np

from int8rt import dot, ops
from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.numerics import NUMERICS, Numerics
from int8rt.ops import Step
from int8rt.ops._linear import bias_of, fold, optional, reference_output
from int8rt.ops._window import Window, padded, row_offsets, window, windows
from int8rt.requantization import Columns


def shapes(node: Node) -> list[tuple[int, ...]]:
    x, w = _inputs(node)
    g = window(node, x, *w.shape[1:3])
    return [(x.shape[0], g.out_h, g.out_w, w.shape[0])]


def reference(node: Node, x: np.ndarray, w: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
    x_, w_ = _inputs(node)
    (y,) = node.outputs
    seen, _ = windows(x, window(node, x_, *w.shape[1:3]), fill=x_.zero_point)
    groups = x.shape[3] // w.shape[3]
    seen = seen.astype(np.int64).reshape(*seen.shape[:5], groups, -1) - x_.zero_point
    filters = w.astype(np.int64).reshape(groups, -1, *w.shape[1:]) - w_.zero_point
    acc = np.einsum("nyxhwgi,gohwi->nyxgo", seen, filters, optimize=True).reshape(y.shape)
    acc = acc + bias_of(optional(node, 2), w.shape[0])
    return reference_output(node, x_, w_, y, acc, NUMERICS["reference"].convolution)


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    x, w = _inputs(node)
    (y,) = node.outputs
    f = fold(node, x, w, optional(node, 2), y, 0, numerics.convolution)
    g = window(node, x, *w.shape[1:3])
    p = padded(node, x, g)
    bias = f.bias - ops.stored_zero(x) * f.w.astype(np.int64).sum(axis=(1, 2, 3))
    offsets = row_offsets(p.tensor.shape, p.height, p.width, g)
    groups = x.shape[3] // w.shape[3]
    size = w.shape[0] // groups
    calls = []
    for group in range(groups):
        starts, depth = _segments(g, p.width, x.shape[3], w.shape[3])
        segments = dot.Segments(offsets, starts + group * w.shape[3], depth)
        part = slice(group * size, (group + 1) * size)
        columns = Columns(f.w[part].reshape(size, -1), bias[part], f.rounding.part(part))
        calls.append(dot.call(p.tensor, segments, columns, y, part.start, w.shape[0]))
    return [*p.calls, *calls]


def _segments(g: Window, width: int, channels: int, depth: int) -> tuple[np.ndarray, int]:
    """Where the segments of a window begin, int64, and how long they are; ``depth`` of the channels are used.

    The pixels under a filter row are one segment where they are neighbours and all their channels count.
    """
    rows = np.arange(g.height) * g.dilation_h * width * channels
    if g.dilation_w == 1 and depth == channels:
        return rows, g.width * channels
    cols = np.arange(g.width) * g.dilation_w * channels
    return (rows[:, None] + cols).reshape(-1), depth


def _inputs(node: Node) -> tuple[Tensor, Tensor]:
    x, w = node.inputs[:2]
    if x is None or w is None or len(w.shape) != 4 or len(x.shape) != 4:
        raise ModelError(f"{node.label}: an image and a filter of four dimensions are needed")
    if w.shape[3] < 1 or x.shape[3] % w.shape[3] or w.shape[0] % (x.shape[3] // w.shape[3]):
        raise ModelError(f"{node.label}: a filter {list(w.shape)} does not divide the channels of {list(x.shape)}")
    return x, w
