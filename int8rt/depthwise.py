"""Depthwise convolution of bytes: channel c of x feeds channels c * m ... c * m + m - 1 of y, each with a filter of its own.

    acc[c] = bias[c] + sum over taps of x[tap, c // m] * w[tap, c]

x is padded already, so that every window lies inside; zero points are folded into the bias as in dot.

An instruction that sums four products of bytes wants the four under one another. So, for each row of outputs, the input
rows that a filter covers are interleaved four at a time: byte i of four rows becomes group i. Then every filter column is one
``dot`` of the groups at its place with its four weights, whatever the number of channels: a row of outputs is one run of
bytes, worked on 64 at a time, and the weights repeat with the channels. With a stride of s the groups of every s-th
pixel are put side by side first (a "phase"), so that this holds there too.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from int8rt.dot import split_bytes
from int8rt.fixedpoint import requantize_double_rounding
from int8rt.graph import Tensor
from int8rt.jit import kernel
from int8rt.ops import Call, scratch_per_thread
from int8rt.requantization import ROWS, Columns, Rounding, fitted, formula
from int8rt.simd import get, interleave, lanes_dot, lanes_requantize, lanes_start, put

BLOCK = 64  # channels that are worked on together


class Geometry(NamedTuple):
    """A window over an image that is padded already."""

    height: int
    width: int
    stride_h: int
    stride_w: int
    dilation_h: int
    dilation_w: int


@kernel
def depthwise(
    thread: int, threads: int, x: Any, height: int, dilation: int, stride_h: int, stride_w: int, phase: int, taps: Any,
    w: Any, p: Any, lo: int, hi: int, groups: Any, y: Any,
) -> None:  # fmt: skip
    """x [n, h, w, c], y [n, out_h, out_w, c]; groups: scratch of each thread, phase: bytes of it per phase of a row.

    taps: where the groups of each tap begin; w int8 [block, tap, 64, 4]; p int32 [block, ROWS, 64]: the formula's rows.
    """
    batch, out_h, out_w, channels = y.shape
    line = x.shape[2] * channels
    run = line if stride_w == 1 else channels  # bytes that stay together
    mine = thread * groups.shape[1]
    for row in range(batch * out_h * thread // threads, batch * out_h * (thread + 1) // threads):
        n = row // out_h
        start = (n * x.shape[1] + (row - n * out_h) * stride_h) * line
        for first in range(0, height, 4):
            # rows beyond the filter have weights of zero: any that can be read will do
            a = start + first * dilation * line
            b = start + min(first + 1, height - 1) * dilation * line
            c = start + min(first + 2, height - 1) * dilation * line
            d = start + min(first + 3, height - 1) * dilation * line
            to = mine + (first // 4) * stride_w * phase
            pixel = 0
            for at in range(0, line, run):
                turn = pixel // stride_w
                place = to + (pixel - turn * stride_w) * phase + turn * channels * 4
                for i in range(at, at + run, BLOCK):
                    interleave(x, a + i, b + i, c + i, d + i, groups, place + (i - at) * 4)
                pixel += 1
        block = 0
        for i in range(0, out_w * channels, BLOCK):
            acc = lanes_start(p, (block * ROWS + ROWS - 1) * BLOCK)
            for tap in range(taps.size):
                acc = lanes_dot(acc, groups, mine + taps[tap] + 4 * i, w, (block * taps.size + tap) * 4 * BLOCK)
            lanes_requantize(
                acc, p, block * ROWS * BLOCK, BLOCK, lo, hi, y, row * out_w * channels + i, out_w * channels - i
            )
            block += 1
            if block == w.shape[0]:
                block = 0


@kernel
def depthwise_plain(
    thread: int, threads: int, x: Any, taps: Any, row_step: int, col_step: int, w: Any, bias: Any, multiplier: Any,
    shift: Any, zero_point: int, lo: int, hi: int, times: int, y: Any,
) -> None:  # fmt: skip
    """What depthwise computes, for any channel multiplier and scale, one value at a time; w int32 [taps, c], bias int32 [c]."""
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


def call(x: Tensor, g: Geometry, w: np.ndarray, bias: np.ndarray, r: Rounding, y: Tensor) -> Call:
    """The Call that computes y, [n, out_h, out_w, c], from x, already padded.

    w: int16 [height, width, c] less its zero point; bias: int64 [c] with x's zero point folded in.
    """
    flat = w.reshape(-1, w.shape[2]).T
    columns = fitted(Columns(flat, bias, r))
    f = formula(columns)
    if f is None or f.kind != "fixed" or x.shape[3] != y.shape[3]:
        return _plain(x, g, w, bias, r, y)
    w = columns.w.T.reshape(w.shape)
    channels = y.shape[3]
    # a block of outputs begins at any channel: weights and constants repeat until blocks and channels meet
    repeated = np.arange(math.lcm(channels, BLOCK)) % channels
    blocks = len(repeated) // BLOCK
    parts = split_bytes(w)
    four = np.zeros((len(parts), -(-g.height // 4) * 4, g.width, channels), np.int8)
    four[:, : g.height] = parts
    four = four.reshape(-1, 4, g.width, channels).transpose(0, 2, 3, 1)[:, :, repeated]  # [rows, column, lane, 4]
    packed = four.reshape(-1, blocks, BLOCK, 4).transpose(1, 0, 2, 3)
    p = f.rows[:, repeated].reshape(ROWS, blocks, BLOCK).transpose(1, 0, 2)
    phase = 4 * (-(-x.shape[2] // g.stride_w) * channels + BLOCK)
    taps = np.tile(_taps(g, channels, phase), len(parts))
    groups = scratch_per_thread(f"{y.name}/groups", phase * g.stride_w * -(-g.height // 4), np.uint8)
    args = (g.height, g.dilation_h, g.stride_h, g.stride_w, phase, taps)
    tables = (np.ascontiguousarray(packed), np.ascontiguousarray(p), r.lo, r.hi)
    return Call(depthwise, x, *args, *tables, groups, y, writes=[y, groups], work=y.size * g.height * g.width)


def _taps(g: Geometry, channels: int, phase: int) -> np.ndarray:
    """Where the groups of four rows under each filter column begin, in bytes of scratch: int64 [groups of rows * width]."""
    columns = np.arange(g.width) * g.dilation_w
    within = columns % g.stride_w * phase + columns // g.stride_w * channels * 4
    rows = np.arange(-(-g.height // 4)) * g.stride_w * phase
    return (rows[:, None] + within).reshape(-1)


def _plain(x: Tensor, g: Geometry, w: np.ndarray, bias: np.ndarray, r: Rounding, y: Tensor) -> Call:
    _, _, width, channels = x.shape
    rows = np.arange(g.height) * g.dilation_h * width * channels
    taps = (rows[:, None] + np.arange(g.width) * g.dilation_w * channels).reshape(-1)
    steps = g.stride_h * width * channels, g.stride_w * channels
    wrapped = (bias & 0xFFFFFFFF).astype(np.uint32).view(np.int32)
    weights = w.reshape(len(taps), -1).astype(np.int32)
    args = (wrapped, r.multiplier, r.shift, r.zero_point, r.lo, r.hi, y.shape[3] // channels)
    return Call(depthwise_plain, x, taps, *steps, weights, *args, y, writes=[y], work=y.size * len(taps))
