"""Lifetimes -> offsets: tensors that are never alive together may share memory.

A tensor is alive from the first step that mentions it to the last, both included. Largest first, ties by first use,
each takes the smallest gap that is large enough among those it lives with; where none is, the end. Offsets are
multiples of 64.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from int8rt.memory import CACHE_LINE

ALIGN = CACHE_LINE


class Block(NamedTuple):
    """Memory that is needed: how many bytes, from which step to which."""

    nbytes: int
    first: int
    last: int


class Plan(NamedTuple):
    """Where each block lives, and how large the arena is."""

    offsets: Mapping[Any, int]
    nbytes: int


def plan(blocks: Mapping[Any, Block]) -> Plan:
    """Offsets for blocks so that no two that are alive at the same step overlap."""
    order = sorted(blocks, key=lambda key: (-blocks[key].nbytes, blocks[key].first))
    offsets: dict[Any, int] = {}
    for key in order:
        offsets[key] = _best_gap(blocks[key], [(offsets[k], blocks[k]) for k in offsets])
    return Plan(offsets, max((offsets[k] + aligned(blocks[k].nbytes) for k in offsets), default=0))


def _best_gap(block: Block, placed: list[tuple[int, Block]]) -> int:
    """The offset of the tightest gap that holds the block between those alive with it."""
    taken = sorted(
        (offset, offset + aligned(other.nbytes))
        for offset, other in placed
        if other.first <= block.last and block.first <= other.last
    )
    need, end = aligned(block.nbytes), 0
    best = None
    for start, stop in taken:
        if start - end >= need and (best is None or start - end < best[0]):
            best = start - end, end
        end = max(end, stop)
    return end if best is None else best[1]


def lower_bound(blocks: Mapping[Any, Block]) -> int:
    """The largest number of bytes that are alive at one step: no plan can need less."""
    changes: dict[int, int] = {}
    for block in blocks.values():
        changes[block.first] = changes.get(block.first, 0) + aligned(block.nbytes)
        changes[block.last + 1] = changes.get(block.last + 1, 0) - aligned(block.nbytes)
    alive = peak = 0
    for step in sorted(changes):
        alive += changes[step]
        peak = max(peak, alive)
    return peak


def aligned(nbytes: int) -> int:
    """nbytes rounded up to a multiple of ALIGN."""
    return -(-nbytes // ALIGN) * ALIGN
