"""Steps -> Placement: which tensors live in others' memory, and where the others live in the arena.

A tensor may live in a part of another one's memory, its **base**, as an **alias**. There are two reasons for that:

* **Views.** A View says that a run of bytes of y is a run of bytes of x. Either y is that run of x's memory (RESHAPE,
  SPLIT, SLICE), or x is computed right where it belongs in y (CONCATENATION, PACK), or else a copy takes the View's
  place. All tensors that share memory as views have the same values in it, each written once in a run.
* **Results in place** take over the memory of an operand that nobody needs any more (``Call.in_place``).

Both join two **groups**, each a base and what lives in it, by moving the one into the other as a whole.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from int8rt.frozen import frozen
from int8rt.graph import Node, Subgraph, Tensor
from int8rt.numerics.storage import storage_dtype, storage_nbytes
from int8rt.ops._move import copied
from int8rt.plan import arena
from int8rt.steps import Call, Fault, Step, View, tensors

Steps = Sequence[tuple[Node, Step]]

# Views of parts keep memory alive that copies would not. They may make the arena so much larger, and no more.
GROWTH, GROWTH_NBYTES = 1.1, 4096

# Pairs of tensors of which it is asked whether one may take over the other's memory: in one program, and for one result
# beyond that. The models that we know ask for 200 at most.
LOOKS, FEW = 20_000, 64

T = TypeVar("T")


class Alias(NamedTuple):
    """Where a tensor lives: so many bytes behind the begin of its base."""

    base: Tensor
    offset: int


@frozen
class Placement:
    """What runs, and on which memory."""

    steps: tuple[tuple[Node, Step], ...]  # with copies for Views that share no memory
    aliases: Mapping[Tensor, Alias]  # of tensors that live in others
    blocks: Mapping[Tensor, arena.Block]  # of bases that live in the arena
    plan: arena.Plan

    @property
    def calls(self) -> int:
        """How many calls run."""
        return sum(not isinstance(step, View) for _, step in self.steps)


def place(graph: Subgraph, steps: Steps, preserve: bool = False) -> Placement:
    """Alias every tensor that steps or the graph mention.

    With preserve, what a tensor holds is not overwritten before the end of a run.
    """
    best = _smallest(graph, steps, preserve, lambda view: True)
    if all(not isinstance(step, View) or _is_whole(step) for _, step in best.steps):
        return best
    least = _smallest(graph, steps, preserve, _is_whole)
    limit = max(least.plan.nbytes, GROWTH * least.plan.nbytes + GROWTH_NBYTES)
    if best.plan.nbytes <= limit:
        return best
    some = [_smallest(graph, steps, preserve, kind) for kind in (_is_inside, _is_around)]
    return min((p for p in (*some, least) if p.plan.nbytes <= limit), key=lambda p: p.calls)


def _smallest(graph: Subgraph, steps: Steps, preserve: bool, may_share: Callable[[View], bool]) -> Placement:
    """The placement with the smaller arena in which only such Views share memory."""
    groups = Groups()
    shared = _join_views(groups, graph, steps, preserve, may_share)
    ranges = _live_ranges(graph, shared, preserve)
    if preserve:
        return _planned(groups, shared, ranges)
    _join_in_place(groups, shared, ranges, smaller=False)
    # A result that is smaller than the memory it takes over keeps all of that: try with and without.
    more = Groups(groups)
    _join_in_place(more, shared, ranges, smaller=True)
    choices = [groups, more] if more.aliases != groups.aliases else [groups]
    return min((_planned(choice, shared, ranges) for choice in choices), key=lambda choice: choice.plan.nbytes)


def _planned(groups: Groups, steps: Steps, ranges: Mapping[Tensor, LiveRange]) -> Placement:
    blocks = _blocks(groups, ranges)
    return Placement(tuple(steps), groups.aliases, blocks, arena.plan(blocks))


# Groups


class Move(NamedTuple):
    """A group, by its base, and where that is to live."""

    base: Tensor
    to: Alias


class Groups:
    """Which tensors share memory, while that is being decided: a union-find in which every tensor has an offset."""

    def __init__(self, like: Groups | None = None) -> None:
        self._parents: dict[Tensor, Alias] = dict(like._parents) if like else {}
        self._itemsizes: dict[Tensor, int] = dict(like._itemsizes) if like else {}
        self._moved: dict[Tensor, list[tuple[int, int]]] = {}  # of a base: what moved into it, disjoint and in order
        for base, taken in (like._moved if like else {}).items():
            self._moved[base] = list(taken)

    @property
    def aliases(self) -> dict[Tensor, Alias]:
        """Where every tensor lives that is not its own base."""
        return {t: self.alias(t) for t in self._parents}

    def alias(self, t: Tensor) -> Alias:
        """Where a tensor lives so far."""
        parent = self._parents.get(t)
        if parent is None:
            return Alias(t, 0)
        if parent.base not in self._parents:
            return parent
        path = [t]
        while (up := self._parents.get(parent.base)) is not None:
            path.append(parent.base)
            parent = up
        base, start = parent.base, 0
        for child in reversed(path):  # the next question takes one step
            start += self._parents[child].offset
            self._parents[child] = Alias(base, start)
        return self._parents[t]

    def span(self, t: Tensor) -> range:
        """Which bytes of its base a tensor takes."""
        start = self.alias(t).offset
        return range(start, start + storage_nbytes(t))

    def move(self, x: Tensor, y: Tensor, distance: int) -> Move | None:
        """Which group could move so that y begins that many bytes behind x's begin; None if neither could."""
        (x_base, x_start), (y_base, y_start) = self.alias(x), self.alias(y)
        start = x_start + distance - y_start
        moves = Move(y_base, Alias(x_base, start)), Move(x_base, Alias(y_base, -start))
        return next(filter(self._fits, moves), None) if x_base is not y_base else None

    def _fits(self, move: Move) -> bool:
        """Whether a base without memory of its own would lie inside the other, and all in it where its type may lie."""
        base, (other, start) = move
        return (
            _is_free(base)
            and 0 <= start <= storage_nbytes(other) - storage_nbytes(base)
            and start % self._itemsize(base) == 0
        )

    def _itemsize(self, base: Tensor) -> int:
        """The largest of a group; all are powers of two, and each tensor lies at a multiple of its own."""
        return self._itemsizes.get(base) or _itemsize(base)

    def is_taken(self, move: Move) -> bool:
        """Whether any group moved before to where this one would."""
        start = move.to.offset
        taken = self._moved.get(move.to.base, [])
        at = bisect_left(taken, (start + storage_nbytes(move.base), 0)) - 1
        return at >= 0 and taken[at][1] > start

    def do(self, move: Move) -> None:
        """Move a group."""
        base, (other, start) = move
        self._parents[base] = move.to
        self._itemsizes[other] = max(self._itemsize(other), self._itemsize(base))
        self._moved.pop(base, None)
        _take(self._moved.setdefault(other, []), start, start + storage_nbytes(base))


