"""Depthwise convolution of bytes: channel c of x feeds channels c * m ... c * m + m - 1 of y, each with a filter of its own.

    acc[c] = bias[c] + sum over taps of x[tap, c // m] * w[tap, c]

x is padded already, so that every window lies inside; zero points are folded into the bias as in dot.

An instruction that sums four products of bytes wants the four under one another. So 64 bytes of four filter rows are
interleaved in registers, byte i of each becoming group i; every filter column is one ``dot`` of the groups at its place with
their four weights. With a stride of one, a row of outputs is one run of bytes whatever the number of channels, worked on 64
at a time, and the weights repeat with the channels; with a larger one, every output pixel is a run of its own.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from int8rt import dot
from int8rt.dot import split_bytes
from int8rt.fixedpoint import requantize_double_rounding
from int8rt.graph import Tensor
from int8rt.jit import Kernel, family, inline, kernel
from int8rt.ops import Call
from int8rt.requantization import ROWS, Columns, Rounding, fitted, formula
from int8rt.simd import INTERLEAVED, get, lanes_dot, lanes_load, lanes_requantize, lanes_start, put

BLOCK = 64  # channels that are worked on together


class Geometry(NamedTuple):
    """A window over an image that is padded already."""

    height: int
    width: int
    stride_h: int
    stride_w: int
    dilation_h: int
    dilation_w: int


@family
def depthwise(kind: str) -> Kernel:
    """x [n, h, w, c], y [n, out_h, out_w, c]; columns: where the filter's columns lie, in bytes; dilation: of its rows.

    A row of outputs is made of ``runs``, whose inputs are ``step`` bytes apart. w: int8 [block, four rows * column, 64, 4],
    p: int32 [block, ROWS, 64], the formula's rows; both with lanes INTERLEAVED.
    """
    requantize = lanes_requantize[kind]

    def depthwise(
        thread: int, threads: int, x: Any, height: int, dilation: int, stride_h: int, columns: Any, runs: int, step: int, w: Any,
        p: Any, lo: int, hi: int, y: Any,
    ) -> None:  # fmt: skip
        batch, out_h, out_w, channels = y.shape
        line, length = x.shape[2] * channels, out_w * channels // runs
        blocks, taps = w.shape[0], w.shape[1]
        passes = taps // ((height + 3) // 4 * columns.size)  # weights of nine bits come in two
        for row in range(batch * out_h * thread // threads, batch * out_h * (thread + 1) // threads):
            n = row // out_h
            start = (n * x.shape[1] + (row - n * out_h) * stride_h) * line
            for run in range(runs):
                block = 0
                for i in range(0, length, BLOCK):
                    acc = lanes_start(p, (block * ROWS + ROWS - 1) * BLOCK)
                    weights = block * taps * 4 * BLOCK
                    for _ in range(passes):
                        for first in range(0, height, 4):
                            # rows beyond the filter have weights of zero: any that can be read will do
                            a = start + first * dilation * line + i
                            b = start + min(first + 1, height - 1) * dilation * line + i
                            c = start + min(first + 2, height - 1) * dilation * line + i
                            d = start + min(first + 3, height - 1) * dilation * line + i
                            for column in range(columns.size):
                                at = columns[column]
                                acc = lanes_dot(acc, lanes_load(x, a + at, b + at, c + at, d + at), w, weights)
                                weights += 4 * BLOCK
                    to = (row * runs + run) * length + i
                    requantize(acc, p, block * ROWS * BLOCK, BLOCK, lo, hi, y, to, length - i)
                    block += 1
                    if block == blocks:
                        block = 0
                start += step

    return Kernel(depthwise, f"{__name__}:depthwise[{kind}]")


@inline
def lanes_dot_3(acc: Any, left: Any, middle: Any, right: Any, w: Any, weights: int) -> Any:
    """acc and the products of three columns with the weights that begin at w[weights]."""
    acc = lanes_dot(acc, left, w, weights)
    acc = lanes_dot(acc, middle, w, weights + 4 * BLOCK)
    return lanes_dot(acc, right, w, weights + 8 * BLOCK)


@family
def depthwise_3(kind: str) -> Kernel:
    """``depthwise`` for three columns of at most four rows, without loops over the filter."""
    requantize = lanes_requantize[kind]

    def depthwise_3(
        thread: int, threads: int, x: Any, height: int, dilation: int, stride_h: int, columns: Any, runs: int, step: int, w: Any,
        p: Any, lo: int, hi: int, y: Any,
    ) -> None:  # fmt: skip
        batch, out_h, out_w, channels = y.shape
        line, length = x.shape[2] * channels, out_w * channels // runs
        second, third, taps = columns[1], columns[2], w.shape[1]
        rows = min(1, height - 1), min(2, height - 1), min(3, height - 1)
        for row in range(batch * out_h * thread // threads, batch * out_h * (thread + 1) // threads):
            n = row // out_h
            a = (n * x.shape[1] + (row - n * out_h) * stride_h) * line
            b, c, d = a + rows[0] * dilation * line, a + rows[1] * dilation * line, a + rows[2] * dilation * line
            to = row * out_w * channels
            for run in range(runs):
                at = run * step
                block = 0
                for i in range(0, length, BLOCK):
                    acc = lanes_start(p, (block * ROWS + ROWS - 1) * BLOCK)
                    weights = block * taps * 4 * BLOCK
                    j = at + i
                    left = lanes_load(x, a + j, b + j, c + j, d + j)
                    j = at + i + second
                    middle = lanes_load(x, a + j, b + j, c + j, d + j)
                    j = at + i + third
                    right = lanes_load(x, a + j, b + j, c + j, d + j)
                    acc = lanes_dot_3(acc, left, middle, right, w, weights)
                    if taps == 6:  # weights of nine bits
                        acc = lanes_dot_3(acc, left, middle, right, w, weights + 12 * BLOCK)
                    requantize(acc, p, block * ROWS * BLOCK, BLOCK, lo, hi, y, to + i, length - i)
                    block += 1
                    if block == w.shape[0]:
                        block = 0
                to += length

    return Kernel(depthwise_3, f"{__name__}:depthwise_3[{kind}]")


@family
def depthwise_3_whole(stride: int, kind: str) -> Kernel:
    """``depthwise_3`` for whole blocks of channels: neighbouring outputs share the columns of their windows."""
    requantize = lanes_requantize[kind]

    def depthwise_3_whole(
        thread: int, threads: int, x: Any, height: int, dilation: int, stride_h: int, w: Any, p: Any, lo: int, hi: int, y: Any
    ) -> None:  # fmt: skip
        batch, out_h, out_w, channels = y.shape
        line, taps = x.shape[2] * channels, w.shape[1]
        rows = min(1, height - 1), min(2, height - 1), min(3, height - 1)
        for row in range(batch * out_h * thread // threads, batch * out_h * (thread + 1) // threads):
            n = row // out_h
            start = (n * x.shape[1] + (row - n * out_h) * stride_h) * line
            for block in range(channels // BLOCK):
                a = start + block * BLOCK
                b, c, d = a + rows[0] * dilation * line, a + rows[1] * dilation * line, a + rows[2] * dilation * line
                to = row * out_w * channels + block * BLOCK
                weights = block * taps * 4 * BLOCK
                left = lanes_load(x, a, b, c, d)
                middle = lanes_load(x, a + channels, b + channels, c + channels, d + channels)
                j = 2 * channels
                for _ in range(out_w):
                    right = lanes_load(x, a + j, b + j, c + j, d + j)
                    acc = lanes_start(p, (block * ROWS + ROWS - 1) * BLOCK)
                    acc = lanes_dot_3(acc, left, middle, right, w, weights)
                    if taps == 6:  # weights of nine bits
                        acc = lanes_dot_3(acc, left, middle, right, w, weights + 12 * BLOCK)
                    requantize(acc, p, block * ROWS * BLOCK, BLOCK, lo, hi, y, to, BLOCK)
                    to += channels
                    if stride == 1:
                        left, middle = middle, right
                        j += channels
                    else:
                        j += channels
                        left, middle = right, lanes_load(x, a + j, b + j, c + j, d + j)
                        j += channels

    return Kernel(depthwise_3_whole, f"{__name__}:depthwise_3_whole[{stride} {kind}]")


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


def call(x: Tensor, g: Geometry, w: np.ndarray, bias: np.ndarray, r: Rounding, y: Tensor) -> list[Call]:
    """The Calls that compute y, [n, out_h, out_w, c], from x, already padded.

    w: int16 [height, width, c] less its zero point; bias: int64 [c] with x's zero point folded in.
    """
    columns = Columns(w.reshape(-1, w.shape[2]).T, bias, r)
    if x.shape[3] == 1:
        return dot.call(x, _windows(x, g, y), columns, y)
    return [_depthwise(x, g, w, fitted(columns), y) or _plain(x, g, w, bias, r, y)]


def _windows(x: Tensor, g: Geometry, y: Tensor) -> dot.Segments:
    """A single channel makes a depthwise convolution an ordinary one: its windows as rows."""
    n, height, width, _ = x.shape
    images = np.arange(n)[:, None, None] * height * width
    offsets = images + (np.arange(y.shape[1]) * g.stride_h * width)[:, None] + np.arange(y.shape[2]) * g.stride_w
    rows = np.arange(g.height) * g.dilation_h * width
    if g.dilation_w == 1:
        return dot.Segments(offsets.astype(np.int32).reshape(-1), rows, g.width)
    starts = np.add.outer(rows, np.arange(g.width) * g.dilation_w).reshape(-1)
    return dot.Segments(offsets.astype(np.int32).reshape(-1), starts, 1)


def _depthwise(x: Tensor, g: Geometry, w: np.ndarray, columns: Columns, y: Tensor) -> Call | None:
    """The Call that works on blocks of channels, where each has its own and there is a formula."""
    r = columns.rounding
    f = formula(columns)
    if f is None or f.kind == "double" or x.shape[3] != y.shape[3]:
        return None
    channels = y.shape[3]
    runs = 1 if g.stride_w == 1 else y.shape[2]
    lanes = _lanes(channels, runs)
    parts = split_bytes(columns.w.T.reshape(w.shape))
    four = np.zeros((len(parts), -(-g.height // 4) * 4, g.width, channels + 1), np.int8)
    four[:, : g.height, :, :channels] = parts
    # [pass * four rows, four, column, channel] -> [block, pass * four rows * column, lane, 4]
    four = four.reshape(-1, 4, g.width, channels + 1).transpose(0, 2, 3, 1)[:, :, lanes]
    packed = four.reshape(-1, len(lanes), BLOCK, 4).transpose(1, 0, 2, 3)
    p = np.pad(f.rows, [(0, 0), (0, 1)])[:, lanes].transpose(1, 0, 2)
    offsets = np.arange(g.width) * g.dilation_w * channels
    tables = (packed, np.ascontiguousarray(p), r.lo, r.hi)
    work = y.size * g.height * g.width
    near = g.width == 3 and g.height <= 4 and len(parts) <= 2
    if near and channels % BLOCK == 0 and g.stride_w <= 2 and g.dilation_w == 1:
        args = (g.height, g.dilation_h, g.stride_h, *tables)
        return Call(depthwise_3_whole(g.stride_w, f.kind), x, *args, y, writes=[y], work=work)
    args = (g.height, g.dilation_h, g.stride_h, offsets, runs, g.stride_w * channels, *tables)
    return Call((depthwise_3 if near else depthwise)(f.kind), x, *args, y, writes=[y], work=work)


def _lanes(channels: int, runs: int) -> np.ndarray:
    """Which channel each lane of each block works on, [blocks, 64]; one past the last where none.

    In a single run a block begins at any channel: blocks repeat when they meet a multiple of the channels again.
    """
    count = math.lcm(channels, BLOCK) if runs == 1 else -(-channels // BLOCK) * BLOCK
    channel = np.arange(count)
    channel = channel % channels if runs == 1 else np.minimum(channel, channels)
    return channel.reshape(-1, BLOCK)[:, INTERLEAVED]


def _plain(x: Tensor, g: Geometry, w: np.ndarray, bias: np.ndarray, r: Rounding, y: Tensor) -> Call:
    _, _, width, channels = x.shape
    rows = np.arange(g.height) * g.dilation_h * width * channels
    taps = (rows[:, None] + np.arange(g.width) * g.dilation_w * channels).reshape(-1)
    steps = g.stride_h * width * channels, g.stride_w * channels
    wrapped = (bias & 0xFFFFFFFF).astype(np.uint32).view(np.int32)
    weights = w.reshape(len(taps), -1).astype(np.int32)
    args = (wrapped, r.multiplier, r.shift, r.zero_point, r.lo, r.hi, y.shape[3] // channels)
    return Call(depthwise_plain, x, taps, *steps, weights, *args, y, writes=[y], work=y.size * len(taps))
