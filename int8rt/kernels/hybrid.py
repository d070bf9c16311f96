"""Float activations times 8-bit weights, as TFLite does it: quantize x as it comes, multiply bytes, scale the sums.

x is quantized per image, or per row of FULLY_CONNECTED, with a scale and a zero point of its own: ``symmetric`` with
scale max|x| / 127 and zero point 0, or asymmetric over [min(x, 0), max(x, 0)]. Then, every step rounded to float32,

    y[m, c] = bias[c] + sum * (s_x * s_w[c])      or, ``weight_first``,      (sum * s_w[c]) * s_x + bias[c]

with the int32 sum over k of (q[m, k] - z_x) * w[c, k]. ``by_terms``, as TRANSPOSE_CONV does it, every product is
scaled, ``(product * s_w[c]) * s_x``, and added in float32 to those before.

LiteRT chooses its SIMD code when it is compiled, so that its reference kernels quantize with it too: of the n values of
an image, those before n // 8 * 8 have one half added in float32 and are truncated, the others are rounded half away
from zero. Where all values are so small that 1 / scale is infinite the two differ much: see ``overflowed``. The scale
of an image with an infinity or a NaN is NaN, and so is every output: what LiteRT makes of one is undefined.

Sources: TFLite's ``neon_tensor_utils.cc`` (NeonSymmetricQuantizeFloats, NeonAsymmetricQuantizeFloats),
``MatrixBatchVectorMultiplyAccumulate`` and the Hybrid* reference kernels.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from int8rt.graph import Tensor
from int8rt.kernels.dot import byte_step, repeated
from int8rt.kernels.packing import bias_compensation, pack, panels
from int8rt.kernels.product import (
    Epilogue,
    GroupedEpilogue,
    RowSegments,
    grouped_products,
    products,
    widest,
)
from int8rt.native.kernel import Kernel, inline, kernel, kernel_factory, stage
from int8rt.numerics.fixedpoint import round_half_away, round_half_away_float
from int8rt.simd.floats import wide_tile
from int8rt.simd.llvm import LANES
from int8rt.simd.lowerings import offset
from int8rt.simd.memory import fill_within, get, put
from int8rt.simd.tiles import byte_tile
from int8rt.steps import Call, Flat, scratch, scratch_per_thread

GROUP = 8  # values that LiteRT quantizes together
SIGN = -(1 << 31)  # the sign bit of float32
MOST = np.finfo(np.float32).max


class Scaling(NamedTuple):
    """From int32 sums to float32 outputs; kernels take the fields in this order."""

    weight_scale: np.ndarray  # float32 [columns]
    weight_sums: np.ndarray  # int32 [columns]: sum of the weights
    bias: np.ndarray  # float32 [columns]
    weight_first: int
    limits: np.ndarray  # float32 [2]

    def part(self, columns: Any) -> Scaling:
        """The same for some of the columns."""
        chosen = {name: getattr(self, name)[columns] for name in ("weight_scale", "weight_sums", "bias")}
        return self._replace(**chosen)


# What it means


class Quantized(NamedTuple):
    """One image or row: q, int64, its scale and zero point. Of several, arrays of these."""

    q: np.ndarray
    scale: Any  # float32
    zero_point: Any  # an integer


def quantized(x: np.ndarray, symmetric: bool) -> Quantized:
    """x, float32 of any shape, quantized as one image."""
    q, scale, zero_point = quantized_rows(np.asarray(x, np.float32).reshape(1, -1), symmetric)
    return Quantized(q.reshape(x.shape), scale[0], int(zero_point[0]))


def quantized_rows(x: np.ndarray, symmetric: bool) -> Quantized:
    """The rows of x, float32 [rows, n], each by itself: q [rows, n], scale and zero point [rows]."""
    is_finite = np.isfinite(x).all(1)
    x = np.where(is_finite[:, None], x, np.float32(0))
    scale, inverse, zero_point = _ranges(x, symmetric)
    full = x.shape[1] // GROUP * GROUP
    is_small = np.isinf(inverse)
    v = x * np.where(is_small, np.float32(0), inverse)[:, None]
    head = np.trunc(v[:, :full] + np.copysign(np.float32(0.5), v[:, :full]))
    q = zero_point[:, None] + np.concatenate([head, round_half_away_float(v[:, full:])], 1).astype(np.int64)
    for row in np.flatnonzero(is_small):
        q[row] = [overflowed(v, int(zero_point[row]), symmetric, i < full) for i, v in enumerate(x[row])]
    q = np.where(is_finite[:, None], q.clip(-127 if symmetric else -128, 127), 0)
    return Quantized(q, np.where(is_finite, scale, np.float32(np.nan)), np.where(is_finite, zero_point, 0))


@inline
def overflowed(x: float, zero_point: int, symmetric: int, in_head: bool) -> int:
    """The q of x where 1 / scale is infinite: what x86-64 makes of casting infinities and 0 * infinity to int32."""
    if symmetric:
        return 127 if in_head and x > 0 else -127
    if in_head:  # the cast saturates, the addition of the zero point wraps
        if x > 0:
            return -128 if zero_point > 0 else 127
        return 127 if zero_point < 0 else -128
    return 127 if x > 0 else -128 if x < 0 else 0


def _ranges(x: np.ndarray, symmetric: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scale, its inverse and zero point of every row, which is finite."""
    low, high = x.min(1, initial=0), x.max(1, initial=0)
    is_zero = low == high
    if symmetric:
        largest = np.where(is_zero, np.float32(1), np.maximum(-low, high))
        scale, inverse, zero_point = largest / np.float32(127), np.float32(127) / largest, np.zeros(len(x), np.int64)
    else:
        exact = np.where(is_zero, 1, (high - low).astype(np.float64) / 255)
        below, above = low.astype(np.float64) / exact, high.astype(np.float64) / exact
        zero = np.where(128 + np.abs(below) < 127 + np.abs(above), -128 - below, 127 - above)
        scale = exact.astype(np.float32)
        inverse = (1 / scale.astype(np.float64)).astype(np.float32)
        zero_point = np.clip(round_half_away(zero), -128, 127).astype(np.int64)
    one, none = np.float32(1), np.float32(0)
    return np.where(is_zero, one, scale), np.where(is_zero, none, inverse), np.where(is_zero, 0, zero_point)