def _take(taken: list[tuple[int, int]], start: int, stop: int) -> None:
    """Add an interval to disjoint ones in order."""
    if start == stop:
        return
    first = bisect_left(taken, (start, start))
    first -= first > 0 and taken[first - 1][1] > start
    last = bisect_left(taken, (stop, stop))
    if first < last:
        start, stop = min(start, taken[first][0]), max(stop, taken[last - 1][1])
    taken[first:last] = [(start, stop)]


def _is_free(base: Tensor) -> bool:
    """Whether a tensor has no memory outside the arena."""
    return base.data is None and not base.is_variable


def _itemsize(t: Tensor) -> int:
    return storage_dtype(t.dtype).itemsize


# Views


def _is_whole(view: View) -> bool:
    return storage_nbytes(view.x) == storage_nbytes(view.y)


def _is_inside(view: View) -> bool:
    """Whether y is all or a part of x."""
    return storage_nbytes(view.y) <= storage_nbytes(view.x)


def _is_around(view: View) -> bool:
    """Whether x is all or a part of y."""
    return storage_nbytes(view.y) >= storage_nbytes(view.x)


def _join_views(
    groups: Groups, graph: Subgraph, steps: Steps, preserve: bool, may_share: Callable[[View], bool]
) -> list[tuple[Node, Step]]:  # fmt: skip
    """Join the groups of Views; gives the steps with a copy in place of each View whose memory is not shared."""
    last = _last_uses(graph, steps)
    inputs = set(graph.inputs)
    written: dict[Tensor, list[int]] = {}  # by base: the steps that write to a group, in order
    for number, (_, step) in enumerate(steps):
        for t in () if isinstance(step, View) else step.writes:
            written.setdefault(t, []).append(number)
    results = set(written)

    def is_stable(view: View, number: int) -> bool:
        """Whether nothing is written to x's memory as long as y needs it.

        Where values are preserved, segments behind this one may still write to a variable.
        """
        base = groups.alias(view.x).base
        if base.is_variable and preserve:
            return False
        end = last[view.y] if base.is_variable else len(steps)
        writes = written.get(base, [])
        after = bisect_right(writes, number)
        return after == len(writes) or writes[after] > end

    def join(view: View, number: int) -> bool:
        """Join the groups of x and y if that is right; says whether it was."""
        if not _is_free(view.y) or view.y in inputs or view.y in results or not may_share(view):
            return False
        move = groups.move(view.x, view.y, view.start - view.at)
        if not move or not is_stable(view, number) or not (_is_inside(view) or _is_alone(groups, view, move)):
            return False
        groups.do(move)
        _merge(written, move, lambda number: number)
        return True

    return [
        (node, copied(step) if isinstance(step, View) and not join(step, number) else step)
        for number, (node, step) in enumerate(steps)
    ]


