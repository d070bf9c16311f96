"""Depthwise convolution of bytes: channel c of x feeds channels c * m ... c * m + m - 1 of y, each with a filter of
its own.

    acc[c] = bias[c] + sum over taps of x[tap, c // m] * w[tap, c]

Zero points are folded into the bias as in dot. Where windows reach beyond the image, each thread keeps the padded
rows that a row of outputs needs in a ring, into which every row of x is copied once.

An instruction that sums four products of bytes wants the four under one another. So 64 bytes of four filter rows are
interleaved in registers, byte i of each becoming group i; every filter column is one ``dot`` of the groups at its
place with their four weights. With a stride of one, a row of outputs is one run of bytes whatever the number of
channels, worked on 64 at a time, and the weights repeat with the channels; with a larger one, every output pixel is a
run of its own.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from int8rt.graph import Tensor
from int8rt.kernels import dot
from int8rt.kernels.depthwise_float import Taps
from int8rt.kernels.packing import bias_compensation, split_bytes, wrapped
from int8rt.kernels.product import RowSegments
from int8rt.native.kernel import Kernel, inline, kernel, kernel_factory, stage
from int8rt.numerics.requantization import ROWS, Filters, Rounding, fitted, parameters, requantized
from int8rt.simd.lanes import lanes_dot, lanes_load, lanes_requantize, lanes_save, lanes_start, window
from int8rt.simd.lowerings import SLIDING, lower
from int8rt.simd.memory import copy_within, fill_within, get, put
from int8rt.simd.narrow import INTERLEAVED
from int8rt.steps import Call, Flat, scratch_per_thread

BLOCK = 64  # channels that are worked on together


class Geometry(NamedTuple):
    """A window over an image of which it may reach beyond."""

    height: int
    width: int
    stride_h: int
    stride_w: int
    dilation_h: int
    dilation_w: int
    pad_top: int
    pad_left: int


class Source(NamedTuple):
    """Where kernels find the rows of x; both x and the ring are flat."""

    in_h: int
    in_w: int
    channels: int
    reach: int  # rows under a window
    line: int  # bytes of a row, padded
    pad_top: int
    pad_left: int
    fill: int
    ring: int  # rows in the ring; 0 where the rows of x are used as they are


class FilterRows(NamedTuple):
    """The rows of the filter and how they move over the image."""

    height: int
    dilation: int
    stride: int


class Runs(NamedTuple):
    """A row of outputs as runs of neighbouring bytes, whose inputs are neighbours too."""

    columns: Any  # int64 [width]: where the filter's columns lie, in bytes
    number: int
    step: int  # bytes between the inputs of a run and of the next


class Requantizing(NamedTuple):
    """What becomes of the sums, by ``lanes_requantize``."""

    p: Any  # int32 [block, ROWS, 64]: Parameters, lanes INTERLEAVED
    lo: int
    hi: int


@stage
def begin_ring(ring: Any, thread: int, source: Source) -> int:
    """Fill a thread's ring, so that its margins are right; gives where it begins."""
    mine = thread * source.ring * source.line
    fill_within(ring, mine, source.ring * source.line, source.fill)
    return mine


@stage
def next_row(
    out_row: int, out_h: int, image: int, ready: int, x: Any, ring: Any, mine: int, source: Source, stride: int
) -> tuple[int, int, int]:  # fmt: skip
    """(image, first padded row of its windows, ready) for a row of outputs, numbered through all images.

    The padded rows before number ``ready`` of an image are in the ring then, all that the windows need among them.
    """
    n = out_row // out_h
    top = (out_row - n * out_h) * stride
    if source.ring:
        ready = copy_rows(x, ring, mine, top if n != image else max(ready, top), top + source.reach, n, source)
    return n, top, ready


@inline
def copy_rows(x: Any, ring: Any, mine: int, ready: int, wanted: int, n: int, source: Source) -> int:
    """Bring the padded rows from number ``ready`` to before ``wanted`` of image n into the ring; gives wanted."""
    in_h, line = source.in_h, source.in_w * source.channels
    for row in range(ready, wanted):
        at = mine + (row % source.ring) * source.line + source.pad_left * source.channels
        if 0 <= row - source.pad_top < in_h:
            copy_within(x, (n * in_h + row - source.pad_top) * line, ring, at, line)
        else:
            fill_within(ring, at, line, source.fill)
    return wanted


