"""Float activations times narrow weights in float32: weights become float32 in registers, never as a copy in memory.

    y[m, c] = clamp(bias[c] + scale[c] * (sum over k of x[m, k] * w[c, k]))        int8 weights, 4 and 2 bits unpacked
    y[m, c] = clamp(bias[c] + sum over k of x[m, k] * w[c, k])                     float16 weights

w converts to float32 exactly, and products are added in the order of k by fused multiply-add, so that with u = 2^-24,
half a unit in the last place, and to first order in u

    |y - exact| <= (K + B + 2) u (|bias[c]| + sum over k of |x[m, k] * w[c, k] * scale[c]|)

where K is the number of products and B that of blocks with a scale of their own, usually 1. Where the CPU has no fused
multiply-add, K and B count twice. The sum before the scale must not overflow: |x| up to 2^120 / K is safe.

Rows and segments are those of ``dot``, counted in elements of x; the panels are those of ``wide``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from int8rt.dot import Segments, widest
from int8rt.graph import Tensor
from int8rt.jit import Kernel, family, kernel
from int8rt.ops import Call
from int8rt.simd import LANES, as_type_of, fill_within, get, put
from int8rt.simd_wide import multiply_add, tile
from int8rt.wide import Taps, depthwise_float_call, panels

KINDS = {np.dtype(np.int8): "from int8", np.dtype(np.uint16): "from float16"}  # {packed weights: kind of tile}


@family
def dot(kind: str, rows: int, vectors: int) -> Kernel:
    """The kernel for tiles of rows x 16 vectors; scale [panel, block, lane], a block being ``group`` segments."""
    t = tile(kind, rows, vectors)
    t_rows, t_start, t_dot, t_add_scaled, t_finish = t.rows, t.start, t.dot, t.add_scaled, t.finish
    width = LANES * vectors

    def weight_only(
        thread: int, threads: int, x: Any, offsets: Any, starts: Any, depth: int, group: int, w: Any, scale: Any,
        bias: Any, limits: Any, columns: int, y: Any, first: int, stride: int,
    ) -> None:  # fmt: skip
        tiles = (offsets.size + rows - 1) // rows
        total = w.shape[0] * tiles
        for item in range(total * thread // threads, total * (thread + 1) // threads):
            panel = item // tiles
            m = min((item - panel * tiles) * rows, offsets.size - rows)  # the last tile may repeat some rows
            pointers = t_rows(x, offsets, m)
            at = panel * w.shape[1] * width
            at_scale = panel * scale.shape[1] * width
            acc = t_start()
            for begin in range(0, starts.size, group):
                part = t_start()
                for s in range(begin, begin + group):
                    for k in range(starts[s], starts[s] + depth):
                        part = t_dot(part, pointers, k, w, at)
                        at += width
                acc = t_add_scaled(acc, part, scale, at_scale)
                at_scale += width
            c = panel * width
            t_finish(acc, bias, c, limits, y, first + m * stride + c, stride, columns - c)

    return Kernel(weight_only, f"{__name__}:weight_only[{kind} {rows}x{vectors}]")


def call(
    x: Tensor, segments: Segments, w: np.ndarray, scale: np.ndarray, bias: np.ndarray, limits: np.ndarray, y: Tensor,
    first: int = 0, stride: int = 0,
) -> Call:  # fmt: skip
    """The Call for column c of row m at y[first + m * stride + c].

    w: int8 or float16 [columns, whole depth]; scale: float32 [columns] or [columns, blocks], a block being one segment;
    bias: float32 [columns].
    """
    columns = len(w)
    rows, vectors = widest(len(segments.offsets), columns)
    width = vectors * LANES
    starts = np.asarray(segments.starts, np.int64)
    scale = scale.reshape(columns, -1)
    packed = panels(w if w.dtype == np.int8 else w.view(np.uint16), width)
    scales, biases = (panels(np.asarray(v, np.float32), width) for v in (scale, bias.reshape(-1, 1)))
    group = len(starts) // scale.shape[1]
    tables = packed, scales, biases, limits, columns
    args = (x, segments.offsets, starts, segments.depth, group, *tables, y, first, stride or columns)
    work = len(segments.offsets) * w.size
    return Call(dot(KINDS[packed.dtype], rows, vectors), *args, writes=[y], work=work)


@kernel
def depthwise(
    thread: int, threads: int, x: Any, taps: Any, row_step: int, col_step: int, w: Any, times: int, scale: Any,
    bias: Any, limits: Any, y: Any,
) -> None:  # fmt: skip
    """As ``wide.depthwise_sums``, int8 w, then scale, bias and limits: several outputs to a channel. Sums stay in y."""
    batch, out_h, out_w, channels = y.shape
    image = x.shape[1] * x.shape[2] * x.shape[3]
    lo, hi = limits[0], limits[1]
    for line in range(batch * out_h * thread // threads, batch * out_h * (thread + 1) // threads):
        n = line // out_h
        start = n * image + (line - n * out_h) * row_step
        for col in range(out_w):
            at, to = start + col * col_step, (line * out_w + col) * channels
            fill_within(y, to, channels, np.float32(0))
            for tap in range(taps.size):
                place, row = at + taps[tap], tap * channels
                for c in range(channels):
                    acc = get(y, to + c)
                    put(y, to + c, multiply_add(acc, get(x, place + c // times), as_type_of(acc, get(w, row + c))))
            for c in range(channels):
                v = multiply_add(get(bias, c), get(y, to + c), get(scale, c))
                v = lo if v < lo else v
                v = hi if hi < v else v
                put(y, to + c, v)


def depthwise_call(
    x: Tensor, taps: Taps, w: np.ndarray, scale: np.ndarray, bias: np.ndarray, limits: np.ndarray, y: Tensor
) -> Call:
    """The Call into y, [n, out_h, out_w, c], from a padded image; w: int8 [taps, c]; scale and bias: float32 [c]."""
    times = y.shape[3] // x.shape[3]
    if times == 1:
        return depthwise_float_call(x, taps, w, scale, bias, limits, y)
    tables = np.ascontiguousarray(w), times, scale, bias, limits
    return Call(depthwise, x, *taps, *tables, y, writes=[y], work=y.size * len(taps.taps))
