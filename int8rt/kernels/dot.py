"""y = requantize(x @ w.T + b) for bytes: the products where most of the time goes.

x is seen as rows of bytes, one per output pixel, made of ``RowSegments``. The weights lie in panels of 16 V columns,
four bytes deep, so that one instruction multiplies four bytes of x, in every lane the same, with four weights of each
of 16 columns. A panel for V = 1 (element number = its place in memory) of columns c, along rows of depth K:

              lane 0           lane 1                lane 15
    step 0    0  1  2  3       4  5  6  7     ...    60  61  62  63       w[c, 0 ... 3]
    step 1    64 65 66 67      68 69 70 71    ...    124 125 126 127      w[c, 4 ... 7]
    ...                                                                   up to K, then the next segment

Lane i stands for column ``order[i]`` of the panel (``column_order``). What does not fill four bytes or 16 V columns is
zero. With V vectors, a step has V such lines.

Zero points do not appear in the loop:

    sum (x - z_x) (w - z_w) + b  =  sum x (w - z_w)  +  (b - z_x sum (w - z_w))

``dot_plain`` says what ``dot`` means. ``dot`` requantizes in registers where ``requantization`` has exact parameters;
``dot_accumulate`` serves every other case.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from int8rt.graph import Tensor
from int8rt.kernels.packing import bias_compensation, less, pack, pack_pairs, panels, split_bytes, wrapped
from int8rt.kernels.product import Epilogue, RowSegments, Step, products, tile_at, widest
from int8rt.native.kernel import Kernel, kernel, kernel_factory, stage
from int8rt.numerics.fixedpoint import wrap_int32
from int8rt.numerics.requantization import ROWS, Filters, Parameters, Rounding, fitted, limits, parameters, requantized
from int8rt.simd.floats import wide_tile, widen_within
from int8rt.simd.llvm import LANES
from int8rt.simd.lowerings import PRODUCTS, lower
from int8rt.simd.memory import get, put
from int8rt.simd.narrow import column_order
from int8rt.simd.runs import STRIDE, dot_of_bytes, sum_of_bytes
from int8rt.simd.tiles import byte_tile
from int8rt.steps import Call, scratch, scratch_per_thread


class Output(NamedTuple):
    """Where products go: column c of row m to y[first + m * stride + c], flattened."""

    y: Tensor
    first: int
    stride: int


# What it means


@kernel
def dot_plain(x: Any, segments: RowSegments, w: Any, bias: Any, rounding: Rounding, output: Output) -> None:
    """One output after another. w: [columns, segments * depth], segments counted by starts; bias: int32 [columns]."""
    offsets, starts, depth = segments
    for m in range(offsets.size):
        for c in range(w.shape[0]):
            acc = np.int64(bias[c])
            for s in range(starts.size):
                for k in range(depth):
                    acc += np.int64(get(x, offsets[m] + starts[s] + k)) * np.int64(w[c, s * depth + k])
            put(output.y, output.first + m * output.stride + c, requantized(acc, rounding, c))


# Requantized in registers


class Requantizing(NamedTuple):
    """The arguments of an epilogue that requantizes in registers."""

    p: Any  # int32 [panel, ROWS, lane]: Parameters
    lo: int
    hi: int
    columns: int
    sums: Any  # int32 [rows of x]: added to all columns of a row; not read if not ``corrected``
    y: Any
    first: int
    stride: int


def requantizing(rows: int, vectors: int, kind: str, corrected: bool = False) -> Epilogue:
    """The epilogue of tiles of bytes by Parameters of that kind."""
    tile = byte_tile(rows, vectors)
    t_start, t_requantize = tile.start_rows if corrected else tile.start_alike, tile.requantize[kind]
    width = LANES * vectors

    @stage
    def start(a: Any, panel: int, m: int) -> Any:
        return t_start(a.p, (panel * ROWS + ROWS - 1) * width, a.sums, m)

    @stage
    def finish(acc: Any, a: Any, panel: int, m: int, thread: int) -> None:
        c = panel * width
        to = a.first + m * a.stride + c
        t_requantize(acc, a.p, panel * ROWS * width, a.lo, a.hi, a.y, to, a.stride, a.columns - c)

    return Epilogue(Requantizing, start, finish)


def byte_step(tile: Any, vectors: int) -> Step:
    """The step of a ``byte_tile``."""
    return Step(tile.rows, tile.dot, 4, 4 * LANES * vectors)


@kernel_factory
def dot(rows: int, vectors: int, kind: str, corrected: bool = False) -> Kernel:
    """The kernel for tiles of rows x 16 vectors; behind w it takes ``Requantizing``.

    w: int8 [panel, steps, 16 vectors, 4].
    """
    step = byte_step(byte_tile(rows, vectors), vectors)
    return products("dot", rows, step, requantizing(rows, vectors, kind, corrected))


@kernel
def row_sums(thread: int, threads: int, x: Any, segments: RowSegments, factor: int, sums: Any) -> None:
    """sums[m] = factor * the sum of row m of x; sums: int32 [rows]."""
    offsets, starts, depth = segments
    for m in range(offsets.size * thread // threads, offsets.size * (thread + 1) // threads):
        total = 0
        for s in range(starts.size):
            total += sum_of_bytes(x, offsets[m] + starts[s], depth)
        sums[m] = total * factor


# Through memory


class Accumulating(NamedTuple):
    """The arguments of an epilogue that serves every Rounding."""

    bias: Any  # int32 [panel, lane]
    multiplier: Any
    shift: Any
    scale: Any
    zero_point: int
    lo: int
    hi: int
    columns: int
    sums: Any  # int32 [threads, rows * 16 vectors]
    y: Any
    first: int
    stride: int


@kernel_factory
def dot_accumulate(rows: int, vectors: int) -> Kernel:
    """``dot`` whose accumulators pass through memory; behind w it takes ``Accumulating``."""
    tile = byte_tile(rows, vectors)
    t_start, t_store = tile.start, tile.store
    width = LANES * vectors

    @stage
    def start(a: Any, panel: int, m: int) -> Any:
        return t_start(a.bias, panel * width)

    @stage
    def finish(acc: Any, a: Any, panel: int, m: int, thread: int) -> None:
        mine = thread * rows * width
        t_store(acc, a.sums, mine)
        for r in range(rows):
            for c in range(panel * width, min((panel + 1) * width, a.columns)):
                sum_ = np.int64(get(a.sums, mine + r * width + c - panel * width))
                put(a.y, a.first + (m + r) * a.stride + c, requantized(sum_, a, c))

    return products("dot_accumulate", rows, byte_step(tile, vectors), Epilogue(Accumulating, start, finish))


# By way of int16


SPILLED = 31  # int16 that widen_within writes beyond the last


@kernel_factory
def dot_widened(rows: int, vectors: int, kind: str) -> Kernel:
    """``dot`` for a CPU that multiplies int16 but not bytes: a tile's rows are widened once, for all panels.

    So the panels of a tile of rows come one after another. w: int16 [panel, depth / 2, 16 vectors, 2], which holds
    weights of nine bits; row r of a tile begins at places[r] (int32 [rows]) in a thread's part of widened, int16
    [threads, ...].
    """
    tile = wide_tile("int16", rows, vectors)
    t_rows, t_dot = tile.rows, tile.dot
    epilogue = requantizing(rows, vectors, kind)
    start, finish = epilogue.start, epilogue.finish
    width = LANES * vectors

    def dot_widened(
        thread: int, threads: int, x: Any, segments: RowSegments, w: Any, places: Any, widened: Any, a: Requantizing
    ) -> None:  # fmt: skip
        offsets, starts, depth = segments
        panels_, even = w.shape[0], (depth + 1) // 2 * 2
        total = (offsets.size + rows - 1) // rows * panels_
        mine = thread * (rows * starts.size * even + SPILLED)
        pointers = t_rows(widened, places, 0)
        ready = -1
        for item in range(total * thread // threads, total * (thread + 1) // threads):
            number = item // panels_
            panel, m = item - number * panels_, tile_at(number, rows, offsets.size)[1]
            if number != ready:
                ready = number
                for r in range(rows):
                    for s in range(starts.size):
                        to = mine + places[r] + s * even
                        widen_within(x, offsets[m + r] + starts[s], widened, to, depth)
            acc = start(a, panel, m)
            at = panel * width * w.shape[1] * 2
            for k in range(mine, mine + w.shape[1] * 2, 2):
                acc = t_dot(acc, pointers, k, w, at)
                at += 2 * width
            finish(acc, a, panel, m, thread)

    return Kernel(dot_widened)


# Few columns


@kernel
def dot_along(
    thread: int, threads: int, x: Any, offsets: Any, starts: Any, w: Any, bias: Any, rounding: Rounding, output: Output
) -> None:  # fmt: skip
    """The same by vectors along the rows; w: int8 [columns, segments, depth], zero padded; bias: int32 [columns]."""
    columns, depth = w.shape[0], w.shape[2]
    total = offsets.size * columns
    for item in range(total * thread // threads, total * (thread + 1) // threads):
        m = item // columns
        c = item - m * columns
        acc = np.int64(bias[c])
        for s in range(starts.size):
            acc += dot_of_bytes(x, offsets[m] + starts[s], w, (c * starts.size + s) * depth, depth)
        put(output.y, output.first + m * output.stride + c, requantized(wrap_int32(acc), rounding, c))


# Calls


def call(x: Tensor, segments: RowSegments, filters: Filters, y: Tensor, first: int = 0, stride: int = 0) -> list[Call]:
    """The Calls that compute y from x: output column c of row m goes to y[first + m * stride + c], flattened."""
    output = Output(y, first, stride or len(filters.w))
    if _is_narrow(filters.w, segments):
        return [_along(x, segments, filters, output)]
    filters = fitted(filters)
    tile = widest(len(segments.offsets), len(filters.w))
    p = parameters(filters)
    if p is None:
        return [_accumulating(x, segments, filters, tile, output)]
    if tile[0] > 1 and lower(PRODUCTS) == "widened":
        return [_widened(x, segments, filters, p, tile, output)]
    return _requantized(x, segments, filters, p, tile, output)


def _requantized(
    x: Tensor, segments: RowSegments, filters: Filters, p: Parameters, tile: tuple[int, int], output: Output
) -> list[Call]:
    """The Calls of ``dot``."""
    rows, vectors = tile
    count = len(segments.offsets)
    common = _common(filters.w, len(segments.starts), vectors)
    corrected = common != 0
    w = less(filters.w, common) if corrected else filters.w
    order = column_order(vectors)
    packed, passes = pack(w, len(segments.starts), vectors, order)
    sums = scratch(f"{output.y.name}/row_sums", (count if corrected else 1,), np.int32)
    summing = [Call(row_sums, x, *segments, common, sums, writes=[sums], work=count * w.shape[1] // 8)]
    r = filters.rounding
    p = compensated(p, w)
    given = Requantizing(parameter_panels(p, order), r.lo, r.hi, len(w), sums, *output)
    args = (x, *repeated(segments, passes), packed, *given)
    product = Call(dot(rows, vectors, p.kind, corrected), *args, writes=[output.y], work=count * w.size)
    return [*(summing if corrected else []), product]


def _widened(
    x: Tensor, segments: RowSegments, filters: Filters, p: Parameters, tile: tuple[int, int], output: Output
) -> Call:
    """The Call of ``dot_widened``."""
    rows, vectors = tile
    order, count = column_order(vectors), len(segments.starts)
    even = -(-segments.depth // 2) * 2
    packed = pack_pairs(filters.w, count, vectors, order)
    places = np.arange(rows, dtype=np.int32) * np.int32(count * even)
    widened = scratch_per_thread(f"{output.y.name}/widened", rows * count * even + SPILLED, np.int16)
    r, no_sums = filters.rounding, np.zeros(1, np.int32)
    given = Requantizing(parameter_panels(p, order), r.lo, r.hi, len(filters.w), no_sums, *output)
    args = (x, *segments, packed, places, widened, *given)
    work = len(segments.offsets) * filters.w.size
    return Call(dot_widened(rows, vectors, p.kind), *args, writes=[output.y, widened], work=work)


SUM_AND_ROUNDING = 16  # steps of a dot product that take as long as the sum over its lanes and its requantization


def _is_narrow(w: np.ndarray, segments: RowSegments) -> bool:
    """Whether columns are so few and deep that ``dot_along`` takes less time than panels, whose lanes would be idle."""
    steps = len(segments.starts) * -(-segments.depth // STRIDE) * STRIDE // 64
    return len(w) * (steps + SUM_AND_ROUNDING) < -(-len(w) // LANES) * w.shape[1] // 4


def _along(x: Tensor, segments: RowSegments, filters: Filters, output: Output) -> Call:
    """The Call of ``dot_along``."""
    w, count = filters.w, len(segments.starts)
    parts = split_bytes(w).reshape(-1, len(w), count, segments.depth)
    packed = np.zeros((*parts.shape[:3], -(-segments.depth // STRIDE) * STRIDE), np.int8)
    packed[..., : segments.depth] = parts
    packed = np.concatenate(list(packed), axis=1)  # weights of nine bits: the segments come twice
    starts = repeated(segments, len(parts)).starts
    args = (segments.offsets, starts, packed, wrapped(filters.bias + bias_compensation(w)), *filters.rounding, *output)
    work = len(segments.offsets) * w.size
    return Call(dot_along, x, *args, writes=[output.y], work=work)


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
    x: Tensor, segments: RowSegments, filters: Filters, tile: tuple[int, int], output: Output
) -> Call:  # fmt: skip
    """The Call of ``dot_accumulate``."""
    rows, vectors = tile
    order = list(range(vectors * LANES))
    packed, passes = pack(filters.w, len(segments.starts), vectors, order)
    sums = scratch_per_thread(f"{output.y.name}/sums", rows * vectors * LANES, np.int32)
    bias = panels(wrapped(filters.bias + bias_compensation(filters.w)), order)
    given = Accumulating(bias, *filters.rounding, len(filters.w), sums, *output)
    args = (x, *repeated(segments, passes), packed, *given)
    work = len(segments.offsets) * filters.w.size
    return Call(dot_accumulate(rows, vectors), *args, writes=[output.y, sums], work=work)


def repeated(segments: RowSegments, passes: int) -> RowSegments:
    """The segments as many times as pack() has their weights."""
    starts = np.asarray(segments.starts, np.int64)
    return segments._replace(starts=starts if passes == 1 else np.tile(starts, passes))


def compensated(p: Parameters, w: np.ndarray) -> Parameters:
    """The parameters for sums of products by ``simd``, with their ``bias_compensation``; w: [columns, depth]."""
    return p._replace(rows=np.concatenate([p.rows[:-1], wrapped(p.rows[-1] + bias_compensation(w))[None]]))


def parameter_panels(p: Parameters, order: list[int]) -> np.ndarray:
    """The rows of Parameters in panels: int32 [panel, ROWS, lane]. The two halves of a float64 stay together."""
    width, columns = len(order), p.rows.shape[1]
    count = -(-columns // width)
    padded = np.zeros((ROWS, count * width), np.int32)
    padded[:, :columns] = p.rows
    rows = padded.reshape(ROWS, count, width).transpose(1, 0, 2)[:, :, order]
    if p.kind == "double":
        rows[:, :2] = rows[:, :2].transpose(0, 2, 1).reshape(count, 2, width)
    return np.ascontiguousarray(rows)
