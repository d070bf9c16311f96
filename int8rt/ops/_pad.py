"""PAD and PADV2: a tensor with more of one value around it.

    y[i] = x[i - left] where that lies inside x, else the value

``left`` and ``right`` come from the second input, [rank, 2], integers of 0 or more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.native.kernel import kernel
from int8rt.numerics.storage import from_storage, storage_dtype, to_storage
from int8rt.ops._move import UNITS, integers, operand, same_scale, same_type
from int8rt.simd.memory import copy_within, fill_within, get
from int8rt.steps import Call, Flat, Step, View


class Padding(NamedTuple):
    """One axis: how many values come before, how many are x's, how many come after."""

    left: int
    size: int
    right: int

    @property
    def total(self) -> int:
        """The size of y along the axis."""
        return sum(self)


def paddings(node: Node) -> list[Padding]:
    """The axes of a node. Raises ModelError."""
    x = operand(node)
    values = integers(node, 1, "paddings")
    if operand(node, 1).shape != (len(x.shape), 2) or min(values, default=0) < 0:
        found = f"{values} of shape {list(operand(node, 1).shape)}"
        raise ModelError(
            f"{node.label}: paddings {found} do not fit {list(x.shape)}; two per axis, 0 or more, were expected"
        )
    return [Padding(left, n, right) for n, left, right in zip(x.shape, values[::2], values[1::2], strict=True)]


def fill_value(node: Node) -> Tensor | np.ndarray:
    """What the padding holds: the third input, or y's zero, an array of one value in storage form.

    Raises UnsupportedError where LiteRT refuses: the value must be quantized as y is.
    """
    x, (y,) = operand(node), node.outputs
    same_type(node, x, y)
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        value = node.inputs[2]
        same_type(node, x, value)
        if value.size != 1:
            raise ModelError(f"{node.label}: the padding value has {value.size} values; one was expected")
        if y.quantization is not None and y.dtype in (np.int8, np.uint8, np.int16):
            same_scale(node, y, value)
        return value if value.data is None else to_storage(value.data).reshape(1)
    quantized = y.dtype == np.uint8 or (y.dtype in (np.int8, np.int16) and x.quantization is not None)
    return to_storage(np.full(1, y.zero_point if quantized else 0, y.dtype))


def shapes(node: Node) -> list[tuple[int, ...]]:
    return [tuple(p.total for p in paddings(node))]


def reference(node: Node, x: np.ndarray, value: np.ndarray | None) -> np.ndarray:
    padding = paddings(node)
    if value is None:
        known = fill_value(node)
        assert isinstance(known, np.ndarray)
        value = from_storage(known, x.dtype)
    y = np.full([p.total for p in padding], value.reshape(()), x.dtype)
    y[tuple(slice(p.left, p.left + p.size) for p in padding)] = x
    return y


def prepare(node: Node) -> list[Step]:
    """Fill and copy line by line, a line being all that follows the last padded axis."""
    x, (y,) = operand(node), node.outputs
    value = fill_value(node)
    if y.size == 0:
        return []
    if x.shape == y.shape:
        return [View(y, x)]
    dtype = UNITS[storage_dtype(x.dtype).itemsize]
    axes = [Padding(0, 1, 0), *_merged(paddings(node))]
    fill = Flat(value, dtype) if isinstance(value, Tensor) else value.view(dtype)
    return [Call(pad, Flat(x, dtype), fill, Flat(y, dtype), np.array(axes, np.int64), writes=[y])]


def _merged(axes: Sequence[Padding]) -> list[Padding]:
    """The same with as few axes as possible: one without padding joins the one before it."""
    result: list[Padding] = []
    for axis in axes:
        if result and axis.left == axis.right == 0:
            result[-1] = Padding(*(n * axis.size for n in result[-1]))
        else:
            result.append(axis)
    return result


@kernel
def pad(thread: int, threads: int, x: Any, value: Any, y: Any, axes: Any) -> None:
    """axes [rank >= 2, 3]: left, size, right. Threads share the lines of y."""
    fill = get(value, 0)
    last = axes.shape[0] - 1
    left, run, right = get(axes, 3 * last), get(axes, 3 * last + 1), get(axes, 3 * last + 2)
    width = left + run + right
    above, height = get(axes, 3 * last - 3), get(axes, 3 * last - 2)
    rows = above + height + get(axes, 3 * last - 1)
    lines = y.shape[0] // width
    line, end = lines * thread // threads, lines * (thread + 1) // threads
    while line < end:
        block = line // rows
        row = line - block * rows
        count = min(rows - row, end - line)
        at, step, inside = (row - above) * run, height * run, True
        for axis in range(3 * last - 6, -3, -3):
            before, size = get(axes, axis), get(axes, axis + 1)
            total = before + size + get(axes, axis + 2)
            rest = block // total
            index = block - rest * total - before
            inside = inside and 0 <= index < size
            at, step, block = at + index * step, step * size, rest
        for r in range(row, row + count):
            start = line * width
            if inside and 0 <= r - above < height:
                fill_within(y, start, left, fill)
                copy_within(x, at, y, start + left, run)
                fill_within(y, start + left + run, right, fill)
            else:
                fill_within(y, start, width, fill)
            at += run
            line += 1
