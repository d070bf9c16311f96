"""Arrays as a file stores sparse constants: some values, and how they are laid out."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from writer import Table


def encode(
    dense: np.ndarray,
    order: Sequence[int],
    sparse_levels: Collection[int],
    blocks: Mapping[int, int] | Sequence[tuple[int, int]] = (),
) -> tuple[np.ndarray, Table]:
    """The stored values of an array and how they are laid out: levels in ``order``, some of them sparse.

    ``blocks`` is {axis: size}; as a level the block of the n-th of them has number rank + n.
    """
    blocks = dict(blocks)
    sizes = [n // blocks.get(axis, 1) for axis, n in enumerate(dense.shape)] + list(blocks.values())

    def at(index: Mapping[int, int]) -> tuple[int, ...]:
        place = [index[axis] for axis in range(dense.ndim)]
        for n, (axis, size) in enumerate(blocks.items()):
            place[axis] = place[axis] * size + index[dense.ndim + n]
        return tuple(place)

    def is_empty(prefix: tuple[int, ...]) -> bool:
        rest = order[len(prefix) :]
        for tail in itertools.product(*(range(sizes[level]) for level in rest)):
            if dense[at(dict(zip(order, (*prefix, *tail), strict=True)))] != 0:
                return False
        return True

    entries, metadata = [()], []
    for level in order:
        if level not in sparse_levels:
            metadata.append(Table("DimensionMetadata", format=0, dense_size=sizes[level]))
            entries = [(*e, i) for e in entries for i in range(sizes[level])]
            continue
        kept = [[(*e, i) for i in range(sizes[level]) if not is_empty((*e, i))] for e in entries]
        segments = np.cumsum([0, *map(len, kept)]).tolist()
        entries = [e for group in kept for e in group]
        metadata.append(
            Table(
                "DimensionMetadata",
                format=1,
                array_segments_type=1,
                array_segments=Table("Int32Vector", values=segments),
                array_indices_type=1,
                array_indices=Table("Int32Vector", values=[e[-1] for e in entries]),
            )
        )
    values = np.array([dense[at(dict(zip(order, e, strict=True)))] for e in entries], dense.dtype)
    return values, Table(
        "SparsityParameters", traversal_order=list(order), block_map=list(blocks) or None, dim_metadata=metadata
    )