def scaled(acc: np.ndarray, x_scale: Any, s: Scaling) -> np.ndarray:
    """float32 outputs of sums [..., columns], zero points taken off, without limits; x_scale broadcasts."""
    sums = acc.astype(np.float32)
    if s.weight_first:
        return np.asarray(sums * s.weight_scale * x_scale + s.bias)
    return np.asarray(sums * (x_scale * s.weight_scale) + s.bias)


# Quantizing


class Images(NamedTuple):
    """What is known of each image at run time; kernels take the fields in this order."""

    scale: Tensor  # float32 [images, 2]: scale and its inverse
    zero_point: Tensor  # int32 [images]


def quantize_calls(
    x: Tensor, images: int, symmetric: bool, y: Tensor, shape: tuple[int, int, int], top: int = 0, left: int = 0
) -> tuple[Images, list[Call]]:
    """The Calls that quantize x, float32, into y, uint8 [images, H, W, c], with its zero point around it.

    shape: height, width and channels of x's images, which begin at row ``top`` and column ``left`` of y's.
    """
    name = y.name
    known = Images(
        scratch(f"{name}/scale", (images, 2), np.float32), scratch(f"{name}/zero_point", (images,), np.int32)
    )
    bits, scale_bits = Flat(x, np.dtype(np.int32)), Flat(known.scale, np.dtype(np.int32))
    ranges = Call(find_ranges, bits, int(symmetric), scale_bits, *known, writes=known)
    flat = Flat(x, np.dtype(np.float32))
    return known, [ranges, Call(quantize_images, flat, *shape, int(symmetric), *known, top, left, y, writes=[y])]


