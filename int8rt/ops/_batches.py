"""What SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND share: positions within a block on one side are batches on the other.

    batches[(offset, n), i, k] = space[n, i b + offset - before, k]

for each spatial axis, where ``before`` and ``after`` values are padded (SPACE_TO_BATCH_ND) or cropped
(BATCH_TO_SPACE_ND) at the ends of the space.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.ops._index import known
from int8rt.ops._move import copy, operand, same_scale, same_type, strides
from int8rt.steps import Step


class Blocks(NamedTuple):
    """Per spatial axis: the size of a block, and how much lies before and after the space."""

    sizes: list[int]
    before: list[int]
    after: list[int]

    @property
    def number(self) -> int:
        """How many batches one batch of the space makes."""
        return math.prod(self.sizes)


def blocks(node: Node) -> Blocks | None:
    """The parameters of a node, None where they are not known yet. Raises ModelError."""
    x = operand(node)
    sizes, edges = known(node, 1, "block shape"), known(node, 2, "paddings or crops")
    if sizes is None or edges is None:
        return None
    shapes = operand(node, 1).shape, operand(node, 2).shape
    if not len(x.shape) > len(sizes) or shapes != ((len(sizes),), (len(sizes), 2)):
        raise ModelError(f"{node.label}: block shape {shapes[0]} and edges {shapes[1]} do not fit {list(x.shape)}")
    if min(sizes, default=1) < 1 or min(edges, default=0) < 0:
        raise ModelError(f"{node.label}: blocks {sizes}, edges {edges}; at least 1 and 0 were expected")
    return Blocks(sizes, edges[::2], edges[1::2])


def checked(node: Node) -> Blocks:
    """The same for a node whose shapes are known, with its types checked."""
    x, (y,) = operand(node), node.outputs
    same_type(node, x, y)
    if x.type in ("int8", "uint8", "int16"):
        same_scale(node, x, y)
    found = blocks(node)
    assert found is not None
    return found


class Part(NamedTuple):
    """Along one axis, of one offset within blocks: which of its positions lie inside the space."""

    offset: int
    first: int
    positions: int
    start: int  # in the space


def _parts(offset: int, block: int, before: int, size: int, positions: int) -> Part:
    first = max(0, -((offset - before) // block))
    end = min(positions, -((offset - before - size) // block))
    return Part(offset, first, max(0, end - first), first * block + offset - before)


def copies(b: Blocks, space: Tensor, batches: Tensor, to_batches: bool) -> list[Step]:
    """Copy between the two: in one box where nothing is padded or cropped, else in one per offset within a block."""
    dims = len(b.sizes)
    if not any([*b.before, *b.after]):
        parts = [[Part(0, 0, n, 0) for n in batches.shape[1 : 1 + dims]]]
        return _copy(b, parts[0], space, batches, to_batches, whole=True)
    steps: list[Step] = []
    for offsets in itertools.product(*map(range, b.sizes)):
        where = zip(offsets, b.sizes, b.before, space.shape[1:], batches.shape[1 : 1 + dims], strict=False)
        steps += _copy(b, [_parts(*axis) for axis in where], space, batches, to_batches, whole=False)
    return steps


def _copy(
    b: Blocks, parts: Sequence[Part], space: Tensor, batches: Tensor, to_batches: bool, whole: bool
) -> list[Step]:
    """Axes are [offsets if whole, n, positions, rest]."""
    dims, n = len(b.sizes), space.shape[0]
    space_strides, batch_strides = strides(space.shape), strides(batches.shape)
    rest = math.prod(space.shape[1 + dims :])
    shape = [n, *(part.positions for part in parts), rest]
    in_space = [space_strides[0], *(s * block for s, block in zip(space_strides[1:], b.sizes, strict=False)), 1]
    in_batches = [batch_strides[0], *batch_strides[1 : 1 + dims], 1]
    if whole:
        shape = [*b.sizes, *shape]
        in_space = [*space_strides[1 : 1 + dims], *in_space]
        in_batches = [s * n * batch_strides[0] for s in strides(b.sizes)] + in_batches
    offset = sum(part.offset * s for part, s in zip(parts, strides(b.sizes), strict=True))
    space_start = sum(part.start * s for part, s in zip(parts, space_strides[1:], strict=False))
    batch_start = offset * n * batch_strides[0]
    batch_start += sum(part.first * s for part, s in zip(parts, batch_strides[1:], strict=False))
    if to_batches:
        return copy(space, batches, shape, in_space, in_batches, space_start, batch_start)
    return copy(batches, space, shape, in_batches, in_space, batch_start, space_start)
