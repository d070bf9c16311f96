"""What the operators share that only move values: boxes copied between two tensors by strides, and constant parameters.

A box is a list of axes, outermost first in y: ``y[y_start + i . y_strides] = x[x_start + i . x_strides]`` for every
index i below ``shape``, in elements of flattened tensors. Strides of x may be negative or zero. Neighbouring axes
merge, and what is left is a few runs of bytes, copied whole, or of items of 1, 2, 4 or 8 bytes, whatever their type.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.native.kernel import inline, kernel
from int8rt.numerics.storage import storage_nbytes
from int8rt.simd.memory import copy_within, get, put, transpose_tile
from int8rt.steps import Call, Flat, Step, View

# Parameters of nodes


def operand(node: Node, position: int = 0) -> Tensor:
    """An input that must be there. Raises ModelError."""
    t = node.inputs[position] if position < len(node.inputs) else None
    if t is None:
        raise ModelError(f"{node.label} has no input {position}")
    return t


def integers(node: Node, position: int, name: str) -> list[int]:
    """The values of a constant input. Raises ModelError where it is missing, NotConstant where not constant."""
    t = operand(node, position)
    if t.data is None:
        raise ops.NotConstant(f"{node.label}: {name} ({t.name!r}) must be a constant")
    if t.dtype.kind not in "iub":
        raise ModelError(f"{node.label}: {name} has type {t.type}; integers were expected")
    return [int(v) for v in t.data.reshape(-1).tolist()]


def integer(node: Node, position: int, name: str) -> int:
    """The value of a constant input that has one."""
    values = integers(node, position, name)
    if len(values) != 1:
        raise ModelError(f"{node.label}: {name} has {len(values)} values; one was expected")
    return values[0]


def axis_within(node: Node, axis: int, rank: int) -> int:
    """An axis counted from the front. Raises ModelError where it is not one of ``rank``."""
    if not -rank <= axis < rank:
        raise ModelError(f"{node.label}: axis {axis} does not exist among {rank}")
    return axis % rank


def same_type(node: Node, *tensors: Tensor) -> None:
    """Raise ModelError unless all tensors have one element type, UnsupportedError where it cannot be moved."""
    for t in tensors:
        if t.dtype != tensors[0].dtype or t.type != tensors[0].type:
            raise ModelError(f"{node.label}: {t.name!r} is {t.type}, {tensors[0].name!r} is {tensors[0].type}")
    if tensors[0].dtype.kind not in "biufc" or tensors[0].dtype.itemsize not in (1, 2, 4, 8):
        raise ops.refuse(node, f"type {tensors[0].type} is not supported")


def same_scale(node: Node, *tensors: Tensor) -> None:
    """Raise UnsupportedError unless all tensors have one scale and zero point, as LiteRT demands of some operators."""
    for t in tensors:
        if (t.scale, t.zero_point) != (tensors[0].scale, tensors[0].zero_point):
            raise ops.refuse(node, f"quantization of {t.name!r} differs from that of {tensors[0].name!r}")


# Boxes


class Axis(NamedTuple):
    """One axis of a box; strides in the unit of the context."""

    size: int
    x: int
    y: int


def strides(shape: Sequence[int]) -> list[int]:
    """How many elements apart neighbours along each axis are."""
    return [math.prod(shape[i + 1 :]) for i in range(len(shape))]


def copy(
    x: Tensor,
    y: Tensor,
    shape: Sequence[int],
    x_strides: Sequence[int],
    y_strides: Sequence[int],
    x_start: int = 0,
    y_start: int = 0,
) -> list[Step]:
    """The step that copies a box from x to y: a View where it is a run that is all of x or all of y.

    Nothing where the box is empty.
    """
    if math.prod(shape) == 0:
        return []
    size = x.dtype.itemsize
    axes = [Axis(n, sx * size, sy * size) for n, sx, sy in zip(shape, x_strides, y_strides, strict=True)]
    axes = merged([*axes, Axis(size, 1, 1)])
    sizes = storage_nbytes(x), storage_nbytes(y)
    if axes == [Axis(min(sizes), 1, 1)]:
        return [View(y, x, x_start * size, y_start * size)]
    unit, axes = _in_units(axes, x_start * size, y_start * size, *sizes)
    rows, cols, *outer = _inner_first(axes)
    box = [x_start * size // unit, y_start * size // unit, math.prod(a.size for a in outer), *rows, *cols]
    for axis in outer:
        box += axis
    dtype = UNITS[unit]
    return [Call(move, Flat(x, dtype), Flat(y, dtype), np.array(box, np.int64), writes=[y], work=math.prod(shape))]


def copy_whole(x: Tensor, y: Tensor) -> list[Step]:
    """The step that makes y, in memory of its own, what x is now."""
    return [copied(View(y, x))] if x.size else []


def copied(view: View) -> Call:
    """The Call that does what a View says, by copying."""
    x, y, start, at = view.x, view.y, view.start, view.at
    nbytes = min(storage_nbytes(x), storage_nbytes(y))
    box = np.array([start, at, 1, *Axis(1, 0, 0), *Axis(nbytes, 1, 1)], np.int64)
    return Call(move, Flat(x, UNITS[1]), Flat(y, UNITS[1]), box, writes=[y], work=nbytes)


def filled(y: Tensor, value: int = 0) -> list[Step]:
    """The step that writes one value, in the tensor's own type, to all of y."""
    constant = Tensor("value", (1,), y.dtype, data=np.full(1, value, y.dtype))
    return copy(constant, y, y.shape, [0] * len(y.shape), strides(y.shape))


