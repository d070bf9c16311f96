"""Depthwise convolution of bytes: channel c of x feeds channels c * m ... c * m + m - 1 of y, each with a filter of its own.

    acc[c] = bias[c] + sum over taps of x[tap, c // m] * w[tap, c]

x is padded already, so that every window lies inside; zero points are folded into the bias as in dot. Sixteen channels are
worked on at a time, and requantized in registers or by ``dot_accumulate``'s rules.
"""

from __future__ import annotations

from typing import Any

import numpy as np


from int8rt.dot import LANES, Rounding, panels, requantization
from int8rt.fixedpoint import requantize_double_rounding
from int8rt.graph import Tensor
from int8rt.jit import kernel
from int8rt.ops import Call
from int8rt.simd import get, load_bytes, load_int32, multiply_add, put, requantize_lanes, store_lanes


@kernel
def depthwise(
    thread: int, threads: int, x: Any, taps: Any, row_step: int, col_step: int, w: Any, p: Any, lo: int, hi: int, y: Any
) -> None:  # fmt: skip
    """x [n, h, w, c] and y [n, out_h, out_w, c]; taps: offsets of the filter's taps; w int32 [taps, 16 blocks], p [5, 16 blocks]."""
    batch, out_h, out_w, channels = y.shape
    image = x.shape[1] * x.shape[2] * channels
    lanes = p.shape[1]
    for line in range(batch * out_h * thread // threads, batch * out_h * (thread + 1) // threads):
        n = line // out_h
        start = n * image + (line - n * out_h) * row_step
        for col in range(out_w):
            at, to = start + col * col_step, (line * out_w + col) * channels
            for c in range(0, channels, LANES):
                acc = load_int32(p, 4 * lanes + c)
                for tap in range(taps.size):
                    acc = multiply_add(acc, load_bytes(x, at + taps[tap] + c), load_int32(w, tap * lanes + c))
                store_lanes(y, to + c, requantize_lanes(acc, p, c, lanes, lo, hi), channels - c)


@kernel
def depthwise_plain(
    thread: int, threads: int, x: Any, taps: Any, row_step: int, col_step: int, w: Any, bias: Any, multiplier: Any,
    shift: Any, zero_point: int, lo: int, hi: int, times: int, y: Any,
) -> None:  # fmt: skip
    """Any channel multiplier and any scale, one value at a time; w is int32 [taps, c], bias int32 [c]."""
    batch, out_h, out_w, channels = y.shape
    image = x.shape[1] * x.shape[2] * x.shape[3]
    for line in range(batch * out_h * thread // threads, batch * out_h * (thread + 1) // threads):
        n = line // out_h
        start = n * image + (line - n * out_h) * row_step
        for col in range(out_w):
            at, to = start + col * col_step, (line * out_w + col) * channels
            for c in range(channels):
                acc = np.int32(bias[c])
                for tap in range(taps.size):
                    acc = np.int32(acc + np.int32(get(x, at + taps[tap] + c // times)) * w[tap, c])
                q = requantize_double_rounding(np.int64(acc), multiplier[c], shift[c])
                put(y, to + c, min(max(q + zero_point, lo), hi))


def call(
    x: Tensor, taps: np.ndarray, row_step: int, col_step: int, w: np.ndarray, bias: np.ndarray, r: Rounding, y: Tensor
) -> Call:  # fmt: skip
    """The Call that computes y, [n, out_h, out_w, c], from x, already padded.

    taps: offsets of the filter's taps in elements; steps: between output rows and columns; w: [taps, c] less its zero
    point; bias: int64 [c] with x's zero point folded in.
    """
    channels = y.shape[3]
    w = w.astype(np.int32)
    magnitude = np.abs(bias) + 255 * np.abs(w.astype(np.int64)).sum(axis=0)
    formula = requantization(bias, magnitude, r)
    place = (x, taps.astype(np.int64), row_step, col_step)
    work = y.size * len(taps)
    if formula is None or x.shape[3] != channels:
        wrapped = (bias & 0xFFFFFFFF).astype(np.uint32).view(np.int32)
        args = (w, wrapped, r.multiplier, r.shift, r.zero_point, r.lo, r.hi, channels // x.shape[3], y)
        return Call(depthwise_plain, *place, *args, writes=[y], work=work)
    wide = np.concatenate([panels(row, 1).reshape(1, -1) for row in w])
    p = np.concatenate([panels(row, 1).reshape(1, -1) for row in formula])
    return Call(depthwise, *place, wide, p, r.lo, r.hi, y, writes=[y], work=work)
