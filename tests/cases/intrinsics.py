"""What each intrinsic means in NumPy, and a sweep over counts and extreme values that compares it with that.

A case calls its intrinsics in a kernel, with arrays that end ``reads_past`` bytes before memory that nobody may touch:
what reads or writes further than it declares ends the process. ``MEANINGS`` is {names of intrinsics: case}.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from guarded import COUNTS, RNG, double, extremes, fixed, guarded, parameters, plain, same, wrapped

from int8rt.memory import address
from int8rt.native.kernel import kernel
from int8rt.simd import floats, lanes, lookup, memory, pairs, runs, threads, tiles
from int8rt.simd.features import has
from int8rt.simd.lowerings import INTERLEAVED, offset

ORDER = np.array(INTERLEAVED)

MEANINGS: dict[tuple[str, ...], Callable[[], None]] = {}


def meaning(*names: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Register the case of some intrinsics."""

    def register(case: Callable[[], None]) -> Callable[[], None]:
        MEANINGS[names] = case
        return case

    return register


# Memory


@meaning("memory.get", "memory.put", "memory.as_type_of")
def elements() -> None:
    get, put, as_type_of = memory.get, memory.put, memory.as_type_of

    @kernel
    def double_(x: Any, y: Any) -> None:
        for i in range(x.size):
            put(y, i, as_type_of(get(y, i), get(x, i)) + get(x, i))

    for dtype in (np.uint8, np.int16, np.int64, np.float32):
        for count in COUNTS:
            x = guarded(np.arange(count).astype(dtype))
            y = guarded(np.zeros(count, np.uint8))
            double_(x, y)
            same(y, (2 * np.arange(count)).astype(np.uint8))


@meaning("memory.copy_within", "memory.fill_within")
def copies() -> None:
    copy_within, fill_within = memory.copy_within, memory.fill_within

    @kernel
    def copy(x: Any, y: Any, count: int, value: int) -> None:
        copy_within(x, 1, y, 0, count)
        fill_within(y, count, count, value)

    for dtype in (np.uint8, np.int32):
        for count in COUNTS:
            x, y = guarded(np.arange(1 + count).astype(dtype)), guarded(np.zeros(2 * count, dtype))
            copy(x, y, count, -1)
            same(y, np.concatenate([x[1:], np.full(count, -1, np.int64).astype(dtype)]))


@meaning("memory.transpose_tile")
def transposed() -> None:
    transpose_tile = memory.transpose_tile

    @kernel
    def transpose(x: Any, y: Any) -> None:
        transpose_tile(x, 0, x.shape[1], y, 0, y.shape[1])

    for dtype in (np.uint8, np.int16, np.int32):
        side = 16 // np.dtype(dtype).itemsize
        x = guarded(RNG.integers(0, 127, (side, side)).astype(dtype))
        y = guarded(np.zeros_like(x))
        transpose(x, y)
        same(y, x.T)


@meaning("threads.word_at", "threads.put_word", "threads.copy_bytes")
def addresses() -> None:
    word_at, put_word, copy_bytes = threads.word_at, threads.put_word, threads.copy_bytes

    @kernel
    def move(word: int, to: int, source: int, target: int, count: int, flip: int) -> None:
        put_word(to, word_at(word))
        copy_bytes(target, source, count, flip)

    for count in COUNTS:
        word, to = guarded(np.array([-5])), guarded(np.array([0]))
        x, y = guarded(np.arange(count).astype(np.uint8)), guarded(np.zeros(count, np.uint8))
        move(address(word), address(to), address(x), address(y), count, 0x80)
        same(to, word)
        same(y, x ^ 0x80)


@meaning("threads.atomic_add", "threads.atomic_swap", "threads.atomic_load")
def atomics() -> None:
    add, swap, load = threads.atomic_add, threads.atomic_swap, threads.atomic_load

    @kernel
    def change(x: Any, seen: Any) -> None:
        seen[0] = add(x, 1, 5)
        seen[1] = swap(x, 1, -1)
        seen[2] = load(x, 1)

    x, seen = guarded(np.array([0, 2**62])), np.zeros(3, np.int64)
    change(x, seen)
    same(seen, [2**62, 2**62 + 5, -1])
    same(x, [0, -1])


