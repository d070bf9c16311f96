"""y = requantize(x @ w.T + b) for bytes: the loop where most of the time goes.

x is seen as rows of bytes, one per output pixel, each made of segments of ``depth`` bytes: segment s of row m begins at
x[offsets[m] + starts[s]]. A row of a matrix is one segment; a window of a convolution is one segment per filter row. No
window is ever copied.

The weights lie in panels of 16 V columns, four bytes deep, so that one instruction multiplies four bytes of x, in every
lane the same, with four weights of each of 16 columns. Zero points do not appear in the loop:

    sum (x - z_x) (w - z_w) + b  =  sum x (w - z_w)  +  (b - z_x sum (w - z_w))

``dot_plain`` says what ``dot`` means. ``dot`` requantizes in registers where ``requantization`` has an exact formula;
``dot_accumulate`` serves every other case.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from int8rt.graph import Tensor
from int8rt.memory import aligned_empty
from int8rt.native.kernel import Kernel, family, inline, kernel
from int8rt.numerics.fixedpoint import requantize_double, requantize_double_rounding, wrap_int32
from int8rt.numerics.requantization import ROWS, Columns, Formula, fitted, formula, limits
from int8rt.simd import llvm
from int8rt.simd.floats import wide_tile, widen_within
from int8rt.simd.lowerings import lowering, offset
from int8rt.simd.memory import get, put
from int8rt.simd.narrow import column_order
from int8rt.simd.runs import STRIDE, dot_of_bytes, sum_of_bytes
from int8rt.simd.tiles import byte_tile, single_row_shapes, tile_shapes
from int8rt.steps import Call, scratch, scratch_per_thread

LANES = llvm.LANES


class Segments(NamedTuple):
    """How a row of x is made: see the module's docstring."""

    offsets: np.ndarray  # int32 [rows]
    starts: np.ndarray  # int64 [segments]
    depth: int


# What it means


@kernel
def dot_plain(
    x: Any, offsets: Any, starts: Any, depth: int, w: Any, bias: Any, multiplier: Any, shift: Any, scale: Any,
    zero_point: int, lo: int, hi: int, y: Any, first: int, stride: int,
) -> None:  # fmt: skip
    """w is [columns, segments * depth], segments counted by starts, bias int32 [columns]; row m of y begins at
    y[first + m * stride].
    """
    for m in range(offsets.size):
        for c in range(w.shape[0]):
            acc = np.int64(bias[c])
            for s in range(starts.size):
                for k in range(depth):
                    acc += np.int64(get(x, offsets[m] + starts[s] + k)) * np.int64(w[c, s * depth + k])
            if scale.size:
                q = np.int64(requantize_double(acc, scale[c]))
            else:
                q = requantize_double_rounding(acc, multiplier[c], shift[c])
            put(y, first + m * stride + c, min(max(q + zero_point, lo), hi))


# Packing


