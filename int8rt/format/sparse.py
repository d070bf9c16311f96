"""Sparse constants: their description is checked level by level, and their values become dense.

The levels of a sparse tensor form a tree whose leaves are the stored values. Numbers below the rank are axes, those
above it are blocks, of the axes in ``block_map``; ``traversal_order`` lists them from the root. A dense level (format
0) has every index below each entry of the level above, a sparse one (format 1) those that it lists: under entry i
``array_indices[array_segments[i]:array_segments[i + 1]]``. The way down to a value gives an index per axis, of axes
with blocks that of the block and that within it. Source: FormatConverter of TFLite's ``sparsity/format_converter.cc``.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from int8rt.errors import ModelError

DENSE, SPARSE = 0, 1  # formats of a level
_SHOWN = 32  # numbers in a message


def check(sparsity: SimpleNamespace, shape: tuple[int, ...], stored: range, where: str) -> int:
    """How many values the levels place, each within the shape; ``stored`` are the counts that the bytes may hold.

    Raises ModelError where they place another number, or contradict themselves.
    """
    sizes = _sizes(sparsity, shape, where)
    entries = 1
    for position, (axis, level) in enumerate(zip(sparsity.traversal_order, sparsity.dim_metadata, strict=True)):
        entries = _entries(level, sizes[axis], entries, f"{where}, level {position}")
    if entries not in stored:
        raise ModelError(f"{where} places {entries} values, but {stored[-1]} are stored")
    return entries


def _sizes(sparsity: SimpleNamespace, shape: tuple[int, ...], where: str) -> list[int]:
    """How many indices each level has, by its number."""
    order, blocks, rank = list(sparsity.traversal_order), list(sparsity.block_map), len(shape)
    levels = rank + len(blocks)
    if sorted(order) != list(range(levels)) or len(order) != len(sparsity.dim_metadata):
        raise ModelError(
            f"{where} traverses levels {order[:_SHOWN]} and describes {len(sparsity.dim_metadata)}, "
            f"expected each of {levels} once"
        )
    if not set(blocks) <= set(range(rank)) or len(set(blocks)) != len(blocks):
        raise ModelError(f"{where} has blocks of axes {blocks[:_SHOWN]}, expected different ones below {rank}")
    sizes = [*shape, *(sparsity.dim_metadata[order.index(rank + i)].dense_size for i in range(len(blocks)))]
    for axis, size in zip(blocks, sizes[rank:]):
        if size < 1 or shape[axis] % size:
            raise ModelError(f"{where} has blocks of {size} along axis {axis}, expected a divisor of {shape[axis]}")
        sizes[axis] //= size
    return sizes


def _entries(level: SimpleNamespace, size: int, above: int, where: str) -> int:
    """How many entries a level has under ``above`` entries, along an axis of that size."""
    if level.format == DENSE:
        if level.dense_size != size:
            raise ModelError(f"{where} is dense of size {level.dense_size}, expected {size}")
        return above * size
    if level.format != SPARSE:
        raise ModelError(f"{where} has format {level.format}, expected 0 (dense) or 1 (sparse)")
    segments, indices = level.array_segments, level.array_indices
    if len(segments) != above + 1 or segments[0] != 0 or segments[-1] != len(indices) or (np.diff(segments) < 0).any():
        raise ModelError(f"{where} has {len(segments)} segments, expected {above + 1}, rising from 0 to {len(indices)}")
    if len(indices) and not (indices.min() >= 0 and indices.max() < size):
        raise ModelError(f"{where} has indices {indices.min()} to {indices.max()}, expected 0 to {size - 1}")
    return len(indices)


def densified(values: np.ndarray, sparsity: SimpleNamespace, shape: tuple[int, ...]) -> np.ndarray:
    """The stored values [stored] where ``check``ed levels place them, zeros elsewhere: an array of that shape."""
    dense = np.zeros(shape, values.dtype)
    dense[tuple(_places(sparsity, shape))] = values
    return dense


def stored(dense: np.ndarray, sparsity: SimpleNamespace) -> np.ndarray:
    """The inverse of ``densified``: the values [stored] of an array, in the order of the levels."""
    values: np.ndarray = dense[tuple(_places(sparsity, dense.shape))]
    return values


def _places(sparsity: SimpleNamespace, shape: tuple[int, ...]) -> list[np.ndarray]:
    """The index of every stored value along each axis: int64 [values]."""
    levels: dict[int, np.ndarray] = {}  # {level's number: index of every entry so far}
    entries = 1
    for number, level in zip(sparsity.traversal_order, sparsity.dim_metadata, strict=True):
        if level.format == DENSE:
            counts = np.full(entries, level.dense_size)
            indices = np.tile(np.arange(level.dense_size), entries)
        else:
            counts, indices = np.diff(level.array_segments), level.array_indices.astype(np.int64)
        levels = {key: np.repeat(index, counts) for key, index in levels.items()}
        levels[number] = indices
        entries = len(indices)
    places = [levels[axis] for axis in range(len(shape))]
    for block, axis in enumerate(sparsity.block_map, start=len(shape)):
        size = sparsity.dim_metadata[sparsity.traversal_order.index(block)].dense_size
        places[axis] = places[axis] * size + levels[block]
    return places