@kernel_factory
def depthwise(kind: str) -> Kernel:
    """The kernel for any filter: y is [n, out_h, out_w, c].

    x: uint8, flat; ring: uint8, flat [threads, ring, line]; w: int8 [block, four rows * column, 64, 4], with lanes
    INTERLEAVED.
    """
    requantize = lanes_requantize[kind]

    def depthwise(
        thread: int, threads: int, x: Any, ring: Any, source: Source, rows: FilterRows, runs: Runs, w: Any,
        q: Requantizing, y: Any,
    ) -> None:  # fmt: skip
        batch, out_h, out_w, channels = y.shape
        columns = runs.columns
        length = out_w * channels // runs.number
        blocks, taps = w.shape[0], w.shape[1]
        passes = taps // ((rows.height + 3) // 4 * columns.size)  # weights of nine bits come in two
        mine = begin_ring(ring, thread, source)
        n, ready = -1, 0
        for out_row in range(batch * out_h * thread // threads, batch * out_h * (thread + 1) // threads):
            n, top, ready = next_row(out_row, out_h, n, ready, x, ring, mine, source, rows.stride)
            for run in range(runs.number):
                start = run * runs.step
                block = 0
                for i in range(0, length, BLOCK):
                    acc = lanes_start(q.p, (block * ROWS + ROWS - 1) * BLOCK)
                    weights = block * taps * 4 * BLOCK
                    for _ in range(passes):
                        for first in range(0, rows.height, 4):
                            a, b, c, d = four_rows(top, first, rows, mine, n, source)
                            for column in range(columns.size):
                                at = columns[column] + start + i
                                if source.ring:
                                    groups = lanes_load(ring, a + at, b + at, c + at, d + at)
                                else:
                                    groups = lanes_load(x, a + at, b + at, c + at, d + at)
                                acc = lanes_dot(acc, groups, w, weights)
                                weights += 4 * BLOCK
                    to = (out_row * runs.number + run) * length + i
                    requantize(acc, q.p, block * ROWS * BLOCK, BLOCK, q.lo, q.hi, y, to, length - i)
                    block += 1
                    if block == blocks:
                        block = 0

    return Kernel(depthwise)


@stage
def four_rows(top: int, first: int, rows: FilterRows, mine: int, n: int, source: Source) -> Any:
    """Where rows first ... first + 3 of a window begin. Those beyond the filter have weights of zero: any will do."""
    last, line = rows.height - 1, source.line
    a = top + first * rows.dilation
    b = top + min(first + 1, last) * rows.dilation
    c = top + min(first + 2, last) * rows.dilation
    d = top + min(first + 3, last) * rows.dilation
    if source.ring:
        count = source.ring
        return mine + a % count * line, mine + b % count * line, mine + c % count * line, mine + d % count * line
    begin = n * source.in_h
    return (begin + a) * line, (begin + b) * line, (begin + c) * line, (begin + d) * line


@inline
def lanes_dot_3(acc: Any, left: Any, middle: Any, right: Any, w: Any, weights: int) -> Any:
    """acc and the products of three columns with the weights that begin at w[weights]."""
    acc = lanes_dot(acc, left, w, weights)
    acc = lanes_dot(acc, middle, w, weights + 4 * BLOCK)
    return lanes_dot(acc, right, w, weights + 8 * BLOCK)


@kernel_factory
def depthwise_3(kind: str, ringed: bool) -> Kernel:
    """``depthwise`` for three columns of at most four rows, without loops over the filter; ringed: rows lie in the
    ring.
    """
    requantize = lanes_requantize[kind]
    load = lanes_load_first if ringed else lanes_load_second

    def depthwise_3(
        thread: int, threads: int, x: Any, ring: Any, source: Source, rows: FilterRows, runs: Runs, w: Any,
        q: Requantizing, y: Any,
    ) -> None:  # fmt: skip
        batch, out_h, out_w, channels = y.shape
        length, taps = out_w * channels // runs.number, w.shape[1]
        second, third = runs.columns[1], runs.columns[2]
        mine = begin_ring(ring, thread, source)
        n, ready = -1, 0
        for out_row in range(batch * out_h * thread // threads, batch * out_h * (thread + 1) // threads):
            n, top, ready = next_row(out_row, out_h, n, ready, x, ring, mine, source, rows.stride)
            a, b, c, d = four_rows(top, 0, rows, mine, n, source)
            to = out_row * out_w * channels
            for run in range(runs.number):
                block = 0
                for i in range(0, length, BLOCK):
                    acc = lanes_start(q.p, (block * ROWS + ROWS - 1) * BLOCK)
                    weights = block * taps * 4 * BLOCK
                    j = run * runs.step + i
                    left = load(ring, x, a + j, b + j, c + j, d + j)
                    j = run * runs.step + i + second
                    middle = load(ring, x, a + j, b + j, c + j, d + j)
                    j = run * runs.step + i + third
                    right = load(ring, x, a + j, b + j, c + j, d + j)
                    acc = lanes_dot_3(acc, left, middle, right, w, weights)
                    if taps == 6:  # weights of nine bits
                        acc = lanes_dot_3(acc, left, middle, right, w, weights + 12 * BLOCK)
                    requantize(acc, q.p, block * ROWS * BLOCK, BLOCK, q.lo, q.hi, y, to + i, length - i)
                    block += 1
                    if block == w.shape[0]:
                        block = 0
                to += length

    return Kernel(depthwise_3)


@kernel_factory
def depthwise_sliding(columns: int, stride: int, groups: int, passes: int, kind: str, ringed: bool) -> Kernel:
    """``depthwise`` by blocks of channels: neighbouring outputs share the columns of their windows, in registers.

    Of a filter of more than four rows, ``groups`` of four are multiplied along all of a row one after another; between
    them the row's sums are in ``sums``. Weights of nine bits come in two passes.
    """
    requantize = lanes_requantize[kind]
    load = lanes_load_first if ringed else lanes_load_second
    words = window(columns)
    w_start, w_push, w_dot = words.start, words.push, words.dot

    def depthwise_sliding(
        thread: int, threads: int, x: Any, ring: Any, source: Source, rows: FilterRows, w: Any, q: Requantizing,
        sums: Any, y: Any,
    ) -> None:  # fmt: skip
        batch, out_h, out_w, channels = y.shape
        blocks, taps = w.shape[0], w.shape[1]
        mine = begin_ring(ring, thread, source)
        kept = thread * out_w * BLOCK
        n, ready = -1, 0
        for out_row in range(batch * out_h * thread // threads, batch * out_h * (thread + 1) // threads):
            n, top, ready = next_row(out_row, out_h, n, ready, x, ring, mine, source, rows.stride)
            for block in range(blocks):
                for group in range(groups):
                    a, b, c, d = four_rows(top, 4 * group, rows, mine, n, source)
                    weights = (block * taps + group * columns) * 4 * BLOCK
                    j = block * BLOCK
                    to = out_row * out_w * channels + j
                    seen = w_start()
                    for _ in range(columns - stride):
                        seen = w_push(seen, load(ring, x, a + j, b + j, c + j, d + j))
                        j += channels
                    for i in range(out_w):
                        for _ in range(stride):
                            seen = w_push(seen, load(ring, x, a + j, b + j, c + j, d + j))
                            j += channels
                        if group == 0:
                            acc = lanes_start(q.p, (block * ROWS + ROWS - 1) * BLOCK)
                        else:
                            acc = lanes_start(sums, kept + i * BLOCK)
                        acc = w_dot(acc, seen, w, weights)
                        if passes == 2:
                            acc = w_dot(acc, seen, w, weights + groups * columns * 4 * BLOCK)
                        if group == groups - 1:
                            requantize(
                                acc,
                                q.p,
                                block * ROWS * BLOCK,
                                BLOCK,
                                q.lo,
                                q.hi,
                                y,
                                to,
                                min(channels - block * BLOCK, BLOCK),
                            )
                        else:
                            lanes_save(acc, sums, kept + i * BLOCK)
                        to += channels

    return Kernel(depthwise_sliding)


@inline
def lanes_load_first(first: Any, second: Any, a: int, b: int, c: int, d: int) -> Any:
    return lanes_load(first, a, b, c, d)


@inline
def lanes_load_second(first: Any, second: Any, a: int, b: int, c: int, d: int) -> Any:
    return lanes_load(second, a, b, c, d)


@kernel
def depthwise_plain(
    thread: int, threads: int, x: Any, taps: Taps, w: Any, bias: Any, rounding: Rounding, times: int, y: Any
) -> None:  # fmt: skip
    """What depthwise computes, for any channel multiplier and scale, one value at a time.

    x: [n, h, w, channels], padded; w: int32 [taps, c]; bias: int32 [c]; times: outputs per channel; y: [n, h, w, c].
    """
    batch, out_h, out_w, channels = y.shape
    image = x.shape[1] * x.shape[2] * x.shape[3]
    for line in range(batch * out_h * thread // threads, batch * out_h * (thread + 1) // threads):
        n = line // out_h
        start = n * image + (line - n * out_h) * taps.row_step
        for col in range(out_w):
            at, to = start + col * taps.col_step, (line * out_w + col) * channels
            for c in range(channels):
                acc = np.int32(bias[c])
                for tap in range(taps.taps.size):
                    acc = np.int32(acc + np.int32(get(x, at + taps.taps[tap] + c // times)) * w[tap, c])
                put(y, to + c, requantized(np.int64(acc), rounding, c))


def call(
    x: Tensor, g: Geometry, fill: int, w: np.ndarray, bias: np.ndarray, r: Rounding, y: Tensor
) -> Call | None:  # fmt: skip
    """The Call that computes y, [n, out_h, out_w, c], from x, [n, h, w, c], around which there is ``fill``.

    w: int16 [height, width, c] less its zero point; bias: int64 [c] with x's zero point folded in. None where
    channels share inputs or there are no exact parameters: ``plain`` serves these.
    """
    columns = fitted(Filters(w.reshape(-1, w.shape[2]).T, bias, r))
    f = parameters(columns)
    if f is None or f.kind == "double" or x.shape[3] != y.shape[3]:
        return None
    w = columns.w.T.reshape(w.shape)
    return _by_lanes(x, g, fill, w, f.kind, dot.compensated(f, columns.w).rows, (r.lo, r.hi), y)


def sums_call(x: Tensor, g: Geometry, w: np.ndarray, start: np.ndarray, y: Tensor) -> Call:
    """The Call for the sums, int32, from a padded x of as many channels; start: int32 [c], what they begin with."""
    rows = np.zeros((ROWS, w.shape[2]), np.int32)
    rows[-1] = start + bias_compensation(w.reshape(-1, w.shape[2]).T)
    return _by_lanes(x, g, 0, w, "sums", rows, (0, 0), y)


def _by_lanes(
    x: Tensor, g: Geometry, fill: int, w: np.ndarray, kind: str, rows: np.ndarray, limits: tuple[int, int], y: Tensor
) -> Call:  # fmt: skip
    """The Call that stores sums as ``lanes_requantize[kind]`` does by the rows of Parameters, int32 [ROWS, c]."""
    channels = y.shape[3]
    parts = split_bytes(w)
    slides = _slides(g, channels, len(parts))
    runs = 1 if g.stride_w == 1 and not slides else y.shape[2]
    lanes = _lanes(channels, runs)
    four = np.zeros((len(parts), -(-g.height // 4) * 4, g.width, channels + 1), np.int8)
    four[:, : g.height, :, :channels] = parts
    # [pass * four rows, four, column, channel] -> [block, pass * four rows * column, lane, 4]
    four = four.reshape(-1, 4, g.width, channels + 1).transpose(0, 2, 3, 1)[:, :, lanes]
    packed = four.reshape(-1, len(lanes), BLOCK, 4).transpose(1, 0, 2, 3)
    p = np.pad(rows, [(0, 0), (0, 1)])[:, lanes].transpose(1, 0, 2)
    tables = (packed, *Requantizing(np.ascontiguousarray(p), *limits))
    source = _source(x, g, fill, y)
    ring = scratch_per_thread(f"{y.name}/rows", max(1, source.ring * source.line), np.uint8)
    rows_ = FilterRows(g.height, g.dilation_h, g.stride_h)
    place = (Flat(x, np.dtype(np.uint8)), Flat(ring, np.dtype(np.uint8)), *source, *rows_)
    work = 4 * y.size * g.height * g.width  # a product takes that much longer than in ``dot``
    near = g.width == 3 and g.height <= 4 and len(parts) <= 2
    ringed = source.ring > 0
    over = x if ringed and _follows(x, g, y) else None
    if slides:
        sums = scratch_per_thread(f"{y.name}/partial", y.shape[2] * BLOCK if g.height > 4 else 1, np.int32)
        kernel_ = depthwise_sliding(g.width, g.stride_w, -(-g.height // 4), len(parts), kind, ringed)
        over_sums = (*place, *tables, sums, y)
        return Call(kernel_, *over_sums, writes=[y, ring, sums], in_place=over, in_place_shared=False, work=work)
    offsets = np.arange(g.width) * g.dilation_w * channels
    kernel_ = depthwise_3(kind, ringed) if near else depthwise(kind)
    args = (*place, *Runs(offsets, runs, g.stride_w * channels), *tables)
    return Call(kernel_, *args, y, writes=[y, ring], in_place=over, in_place_shared=False, work=work)


def _slides(g: Geometry, channels: int, passes: int) -> bool:
    """Whether ``depthwise_sliding`` is the fastest kernel: registers hold its columns, and few lanes are idle.

    Without masks, what is stored of the last block takes longer than is saved.
    """
    blocks, can = -(-channels // BLOCK), lower(SLIDING)
    if g.dilation_w > 1 or g.stride_w > 2 or passes > 2 or (channels % BLOCK and not can.masks):
        return False
    fits = g.width in can.columns and (g.width > 3 or g.height <= 4)
    return fits and blocks * BLOCK * 2 <= channels * 3


def _follows(x: Tensor, g: Geometry, y: Tensor) -> bool:
    """Whether rows of y, written one after another where x is, only cover rows of x that are in the ring by then."""
    rows = np.arange(y.shape[1])
    copied = np.minimum(rows * g.stride_h + (g.height - 1) * g.dilation_h + 1 - g.pad_top, x.shape[1])
    written = (rows + 1) * y.shape[2]
    return x.shape[0] == 1 and bool((written <= copied * x.shape[2]).all())


def _source(x: Tensor, g: Geometry, fill: int, y: Tensor) -> Source:
    """The rows of x as they are where no window reaches beyond them, else by way of a ring."""
    _, in_h, in_w, channels = x.shape
    reach = (g.height - 1) * g.dilation_h + 1
    rows = (y.shape[1] - 1) * g.stride_h + reach
    width = max(in_w + g.pad_left, (y.shape[2] - 1) * g.stride_w + (g.width - 1) * g.dilation_w + 1)
    inside = g.pad_top == g.pad_left == 0 and rows <= in_h and width == in_w
    ring = 0 if inside else reach
    return Source(in_h, in_w, channels, reach, width * channels, g.pad_top, g.pad_left, fill, ring)


def _windows(x: Tensor, g: Geometry, y: Tensor) -> RowSegments:
    """A single channel makes a depthwise convolution an ordinary one: its windows as rows."""
    n, height, width, _ = x.shape
    images = np.arange(n)[:, None, None] * height * width
    offsets = images + (np.arange(y.shape[1]) * g.stride_h * width)[:, None] + np.arange(y.shape[2]) * g.stride_w
    rows = np.arange(g.height) * g.dilation_h * width
    if g.dilation_w == 1:
        return RowSegments(offsets.astype(np.int32).reshape(-1), rows, g.width)
    starts = np.add.outer(rows, np.arange(g.width) * g.dilation_w).reshape(-1)
    return RowSegments(offsets.astype(np.int32).reshape(-1), starts, 1)


def _lanes(channels: int, runs: int) -> np.ndarray:
    """Which channel each lane of each block works on, [blocks, 64]; one past the last where none.

    In a single run a block begins at any channel: blocks repeat when they meet a multiple of the channels again.
    """
    count = math.lcm(channels, BLOCK) if runs == 1 else -(-channels // BLOCK) * BLOCK
    channel = np.arange(count)
    channel = channel % channels if runs == 1 else np.minimum(channel, channels)
    return channel.reshape(-1, BLOCK)[:, INTERLEAVED]


def plain(x: Tensor, g: Geometry, w: np.ndarray, bias: np.ndarray, r: Rounding, y: Tensor) -> list[Call]:
    """The Calls that compute y where ``call`` cannot; x is padded already."""
    if x.shape[3] == 1:
        columns = Filters(w.reshape(-1, w.shape[2]).T, bias, r)
        return dot.call(x, _windows(x, g, y), columns, y)
    _, _, width, channels = x.shape
    rows = np.arange(g.height) * g.dilation_h * width * channels
    taps = (rows[:, None] + np.arange(g.width) * g.dilation_w * channels).reshape(-1)
    steps = g.stride_h * width * channels, g.stride_w * channels
    weights = w.reshape(len(taps), -1).astype(np.int32)
    args = (*Taps(taps, *steps), weights, wrapped(bias), *r, y.shape[3] // channels, y)
    return [Call(depthwise_plain, x, *args, writes=[y], work=y.size * len(taps))]
