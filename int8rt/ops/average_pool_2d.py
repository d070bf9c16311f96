"""AVERAGE_POOL_2D: the mean of the values under a window that slides over an NHWC image.

    y = clamp(sum over h, w of x / count)

Taps outside the image neither add nor count. Integers are divided with rounding half away from zero, as the file stores
them: scales and zero points play no part but in the fused activation. Floats are summed row by row in float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from int8rt.graph import Node
from int8rt.native.kernel import kernel
from int8rt.numerics.rules import Numerics
from int8rt.numerics.storage import INT8_OFFSET
from int8rt.ops._pool import BLOCK, check, clamp, float_mean, mean_of_floats, pool, stored_limits, unchanged
from int8rt.ops._window import Window, windows
from int8rt.simd.memory import fill_within, get, put
from int8rt.steps import Call, scratch_per_thread

operands = "x[4] -> y"


def shapes(node: Node) -> list[tuple[int, ...]]:
    x, g = pool(node)
    return [(x.shape[0], g.out_h, g.out_w, x.shape[3])]


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    check(node)
    _, g = pool(node)
    if x.dtype == np.float32:
        return clamp(node, float_mean(node, x))
    seen, inside = windows(x, g, fill=0)
    count = inside.sum(axis=(2, 3))[None, ..., None]
    total = seen.sum(axis=(3, 4), dtype=np.int64)
    return clamp(node, np.sign(total) * ((np.abs(total) + count // 2) // count))


def prepare(node: Node, numerics: Numerics) -> Call:
    check(node)
    x, g = pool(node)
    (y,) = node.outputs
    if x.dtype == np.float32:
        return mean_of_floats(node, unchanged, unchanged)
    fits = g.height * g.width < 1 << 15  # so that sums of 16-bit values stay within int32
    dtype = np.int32 if fits else np.int64
    sums = scratch_per_thread(f"{y.name}/sums", min(BLOCK, x.shape[3]), dtype)
    offset = INT8_OFFSET if x.dtype == np.int8 else 0
    work = y.size * g.height * g.width
    place = (x, *g, stored_limits(node))
    return Call(average_pool, *place, offset, sums, y, writes=[y, sums], work=work)


@kernel
def average_pool(thread: int, threads: int, x: Any, g: Window, limits: Any, offset: int, sums: Any, y: Any) -> None:
    """x and y are NHWC; ``offset`` is the stored form of integer 0; limits end with the clamp's. Dilations are 1.

    A float64 quotient of integers below 2**52 truncates to the integer quotient.
    """
    batch, in_h, in_w, channels = x.shape
    lo, hi = np.float64(limits[1]), np.float64(limits[2])
    size = sums.shape[1]
    mine = thread * size
    for line in range(batch * g.out_h * thread // threads, batch * g.out_h * (thread + 1) // threads):
        n = line // g.out_h
        top = (line - n * g.out_h) * g.stride_h - g.pad_top
        first, last = max(top, 0), min(top + g.height, in_h)
        for out_col in range(g.out_w):
            left = out_col * g.stride_w - g.pad_left
            start, end = max(left, 0), min(left + g.width, in_w)
            count = np.float64((last - first) * (end - start))
            half, zero = np.float64((last - first) * (end - start) // 2), count * offset
            for block in range(0, channels, size):
                some = min(size, channels - block)
                fill_within(sums, mine, some, 0)
                for row in range(first, last):
                    for col in range(start, end):
                        at = ((n * in_h + row) * in_w + col) * channels + block
                        for c in range(some):
                            put(sums, mine + c, get(sums, mine + c) + get(x, at + c))
                to = (line * g.out_w + out_col) * channels + block
                for c in range(some):
                    total = np.float64(get(sums, mine + c)) - zero
                    q = np.trunc((total + np.copysign(half, total)) / count) + offset
                    put(y, to + c, min(max(q, lo), hi))
