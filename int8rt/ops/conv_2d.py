"""CONV_2D: slide an OHWI filter over an NHWC image.

    y[o] = z_y + rule(s_x s_w[o] / s_y, b[o] + sum over h, w, i of (x - z_x) (w[o, h, w, i] - z_w))

Taps outside the image count as x = z_x. A filter over fewer input channels than x has works on groups of them.
Rounding: double rounding under ``reference``. ``_linear`` says what other types than 8 bits do. With a filter that is
computed at run time the node runs by its reference.

No window is copied: the pixels under a filter row lie side by side in a padded image, so a window is one segment of
``dot`` per filter row.
"""

from __future__ import annotations

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.kernels.product import RowSegments
from int8rt.numerics.rules import NUMERICS, Numerics
from int8rt.ops._linear import meaning, product
from int8rt.ops._operands import FLOAT32, HybridRules, Into, Operands, Types, kind_of, optional, scales_differ
from int8rt.ops._window import Window, reaching, row_offsets, window, windows
from int8rt.steps import Step

operands = "x[4] w[4] b? -> y"


def shapes(node: Node) -> list[tuple[int, ...]]:
    x, w = _inputs(node)
    g = window(node, x, *w.shape[1:3])
    return [(x.shape[0], g.out_h, g.out_w, w.shape[0])]


def reference(node: Node, x: np.ndarray, w: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
    x_, _ = _inputs(node)
    (y,) = node.outputs
    m = meaning(_operands(node, NUMERICS["reference"]), x, w, b)
    g, filter_rows, filter_cols = reaching(window(node, x_, *w.shape[1:3]), x_)
    seen, _ = windows(m.x, g, fill=0)
    taps = m.w[:, filter_rows, filter_cols]
    acc = np.zeros(y.shape, m.x.dtype)
    size = w.shape[0] // (x.shape[3] // w.shape[3])
    for group, first in enumerate(range(0, w.shape[0], size)):
        part = seen[..., group * w.shape[3] : (group + 1) * w.shape[3]]
        rows = part.reshape(*part.shape[:3], -1)
        m.add(acc[..., first : first + size], rows, taps[first : first + size].reshape(size, -1))
    return m.finish(acc)


def prepare(node: Node, numerics: Numerics) -> Step | list[Step]:
    x, w = _inputs(node)
    (y,) = node.outputs
    operands = _operands(node, numerics)
    if not operands.is_constant:
        kind_of(operands)
        return ops.by_reference(node, reference)
    f = product(operands)
    g = window(node, x, *w.shape[1:3])
    p = f.image(g)
    offsets = row_offsets(p.tensor.shape, p.height, p.width, g)
    groups = x.shape[3] // w.shape[3]
    size = w.shape[0] // groups
    steps: list[Step] = [*p.calls]
    for group in range(groups):
        starts, depth = _segments(g, p.width, x.shape[3], w.shape[3])
        segments = RowSegments(offsets, starts + group * w.shape[3], depth)
        part = np.arange(group * size, (group + 1) * size)
        steps += f.dot(
            p,
            segments,
            f.w[group * size : (group + 1) * size].reshape(size, -1),
            part,
            Into(y, int(part[0]), w.shape[0]),
        )
    return steps


def _operands(node: Node, numerics: Numerics) -> Operands:
    """Float activations are quantized symmetrically for weights that have one scale.

    int2 weights are those of int16 and float activations, as if they were unpacked: LiteRT reads past their end. With
    int8 activations it refuses them.
    """
    x, w = _inputs(node)
    several = scales_differ(w)
    is_dynamic = x.dtype == FLOAT32 and w.dtype == np.int8 and numerics.hybrid == "dynamic"
    if is_dynamic and not several and x.shape[3] != w.shape[3]:
        raise ops.refuse(node, "LiteRT has no grouped convolution of float activations with one weight scale")
    narrow = ("INT4",) if x.dtype == np.int8 else ("INT4", "INT2")
    return Operands(
        node=node,
        x=x,
        w=w,
        b=optional(node, 2),
        y=node.outputs[0],
        axis=0,
        rounding=numerics.convolution,
        hybrid=HybridRules(numerics.hybrid, symmetric=not several, weight_first=several),
        types=Types(narrow=narrow),
    )


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
    x, w = node.given[:2]
    if w.shape[3] < 1 or x.shape[3] % w.shape[3] or w.shape[0] % (x.shape[3] // w.shape[3]):
        raise ModelError(f"{node.label}: a filter {list(w.shape)} does not divide the channels of {list(x.shape)}")
    return x, w
