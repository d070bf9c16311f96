"""The one loop of all products: rows of x times panels of weights, a tile of accumulators at a time.

    for every tile of R rows and 16 V columns that is this thread's:        tile_at
        acc = epilogue.start(a, panel, m)
        for every segment of a row, and every step along it:                Step
            acc += x[R rows, step] * w[panel, step]
        epilogue.finish(acc, a, panel, m, thread)

A kernel factory composes three things: the loop, a ``Step``, which says how a tile multiplies, and an ``Epilogue``,
which is all that stands between accumulators and memory. They become one function when it is compiled, so that stages
cost nothing (as in gemmlowp's output pipelines). ``grouped_products`` is the same for sums that must leave the
accumulators now and then.

Kernels that multiply otherwise share ``tile_at``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from int8rt.native.kernel import Intrinsic, Kernel, Stage, stage
from int8rt.simd.llvm import LANES
from int8rt.simd.tiles import single_row_shapes, tile_shapes


class RowSegments(NamedTuple):
    """How rows of x are found in memory: each is made of segments of ``depth`` elements, in any place.

    Segment s of row m begins at element offsets[m] + starts[s] of the flattened x. A row of a matrix is one segment; a
    window of a convolution is one segment per filter row, which lie as far apart as rows of the image. So windows are
    multiplied where they are, and never copied. XNNPACK calls it indirection, and has a pointer for each row and tap;
    since ours are sums, rows + segments numbers are enough.
    """

    offsets: np.ndarray  # int32 [rows]
    starts: np.ndarray  # int64 [segments]
    depth: int  # elements of a segment


class Step(NamedTuple):
    """How a tile of R rows multiplies; intrinsics of ``byte_tile`` or ``wide_tile``."""

    rows: Intrinsic
    dot: Intrinsic
    elements: int  # of a row that one step takes
    weights: int  # elements of w that one step takes


class Epilogue(NamedTuple):
    """What happens to a tile's accumulators before and after the products.

    ``arguments`` is a NamedTuple class: what the kernel takes behind w, and start and finish as ``a``.
    ``start(a, panel, m)`` gives the accumulators that the sums begin with, ``finish(acc, a, panel, m, thread)`` stores
    them; m is the tile's first row.
    """

    arguments: type
    start: Stage
    finish: Stage


class GroupedEpilogue(NamedTuple):
    """The same where the sums of every ``group`` segments become part of a total.

    ``begin(a, thread)`` gives an empty total, ``start(a, panel, number)`` the accumulators of group ``number``,
    ``add(total, acc, a, panel, number, thread)`` the total with them, and ``finish(total, a, panel, m, thread)`` stores
    it.
    """

    arguments: type
    begin: Stage
    start: Stage
    add: Stage
    finish: Stage


@stage
def tile_at(item: int, rows: int, count: int) -> tuple[int, int]:
    """(panel, first row) of a work item, a tile of so many of count rows; the tiles of a panel follow one another."""
    tiles = (count + rows - 1) // rows
    panel = item // tiles
    return panel, min((item - panel * tiles) * rows, count - rows)  # the last tile may repeat some rows


def products(name: str, rows: int, step: Step, epilogue: Epilogue) -> Kernel:
    """The kernel for tiles of so many rows, of which there are as many at least; its function takes

    x: elements, of any shape; segments: the rows of x; w: [panel, steps of a row, ...], where a step has
    ``step.weights`` elements; then the epilogue's arguments.
    """
    t_rows, t_dot, elements, weights = step
    start, finish = epilogue.start, epilogue.finish

    def products(thread: int, threads: int, x: Any, segments: RowSegments, w: Any, a: Any) -> None:
        offsets, starts, depth = segments
        total = w.shape[0] * ((offsets.size + rows - 1) // rows)
        for item in range(total * thread // threads, total * (thread + 1) // threads):
            panel, m = tile_at(item, rows, offsets.size)
            pointers = t_rows(x, offsets, m)
            at = panel * w.shape[1] * weights
            acc = start(a, panel, m)
            for s in range(starts.size):
                for k in range(starts[s], starts[s] + depth, elements):
                    acc = t_dot(acc, pointers, k, w, at)
                    at += weights
            finish(acc, a, panel, m, thread)

    return _named(products, name, epilogue.arguments)


def grouped_products(name: str, rows: int, step: Step, epilogue: GroupedEpilogue) -> Kernel:
    """``products`` whose function takes, before w, how many segments make a group."""
    t_rows, t_dot, elements, weights = step
    begin, start, add, finish = epilogue[1:]

    def grouped_products(
        thread: int, threads: int, x: Any, segments: RowSegments, group: int, w: Any, a: Any
    ) -> None:  # fmt: skip
        offsets, starts, depth = segments
        total = w.shape[0] * ((offsets.size + rows - 1) // rows)
        for item in range(total * thread // threads, total * (thread + 1) // threads):
            panel, m = tile_at(item, rows, offsets.size)
            pointers = t_rows(x, offsets, m)
            at = panel * w.shape[1] * weights
            sums = begin(a, thread)
            for number, first in enumerate(range(0, starts.size, group)):
                acc = start(a, panel, number)
                for s in range(first, min(first + group, starts.size)):
                    for k in range(starts[s], starts[s] + depth, elements):
                        acc = t_dot(acc, pointers, k, w, at)
                        at += weights
                sums = add(sums, acc, a, panel, number, thread)
            finish(sums, a, panel, m, thread)

    return _named(grouped_products, name, epilogue.arguments)


def _named(function: Callable[..., Any], name: str, arguments: type) -> Kernel:
    """The kernel of a loop under the name of its factory; its last parameter takes the epilogue's arguments."""
    function.__name__ = function.__qualname__ = name
    function.__annotations__["a"] = arguments
    return Kernel(function)


def widest(rows: int, columns: int, tiles: dict[int, int] | None = None) -> tuple[int, int]:
    """(rows, vectors) of the tile that takes the least time for this many rows and columns.

    A panel costs as much as its lanes, used or not, and about a quarter of a vector more. tiles: {vectors: rows}, those
    of ``simd`` if not given.
    """
    tiles = tiles or (tile_shapes() if rows > 1 else single_row_shapes())
    vectors = min(tiles, key=lambda v: -(-columns // (v * LANES)) * (v + 0.25))
    return min(tiles[vectors], rows), vectors
