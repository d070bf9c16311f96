"""DEPTHWISE_CONV_2D: slide a filter over each channel of an NHWC image by itself.

    y[c] = z_y + rule(s_x s_w[c] / s_y, b[c] + sum over h, w of (x[c // m] - z_x) (w[0, h, w, c] - z_w))

m is the channel multiplier: the number of output channels per input channel. Taps outside the image count as x = z_x.
Rounding: rule A under ``reference``.
"""

from __future__ import annotations

import numpy as np

from int8rt import depthwise, ops
from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.numerics import NUMERICS, Numerics
from int8rt.ops import Step
from int8rt.ops._linear import bias_of, fold, optional, reference_output
from int8rt.ops._window import padded, window, windows


def shapes(node: Node) -> list[tuple[int, ...]]:
    x, w = _inputs(node)
    g = window(node, x, *w.shape[1:3])
    return [(x.shape[0], g.out_h, g.out_w, w.shape[3])]


def reference(node: Node, x: np.ndarray, w: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
    x_, w_ = _inputs(node)
    (y,) = node.outputs
    seen, _ = windows(x, window(node, x_, *w.shape[1:3]), fill=x_.zero_point)
    seen = np.repeat(seen.astype(np.int64) - x_.zero_point, y.shape[3] // x.shape[3], axis=-1)
    acc = np.einsum("nyxhwc,hwc->nyxc", seen, w[0].astype(np.int64) - w_.zero_point)
    acc = acc + bias_of(optional(node, 2), y.shape[3])
    return reference_output(node, x_, w_, y, acc, NUMERICS["reference"].convolution)


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    x, w = _inputs(node)
    (y,) = node.outputs
    f = fold(node, x, w, optional(node, 2), y, 3, numerics.convolution)
    g = window(node, x, *w.shape[1:3])
    p = padded(node, x, g)
    bias = f.bias - ops.stored_zero(x) * f.w.astype(np.int64).sum(axis=(0, 1, 2))
    call = depthwise.call(p.tensor, depthwise.Geometry(*g[:6]), f.w[0], bias, f.rounding, y)
    return [*p.calls, call]


def _inputs(node: Node) -> tuple[Tensor, Tensor]:
    x, w = node.inputs[:2]
    if x is None or w is None or len(w.shape) != 4 or len(x.shape) != 4:
        raise ModelError(f"{node.label}: an image and a filter of four dimensions are needed")
    if w.shape[0] != 1 or x.shape[3] < 1 or w.shape[3] < 1 or w.shape[3] % x.shape[3]:
        raise ModelError(f"{node.label}: a filter {list(w.shape)} does not fit the channels of {list(x.shape)}")
    return x, w
