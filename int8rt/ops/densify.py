"""DENSIFY: the dense form of a constant that the file holds sparsely, zeros filled in. Folded when a model is loaded.

The levels of a sparse tensor (``Tensor.sparsity``) form a tree whose leaves are the stored values: a dense level has
every index below each entry of the level above, a sparse one those that it lists. The way down to a value gives an
index per axis, of axes with blocks that of the block and that within it. Source: FormatConverter of TFLite's
``sparsity/format_converter.cc``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops._lookup import unary
from int8rt.steps import Step

TYPES = ("int8", "float16", "float32")


def shapes(node: Node) -> list[tuple[int, ...]]:
    x, y = unary(node)
    if x.sparsity is None or not x.is_constant:
        raise ModelError(f"{node.label}: the input {x!r} is not a sparse constant")
    if x.type not in TYPES:
        raise ops.refuse(node, f"supported types are {', '.join(TYPES)}")
    if y.type != x.type:
        raise ModelError(f"{node.label}: the output is {y.type}, expected {x.type} as the input")
    return [x.shape]


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    x_, _ = unary(node)
    dense = np.zeros(x_.shape, x.dtype)
    dense[tuple(_places(x_.sparsity, x_.shape))] = x
    return dense


def _places(sparsity: Any, shape: tuple[int, ...]) -> list[np.ndarray]:
    """The index of every stored value along each axis: int64 [values]."""
    levels: dict[int, np.ndarray] = {}  # {level's number: index of every entry so far}
    entries = 1
    for number, level in zip(sparsity.traversal_order, sparsity.dim_metadata, strict=True):
        if level.format == 0:
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


def prepare(node: Node, numerics: Numerics) -> Step:
    raise ops.refuse(node, "only constants are made dense")
