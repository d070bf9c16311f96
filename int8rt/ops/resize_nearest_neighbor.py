"""RESIZE_NEAREST_NEIGHBOR: each output pixel is the input pixel nearest to its place.

    y[i, j] = x[source(i), source(j)]
    source(i) = min(floor((i + offset) * scale), size - 1)

offset is 0.5 with half_pixel_centers, else 0; with align_corners the product is rounded half away from zero instead.
All is float32, as in LiteRT's GetNearestNeighbor.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from int8rt.graph import Node
from int8rt.native.kernel import kernel
from int8rt.numerics.fixedpoint import round_half_away_float
from int8rt.numerics.rules import Numerics
from int8rt.ops._resize import TYPES, Axis, axes, check, output_shape
from int8rt.simd.memory import copy_within
from int8rt.steps import Call

operands = "x[4] size[1]:int32 -> y"

MOVED = (*TYPES, "int32", "bool")


def shapes(node: Node) -> list[tuple[int, ...]]:
    return [output_shape(node)]


def reference(node: Node, x: np.ndarray, size: np.ndarray) -> np.ndarray:
    check(node, MOVED)
    _, height, width = axes(node)
    return x[:, _sources(height)][:, :, _sources(width)]


def prepare(node: Node, numerics: Numerics) -> Call:
    check(node, MOVED)
    x, height, width = axes(node)
    (y,) = node.outputs
    return Call(resize_nearest, x, _sources(height), _sources(width), y, writes=[y])


def _sources(axis: Axis) -> np.ndarray:
    """The input index of each output index, int64."""
    at = np.arange(axis.out_size).astype(np.float32) + np.float32(0.5 if axis.half_pixel_centers else 0)
    at = at * axis.scale
    at = round_half_away_float(at) if axis.align_corners else np.floor(at)
    return np.minimum(at.astype(np.int64), axis.size - 1)


@kernel
def resize_nearest(thread: int, threads: int, x: Any, rows: Any, cols: Any, y: Any) -> None:
    """x and y are NHWC; rows and cols: where each row and column of y comes from. Equal rows are made once."""
    batch, in_h, in_w, channels = x.shape
    out_h, out_w = rows.size, cols.size
    first = batch * out_h * thread // threads
    for line in range(first, batch * out_h * (thread + 1) // threads):
        n = line // out_h
        row = line - n * out_h
        to = line * out_w * channels
        if line > first and row > 0 and rows[row] == rows[row - 1]:
            copy_within(y, to - out_w * channels, y, to, out_w * channels)
        else:
            at = (n * in_h + rows[row]) * in_w
            for col in range(out_w):
                copy_within(x, (at + cols[col]) * channels, y, to + col * channels, channels)
