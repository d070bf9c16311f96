"""FULLY_CONNECTED: y = x @ w.T + b over the last axis of w.

    y[o] = z_y + rule(s_x s_w[o] / s_y, b[o] + sum over k of (x[k] - z_x) (w[o, k] - z_w))

Rounding: rule C under ``reference``, unlike the convolutions (LiteRT since April 2025).
"""

from __future__ import annotations

import numpy as np

from int8rt import dot, ops
from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.numerics import NUMERICS, Numerics
from int8rt.ops import Step
from int8rt.ops._linear import bias_of, fold, optional, reference_output
from int8rt.requantization import Columns


def shapes(node: Node) -> list[tuple[int, ...]]:
    x, w = _inputs(node)
    if node.options.keep_num_dims:
        if not x.shape or x.shape[-1] != w.shape[1]:
            raise ModelError(
                f"{node.label}: the last axis of {list(x.shape)} is not {w.shape[1]} long, as the weights expect"
            )
        return [(*x.shape[:-1], w.shape[0])]
    return [(x.size // w.shape[1], w.shape[0])]


def reference(node: Node, x: np.ndarray, w: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
    x_, w_ = _inputs(node)
    (y,) = node.outputs
    rows = x.reshape(-1, w.shape[1]).astype(np.int64) - x_.zero_point
    acc = rows @ (w.T.astype(np.int64) - w_.zero_point) + bias_of(optional(node, 2), w.shape[0])
    return reference_output(node, x_, w_, y, acc, NUMERICS["reference"].fully_connected).reshape(y.shape)


def prepare(node: Node, numerics: Numerics) -> Step:
    x, w = _inputs(node)
    (y,) = node.outputs
    if getattr(node.options, "weights_format", 0) != 0:
        raise ops.refuse(node, "shuffled weights are not supported")
    f = fold(node, x, w, optional(node, 2), y, 0, numerics.fully_connected)
    bias = f.bias - ops.stored_zero(x) * f.w.astype(np.int64).sum(axis=1)
    offsets = np.arange(x.size // w.shape[1], dtype=np.int32) * np.int32(w.shape[1])
    segments = dot.Segments(offsets, np.zeros(1, np.int64), w.shape[1])
    return dot.call(x, segments, Columns(f.w, bias, f.rounding), y)


def _inputs(node: Node) -> tuple[Tensor, Tensor]:
    x, w = node.inputs[:2]
    if x is None or w is None or len(w.shape) != 2 or w.shape[1] < 1 or x.size % w.shape[1]:
        found = ["-" if t is None else list(t.shape) for t in node.inputs[:2]]
        raise ModelError(
            f"{node.label}: inputs of shapes {found}; weights [units, depth] and a multiple of depth were expected"
        )
    return x, w