def _merge(lists: dict[Tensor, list[T]], move: Move, key: Callable[[T], int]) -> None:
    """Put what the list in order of a moving group holds into that of the other, the shorter into the longer."""
    short, long = sorted((lists.pop(move.base, []), lists.pop(move.to.base, [])), key=len)
    for item in short:
        insort(long, item, key=key)
    if long:
        lists[move.to.base] = long


def _is_alone(groups: Groups, view: View, move: Move) -> bool:
    """Whether x is a memory's whole content, and y the only one that has the bytes where it is to live."""
    whole = storage_nbytes(move.base) == storage_nbytes(view.x)
    return whole and move.to.base is view.y and not groups.is_taken(move)


def _last_uses(graph: Subgraph, steps: Steps) -> dict[Tensor, int]:
    """The last step that needs each tensor or a view of it."""
    last: dict[Tensor, int] = dict.fromkeys(graph.outputs, len(steps))
    for number, (_, step) in reversed(list(enumerate(steps))):
        for t in tensors(step):
            last.setdefault(t, number)
        if isinstance(step, View) and _is_inside(step):
            last[step.x] = max(last[step.x], last[step.y])
    return last


# Results in place


class LiveRange(NamedTuple):
    """From which step to which a tensor must not be overwritten."""

    first: int
    last: int


def _live_ranges(graph: Subgraph, steps: Steps, preserve: bool) -> dict[Tensor, LiveRange]:
    """Inputs from the start, outputs to the end, the rest as long as steps mention them.

    A View mentions both its tensors, so that there is no gap between the live range of what wrote the bytes they share
    and that of who reads them.
    """
    ranges: dict[Tensor, LiveRange] = {}

    def touch(t: Tensor, first: int, last: int) -> None:
        known = ranges.get(t, LiveRange(first, last))
        ranges[t] = LiveRange(min(known.first, first), max(known.last, last))

    end = len(steps)
    for t in graph.inputs:
        touch(t, 0, 0)
    for number, (_, step) in enumerate(steps):
        for t in tensors(step):
            keep = isinstance(t, Fault) or (preserve and t.index >= 0)
            touch(t, *((0, end) if keep else (number, number)))
    for t in graph.outputs:
        touch(t, end, end)
    return ranges


