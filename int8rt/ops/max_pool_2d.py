"""MAX_POOL_2D: the largest value under a window that slides over an NHWC image.

    y = clamp(max over h, w of x)

Taps outside the image do not count. Stored values pass as they are: a scale or zero point of y that differs from that
of x is ignored, as LiteRT does; only the fused activation looks at them. A NaN never wins against what came before it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from int8rt.graph import Node
from int8rt.native.kernel import Kernel, kernel, kernel_factory
from int8rt.numerics.rules import Numerics
from int8rt.ops._pool import EIGHT_BITS, check, clamp, limits, pool, stored_limits
from int8rt.ops._window import Window, windows
from int8rt.simd.memory import fill_within, get, put
from int8rt.simd.runs import bytes_max, bytes_of, bytes_store
from int8rt.steps import Call

operands = "x[4] -> y"


def shapes(node: Node) -> list[tuple[int, ...]]:
    x, g = pool(node)
    return [(x.shape[0], g.out_h, g.out_w, x.shape[3])]


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    check(node)
    _, g = pool(node)
    least, _, _ = limits(node)
    seen, _ = windows(x, g, fill=least)  # type: ignore[arg-type]
    y = np.full(node.outputs[0].shape, least, x.dtype)
    for row in range(g.height):
        for col in range(g.width):
            y = np.where(y < seen[:, :, :, row, col], seen[:, :, :, row, col], y)
    return clamp(node, y)


def prepare(node: Node, numerics: Numerics) -> Call:
    check(node)
    x, g = pool(node)
    (y,) = node.outputs
    run = max_pool_of_bytes(g.width) if y.type in EIGHT_BITS else max_pool
    work = y.size * g.height * g.width
    return Call(run, x, *g, stored_limits(node), y, writes=[y], work=work)


@kernel
def max_pool(thread: int, threads: int, x: Any, g: Window, limits: Any, y: Any) -> None:
    """x and y are NHWC; limits: the type's least value and the clamp's ends. Dilations are 1."""
    batch, in_h, in_w, channels = x.shape
    least, lo, hi = limits[0], limits[1], limits[2]
    for line in range(batch * g.out_h * thread // threads, batch * g.out_h * (thread + 1) // threads):
        n = line // g.out_h
        top = (line - n * g.out_h) * g.stride_h - g.pad_top
        for out_col in range(g.out_w):
            left = out_col * g.stride_w - g.pad_left
            to = (line * g.out_w + out_col) * channels
            fill_within(y, to, channels, least)
            for row in range(max(top, 0), min(top + g.height, in_h)):
                for col in range(max(left, 0), min(left + g.width, in_w)):
                    at = ((n * in_h + row) * in_w + col) * channels
                    for c in range(channels):
                        best, value = get(y, to + c), get(x, at + c)
                        put(y, to + c, value if best < value else best)
            for c in range(to, to + channels):
                best = get(y, c)
                best = lo if best < lo else best
                put(y, c, hi if hi < best else best)


@kernel_factory
def max_pool_of_bytes(columns: int) -> Kernel:
    """``max_pool`` 64 channels at a time, for windows of so many columns.

    Of columns outside the image the nearest one inside stands in, which the window has too.
    """

    def max_pool_of_bytes(thread: int, threads: int, x: Any, g: Window, limits: Any, y: Any) -> None:
        """x uint8 [n, h, w, c] to y [n, out_h, out_w, c], 64 channels at a time."""
        batch, in_h, in_w, channels = x.shape
        lo, hi = np.int64(limits[1]), np.int64(limits[2])
        for line in range(batch * g.out_h * thread // threads, batch * g.out_h * (thread + 1) // threads):
            n = line // g.out_h
            top = (line - n * g.out_h) * g.stride_h - g.pad_top
            first, last = n * in_h + max(top, 0), n * in_h + min(top + g.height, in_h)
            for out_col in range(g.out_w):
                left = out_col * g.stride_w - g.pad_left
                for block in range(0, channels, 64):
                    best = bytes_of(lo)
                    for row in range(first, last):
                        for i in range(columns):
                            col = min(max(left + i, 0), in_w - 1)
                            best = bytes_max(best, x, (row * in_w + col) * channels + block)
                    bytes_store(best, hi, y, (line * g.out_w + out_col) * channels + block, channels - block)

    return Kernel(max_pool_of_bytes)