@kernel
def find_ranges(
    thread: int, threads: int, bits: Any, symmetric: int, scale_bits: Any, scale: Any, zero_point: Any
) -> None:
    """Scale, its inverse and zero point of each of the images that lie one after another in x.

    bits: x as int32, since comparisons of floats are not done in vectors; scale_bits: scale as int32. Of floats that
    are not negative the greatest is that with the greatest bits; so it is with the magnitudes of the others.
    """
    images = zero_point.size
    size = bits.size // images
    for n in range(images * thread // threads, images * (thread + 1) // threads):
        below, above = np.int32(0), np.int32(0)
        for i in range(n * size, (n + 1) * size):
            below = max(below, np.int32(get(bits, i) ^ SIGN))
            above = max(above, get(bits, i))
        put(scale_bits, 2 * n, below)
        put(scale_bits, 2 * n + 1, above)
        low, high = -get(scale, 2 * n), get(scale, 2 * n + 1)
        put(zero_point, n, 0)
        if not (-low <= MOST and high <= MOST):
            put(scale, 2 * n, np.float32(np.nan))
            put(scale, 2 * n + 1, np.float32(0))
        elif low == high:
            put(scale, 2 * n, np.float32(1))
            put(scale, 2 * n + 1, np.float32(0))
        elif symmetric:
            largest = max(-low, high)
            put(scale, 2 * n, largest / np.float32(127))
            put(scale, 2 * n + 1, np.float32(127) / largest)
        else:
            s = np.float64(np.float32(high - low)) / 255.0
            least, most = np.float64(low) / s, np.float64(high) / s
            zero = -128.0 - least if 128.0 + abs(least) < 127.0 + abs(most) else 127.0 - most
            put(scale, 2 * n, np.float32(s))
            put(scale, 2 * n + 1, np.float32(1.0 / np.float64(np.float32(s))))
            put(zero_point, n, min(max(np.int64(round_half_away(zero)), -128), 127))


@kernel
def quantize_images(
    thread: int, threads: int, x: Any, height: int, width: int, channels: int, symmetric: int, scale: Any,
    zero_point: Any, top: int, left: int, y: Any,
) -> None:  # fmt: skip
    """y[n, top + i, left + j] = 128 + q of x, [n, height, width, channels] flattened, and its zero point elsewhere."""
    rows, line = y.shape[1], y.shape[2] * channels
    run = min(width, y.shape[2] - left) * channels
    size = height * width * channels
    full = size // GROUP * GROUP
    lowest = np.int32(1 if symmetric else 0)
    for item in range(y.shape[0] * rows * thread // threads, y.shape[0] * rows * (thread + 1) // threads):
        n = item // rows
        row = item - n * rows - top
        to = item * line
        zero = np.int32(zero_point[n] + 128)
        inverse = scale[n, 1]
        if row < 0 or row >= height:
            fill_within(y, to, line, zero)
        else:
            fill_within(y, to, left * channels, zero)
            fill_within(y, to + left * channels + run, line - left * channels - run, zero)
            to += left * channels
            within = row * width * channels
            at = n * size + within
            head = max(min(run, full - within), 0)
            if inverse == np.inf:
                for i in range(run):
                    put(y, to + i, 128 + overflowed(get(x, at + i), zero_point[n], symmetric, i < head))
            else:
                for i in range(head):
                    v = get(x, at + i) * inverse
                    half = np.float32(0.5) if v >= 0 else np.float32(-0.5)
                    q = np.int32(zero + np.int32(v + half))
                    put(y, to + i, min(max(q, lowest), np.int32(255)))
                for i in range(head, run):
                    q = np.int32(zero + np.int32(round_half_away_float(get(x, at + i) * inverse)))
                    put(y, to + i, min(max(q, lowest), np.int32(255)))


# Products


class Scaled(NamedTuple):
    """The arguments of the epilogue of ``dot_scale``."""

    begin: Any  # int32 [panel, lane]: what sums begin with
    scale: Any  # of x: Images
    zero_point: Any
    images: Any  # int32 [rows of x]: which image a row is of
    weights: Any  # int32 [panel, 2, lane]: the bits of the weights' scales, and their sums
    bias: Any  # float32 [panel, lane]
    limits: Any  # float32 [2]
    columns: int
    y: Any
    first: int
    stride: int


@kernel_factory
def dot_scale(rows: int, vectors: int, weight_first: int) -> Kernel:
    """The kernel for tiles of rows x 16 vectors: products of bytes as in ``dot``, then ``Scaled``."""
    tile, floats = byte_tile(rows, vectors), wide_tile("float32", rows, vectors)
    t_start, t_scaled, t_finish = tile.start, floats.scaled[weight_first], floats.finish
    width = LANES * vectors

    @stage
    def start(a: Any, panel: int, m: int) -> Any:
        return t_start(a.begin, panel * width)

    @stage
    def finish(acc: Any, a: Any, panel: int, m: int, thread: int) -> None:
        c = panel * width
        result = t_scaled(acc, a.scale, a.zero_point, a.images, m, a.weights, 2 * c)
        t_finish(result, a.bias, c, a.limits, a.y, a.first + m * a.stride + c, a.stride, a.columns - c)

    return products("dot_scale", rows, byte_step(tile, vectors), Epilogue(Scaled, start, finish))


def dot_call(
    x: Tensor, images: Images, segments: RowSegments, w: np.ndarray, s: Scaling, y: Tensor, first: int = 0,
    stride: int = 0,
) -> Call:  # fmt: skip
    """The Call for output column c of row m at y[first + m * stride + c]; x: quantized; w: int16 [columns, depth]."""
    columns, count = len(w), len(segments.offsets)
    rows, vectors = widest(count, columns)
    order = list(range(vectors * LANES))
    packed, passes = pack(w, len(segments.starts), vectors, order)
    begin = panels(np.asarray(bias_compensation(w) - 128 * s.weight_sums, np.int32), order)
    weights, bias = _tables(s, vectors)
    known = images.zero_point.size
    images_of = np.repeat(np.arange(known, dtype=np.int32), count // known)
    given = Scaled(begin, *images, images_of, weights, bias, s.limits, columns, y, first, stride or columns)
    args = (x, *repeated(segments, passes), packed, *given)
    return Call(dot_scale(rows, vectors, s.weight_first), *args, writes=[y], work=count * w.size)


class Blocks(NamedTuple):
    """Weights of which every ``size`` values along a row have a scale of their own."""

    scale: np.ndarray  # float32 [columns, blocks]
    size: int

    def scaled_sums(self, w: np.ndarray) -> np.ndarray:
        """What is to be taken off an output for each unit of x's zero point: float32 [columns]."""
        sums = w.reshape(*self.scale.shape, self.size).sum(axis=2).astype(np.float32)
        total = np.zeros(len(w), np.float32)
        for block in range(self.scale.shape[1]):
            total += self.scale[:, block] * sums[:, block]
        return total

    def apply(self, x: Quantized, w: np.ndarray, bias: np.ndarray) -> np.ndarray:
        """One row's outputs, float32 [columns]: (sum over blocks of sums * scale - z_x * scaled_sums) * s_x + bias."""
        products = (w * x.q).reshape(*self.scale.shape, self.size).sum(axis=2).astype(np.float32)
        y = np.zeros(len(w), np.float32)
        for block in range(self.scale.shape[1]):
            y += products[:, block] * self.scale[:, block]
        y -= np.float32(x.zero_point) * self.scaled_sums(w)
        return np.asarray(y * x.scale + bias)


class BlockScaled(NamedTuple):
    """The arguments of the epilogue of ``dot_blocks``; sums and totals: [threads, rows * 16 vectors]."""

    begin: Any  # int32 [panel, block, lane]: what sums begin with
    block_scale: Any  # float32 [panel, block, lane]
    scaled_sums: Any  # float32 [columns]: Blocks.scaled_sums
    scale: Any  # of x: Images, one per row
    zero_point: Any
    bias: Any  # float32 [columns]
    sums: Any  # int32
    totals: Any  # float32
    y: Any


@kernel_factory
def dot_blocks(rows: int, vectors: int) -> Kernel:
    """As ``dot_scale`` for Blocks, each of which is a segment, and a group of its own: ``BlockScaled``."""
    tile = byte_tile(rows, vectors)
    t_start, t_store = tile.start, tile.store
    width = LANES * vectors
    size = rows * width

    @stage
    def begin(a: Any, thread: int) -> int:
        fill_within(a.totals, thread * size, size, np.float32(0))
        return 0  # totals are in memory

    @stage
    def start(a: Any, panel: int, number: int) -> Any:
        return t_start(a.begin, (panel * a.begin.shape[1] + number) * width)

    @stage
    def add(total: int, acc: Any, a: Any, panel: int, number: int, thread: int) -> int:
        t_store(acc, a.sums, thread * size)
        at = (panel * a.begin.shape[1] + number) * width
        for i in range(thread * size, thread * size + size, width):
            for c in range(width):
                product = np.float32(get(a.sums, i + c)) * get(a.block_scale, at + c)
                put(a.totals, i + c, get(a.totals, i + c) + product)
        return total

    @stage
    def finish(total: int, a: Any, panel: int, m: int, thread: int) -> None:
        columns, column = a.bias.size, panel * width
        for r in range(rows):
            x_scale, zero = a.scale[m + r, 0], np.float32(a.zero_point[m + r])
            at = thread * size + r * width
            for c in range(min(width, columns - column)):
                v = get(a.totals, at + c) - zero * get(a.scaled_sums, column + c)
                put(a.y, (m + r) * columns + column + c, v * x_scale + get(a.bias, column + c))

    epilogue = GroupedEpilogue(BlockScaled, begin, start, add, finish)
    return grouped_products("dot_blocks", rows, byte_step(tile, vectors), epilogue)


def blocks_call(x: Tensor, rows_: Images, w: np.ndarray, blocks: Blocks, bias: np.ndarray, y: Tensor) -> Call:
    """The Call for y[m, c] from the quantized rows of x, [rows, 1, 1, depth]; w: [columns, depth]."""
    columns, depth = w.shape
    rows, vectors = widest(x.shape[0], columns)
    width = vectors * LANES
    order = list(range(width))
    count = depth // blocks.size
    packed, _ = pack(w.astype(np.int16), count, vectors, order)
    sums = w.reshape(columns, count, blocks.size).sum(axis=2, dtype=np.int64)
    begin = np.stack([panels(v, order) for v in ((offset() - 128) * sums).astype(np.int32).T], axis=1)
    scale = np.stack([panels(v, order) for v in blocks.scale.T], axis=1)
    offsets = (np.arange(x.shape[0]) * depth).astype(np.int32)
    starts = np.arange(count, dtype=np.int64) * blocks.size
    scratches = (
        scratch_per_thread(f"{y.name}/sums", rows * width, np.int32),
        scratch_per_thread(f"{y.name}/totals", rows * width, np.float32),
    )
    segments = RowSegments(offsets, starts, blocks.size)
    given = BlockScaled(begin, scale, blocks.scaled_sums(w), *rows_, bias, *scratches, y)
    return Call(
        dot_blocks(rows, vectors), x, *segments, 1, packed, *given, writes=[y, *scratches], work=x.shape[0] * w.size
    )


@kernel
def dot_terms(
    thread: int, threads: int, x: Any, offsets: Any, starts: Any, depth: int, w: Any, scale: Any, zero_point: Any,
    weight_scale: Any, bias: Any, limits: Any, y: Any, first: int, stride: int,
) -> None:  # fmt: skip
    """As ``dot_scale``, but every product is scaled before it is added; w: float32 [depth of all segments, columns]."""
    rows, columns = offsets.size, bias.size
    each = rows // zero_point.size
    lo, hi = limits[0], limits[1]
    for row in range(rows * thread // threads, rows * (thread + 1) // threads):
        n = row // each
        x_scale, zero = scale[n, 0], zero_point[n] + 128
        to, at = first + row * stride, 0
        fill_within(y, to, columns, np.float32(0))
        for s in range(starts.size):
            for k in range(offsets[row] + starts[s], offsets[row] + starts[s] + depth):
                value = np.float32(np.int32(get(x, k)) - zero)
                for c in range(columns):
                    put(y, to + c, get(y, to + c) + value * get(w, at + c) * get(weight_scale, c) * x_scale)
                at += columns
        for c in range(columns):
            v = get(y, to + c) + get(bias, c)
            v = lo if v < lo else v
            v = hi if hi < v else v
            put(y, to + c, v)


def terms_call(
    x: Tensor,
    images: Images,
    segments: RowSegments,
    w: np.ndarray,
    s: Scaling,
    y: Tensor,
    first: int = 0,
    stride: int = 0,
) -> Call:
    """As ``dot_call``, by terms."""
    place = y, first, stride or len(w)
    args = (np.ascontiguousarray(w.T, np.float32), *images, s.weight_scale, s.bias, s.limits, *place)
    return Call(dot_terms, x, *segments, *args, writes=[y], work=len(segments.offsets) * w.size)


@kernel
def add_to_sums(thread: int, threads: int, start: Any, sums: Any) -> None:
    """sums += start, channels innermost."""
    channels = start.size
    rows = sums.size // channels
    for row in range(rows * thread // threads, rows * (thread + 1) // threads):
        for c in range(channels):
            put(sums, row * channels + c, get(sums, row * channels + c) + get(start, c))


@kernel_factory
def scale_sums(vectors: int, weight_first: int) -> Kernel:
    """The kernel for y = the scaled sums, channels innermost; sums less 128 for each unit of x's zero point.

    weights and bias: as ``_tables`` makes them, in panels of 16 V channels.
    """
    sums_, floats = byte_tile(1, vectors), wide_tile("float32", 1, vectors)
    t_load, t_scaled, t_finish = sums_.start, floats.scaled[weight_first], floats.finish
    width = LANES * vectors

    def scale_sums(
        thread: int, threads: int, sums: Any, scale: Any, zero_point: Any, images: Any, weights: Any, bias: Any,
        limits: Any, channels: int, y: Any,
    ) -> None:  # fmt: skip
        rows = y.size // channels
        each = rows // zero_point.size
        for row in range(rows * thread // threads, rows * (thread + 1) // threads):
            at, n = row * channels, row // each
            for c in range(0, channels, width):
                result = t_scaled(t_load(sums, at + c), scale, zero_point, images, n, weights, 2 * c)
                t_finish(result, bias, c, limits, y, at + c, channels, channels - c)

    return Kernel(scale_sums)


def scale_call(sums: Tensor, images: Images, s: Scaling, y: Tensor) -> Call:
    """The Call for y, [n, ..., c], from sums that begin with -128 times those of the weights."""
    vectors = 4 if len(s.bias) > 2 * LANES else 2
    weights, bias = _tables(s, vectors)
    args = (*images, np.arange(images.zero_point.size, dtype=np.int32), weights, bias, s.limits, len(s.bias))
    return Call(scale_sums(vectors, s.weight_first), sums, *args, y, writes=[y])


def _tables(s: Scaling, vectors: int) -> tuple[np.ndarray, np.ndarray]:
    """In panels: scales (the bits of float32) and sums of the weights, int32 [panel, 2, lane]; bias [panel, lane]."""
    order = list(range(vectors * LANES))
    scale, sums, bias = (panels(v, order) for v in (s.weight_scale, s.weight_sums, s.bias))
    return np.stack([scale.view(np.int32), sums], axis=1), bias
