"""Products of rows with panels of weights for elements that are not bytes: float32, and int16 with weights of 8 bits.

Rows and segments are those of ``dot``, counted in elements. The weights lie in panels of 16 V columns. A tile of R rows
and V vectors of accumulators stays in registers; it then passes through a thread's scratch, from which plain loops take
the results to y.

* **float32**: every output is its own sum in the order of the segments, ``x * w`` rounded and then added, so that it
  has the bits of a loop over one output. Vectors run along the columns.
* **float32 with int8 or float16 weights**: these become float32 in registers, products are added by fused
  multiply-add (see ``int8rt.weight_only``).
* **int16**: two products to a step, int32 sums that are added to int64 totals before they can overflow.

``depthwise_sums`` is the same for filters over one channel, of any type; ``depthwise_float`` in registers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from int8rt.graph import Tensor
from int8rt.kernels.dot import Segments, pack_words, widest
from int8rt.native.kernel import Kernel, family, inline, kernel
from int8rt.numerics.fixedpoint import requantize_double, requantize_double_rounding, requantize_int64, wrap_int32
from int8rt.simd.features import has
from int8rt.simd.floats import wide_tile
from int8rt.simd.llvm import LANES
from int8rt.simd.memory import as_type_of, fill_within, get, put
from int8rt.steps import Call, scratch_per_thread

MOST = 65535  # int16 values times weights that sum to no more than this in magnitude stay within int32


# float32


@family
def float_dot(rows: int, vectors: int) -> Kernel:
    """The kernel for float32 tiles of rows x 16 vectors; bias [panel, lane], limits [2]."""
    t = wide_tile("float32", rows, vectors)
    t_rows, t_start, t_dot, t_finish = t.rows, t.start, t.dot, t.finish
    width = LANES * vectors

    def float_dot(
        thread: int, threads: int, x: Any, offsets: Any, starts: Any, depth: int, w: Any, bias: Any, limits: Any,
        columns: int, y: Any, first: int, stride: int,
    ) -> None:  # fmt: skip
        tiles = (offsets.size + rows - 1) // rows
        total = w.shape[0] * tiles
        for item in range(total * thread // threads, total * (thread + 1) // threads):
            panel = item // tiles
            m = min((item - panel * tiles) * rows, offsets.size - rows)  # the last tile may repeat some rows
            pointers = t_rows(x, offsets, m)
            at = panel * w.shape[1] * width
            acc = t_start()
            for s in range(starts.size):
                for k in range(starts[s], starts[s] + depth):
                    acc = t_dot(acc, pointers, k, w, at)
                    at += width
            c = panel * width
            t_finish(acc, bias, c, limits, y, first + m * stride + c, stride, columns - c)

    return Kernel(float_dot, f"{__name__}:float_dot[{rows}x{vectors}]")


def float_call(
    x: Tensor, segments: Segments, w: np.ndarray | Tensor, bias: np.ndarray | Tensor, limits: np.ndarray, y: Tensor,
    first: int = 0, stride: int = 0,
) -> list[Call]:  # fmt: skip
    """The Calls for y[first + m * stride + c] = clamp(x[m] @ w[c] + bias[c]); w: float32 [columns, whole depth].

    Where w or bias is computed at run time it is packed each time.
    """
    columns, depth = w.shape
    rows, vectors = widest(len(segments.offsets), columns)
    packed, packing = _packed(w, depth, vectors * LANES, f"{y.name}/panels")
    biases, copying = _packed(bias, 1, vectors * LANES, f"{y.name}/bias")
    args = (x, *segments, packed, biases, limits, columns, y, first, stride or columns)
    work = len(segments.offsets) * columns * depth
    return [*packing, *copying, Call(float_dot(rows, vectors), *args, writes=[y], work=work)]


def _packed(w: np.ndarray | Tensor, depth: int, width: int, name: str) -> tuple[np.ndarray | Tensor, list[Call]]:
    """float32 [columns, depth] -> [panel, depth, lane], and what packs it at run time."""
    if isinstance(w, Tensor):
        packed = Tensor(name, (-(-w.size // (depth * width)), depth, width), np.dtype(np.float32))
        return packed, [Call(pack_floats, w, depth, packed, writes=[packed])]
    return panels(np.asarray(w, np.float32).reshape(-1, depth), width), []


def panels(values: np.ndarray, width: int) -> np.ndarray:
    """[columns, n] -> [panel, n, lane], zero padded."""
    columns, count = values.shape
    packed = np.zeros((-(-columns // width), count, width), values.dtype)
    for panel in range(len(packed)):
        part = values[panel * width : (panel + 1) * width]
        packed[panel, :, : len(part)] = part.T
    return packed


@kernel
def pack_floats(thread: int, threads: int, w: Any, depth: int, y: Any) -> None:
    """[columns, depth] of any shape -> [panel, depth, lane]; lanes beyond the last column repeat it."""
    columns, width = w.size // depth, y.shape[2]
    total = y.shape[0] * width
    for column in range(total * thread // threads, total * (thread + 1) // threads):
        panel = column // width
        to = panel * depth * width + column - panel * width
        start = min(column, columns - 1) * depth
        for k in range(depth):
            put(y, to + k * width, get(w, start + k))


# int16


class Rules(NamedTuple):
    """How accumulators become int16: rule A (0), C (1) or I64 (2); kernels take the fields in this order."""

    rule: int
    bias: np.ndarray  # int64 [columns]
    multiplier: np.ndarray  # int64 [columns]
    shift: np.ndarray  # int64 [columns]
    scale: np.ndarray  # float64 [columns]
    bits: int  # of an accumulator, 32 or 64
    lo: int
    hi: int

    def part(self, columns: Any) -> Rules:
        """The same for some of the columns."""
        chosen = {name: getattr(self, name)[columns] for name in ("bias", "multiplier", "shift", "scale")}
        return self._replace(**chosen)

    def apply(self, acc: np.ndarray) -> np.ndarray:
        """int16 outputs of sums without bias, int64 [..., columns]."""
        acc = acc + self.bias
        acc = wrap_int32(acc) if self.bits == 32 else acc
        if self.rule == RULE_A:
            q = requantize_double_rounding(acc, self.multiplier, self.shift)
        elif self.rule == RULE_C:
            q = requantize_double(acc, self.scale).astype(np.int64)
        else:
            q = requantize_int64(acc, self.multiplier, self.shift)
        return np.asarray(q).clip(self.lo, self.hi).astype(np.int16)


RULE_A, RULE_C, RULE_I64 = 0, 1, 2


@inline
def by_rule(acc: Any, rule: int, multiplier: int, shift: int, scale: float, bits: int) -> int:
    """An accumulator, bias included, by one of the Rules."""
    acc = wrap_int32(acc) if bits == 32 else acc
    if rule == 0:
        return requantize_double_rounding(acc, multiplier, shift)
    if rule == 1:
        return np.int64(requantize_double(acc, scale))
    return requantize_int64(acc, multiplier, shift)


@family
def int16_dot(rows: int, vectors: int) -> Kernel:
    """The kernel for tiles of rows x 16 vectors of int16 rows; ``group`` segments at a time fit into int32 sums."""
    t = wide_tile("int16", rows, vectors)
    t_rows, t_start, t_dot, t_store = t.rows, t.start, t.dot, t.store
    width = LANES * vectors

    def int16_dot(
        thread: int, threads: int, x: Any, offsets: Any, starts: Any, depth: int, group: int, w: Any, rule: int,
        bias: Any, multiplier: Any, shift: Any, scale: Any, bits: int, lo: int, hi: int, sums: Any, totals: Any,
        y: Any, first: int, stride: int,
    ) -> None:  # fmt: skip
        tiles = (offsets.size + rows - 1) // rows
        total = w.shape[0] * tiles
        mine = thread * rows * width
        for item in range(total * thread // threads, total * (thread + 1) // threads):
            panel = item // tiles
            m = min((item - panel * tiles) * rows, offsets.size - rows)  # the last tile may repeat some rows
            pointers = t_rows(x, offsets, m)
            at = panel * w.shape[1] * 2 * width
            fill_within(totals, mine, rows * width, 0)
            for begin in range(0, starts.size, group):
                acc = t_start()
                for s in range(begin, min(begin + group, starts.size)):
                    for k in range(starts[s], starts[s] + depth, 2):
                        acc = t_dot(acc, pointers, k, w, at)
                        at += 2 * width
                t_store(acc, sums, mine)
                for i in range(mine, mine + rows * width):
                    put(totals, i, get(totals, i) + np.int64(get(sums, i)))
            column = panel * width
            for r in range(rows):
                to = first + (m + r) * stride
                for c in range(column, min(column + width, bias.size)):
                    total_ = get(totals, mine + r * width + c - column) + get(bias, c)
                    q = by_rule(total_, rule, get(multiplier, c), get(shift, c), get(scale, c), bits)
                    put(y, to + c, min(max(q, lo), hi))

    return Kernel(int16_dot, f"{__name__}:int16_dot[{rows}x{vectors}]")


def int16_call(
    x: Tensor, segments: Segments, w: np.ndarray, rules: Rules, y: Tensor, first: int = 0, stride: int = 0
) -> Call:
    """The Call for y[first + m * stride + c] = requantize(x[m] @ w[c]); w: int16 [columns, whole depth], of 8 bits."""
    rows, vectors = widest(len(segments.offsets), len(w))
    width = vectors * LANES
    parts, w = _split(segments, w)
    limit = MOST // max(1, int(np.abs(w).max()))
    group = max(1, limit // parts.depth)
    packed = pack_words(w, len(parts.starts), vectors, list(range(width)))
    sums = scratch_per_thread(f"{y.name}/sums", rows * width, np.int32)
    totals = scratch_per_thread(f"{y.name}/totals", rows * width, np.int64)
    args = (x, *parts, group, packed, *rules, sums, totals, y, first, stride or len(w))
    work = len(segments.offsets) * w.size
    return Call(int16_dot(rows, vectors), *args, writes=[y, sums, totals], work=work)


def _split(segments: Segments, w: np.ndarray) -> tuple[Segments, np.ndarray]:
    """The same with segments so short that one cannot overflow int32 sums.

    All parts of a segment are equally long: the last one begins early, and what it shares with the one before weighs
    nothing there.
    """
    limit = MOST // max(1, int(np.abs(w).max()))
    starts, depth = np.asarray(segments.starts, np.int64), segments.depth
    if depth <= limit:
        return segments._replace(starts=starts), w
    count = -(-depth // limit)
    size = -(-depth // count)
    begins = np.minimum(np.arange(count) * size, depth - size)
    w = w.reshape(len(w), len(starts), depth)
    pieces = np.stack([w[:, :, b : b + size] for b in begins], axis=2)
    pieces[:, :, -1, : (count - 1) * size - begins[-1]] = 0
    shorter = Segments(segments.offsets, (starts[:, None] + begins).reshape(-1), int(size))
    return shorter, pieces.reshape(len(w), -1)


@kernel
def requantize_sums(
    thread: int, threads: int, sums: Any, rule: int, bias: Any, multiplier: Any, shift: Any, scale: Any, bits: int,
    lo: int, hi: int, y: Any,
) -> None:  # fmt: skip
    """y = requantize(sums + bias), channels innermost."""
    channels = bias.size
    rows = y.size // channels
    for row in range(rows * thread // threads, rows * (thread + 1) // threads):
        for c in range(channels):
            acc = np.int64(get(sums, row * channels + c)) + get(bias, c)
            q = by_rule(acc, rule, get(multiplier, c), get(shift, c), get(scale, c), bits)
            put(y, row * channels + c, min(max(q, lo), hi))


# Depthwise, any type


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


class Taps(NamedTuple):
    """A window over a padded image as ``depthwise_sums`` sees it."""

    taps: np.ndarray  # int64: where the tap lies from the window's begin, in elements
    row_step: int
    col_step: int


def depthwise_call(x: Tensor, taps: Taps, w: np.ndarray, y: Tensor) -> Call:
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


# Depthwise, float32


@family
def depthwise_float(kind: str, rows: int, vectors: int) -> Kernel:
    """The kernel for tiles of ``rows`` outputs by 16 V channels; w [panel, tap, lane], scale and bias [panel, lane].

    Weights that are stored narrower become float32 in registers, and sums are scaled.
    """
    t = wide_tile(kind, rows, vectors)
    t_rows, t_start, t_lanes, t_add_scaled, t_finish = t.rows, t.start, t.lanes, t.add_scaled, t.finish
    width, is_scaled = LANES * vectors, kind != "float32"

    def depthwise_float(
        thread: int, threads: int, x: Any, offsets: Any, taps: Any, w: Any, scale: Any, bias: Any, limits: Any,
        channels: int, y: Any,
    ) -> None:  # fmt: skip
        tiles = (offsets.size + rows - 1) // rows
        total = tiles * w.shape[0]
        for item in range(total * thread // threads, total * (thread + 1) // threads):
            panel = item // tiles
            m = min((item - panel * tiles) * rows, offsets.size - rows)  # the last tile may repeat some rows
            pointers = t_rows(x, offsets, m)
            c, at = panel * width, panel * taps.size * width
            acc = t_start()
            for tap in range(taps.size):
                acc = t_lanes(acc, pointers, taps[tap] + c, w, at)
                at += width
            if is_scaled:
                acc = t_add_scaled(t_start(), acc, scale, c)
            t_finish(acc, bias, c, limits, y, m * channels + c, channels, channels - c)

    return Kernel(depthwise_float, f"{__name__}:depthwise_float[{kind} {rows}x{vectors}]")


def depthwise_float_call(
    x: Tensor, taps: Taps, w: np.ndarray, scale: np.ndarray, bias: np.ndarray, limits: np.ndarray, y: Tensor
) -> Call:
    """The Call for y = clamp(bias + scale * sums), [n, out_h, out_w, c], of an x with as many channels.

    w: float32, where scale is not read, or int8 [taps, c]; scale and bias: float32 [c].
    """
    n, out_h, out_w, channels = y.shape
    steps = zip((n, out_h, out_w), (x.size // x.shape[0], taps.row_step, taps.col_step), strict=True)
    images, lines, columns = (np.arange(count) * step for count, step in steps)
    offsets = (images[:, None, None] + lines[:, None] + columns).astype(np.int32).reshape(-1)
    rows, vectors = widest(len(offsets), channels, lanes_tiles())
    width = vectors * LANES
    tables = (panels(v, width) for v in (w.T, scale.reshape(-1, 1), bias.reshape(-1, 1)))
    kernel_ = depthwise_float("float32" if w.dtype == np.float32 else "from int8", rows, vectors)
    args = (offsets, taps.taps, *tables, limits, channels, y)
    return Call(kernel_, x, *args, writes=[y], work=y.size * len(taps.taps))


def lanes_tiles() -> dict[int, int]:
    """{vectors: rows} of the tiles of float32 sums that fit this CPU's registers beside a row of weights."""
    if has("avx512f"):
        return {4: 4, 3: 6, 2: 8, 1: 8}
    return {1: 4 if has("avx2") else 2}
