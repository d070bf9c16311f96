"""RESIZE_BILINEAR: each output pixel is interpolated between the four input pixels around its place.

    y = x[t, l] (1 - v)(1 - h) + x[b, l] v (1 - h) + x[t, r] (1 - v) h + x[b, r] v h

int8 and int16 take v and h with ten bits after the point and round half away from zero (ResizeBilinearInteger of
LiteRT). float32 does all in float32, in this order; uint8 does the same and then adds 0.5 and truncates (ResizeBilinear
of LiteRT's reference_ops). Left of the first pixel's centre v or h is negative, and t = b or l = r.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.native.kernel import kernel
from int8rt.numerics.rules import Numerics
from int8rt.numerics.storage import INT8_OFFSET
from int8rt.ops import _resize
from int8rt.ops._resize import Axis, output_shape
from int8rt.simd.memory import get, put
from int8rt.steps import Call

operands = "x[4] size[1]:int32 -> y"


class Places(NamedTuple):
    """Between which input indices an output index lies, and how far from the lower one. Kernels take this order."""

    lower: np.ndarray  # int64
    upper: np.ndarray  # int64
    weight: np.ndarray  # int64 with ten bits after the point, or float32


def shapes(node: Node) -> list[tuple[int, ...]]:
    return [output_shape(node)]


def reference(node: Node, x: np.ndarray, size: np.ndarray) -> np.ndarray:
    _, height, width = _axes(node)
    places = _fixed_places if _is_fixed(node.outputs[0]) else _float_places
    (top, bottom, v), (left, right, h) = places(height), places(width)
    corners = [x[:, rows][:, :, cols] for cols in (left, right) for rows in (top, bottom)]
    v, h = v[:, None, None], h[:, None]
    one = 1024 if _is_fixed(node.outputs[0]) else np.float32(1)
    terms = [
        corner.astype(v.dtype) * wy * wx
        for corner, (wx, wy) in zip(
            corners, [(one - h, one - v), (one - h, v), (h, one - v), (h, v)], strict=True
        )
    ]  # fmt: skip
    total = terms[0] + terms[1] + terms[2] + terms[3]
    if _is_fixed(node.outputs[0]):
        return np.sign(total) * ((np.abs(total) + (1 << 19)) >> 20)
    return (total + np.float32(0 if x.dtype == np.float32 else 0.5)).astype(x.dtype)


def prepare(node: Node, numerics: Numerics) -> Call:
    x, height, width = _axes(node)
    (y,) = node.outputs
    work = 4 * y.size
    if _is_fixed(y):
        places = (*_fixed_places(height), *_fixed_places(width))
        offset = INT8_OFFSET if y.dtype == np.int8 else 0
        return Call(resize_fixed, x, *places, offset, y, writes=[y], work=work)
    places = (*_float_places(height), *_float_places(width))
    half = np.float32(0 if y.dtype == np.float32 else 0.5)
    return Call(resize_float, x, *places, half, y, writes=[y], work=work)


def _axes(node: Node) -> tuple[Tensor, Axis, Axis]:
    _resize.check(node)
    if node.options.align_corners and node.options.half_pixel_centers:
        raise ModelError(f"{node.label}: align_corners and half_pixel_centers exclude each other")
    return _resize.axes(node)


def _is_fixed(t: Tensor) -> bool:
    return t.dtype in (np.int8, np.int16)


def _fixed_places(axis: Axis) -> Places:
    """A place beyond the last pixel, where rounding of the scale can lead, means the last pixel; LiteRT reads on."""
    scale = axis.scale_10
    at = np.arange(axis.out_size) * scale + (scale // 2 - 512 if axis.half_pixel_centers else 0)
    lower = (at // 1024).clip(0, axis.size - 1)
    return Places(lower, np.minimum((at + 1023) // 1024, axis.size - 1), at - 1024 * lower)


def _float_places(axis: Axis) -> Places:
    at = np.arange(axis.out_size).astype(np.float32)
    half = np.float32(0.5)
    at = (at + half) * axis.scale - half if axis.half_pixel_centers else at * axis.scale
    lower = np.floor(at).astype(np.int64).clip(0, axis.size - 1)
    upper = np.minimum(np.ceil(at).astype(np.int64), axis.size - 1)
    return Places(lower, upper, at - lower.astype(np.float32))


@kernel
def resize_fixed(
    thread: int, threads: int, x: Any, top: Any, bottom: Any, v: Any, left: Any, right: Any, h: Any, offset: int, y: Any
) -> None:  # fmt: skip
    """x and y are NHWC; ``offset`` is the stored form of integer 0."""
    batch, in_h, in_w, channels = x.shape
    out_h, out_w = top.size, left.size
    zero = offset << 20
    for line in range(batch * out_h * thread // threads, batch * out_h * (thread + 1) // threads):
        n = line // out_h
        row = line - n * out_h
        above, below = (n * in_h + top[row]) * in_w, (n * in_h + bottom[row]) * in_w
        for col in range(out_w):
            b, d = v[row] * (1024 - h[col]), v[row] * h[col]
            a, c = 1024 * (1024 - h[col]) - b, 1024 * h[col] - d
            top_left, bottom_left = (above + left[col]) * channels, (below + left[col]) * channels
            top_right, bottom_right = (above + right[col]) * channels, (below + right[col]) * channels
            to = (line * out_w + col) * channels
            for i in range(channels):
                total = get(x, top_left + i) * a + get(x, bottom_left + i) * b
                total += get(x, top_right + i) * c + get(x, bottom_right + i) * d - zero
                # An arithmetic shift rounds down: half up for positive values, half down for negative ones
                put(y, to + i, ((total + 524288 - (total < 0)) >> 20) + offset)


@kernel
def resize_float(
    thread: int, threads: int, x: Any, top: Any, bottom: Any, v: Any, left: Any, right: Any, h: Any, half: float, y: Any
) -> None:  # fmt: skip
    """x and y are NHWC; ``half`` is added last, for y to truncate."""
    batch, in_h, in_w, channels = x.shape
    out_h, out_w = top.size, left.size
    one = np.float32(1)
    for line in range(batch * out_h * thread // threads, batch * out_h * (thread + 1) // threads):
        n = line // out_h
        row = line - n * out_h
        above, below = (n * in_h + top[row]) * in_w, (n * in_h + bottom[row]) * in_w
        down, up = v[row], one - v[row]
        for col in range(out_w):
            far, near = h[col], one - h[col]
            top_left, bottom_left = (above + left[col]) * channels, (below + left[col]) * channels
            top_right, bottom_right = (above + right[col]) * channels, (below + right[col]) * channels
            to = (line * out_w + col) * channels
            for i in range(channels):
                total = np.float32(get(x, top_left + i)) * up * near
                total += np.float32(get(x, bottom_left + i)) * down * near
                total += np.float32(get(x, top_right + i)) * up * far
                total += np.float32(get(x, bottom_right + i)) * down * far
                put(y, to + i, total + half)
