"""The geometry of a window that slides over an NHWC image, and what the operators with windows share."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from int8rt import limits, ops
from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.native.kernel import kernel
from int8rt.numerics.storage import storage_dtype, stored_zero
from int8rt.simd.memory import copy_within, fill_within
from int8rt.steps import Call, scratch

SAME, VALID = 0, 1
MAX_IMAGE = 2**31 - 1  # offsets into it are int32


class Window(NamedTuple):
    """Kernels take the fields in this order."""

    height: int
    width: int
    stride_h: int
    stride_w: int
    dilation_h: int
    dilation_w: int
    pad_top: int
    pad_left: int
    out_h: int
    out_w: int


def window(node: Node, x: Tensor, height: int, width: int) -> Window:
    """The window of a node over x, [n, h, w, c]; padding as TFLite's ComputePaddingHeightWidth. Raises ModelError."""
    o = node.options
    if o.padding not in (SAME, VALID):
        raise ModelError(f"{node.label}: padding is {o.padding}; 0 (SAME) or 1 (VALID) was expected")
    stride = o.stride_h, o.stride_w
    dilation = getattr(o, "dilation_h_factor", 1), getattr(o, "dilation_w_factor", 1)
    if min(height, width, *stride, *dilation) < 1:
        raise ModelError(
            f"{node.label}: filter {height}x{width}, strides {stride} and dilations {dilation} must be positive"
        )
    out, pad = [], []
    for n, size, s, d in zip(x.shape[1:3], (height, width), stride, dilation, strict=True):
        reach = (size - 1) * d + 1
        out.append((n + s - 1) // s if o.padding == SAME else (n + s - reach) // s)
        pad.append(max(0, (out[-1] - 1) * s + reach - n) // 2 if o.padding == SAME else 0)
    if min(out) < 1:
        raise ModelError(f"{node.label}: a {height}x{width} filter does not fit into the input {list(x.shape)}")
    return Window(height, width, *stride, *dilation, *pad, *out)


def reaching(g: Window, x: Tensor) -> tuple[Window, slice, slice]:
    """The window without rows and columns that are outside x wherever it is, and which of them are left."""
    top, height = _reach(g.height, g.dilation_h, g.pad_top, (g.out_h - 1) * g.stride_h, x.shape[1])
    left, width = _reach(g.width, g.dilation_w, g.pad_left, (g.out_w - 1) * g.stride_w, x.shape[2])
    pad_top, pad_left = g.pad_top - top * g.dilation_h, g.pad_left - left * g.dilation_w
    smaller = g._replace(height=height, width=width, pad_top=pad_top, pad_left=pad_left)
    return smaller, slice(top, top + height), slice(left, left + width)


def _reach(size: int, dilation: int, pad: int, way: int, image: int) -> tuple[int, int]:
    """The first of a window's rows that is inside the image somewhere on its way, and how many rows that are."""
    first, end = max(0, -((way - pad) // dilation)), min(size, (pad + image - 1) // dilation + 1)
    return first, max(0, end - first)


def windows(x: np.ndarray, g: Window, fill: int) -> tuple[np.ndarray, np.ndarray]:
    """x seen through every window, [n, out_h, out_w, height, width, c], and which taps lie inside. For references.

    Raises LimitError.
    """
    limits.need(2 * x.itemsize * x.shape[0] * g.out_h * g.out_w * g.height * g.width * x.shape[3])
    rows = np.arange(g.out_h)[:, None] * g.stride_h - g.pad_top + np.arange(g.height) * g.dilation_h
    cols = np.arange(g.out_w)[:, None] * g.stride_w - g.pad_left + np.arange(g.width) * g.dilation_w
    in_rows, in_cols = (rows >= 0) & (rows < x.shape[1]), (cols >= 0) & (cols < x.shape[2])
    inside = in_rows[:, None, :, None] & in_cols[None, :, None, :]  # [out_h, out_w, height, width]
    seen = x[:, rows.clip(0, x.shape[1] - 1)][:, :, :, cols.clip(0, x.shape[2] - 1)].transpose(0, 1, 3, 2, 4, 5)
    return np.where(inside[None, ..., None], seen, fill), inside


class Padded(NamedTuple):
    """An image with all the pixels that its windows reach: the tensor, its size, and the Calls that fill it, if any."""

    tensor: Tensor
    height: int
    width: int
    calls: list[Call]
    extra: Any = None  # what else is known of it at run time


def padded(node: Node, x: Tensor, g: Window) -> Padded:
    """x with its zero point around it, as far as the windows reach; x itself where they stay inside."""
    height, width = padded_size(node, x, g)
    if (height, width) == x.shape[1:3] and g.pad_top == g.pad_left == 0:
        return Padded(x, height, width, [])
    n, _, _, c = x.shape
    wide = scratch(f"{node.outputs[0].name}/padded", (n, height, width, c), storage_dtype(x.dtype))
    value = 0 if x.dtype == np.float32 else stored_zero(x)
    call = Call(pad_image, x, value, g.pad_top, g.pad_left, wide, writes=[wide])
    return Padded(wide, height, width, [call])


def padded_size(node: Node, x: Tensor, g: Window) -> tuple[int, int]:
    """Height and width of x with all that its windows reach."""
    height = max(x.shape[1], (g.out_h - 1) * g.stride_h + (g.height - 1) * g.dilation_h + 1)
    width = max(x.shape[2], (g.out_w - 1) * g.stride_w + (g.width - 1) * g.dilation_w + 1)
    n, _, _, c = x.shape
    if n * height * width * c > MAX_IMAGE and (height, width) != x.shape[1:3]:
        raise ops.refuse(node, f"with its padding the input has {[n, height, width, c]} values; 2 GB are supported")
    return height, width


def row_offsets(shape: tuple[int, ...], height: int, width: int, g: Window) -> np.ndarray:
    """Where each window of a padded image begins, in elements: int32 [n * out_h * out_w]."""
    n, channels = shape[0], shape[3]
    image = np.arange(n)[:, None, None] * height * width
    rows = (np.arange(g.out_h) * g.stride_h * width)[:, None]
    cols = np.arange(g.out_w) * g.stride_w
    return ((image + rows + cols) * channels).astype(np.int32).reshape(-1)


@kernel
def pad_image(thread: int, threads: int, x: Any, value: int, top: int, left: int, y: Any) -> None:
    """y[n, :, :, c] = value, but for x at [top:, left:]; parts of x that do not fit are left out."""
    batch, height, width, channels = y.shape
    run = min(x.shape[2], width - left) * channels
    for line in range(batch * height * thread // threads, batch * height * (thread + 1) // threads):
        n = line // height
        row = line - n * height - top
        start = line * width * channels
        if 0 <= row < x.shape[1]:
            fill_within(y, start, left * channels, value)
            copy_within(x, (n * x.shape[1] + row) * x.shape[2] * channels, y, start + left * channels, run)
            done = left * channels + run
            fill_within(y, start + done, width * channels - done, value)
        else:
            fill_within(y, start, width * channels, value)