# Runs of bytes


@meaning("runs.sum_of_bytes", "runs.largest_of_bytes", "lookup.look_up_within")
def runs_of_bytes() -> None:
    sum_of_bytes, largest_of_bytes, look_up_within = runs.sum_of_bytes, runs.largest_of_bytes, lookup.look_up_within

    @kernel
    def both(x: Any, out: Any) -> None:
        out[0] = sum_of_bytes(x, 0, x.size)
        out[1] = largest_of_bytes(x, 0, x.size)

    @kernel
    def look_up(table: Any, x: Any, y: Any) -> None:
        look_up_within(table, x, 0, y, 0, x.size)

    table = guarded(RNG.permutation(256).astype(np.uint8))
    for count in (*COUNTS, 1000):
        for x in extremes(np.uint8, count):
            out, y = np.zeros(2, np.int64), guarded(np.zeros(count, np.uint8))
            both(guarded(x, runs.sum_of_bytes.reads_past), out)
            same(out, [x.sum(dtype=np.int64), x.max(initial=0)])
            look_up(table, guarded(x), y)
            same(y, table[x])


@meaning("runs.dot_of_bytes")
def dots_of_bytes() -> None:
    dot_of_bytes = runs.dot_of_bytes

    @kernel
    def dot(x: Any, w: Any, out: Any) -> None:
        out[0] = dot_of_bytes(x, 0, w, 0, w.size)

    for count in (1, 65, 255, 256, 1000):
        for x, w in zip(extremes(np.uint8, count), extremes(np.int8, count), strict=True):
            padded, out = np.zeros(-(-count // runs.STRIDE) * runs.STRIDE, np.int8), np.zeros(1, np.int64)
            padded[:count] = w
            dot(guarded(x, runs.dot_of_bytes.reads_past), guarded(padded), out)
            same(out, [((x.astype(np.int64) - offset()) * w).sum()])


@meaning("runs.bytes_of", "runs.bytes_max", "runs.bytes_store")
def maxima() -> None:
    bytes_of, bytes_max, bytes_store = runs.bytes_of, runs.bytes_max, runs.bytes_store

    @kernel
    def clamp(x: Any, y: Any, lo: int, hi: int, count: int) -> None:
        bytes_store(bytes_max(bytes_of(lo), x, 0), hi, y, 0, count)

    for count in (1, 15, 16, 17, 63, 64):
        for x in extremes(np.uint8, count):
            y = guarded(np.zeros(count, np.uint8))
            clamp(guarded(x, runs.bytes_max.reads_past), y, 3, 250, count)
            same(y, x.clip(3, 250))


# Elementwise


@meaning("pairs.weighted_sum")
def weighted_sums() -> None:
    weighted_sum = pairs.weighted_sum

    @kernel
    def add(a: Any, b: Any, p: Any, y: Any, count: int) -> None:
        weighted_sum(a, b, 0, p, y, count)

    for count in (1, 15, 16, 17, 63, 64):
        for a in extremes(np.uint8, count):
            b = RNG.integers(0, 256, count).astype(np.uint8)
            k1, k2 = (int(k) for k in RNG.choice([-(2**30), 2**30 - 1, 12345, -12345, 0], 2))
            c, s = int(RNG.integers(-(2**40), 2**40)), int(RNG.integers(0, 16))
            digits = [digit for k in (k1, k2, c) for digit in (k >> 15, k & 0x7FFF)]
            p, y = guarded(np.array([*digits, 5, 250, s]).astype(np.int32)), guarded(np.zeros(count, np.uint8))
            past = pairs.weighted_sum.reads_past
            add(guarded(a, past), guarded(b, past), p, y, count)
            total = (a.astype(np.int64) * k1 + b.astype(np.int64) * k2 + c) >> 15
            same(y, (wrapped(total) >> s).clip(5, 250))


@meaning("pairs._scaled_product.scaled_product")
def scaled_products() -> None:
    for kind, rule, used in (("fixed", fixed, 4), ("plain", plain, 3)):
        multiply = pairs.scaled_products[kind]
        scale = _scaling(multiply)
        for count in (1, 15, 16, 17, 63, 64):
            for a in extremes(np.uint8, count):
                b, rows = RNG.integers(0, 256, count).astype(np.uint8), parameters(1)
                numbers = np.concatenate([[3, 255], *rows, [1000]]).astype(np.int32)
                y, past = guarded(np.zeros(count, np.uint8)), multiply.reads_past
                scale(guarded(a, past), guarded(b, past), guarded(numbers), y, count)
                products = (a.astype(np.int32) - 3) * (b.astype(np.int32) - 255) + 1000
                same(y, rule(products, *rows[:used]).clip(5, 250))


def _scaling(multiply: Any) -> Any:
    @kernel
    def scale(a: Any, b: Any, p: Any, y: Any, count: int) -> None:
        multiply(a, 0, b, 0, p, 5, 250, y, 0, count)

    return scale


# 64 lanes


def lane_sums(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """What lanes_dot adds for x [4, 64], w [64 groups, 4], in the order of lanes."""
    return ((x.astype(np.int64).T[ORDER] - offset()) * w).sum(axis=1)


@meaning(
    "lanes.lanes_start", "lanes.lanes_load", "lanes.lanes_dot", "lanes.lanes_save", "lanes._lanes_store",
    "lanes._lanes_requantize.lanes_requantize",
)  # fmt: skip
def lanes_of_channels() -> None:
    start, load, dot, save = lanes.lanes_start, lanes.lanes_load, lanes.lanes_dot, lanes.lanes_save
    store, as_fixed, as_plain = (lanes.lanes_requantize[kind] for kind in ("sums", "fixed", "plain"))

    @kernel
    def product(p: Any, x: Any, w: Any, count: int, sums: Any, ordered: Any, y: Any, z: Any) -> None:
        acc = dot(start(p, 256), load(x, 0, count, 2 * count, 3 * count), w, 0)
        save(acc, sums, 0)
        store(acc, p, 0, 64, 0, 0, ordered, 0, count)
        as_fixed(acc, p, 0, 64, 5, 250, y, 0, count)
        as_plain(acc, p, 0, 64, 5, 250, z, 0, count)

    for count in (1, 15, 16, 17, 63, 64):
        for x, w in zip(extremes(np.uint8, 4 * count), extremes(np.int8, 256), strict=True):
            rows, begin = parameters(64), RNG.integers(-(2**31), 2**31, 64).astype(np.int32)
            p = guarded(np.concatenate([*rows, begin]))
            sums, ordered = guarded(np.zeros(64, np.int32)), guarded(np.zeros(count, np.int32))
            y, z = guarded(np.zeros(count, np.uint8)), guarded(np.zeros(count, np.uint8))
            given = guarded(x, lanes.lanes_load.reads_past)
            product(p, given, guarded(w), count, sums, ordered, y, z)
            inside = count > ORDER
            padded = np.zeros((4, 64), np.uint8)
            padded[:, :count] = x.reshape(4, count)
            expected = wrapped(begin + lane_sums(padded, w.reshape(64, 4)))
            same(sums[inside], expected[inside])
            for found, result in (
                (ordered, expected),
                (y, fixed(expected, *rows).clip(5, 250)),
                (z, plain(expected, *rows[:3]).clip(5, 250)),
            ):
                same(found[ORDER[inside]], result[inside])


@meaning("lanes.Window.start", "lanes.Window.push", "lanes.Window.dot")
def windows() -> None:
    load, begin, save = lanes.lanes_load, lanes.lanes_start, lanes.lanes_save
    window = lanes.window(2)
    start, push, dot = window.start, window.push, window.dot

    @kernel
    def slide(p: Any, x: Any, w: Any, sums: Any) -> None:
        columns = start()
        for i in range(3):
            at = i * 256
            columns = push(columns, load(x, at, at + 64, at + 128, at + 192))
        save(dot(begin(p, 0), columns, w, 0), sums, 0)

    for x, w in zip(extremes(np.uint8, 768), extremes(np.int8, 512), strict=True):
        sums, p = guarded(np.zeros(64, np.int32)), guarded(np.arange(64, dtype=np.int32))
        slide(p, guarded(x), guarded(w), sums)
        last, weights = x.reshape(3, 4, 64)[1:], w.reshape(2, 64, 4)
        same(sums, p + sum(lane_sums(*pair) for pair in zip(last, weights, strict=True)))


@meaning("lanes.lanes_sum", "lanes.lanes_scale")
def lanes_rounded() -> None:
    start, sum_, scale = lanes.lanes_start, lanes.lanes_sum, lanes.lanes_scale

    @kernel
    def reduce(p: Any, factor: int, shift: int, count: int, out: Any, y: Any) -> None:
        values = start(p, 0)
        out[0] = sum_(values, shift)
        scale(values, factor, shift, y, 0, count)

    for count in (0, 1, 15, 16, 17, 63, 64):
        for most in (1, 2**24):
            p = guarded(RNG.integers(0, most, 64, endpoint=True).astype(np.int32))
            shift, factor = int(RNG.integers(0, 20)), int(RNG.integers(0, 2**31))
            out, y = np.zeros(1, np.int64), guarded(np.zeros(count, np.uint8))
            reduce(p, factor, shift, count, out, y)
            half, wide = (1 << shift) >> 1, p.astype(np.int64)
            same(out, [((wide + half) >> shift).sum()])
            scaled = ((((wide * factor + (1 << 30)) >> 31) + half) >> shift).clip(0, 255)
            channels = np.zeros(64, np.int64)
            channels[ORDER] = scaled
            same(y, channels[:count])


@meaning("lanes.lanes_look_up")
def lanes_looked_up() -> None:
    if not has("avx512vbmi"):
        return
    look_up, save = lanes.lanes_look_up, lanes.lanes_save

    @kernel
    def find(table: Any, x: Any, top: int, sums: Any) -> None:
        save(look_up(table, top, x, 0, x.size), sums, 0)

    table = guarded(RNG.integers(0, 256, (4, 256)).astype(np.uint8))
    numbers = np.ascontiguousarray(table.T).view(np.int32)[:, 0]
    for count in (1, 15, 16, 17, 63, 64):
        for x in extremes(np.uint8, count):
            sums, expected = guarded(np.zeros(64, np.int32)), np.zeros(64, np.int32)
            find(table, guarded(x, look_up.reads_past), int(x.max()), sums)
            expected[:count] = numbers[x.max() - x]
            same(sums, expected[ORDER])


# Tiles


ROWS, VECTORS = 3, 2
WIDTH = 16 * VECTORS


def row_offsets(depth: int) -> np.ndarray:
    return guarded(np.array([9, *range(0, ROWS * depth, depth)], np.int32))


@meaning(
    "tiles.Tile.rows", "tiles.Tile.dot", "tiles.Tile.store", "tiles.ByteTile.start", "tiles.ByteTile.start_alike",
    "tiles.ByteTile.start_rows",
)  # fmt: skip
def byte_tiles() -> None:
    tile = tiles.byte_tile(ROWS, VECTORS)
    rows, start, alike, corrected, dot, store = (
        tile.rows, tile.start, tile.start_alike, tile.start_rows, tile.dot, tile.store,
    )  # fmt: skip

    @kernel
    def multiply(x: Any, offsets: Any, depth: int, w: Any, bias: Any, more: Any, sums: Any) -> None:
        pointers = rows(x, offsets, 1)
        a, b, c = start(bias, 1), alike(bias, 1, more, 1), corrected(bias, 1, more, 1)
        for k in range(0, depth, 4):
            a, b, c = (dot(a, pointers, k, w, k * 32), dot(b, pointers, k, w, k * 32), dot(c, pointers, k, w, k * 32))
        store(a, sums, 0)
        store(b, sums, 96)
        store(c, sums, 192)

    for depth in (1, 15, 16, 17, 63, 64, 65):
        fours = -(-depth // 4)
        for x, w in zip(extremes(np.uint8, ROWS * depth), extremes(np.int8, WIDTH * depth), strict=True):
            padded = np.zeros((WIDTH, 4 * fours), np.int8)
            padded[:, :depth] = w.reshape(WIDTH, depth)
            packed = np.ascontiguousarray(padded.reshape(WIDTH, fours, 4).swapaxes(0, 1))
            bias = guarded(RNG.integers(-(2**31), 2**31, 1 + WIDTH).astype(np.int32))
            more, sums = guarded(np.array([0, 5, -6, 2**31 - 1], np.int32)), guarded(np.zeros((3, 96), np.int32))
            x = guarded(x, tile.dot.reads_past)
            multiply(x, row_offsets(depth), depth, guarded(packed), bias, more, sums)
            products = (x.reshape(ROWS, depth).astype(np.int64) - offset()) @ padded[:, :depth].astype(np.int64).T
            expected = wrapped(products + bias[1:]).reshape(-1)
            same(sums[0], expected)
            same(sums[1], expected)
            same(sums[2], wrapped(products + bias[1:] + more[1:, None].astype(np.int64)).reshape(-1))


@meaning(
    "tiles.ByteTile.requantize_plain", "tiles.ByteTile.requantize_fixed", "tiles.ByteTile.requantize_double"
)  # fmt: skip
def requantized() -> None:
    from int8rt.simd.narrow import column_order

    tile, order = tiles.byte_tile(1, VECTORS), np.array(column_order(VECTORS))
    for kind, count in (("plain", 3), ("fixed", 4), ("double", 5)):
        requantize = _requantizing(tile.start, tile.requantize[kind])
        for columns in (0, 1, 15, 16, 17, 31, 32):
            for sums in extremes(np.int32, WIDTH):
                rows = parameters(WIDTH)
                if kind == "double":
                    scale, zero = RNG.choice([1e-9, 0.37, 0.5, 1e9], WIDTH), RNG.integers(-9, 9, WIDTH).astype(np.int32)
                    p = np.concatenate([scale.view(np.int32), zero])
                    result = double(sums, scale, zero)
                else:
                    p = np.concatenate(rows[:count])
                    result = fixed(sums, *rows) if kind == "fixed" else plain(sums, *rows[:3])
                y = guarded(np.zeros(columns, np.uint8))
                requantize(guarded(sums), guarded(p), y, columns)
                expected = np.zeros(WIDTH, np.int64)
                expected[order] = result.clip(5, 250)
                same(y, expected[:columns])


def _requantizing(start: Any, finish: Any) -> Any:
    @kernel
    def requantize(sums: Any, p: Any, y: Any, columns: int) -> None:
        finish(start(sums, 0), p, 0, 5, 250, y, 0, columns, columns)

    return requantize


@meaning("floats.WideTile.start", "floats.WideTile.add_scaled", "floats.WideTile.lanes", "floats.WideTile.finish")
def wide_tiles() -> None:
    stored = {"float32": np.float32, "int16": np.int16, "from int8": np.int8, "from float16": np.float16}
    for kind, dtype in stored.items():
        tile = floats.wide_tile(kind, ROWS, VECTORS)
        step = 2 if kind == "int16" else 1
        multiply = _multiplying(tile, step)
        low, high = (-(2**15), 2**15) if kind == "int16" else (-1000, 1000)
        for depth in (1, 15, 16, 17):
            x = RNG.integers(low, high, ROWS * depth).astype(np.int16 if step == 2 else np.float32)
            x[:2], w = low, RNG.integers(-127, 127, (WIDTH, depth))
            padded = np.zeros((WIDTH, -(-depth // step) * step), dtype)
            padded[:, :depth] = w
            packed = np.ascontiguousarray(padded.reshape(WIDTH, -1, step).swapaxes(0, 1))
            packed = packed.view(np.int16) if dtype == np.float16 else packed
            sums = guarded(np.zeros((ROWS, WIDTH), np.int32 if step == 2 else np.float32))
            multiply(guarded(x, tile.dot.reads_past), row_offsets(depth), depth, guarded(packed), sums)
            same(sums, x.reshape(ROWS, depth).astype(np.int64) @ w.T)
    _float_epilogue()


def _multiplying(tile: Any, step: int) -> Any:
    rows, start, dot, store = tile.rows, tile.start, tile.dot, tile.store

    @kernel
    def multiply(x: Any, offsets: Any, depth: int, w: Any, sums: Any) -> None:
        pointers, acc = rows(x, offsets, 1), start()
        for k in range(0, depth, step):
            acc = dot(acc, pointers, k, w, k * 32)
        store(acc, sums, 0)

    return multiply


def _float_epilogue() -> None:
    tile = floats.wide_tile("float32", ROWS, VECTORS)
    rows, start, along, add_scaled, finish = tile.rows, tile.start, tile.lanes, tile.add_scaled, tile.finish

    @kernel
    def depthwise(x: Any, offsets: Any, w: Any, scale: Any, bias: Any, limits: Any, y: Any) -> None:
        acc = along(start(), rows(x, offsets, 1), 0, w, 0)
        acc = add_scaled(start(), acc, scale, 1)
        columns = y.shape[1]
        finish(acc, bias, 1, limits, y, 0, columns, columns)

    for columns in (1, 15, 16, 17, 31, 32):
        x = RNG.integers(-1000, 1000, (ROWS, columns)).astype(np.float32)
        w, scale, bias = (RNG.integers(-9, 9, n).astype(np.float32) for n in (WIDTH, WIDTH + 1, WIDTH + 1))
        x[0, 0], limits, y = np.nan, guarded(np.array([-20000, 900], np.float32)), np.zeros_like(x)
        given, y = guarded(x, tile.lanes.reads_past), guarded(y)
        depthwise(given, row_offsets(columns), guarded(w), guarded(scale), guarded(bias), limits, y)
        expected = x * w[:columns] * scale[1 : columns + 1] + bias[1 : columns + 1]
        assert np.array_equal(y, expected.clip(-20000, 900), equal_nan=True)


@meaning("floats.WideTile.scaled_by_both", "floats.WideTile.scaled_by_weights_first")
def scaled_sums() -> None:
    sums_, tile = tiles.byte_tile(ROWS, VECTORS), floats.wide_tile("float32", ROWS, VECTORS)
    start, store, (both, weights_first) = sums_.start, tile.store, tile.scaled

    @kernel
    def scale_(sums: Any, scale: Any, zero: Any, images: Any, weights: Any, a: Any, b: Any) -> None:
        store(both(start(sums, 0), scale, zero, images, 1, weights, 0), a, 0)
        store(weights_first(start(sums, 0), scale, zero, images, 1, weights, 0), b, 0)

    for sums in extremes(np.int32, WIDTH):
        scale = guarded(RNG.normal(size=(2, 2)).astype(np.float32))
        zero, images = guarded(np.array([3, -7], np.int32)), guarded(np.array([9, 0, 1, 1], np.int32))
        w, totals = RNG.normal(size=WIDTH).astype(np.float32), RNG.integers(-999, 999, WIDTH).astype(np.int32)
        a, b = (guarded(np.zeros((ROWS, WIDTH), np.float32)) for _ in range(2))
        scale_(guarded(sums), scale, zero, images, guarded(np.concatenate([w.view(np.int32), totals])), a, b)
        for r, n in enumerate(images[1:]):
            value = wrapped(sums.astype(np.int64) - zero[n] * totals.astype(np.int64)).astype(np.float32)
            same(a[r], value * (scale[n, 0] * w))
            same(b[r], value * w * scale[n, 0])


# float32 and int16


@meaning("floats.widen_within")
def widened() -> None:
    widen_within = floats.widen_within

    @kernel
    def widen(x: Any, y: Any) -> None:
        widen_within(x, 0, y, 0, x.size)

    for count in COUNTS:
        for x in extremes(np.uint8, count):
            y = guarded(np.zeros(count, np.int16), widen_within.writes_past)
            widen(guarded(x, widen_within.reads_past), y)
            same(y, x)


@meaning("floats.dot_widened", "floats.multiply_add")
def dots_widened() -> None:
    dot_widened, multiply_add = floats.dot_widened, floats.multiply_add

    @kernel
    def dot(w: Any, x: Any, out: Any) -> None:
        out[0] = multiply_add(np.float32(3), dot_widened(w, 0, x, 0, w.size), np.float32(2))

    for count in COUNTS:
        for w in extremes(np.int8, count):
            x, out = RNG.integers(-99, 99, count).astype(np.float32), np.zeros(1, np.float32)
            dot(guarded(w), guarded(x), out)
            same(out, [3 + 2 * (w * x.astype(np.int64)).sum()])