def _join_in_place(groups: Groups, steps: Steps, ranges: Mapping[Tensor, LiveRange], smaller: bool) -> None:
    """Join the groups of results and of the operands whose memory they may take over.

    With ``smaller``, results may be smaller than what they take over.
    """
    members = _Members(groups, ranges)
    for _, step in steps:
        if not isinstance(step, Call) or step.in_place is None:
            continue
        x, y = step.in_place, step.writes[0]
        room = storage_nbytes(x) - storage_nbytes(y)
        move = groups.move(x, y, 0) if room == 0 or (smaller and room > 0) else None
        if move and _is_free(move.to.base):
            pairs = members.overlaps(move)
            if pairs is not None and all(_take_turns(groups, steps, ranges, *pair, move) for pair in pairs):
                groups.do(move)
                members.do(move)


class _Members:
    """The tensors of each group by the end of their live ranges.

    In a chain of results in place, only the last few members of a group can meet what moves there. Where a graph is
    made so that it is many, no more than LOOKS pairs are looked at, and then FEW for each result.
    """

    def __init__(self, groups: Groups, ranges: Mapping[Tensor, LiveRange]) -> None:
        self._groups, self._ranges, self._looks = groups, ranges, LOOKS
        self._of: dict[Tensor, list[Tensor]] = {}
        for t in sorted(ranges, key=self._last):
            self._of.setdefault(groups.alias(t).base, []).append(t)

    def _last(self, t: Tensor) -> int:
        return self._ranges[t].last

    def overlaps(self, move: Move) -> list[tuple[Tensor, Tensor]] | None:
        """The pairs of what would move and what is there that would share bytes at one step; None: too many to tell."""
        moved, there = self._of.get(move.base, []), self._of.get(move.to.base, [])
        if not moved or not there:
            return []
        first = min(self._ranges[t].first for t in moved) if len(moved) < FEW else 0
        there = there[bisect_left(there, first, key=self._last) :]
        looks = len(moved) * len(there)
        if looks > max(self._looks, FEW):
            return None
        self._looks -= looks
        return [(t, other) for t in moved for other in there if self._meet(t, other, move)]

    def _meet(self, t: Tensor, other: Tensor, move: Move) -> bool:
        a, b = self._ranges[t], self._ranges[other]
        start, span = move.to.offset + self._groups.alias(t).offset, self._groups.span(other)
        together = a.first <= b.last and b.first <= a.last
        return together and start < span.stop and span.start < start + storage_nbytes(t)

    def do(self, move: Move) -> None:
        """Move a group."""
        _merge(self._of, move, self._last)


def _take_turns(
    groups: Groups, steps: Steps, ranges: Mapping[Tensor, LiveRange], moved: Tensor, other: Tensor, move: Move
) -> bool:  # fmt: skip
    """Whether two tensors that would share bytes do not need them at the same time."""
    old, new = sorted((moved, other), key=lambda t: ranges[t])
    last, first = ranges[old].last, ranges[new].first
    if last != first:
        return last < first
    starts = {moved: move.to.offset + groups.alias(moved).offset, other: groups.alias(other).offset}
    step = steps[first][1]
    return (
        isinstance(step, Call)
        and step.in_place is not None
        and step.writes[0] is new
        and starts[old] == starts[new]
        and (groups.alias(old), groups.span(old)) == (groups.alias(step.in_place), groups.span(step.in_place))
    )


def _blocks(groups: Groups, ranges: Mapping[Tensor, LiveRange]) -> dict[Tensor, arena.Block]:
    """What the arena must hold: each base as long as anything that lives in it."""
    blocks: dict[Tensor, arena.Block] = {}
    for t, alive in ranges.items():
        base = groups.alias(t).base
        if _is_free(base):
            known = blocks.get(base) or arena.Block(storage_nbytes(base), *alive)
            blocks[base] = arena.Block(known.nbytes, min(known.first, alive.first), max(known.last, alive.last))
    return blocks
