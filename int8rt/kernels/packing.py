"""Weights, and what belongs to a column of them, in the order in which kernels read them: panels of 16 V columns.

The docstring of ``dot`` draws one.
"""

from __future__ import annotations

import numpy as np

from int8rt.memory import aligned_empty
from int8rt.numerics.requantization import limits
from int8rt.simd.llvm import LANES
from int8rt.simd.lowerings import offset

CHUNK = 1 << 18  # bytes that are put in order at once, lest a copy of all weights is needed


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
    step = max(1, CHUNK // max(packed[:1].nbytes, 1))
    for first in range(0, count, step):  # each takes a copy of its panels
        chunk = slice(first, first + step)
        packed[chunk] = four[:, chunk, order].transpose(1, 0, 3, 2)
    return packed.view(np.int8).reshape(count, passes * segments * fours, width, 4), passes


def pack_pairs(w: np.ndarray, segments: int, vectors: int, order: list[int]) -> np.ndarray:
    """As ``pack``, for products of int16 pairs: int16 [panel, segment * ceil(depth / 2), 16 vectors, 2]."""
    columns, total = w.shape
    depth, width = total // segments, vectors * LANES
    count, twos = -(-columns // width), -(-depth // 2)
    packed = aligned_empty((count, segments * twos, width, 2), np.int16)
    step = max(1, CHUNK // max(packed[:1].nbytes, 1))
    for first in range(0, count, step):  # each takes copies of its panels
        chunk, panels = w[first * width : (first + step) * width], packed[first : first + step]
        padded = np.zeros((len(panels) * width, segments, twos * 2), np.int16)
        padded[: len(chunk), :, :depth] = chunk.reshape(-1, segments, depth)
        panels[:] = padded.reshape(-1, width, segments * twos, 2)[:, order].transpose(0, 2, 1, 3)
    return packed


def less(w: np.ndarray, common: int) -> np.ndarray:
    """Integers less a number: int8 where they fit, else int16; no copy is made beside the result."""
    least, most = limits(w)
    dtype = np.int8 if least - common >= -128 and most - common <= 127 else np.int16
    return np.subtract(w, np.int16(common), out=np.empty(w.shape, dtype), dtype=np.int16, casting="unsafe")


def split_bytes(w: np.ndarray) -> np.ndarray:
    """Integers as int8 [parts, ...] whose sum they are; one part where they fit."""
    least, most = limits(w)
    if least >= -128 and most <= 127:
        return np.ascontiguousarray(w, np.int8)[None]
    count = max(-(-int(most) // 127), -(int(least) // 128))
    parts = np.empty((count, *w.shape), np.int8)
    rest = w.copy()
    for part in parts:
        np.clip(rest, -128, 127, out=part, casting="unsafe")
        rest -= part
    return parts


def panels(values: np.ndarray, order: list[int]) -> np.ndarray:
    """One value per column -> [panel, lane], zero padded, lanes in the order of pack()."""
    width = len(order)
    padded = np.zeros(-(-len(values) // width) * width, values.dtype)
    padded[: len(values)] = values
    return padded.reshape(-1, width)[:, order]


def matrix_panels(values: np.ndarray, width: int) -> np.ndarray:
    """[columns, n] -> [panel, n, lane], zero padded."""
    columns, count = values.shape
    packed = np.zeros((-(-columns // width), count, width), values.dtype)
    for panel in range(len(packed)):
        part = values[panel * width : (panel + 1) * width]
        packed[panel, :, : len(part)] = part.T
    return packed


def bias_compensation(w: np.ndarray) -> np.ndarray:
    """What sums of products by ``simd`` begin with beside the bias, int64 [columns]; w: integers [columns, depth].

    Where its instruction multiplies x - ``offset()`` instead of x, this is what the sums would lack (see there).
    """
    return np.asarray(offset() * w.sum(axis=1, dtype=np.int64))


def wrapped(values: np.ndarray) -> np.ndarray:
    """int64 as int32 modulo 2**32."""
    return (values & 0xFFFFFFFF).astype(np.uint32).view(np.int32)
