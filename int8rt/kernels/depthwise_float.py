"""Depthwise convolution of elements that are not bytes, of padded images: in float32 registers, or by sums in memory.

``depthwise_float`` serves float32, also with int8 weights, where x has as many channels as y. ``depthwise_sums`` serves
any type and any number of filters per channel.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from int8rt.graph import Tensor
from int8rt.kernels.packing import matrix_panels
from int8rt.kernels.product import tile_at, widest
from int8rt.native.kernel import Kernel, kernel, kernel_factory
from int8rt.simd.floats import wide_tile
from int8rt.simd.llvm import LANES
from int8rt.simd.lowerings import FLOAT_TILES, lower
from int8rt.simd.memory import as_type_of, fill_within, get, put
from int8rt.steps import Call


class Taps(NamedTuple):
    """A window over a padded image."""

    taps: np.ndarray  # int64: where the tap lies from the window's begin, in elements
    row_step: int
    col_step: int


# In registers


@kernel_factory
def depthwise_float(kind: str, rows: int, vectors: int) -> Kernel:
    """The kernel for tiles of ``rows`` outputs by 16 V channels.

    x: float32; the window of output m begins at x[offsets[m]] (int32 [outputs]), its taps so many elements behind that
    (int64 [taps]); w: [panel, tap, lane]; scale and bias: float32 [panel, lane]; limits: [2]; y: [outputs, channels].
    Weights that are stored narrower become float32 in registers, and sums are scaled.
    """
    t = wide_tile(kind, rows, vectors)
    t_rows, t_start, t_lanes, t_add_scaled, t_finish = t.rows, t.start, t.lanes, t.add_scaled, t.finish
    width, is_scaled = LANES * vectors, kind != "float32"

    def depthwise_float(
        thread: int, threads: int, x: Any, offsets: Any, taps: Any, w: Any, scale: Any, bias: Any, limits: Any,
        channels: int, y: Any,
    ) -> None:  # fmt: skip
        total = w.shape[0] * ((offsets.size + rows - 1) // rows)
        for item in range(total * thread // threads, total * (thread + 1) // threads):
            panel, m = tile_at(item, rows, offsets.size)
            pointers = t_rows(x, offsets, m)
            c, at = panel * width, panel * taps.size * width
            acc = t_start()
            for tap in range(taps.size):
                acc = t_lanes(acc, pointers, taps[tap] + c, w, at)
                at += width
            if is_scaled:
                acc = t_add_scaled(t_start(), acc, scale, c)
            t_finish(acc, bias, c, limits, y, m * channels + c, channels, channels - c)

    return Kernel(depthwise_float)


def call(
    x: Tensor, taps: Taps, w: np.ndarray, scale: np.ndarray, bias: np.ndarray, limits: np.ndarray, y: Tensor
) -> Call:
    """The Call for y = clamp(bias + scale * sums), [n, out_h, out_w, c], of an x with as many channels.

    w: float32, where scale is not read, or int8 [taps, c]; scale and bias: float32 [c].
    """
    n, out_h, out_w, channels = y.shape
    steps = zip((n, out_h, out_w), (x.size // x.shape[0], taps.row_step, taps.col_step), strict=True)
    images, lines, columns = (np.arange(count) * step for count, step in steps)
    offsets = (images[:, None, None] + lines[:, None] + columns).astype(np.int32).reshape(-1)
    rows, vectors = widest(len(offsets), channels, lower(FLOAT_TILES))
    width = vectors * LANES
    tables = (matrix_panels(v, width) for v in (w.T, scale.reshape(-1, 1), bias.reshape(-1, 1)))
    kernel_ = depthwise_float("float32" if w.dtype == np.float32 else "from int8", rows, vectors)
    args = (offsets, taps.taps, *tables, limits, channels, y)
    return Call(kernel_, x, *args, writes=[y], work=y.size * len(taps.taps))


# By sums in memory


@kernel
def depthwise_sums(
    thread: int, threads: int, x: Any, taps: Any, row_step: int, col_step: int, w: Any, times: int, y: Any
) -> None:
    """y[n, i, j, c] = sum over taps of x[... + c // times] * w[tap, c], in the type of y.

    x [n, h, w, channels] is padded; a window begins row_step and col_step elements after the one before.
    """
    batch, out_h, out_w, channels = y.shape
    image = x.shape[1] * x.shape[2] * x.shape[3]
    for line in range(batch * out_h * thread // threads, batch * out_h * (thread + 1) // threads):
        n = line // out_h
        start = n * image + (line - n * out_h) * row_step
        for col in range(out_w):
            at, to = start + col * col_step, (line * out_w + col) * channels
            fill_within(y, to, channels, as_type_of(get(y, to), 0))
            whole = taps.size - taps.size % 3 if times == 1 else 0
            for tap in range(0, whole, 3):  # three at a time, since sums come from memory and go there
                i, j, k = at + taps[tap], at + taps[tap + 1], at + taps[tap + 2]
                row = tap * channels
                for c in range(channels):
                    acc = get(y, to + c)
                    acc = as_type_of(acc, acc + as_type_of(acc, get(x, i + c)) * get(w, row + c))
                    acc = as_type_of(acc, acc + as_type_of(acc, get(x, j + c)) * get(w, row + channels + c))
                    put(y, to + c, acc + as_type_of(acc, get(x, k + c)) * get(w, row + 2 * channels + c))
            for tap in range(whole, taps.size):
                place, row = at + taps[tap], tap * channels
                if times == 1:
                    for c in range(channels):
                        acc = get(y, to + c)
                        put(y, to + c, acc + as_type_of(acc, get(x, place + c)) * get(w, row + c))
                else:
                    for c in range(channels):
                        acc = get(y, to + c)
                        put(y, to + c, acc + as_type_of(acc, get(x, place + c // times)) * get(w, row + c))


def sums_call(x: Tensor, taps: Taps, w: np.ndarray, y: Tensor) -> Call:
    """The Call for ``depthwise_sums`` into y [n, out_h, out_w, c]; w: [taps, c] of y's type."""
    times = y.shape[3] // x.shape[3]
    work = y.size * len(taps.taps)
    return Call(depthwise_sums, x, *taps, np.ascontiguousarray(w), times, y, writes=[y], work=work)


@kernel
def add_bias(thread: int, threads: int, bias: Any, limits: Any, y: Any) -> None:
    """y = clamp(y + bias), float32, channels innermost."""
    channels = bias.size
    rows = y.size // channels
    lo, hi = limits[0], limits[1]
    for row in range(rows * thread // threads, rows * (thread + 1) // threads):
        for c in range(channels):
            v = get(y, row * channels + c) + get(bias, c)
            v = lo if v < lo else v
            v = hi if hi < v else v
            put(y, row * channels + c, v)