UNITS = {n: np.dtype(f"int{8 * n}") for n in (2, 4, 8)} | {1: np.dtype(np.uint8)}


def merged(axes: Sequence[Axis]) -> list[Axis]:
    """The same box with as few axes as possible, at least one."""
    result: list[Axis] = []
    for axis in axes:
        if result and result[-1].x == axis.x * axis.size and result[-1].y == axis.y * axis.size:
            result[-1] = Axis(result[-1].size * axis.size, axis.x, axis.y)
        elif axis.size != 1:
            result.append(axis)
    return result or [Axis(1, 1, 1)]


def _in_units(axes: list[Axis], *others: int) -> tuple[int, list[Axis]]:
    """Runs of 2, 4 or 8 bytes as one item, moved by one load and one store, where all distances allow it."""
    *outer, run = axes
    distances = [*others, *(s for a in outer for s in (a.x, a.y))]
    if not outer or run not in [Axis(n, 1, 1) for n in (2, 4, 8)] or any(d % run.size for d in distances):
        return 1, axes
    return run.size, [Axis(a.size, a.x // run.size, a.y // run.size) for a in outer]


def _inner_first(axes: list[Axis]) -> list[Axis]:
    """Rows, columns, and the rest outermost first; rows are where x is densest if columns are not."""
    *outer, cols = axes
    if not outer:
        return [Axis(1, 0, 0), cols]
    at = len(outer) - 1 if cols.x == 1 else min(range(len(outer)), key=lambda i: (abs(outer[i].x) or math.inf, -i))
    return [outer.pop(at), cols, *outer]


# A box for the kernel: x start, y start, blocks, and size, x, y of rows, of columns, and of each outer axis.
X_START, Y_START, BLOCKS, ROWS, COLS, OUTER = 0, 1, 2, 3, 6, 9


@kernel
def move(thread: int, threads: int, x: Any, y: Any, box: Any) -> None:
    """Copy a box; threads share its rows."""
    rows = get(box, ROWS)
    lines = get(box, BLOCKS) * rows
    line, end = lines * thread // threads, lines * (thread + 1) // threads
    while line < end:
        block = line // rows
        row = line - block * rows
        count = min(rows - row, end - line)
        at = get(box, X_START) + row * get(box, ROWS + 1)
        to = get(box, Y_START) + row * get(box, ROWS + 2)
        for axis in range(box.shape[0] - 3, OUTER - 3, -3):
            size = get(box, axis)
            rest = block // size
            at += (block - rest * size) * get(box, axis + 1)
            to += (block - rest * size) * get(box, axis + 2)
            block = rest
        move_block(x, at, y, to, count, box)
        line += count


@inline
def move_block(x: Any, at: int, y: Any, to: int, rows: int, box: Any) -> None:
    """Copy some rows of a block."""
    x_row, y_row = get(box, ROWS + 1), get(box, ROWS + 2)
    cols, x_col, y_col = get(box, COLS), get(box, COLS + 1), get(box, COLS + 2)
    tile = 16 // x.itemsize
    if x_col == 1 and y_col == 1:
        for r in range(rows):
            copy_within(x, at + r * x_row, y, to + r * y_row, cols)
    elif x_row == 1 and y_col == 1 and rows >= tile and cols >= tile:
        for r in range(0, rows, tile):
            r = min(r, rows - tile)  # the last tile may overlap the one before
            for c in range(0, cols, tile):
                c = min(c, cols - tile)
                transpose_tile(x, at + r + c * x_col, x_col, y, to + r * y_row + c, y_row)
    elif cols >= min(rows, tile):
        for r in range(rows):
            for c in range(cols):
                put(y, to + r * y_row + c * y_col, get(x, at + r * x_row + c * x_col))
    else:
        for c in range(cols):
            for r in range(rows):
                put(y, to + r * y_row + c * y_col, get(x, at + r * x_row + c * x_col))