def pack(w: np.ndarray, segments: int, vectors: int, order: list[int]) -> tuple[np.ndarray, int]:
    """int16 or int8 [columns, segments * depth] -> int8 [panel, segment * ceil(depth / 4), 16 vectors, 4]; passes.

    It is padded with zeros. order says which column of its panel each lane stands for.

    Weights less their zero point may need nine bits (legacy uint8 models). Then all segments come several times, and
    their weights are to be summed over the passes.
    """
    columns, total = w.shape
    depth, width = total // segments, vectors * LANES
    count, fours = -(-columns // width), -(-depth // 4)
    parts = split_bytes(w)
    passes = len(parts)
    if columns % width or depth % 4:
        padded = np.zeros((passes, count * width, segments, fours * 4), np.int8)
        padded[:, :columns, :, :depth] = parts.reshape(passes, columns, segments, depth)
        parts = padded
    four = parts.reshape(-1).view(np.int32).reshape(passes, count, width, segments * fours)  # a group is one number
    packed = aligned_empty((count, passes, segments * fours, width), np.int32)
    packed[...] = four[:, :, order].transpose(1, 0, 3, 2)
    return packed.view(np.int8).reshape(count, passes * segments * fours, width, 4), passes


def pack_words(w: np.ndarray, segments: int, vectors: int, order: list[int]) -> np.ndarray:
    """As ``pack``, int16 [panel, segment * ceil(depth / 2), 16 vectors, 2]."""
    columns, total = w.shape
    depth, width = total // segments, vectors * LANES
    twos = -(-depth // 2)
    padded = np.zeros((-(-columns // width) * width, segments, twos * 2), np.int16)
    padded[:columns, :, :depth] = w.reshape(columns, segments, depth)
    return np.ascontiguousarray(padded.reshape(-1, width, segments * twos, 2)[:, order].transpose(0, 2, 1, 3))


def split_bytes(w: np.ndarray) -> np.ndarray:
    """Integers as int8 [parts, ...] whose sum they are; one part where they fit."""
    least, most = limits(w)
    if least >= -128 and most <= 127:
        return np.ascontiguousarray(w, np.int8)[None]
    parts: list[np.ndarray] = []
    while not parts or w.any():
        parts.append(w.clip(-128, 127).astype(np.int8))
        w = w - parts[-1]
    return np.stack(parts)


def left_out(w: np.ndarray) -> np.ndarray:
    """What the products of ``simd`` lack of those with bytes, int64 [columns]: it belongs into the start of their sums.

    w: integers [columns, depth].
    """
    return np.asarray(offset() * w.sum(axis=1, dtype=np.int64))


def started(f: Formula, w: np.ndarray) -> Formula:
    """The formula with a last row for sums of products of ``simd``; w: [columns, depth]."""
    return f._replace(rows=np.concatenate([f.rows[:-1], wrapped(f.rows[-1] + left_out(w))[None]]))


def wrapped(values: np.ndarray) -> np.ndarray:
    """int64 as int32 modulo 2**32."""
    return (values & 0xFFFFFFFF).astype(np.uint32).view(np.int32)


def _repeated(segments: Segments, passes: int) -> Segments:
    """The segments as often as pack() has their weights."""
    starts = np.asarray(segments.starts, np.int64)
    return segments._replace(starts=starts if passes == 1 else np.tile(starts, passes))


def panels(values: np.ndarray, order: list[int]) -> np.ndarray:
    """One value per column -> [panel, lane], zero padded, lanes in the order of pack()."""
    width = len(order)
    padded = np.zeros(-(-len(values) // width) * width, values.dtype)
    padded[: len(values)] = values
    return padded.reshape(-1, width)[:, order]


def widest(rows: int, columns: int, tiles: dict[int, int] | None = None) -> tuple[int, int]:
    """(rows, vectors) of the tile that takes the least time for this many rows and columns.

    A panel costs as much as its lanes, used or not, and about a quarter of a vector more. tiles: {vectors: rows}, those
    of ``simd`` if not given.
    """
    tiles = tiles or (tile_shapes() if rows > 1 else single_row_shapes())
    vectors = min(tiles, key=lambda v: -(-columns // (v * LANES)) * (v + 0.25))
    return min(tiles[vectors], rows), vectors


# Kernels


@family
def dot(rows: int, vectors: int, kind: str, corrected: bool = False) -> Kernel:
    """The kernel for tiles of rows x 16 vectors that requantizes in registers by a formula of that kind.

    If corrected, sums [rows of x] are added, one to all columns; else sums is not read.
    """
    tile = byte_tile(rows, vectors)
    t_rows, t_dot, t_requantize = tile.rows, tile.dot, tile.requantize[kind]
    t_start = tile.start_rows if corrected else tile.start_alike
    width, deep = LANES * vectors, 4 * LANES * vectors

    def dot(
        thread: int, threads: int, x: Any, offsets: Any, starts: Any, depth: int, w: Any, p: Any, lo: int, hi: int,
        columns: int, sums: Any, y: Any, first: int, stride: int,
    ) -> None:  # fmt: skip
        tiles = (offsets.size + rows - 1) // rows
        total = w.shape[0] * tiles
        for item in range(total * thread // threads, total * (thread + 1) // threads):
            panel = item // tiles
            m = min((item - panel * tiles) * rows, offsets.size - rows)  # the last tile may repeat some rows
            pointers = t_rows(x, offsets, m)
            at = panel * w.shape[1] * deep
            acc = t_start(p, (panel * ROWS + ROWS - 1) * width, sums, m)
            for s in range(starts.size):
                for k in range(starts[s], starts[s] + depth, 4):
                    acc = t_dot(acc, pointers, k, w, at)
                    at += deep
            c = panel * width
            t_requantize(acc, p, panel * ROWS * width, lo, hi, y, first + m * stride + c, stride, columns - c)

    return Kernel(dot, f"{__name__}:dot[{rows}x{vectors} {kind}{' corrected' * corrected}]")


@kernel
def row_sums(
    thread: int, threads: int, x: Any, offsets: Any, starts: Any, depth: int, factor: int, sums: Any
) -> None:  # fmt: skip
    """sums[m] = factor * the sum of row m of x."""
    for m in range(offsets.size * thread // threads, offsets.size * (thread + 1) // threads):
        total = 0
        for s in range(starts.size):
            total += sum_of_bytes(x, offsets[m] + starts[s], depth)
        sums[m] = total * factor


@inline
def requantized(acc: int, multiplier: Any, shift: Any, scale: Any, c: int) -> int:
    """The output of column c less its zero point, before its limits."""
    if scale.size:
        return np.int64(requantize_double(acc, scale[c]))
    return requantize_double_rounding(acc, multiplier[c], shift[c])


@family
def dot_accumulate(rows: int, vectors: int) -> Kernel:
    """The kernel for tiles of rows x 16 vectors that serves every rule: accumulators pass through memory."""
    tile = byte_tile(rows, vectors)
    t_rows, t_start, t_dot, t_store = tile.rows, tile.start, tile.dot, tile.store
    width, deep = LANES * vectors, 4 * LANES * vectors

    def dot_accumulate(
        thread: int, threads: int, x: Any, offsets: Any, starts: Any, depth: int, w: Any, bias: Any,
        multiplier: Any, shift: Any, scale: Any, zero_point: int, lo: int, hi: int, columns: int, sums: Any, y: Any,
        first: int, stride: int,
    ) -> None:  # fmt: skip
        tiles = (offsets.size + rows - 1) // rows
        total = w.shape[0] * tiles
        mine = thread * rows * width  # each thread has its own part of sums
        for item in range(total * thread // threads, total * (thread + 1) // threads):
            panel = item // tiles
            m = min((item - panel * tiles) * rows, offsets.size - rows)  # the last tile may repeat some rows
            pointers = t_rows(x, offsets, m)
            at = panel * w.shape[1] * deep
            acc = t_start(bias, panel * width)
            for s in range(starts.size):
                for k in range(starts[s], starts[s] + depth, 4):
                    acc = t_dot(acc, pointers, k, w, at)
                    at += deep
            t_store(acc, sums, mine)
            for r in range(rows):
                for c in range(panel * width, min((panel + 1) * width, columns)):
                    total_ = np.int64(get(sums, mine + r * width + c - panel * width))
                    q = requantized(total_, multiplier, shift, scale, c) + zero_point
                    put(y, first + (m + r) * stride + c, min(max(q, lo), hi))

    return Kernel(dot_accumulate, f"{__name__}:dot_accumulate[{rows}x{vectors}]")


SPILLED = 31  # words that widen_within writes beyond the last


@family
def dot_widened(rows: int, vectors: int, kind: str) -> Kernel:
    """``dot`` for a CPU that multiplies words but not bytes: each tile's rows are made words once, for all panels.

    w: int16 [panel, depth / 2, 16 vectors, 2], which holds weights of nine bits; ``places`` is where the tile's rows
    begin in a thread's part of ``words``.
    """
    bytes_, tile = byte_tile(rows, vectors), wide_tile("int16", rows, vectors)
    t_start, t_rows, t_dot, t_requantize = bytes_.start, tile.rows, tile.dot, bytes_.requantize[kind]
    width = LANES * vectors

    def dot_widened(
        thread: int, threads: int, x: Any, offsets: Any, starts: Any, depth: int, w: Any, p: Any, lo: int, hi: int,
        columns: int, places: Any, words: Any, y: Any, first: int, stride: int,
    ) -> None:  # fmt: skip
        tiles, panels_ = (offsets.size + rows - 1) // rows, w.shape[0]
        even, total = (depth + 1) // 2 * 2, tiles * w.shape[0]
        mine = thread * (rows * starts.size * even + SPILLED)
        pointers = t_rows(words, places, 0)
        ready = -1
        for item in range(total * thread // threads, total * (thread + 1) // threads):
            number = item // panels_
            m = min(number * rows, offsets.size - rows)  # the last tile may repeat some rows
            if number != ready:
                ready = number
                for r in range(rows):
                    for s in range(starts.size):
                        to = mine + places[r] + s * even
                        widen_within(x, offsets[m + r] + starts[s], words, to, depth)
            c = (item - number * panels_) * width
            acc = t_start(p, c * ROWS + (ROWS - 1) * width)
            at = c * w.shape[1] * 2
            for k in range(mine, mine + w.shape[1] * 2, 2):
                acc = t_dot(acc, pointers, k, w, at)
                at += 2 * width
            t_requantize(acc, p, c * ROWS, lo, hi, y, first + m * stride + c, stride, columns - c)

    return Kernel(dot_widened, f"{__name__}:dot_widened[{rows}x{vectors} {kind}]")


@kernel
def dot_along(
    thread: int, threads: int, x: Any, offsets: Any, starts: Any, w: Any, bias: Any, multiplier: Any, shift: Any,
    scale: Any, zero_point: int, lo: int, hi: int, y: Any, first: int, stride: int,
) -> None:  # fmt: skip
    """The same for few columns, by vectors along the rows; w: int8 [columns, segments, depth], zero padded."""
    columns, depth = w.shape[0], w.shape[2]
    total = offsets.size * columns
    for item in range(total * thread // threads, total * (thread + 1) // threads):
        m = item // columns
        c = item - m * columns
        acc = np.int64(bias[c])
        for s in range(starts.size):
            acc += dot_of_bytes(x, offsets[m] + starts[s], w, (c * starts.size + s) * depth, depth)
        q = requantized(wrap_int32(acc), multiplier, shift, scale, c) + zero_point
        put(y, first + m * stride + c, min(max(q, lo), hi))


def call(
    x: Tensor, segments: Segments, columns: Columns, y: Tensor, first: int = 0, stride: int = 0
) -> list[Call]:  # fmt: skip
    """The Calls that compute y from x: output column c of row m goes to y[first + m * stride + c], flattened."""
    place = (y, first, stride or len(columns.w))
    if _is_narrow(columns.w, segments):
        return [_along(x, segments, columns, place)]
    columns = fitted(columns)
    rows, vectors = widest(len(segments.offsets), len(columns.w))
    f = formula(columns)
    if f is None:
        return [_accumulating(x, segments, columns, (rows, vectors), place)]
    if rows > 1 and lowering() in ("avx512bw", "avx2"):
        return [_widened(x, segments, columns, f, (rows, vectors), place)]
    other = _common(columns.w, len(segments.starts), vectors)
    corrected = other != 0
    w = columns.w - np.int16(other) if corrected else columns.w
    order = column_order(vectors)
    packed, passes = pack(w, len(segments.starts), vectors, order)
    sums = scratch(f"{y.name}/row_sums", (len(segments.offsets) if corrected else 1,), np.int32)
    calls = []
    if corrected:
        calls.append(
            Call(row_sums, x, *segments, other, sums, writes=[sums], work=len(segments.offsets) * w.shape[1] // 8)
        )
    repeated = _repeated(segments, passes)
    r = columns.rounding
    args = (*repeated, packed, _constants(started(f, w), order), r.lo, r.hi, len(w), sums)
    work = len(segments.offsets) * columns.w.size
    return [*calls, Call(dot(rows, vectors, f.kind, corrected), x, *args, *place, writes=[y], work=work)]


def _widened(
    x: Tensor, segments: Segments, columns: Columns, f: Formula, tile: tuple[int, int], place: tuple[Tensor, int, int]
) -> Call:
    """The Call that makes words of bytes."""
    rows, vectors = tile
    order, count = column_order(vectors), len(segments.starts)
    even = -(-segments.depth // 2) * 2
    packed = pack_words(columns.w, count, vectors, order)
    places = np.arange(rows, dtype=np.int32) * np.int32(count * even)
    words = scratch_per_thread(f"{place[0].name}/words", rows * count * even + SPILLED, np.int16)
    r = columns.rounding
    tables = packed, _constants(f, order), r.lo, r.hi, len(columns.w), places, words
    args = (*segments, *tables, *place)
    work = len(segments.offsets) * columns.w.size
    return Call(dot_widened(rows, vectors, f.kind), x, *args, writes=[place[0], words], work=work)


SUM_AND_RULE = 16  # steps of a dot product that take as long as the sum over its lanes and the rule for it


def _is_narrow(w: np.ndarray, segments: Segments) -> bool:
    """Whether columns are so few and deep that ``dot_along`` takes less time than panels, whose lanes would be idle."""
    steps = len(segments.starts) * -(-segments.depth // STRIDE) * STRIDE // 64
    return len(w) * (steps + SUM_AND_RULE) < -(-len(w) // LANES) * w.shape[1] // 4


def _along(x: Tensor, segments: Segments, columns: Columns, place: tuple[Tensor, int, int]) -> Call:
    """The Call for few columns."""
    parts = split_bytes(columns.w).reshape(-1, len(columns.w), len(segments.starts), segments.depth)
    packed = np.zeros((*parts.shape[:3], -(-segments.depth // STRIDE) * STRIDE), np.int8)
    packed[..., : segments.depth] = parts
    packed = np.concatenate(list(packed), axis=1)  # weights of nine bits: the segments come twice
    starts = np.tile(np.asarray(segments.starts, np.int64), len(parts))
    args = (segments.offsets, starts, packed, wrapped(columns.bias + left_out(columns.w)), *columns.rounding)
    work = len(segments.offsets) * columns.w.size
    return Call(dot_along, x, *args, *place, writes=[place[0]], work=work)


SUM_OF_SEGMENT = 600  # multiply-adds that take as long as the sum of a short segment of a row


def _common(w: np.ndarray, segments: int, vectors: int) -> int:
    """A number that leaves weights of nine bits (legacy uint8 models) eight when it is taken from all; else 0.

    Its product with the sum of a row is the same for all columns. That pays where the sum takes less time than a second
    pass over the weights.
    """
    least, most = limits(w)
    columns = -(-len(w) // (vectors * LANES)) * vectors * LANES
    if (least >= -128 and most <= 127) or most - least > 255 or columns * w.shape[1] < SUM_OF_SEGMENT * segments:
        return 0
    return least + 128


def _accumulating(
    x: Tensor, segments: Segments, columns: Columns, tile: tuple[int, int], place: tuple[Tensor, int, int]
) -> Call:  # fmt: skip
    """The Call for columns without a formula."""
    rows, vectors = tile
    order = list(range(vectors * LANES))
    packed, passes = pack(columns.w, len(segments.starts), vectors, order)
    repeated = _repeated(segments, passes)
    sums = scratch_per_thread(f"{place[0].name}/sums", rows * vectors * LANES, np.int32)
    bias = panels(wrapped(columns.bias + left_out(columns.w)), order)
    args = (*repeated, packed, bias, *columns.rounding, len(columns.w), sums)
    work = len(segments.offsets) * columns.w.size
    return Call(dot_accumulate(rows, vectors), x, *args, *place, writes=[place[0], sums], work=work)


def _constants(f: Formula, order: list[int]) -> np.ndarray:
    """A formula's rows in panels: int32 [panel, ROWS, lane]. The two words of a float64 stay together."""
    width, columns = len(order), f.rows.shape[1]
    count = -(-columns // width)
    padded = np.zeros((ROWS, count * width), np.int32)
    padded[:, :columns] = f.rows
    rows = padded.reshape(ROWS, count, width).transpose(1, 0, 2)[:, :, order]
    if f.kind == "double":
        rows[:, :2] = rows[:, :2].transpose(0, 2, 1).reshape(count, 2, width)
    return np.ascontiguousarray(rows)
