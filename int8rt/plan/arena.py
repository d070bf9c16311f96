"""Lifetimes -> offsets: tensors that are never alive together may share memory.

A tensor is alive from the first step that mentions it to the last, both included. Largest first, ties by first use,
each takes the smallest gap that is large enough among those it lives with; where none is, the end. Offsets are
multiples of 64.

That takes time in proportion to the pairs of tensors that are alive together. Where these are more than MAX_PAIRS, as
in a graph of thousands of outputs, memory is taken and given back in the order of time instead: n log n, and as small
where all live to the end, but at times larger elsewhere.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from int8rt.memory import CACHE_LINE

ALIGN = CACHE_LINE
MAX_PAIRS = 250_000  # some 700 tensors that are all alive together


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
    neighbours = _neighbours(blocks)
    offsets = _in_time_order(blocks) if neighbours is None else _largest_first(blocks, neighbours)
    return Plan(offsets, max((offsets[k] + aligned(blocks[k].nbytes) for k in offsets), default=0))


def _neighbours(blocks: Mapping[Any, Block]) -> dict[Any, list[Any]] | None:
    """Which others each block is alive with; None where these are more than MAX_PAIRS pairs."""
    found: dict[Any, list[Any]] = {key: [] for key in blocks}
    alive: dict[Any, None] = {}
    ends: list[tuple[int, int, Any]] = []
    pairs = 0
    for number, key in enumerate(sorted(blocks, key=lambda k: blocks[k].first)):
        while ends and ends[0][0] < blocks[key].first:
            del alive[heapq.heappop(ends)[2]]
        pairs += len(alive)
        if pairs > MAX_PAIRS:
            return None
        for other in alive:
            found[other].append(key)
        found[key].extend(alive)
        alive[key] = None
        heapq.heappush(ends, (blocks[key].last, number, key))
    return found


def _largest_first(blocks: Mapping[Any, Block], neighbours: Mapping[Any, Sequence[Any]]) -> dict[Any, int]:
    """Offsets that take one block after the other, by size, into account."""
    offsets: dict[Any, int] = {}
    for key in sorted(blocks, key=lambda key: (-blocks[key].nbytes, blocks[key].first)):
        taken = sorted((offsets[k], offsets[k] + aligned(blocks[k].nbytes)) for k in neighbours[key] if k in offsets)
        offsets[key] = _best_gap(aligned(blocks[key].nbytes), taken)
    return offsets


def _best_gap(need: int, taken: Sequence[tuple[int, int]]) -> int:
    """The offset of the tightest gap of at least that size between intervals in order."""
    end = 0
    best = None
    for start, stop in taken:
        if start - end >= need and (best is None or start - end < best[0]):
            best = start - end, end
        end = max(end, stop)
    return end if best is None else best[1]


def _in_time_order(blocks: Mapping[Any, Block]) -> dict[Any, int]:
    """Offsets as an allocator gives them that takes and gives back memory step by step, the tightest gap first."""
    gaps, offsets = _Gaps(), {}
    ends: list[tuple[int, int, int]] = []
    for key in sorted(blocks, key=lambda k: (blocks[k].first, -blocks[k].nbytes)):
        need = aligned(blocks[key].nbytes)
        while ends and ends[0][0] < blocks[key].first:
            gaps.give_back(*heapq.heappop(ends)[1:])
        offsets[key] = gaps.take(need) if need else 0
        if need:
            heapq.heappush(ends, (blocks[key].last, offsets[key], offsets[key] + need))
    return offsets


class _Gaps:
    """Free memory as gaps that are not adjacent, and all beyond ``end``."""

    def __init__(self) -> None:
        self.end = 0
        self._sizes: list[tuple[int, int]] = []  # (size, start) in order
        self._stops: dict[int, int] = {}  # {start: stop}
        self._starts: dict[int, int] = {}  # {stop: start}

    def take(self, need: int) -> int:
        """The start of the smallest gap that holds so much, or of what lies at the end."""
        at = bisect_left(self._sizes, (need, 0))
        if at == len(self._sizes):
            start, self.end = self.end, self.end + need
            return start
        start = self._sizes[at][1]
        stop = self._remove(start)
        if start + need < stop:
            self._add(start + need, stop)
        return start

    def give_back(self, start: int, stop: int) -> None:
        """Join memory with the gaps beside it."""
        if start in self._starts:
            start = self._starts[start]
            self._remove(start)
        if stop in self._stops:
            stop = self._remove(stop)
        if stop == self.end:
            self.end = start
        else:
            self._add(start, stop)

    def _add(self, start: int, stop: int) -> None:
        insort(self._sizes, (stop - start, start))
        self._stops[start], self._starts[stop] = stop, start

    def _remove(self, start: int) -> int:
        stop = self._stops.pop(start)
        del self._starts[stop], self._sizes[bisect_left(self._sizes, (stop - start, start))]
        return stop


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
