"""STRIDED_SLICE: NumPy's ``x[begin:end:stride, ...]``, with an ellipsis, new axes and axes that an index removes.

Bit i of a mask is about entry i of begin, end and strides: ``begin_mask`` and ``end_mask`` ignore the value and take
all there is, ``ellipsis_mask`` stands for as many axes as are not mentioned, ``new_axis_mask`` inserts an axis of size
1, ``shrink_axis_mask`` takes one index and drops the axis. With ``offset``, end counts from begin. Axes behind the last
entry are taken whole. Indices out of range are clamped, as NumPy does; one that shrinks an axis and lies behind its end
is an error here (LiteRT leaves the output as it was).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops._move import copy, integers, operand, same_type, strides
from int8rt.steps import Step

operands = "x begin end strides -> y"


class Range(NamedTuple):
    """What is taken along one axis of x, or a new axis."""

    start: int
    size: int
    stride: int
    is_new: bool = False
    shrinks: bool = False


def shapes(node: Node) -> list[tuple[int, ...]]:
    return [tuple(r.size for r in _ranges(node) if not r.shrinks)]


def reference(node: Node, x: np.ndarray, begin: np.ndarray, end: np.ndarray, stride: np.ndarray) -> np.ndarray:
    for axis, r in enumerate(r for r in _ranges(node) if not r.is_new):
        x = x.take(r.start + r.stride * np.arange(r.size), axis)
    return x.reshape(node.outputs[0].shape)


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    x, (y,) = operand(node), node.outputs
    same_type(node, x, y)
    taken = [r for r in _ranges(node) if not r.is_new]
    steps = strides(x.shape)
    counts = [r.size for r in taken]
    start = sum(r.start * step for r, step in zip(taken, steps, strict=True))
    x_strides = [r.stride * step for r, step in zip(taken, steps, strict=True)]
    return copy(x, y, counts, x_strides, strides(counts), x_start=start)


def _ranges(node: Node) -> list[Range]:
    """The axes of y with those that are dropped; as BuildStridedSliceParams of TFLite's strided_slice.cc.

    As there, an ellipsis stands for one axis at least, and entries without an axis are ignored.
    """
    shape, o = operand(node).shape, node.options
    begin, end, stride = (integers(node, i, name) for i, name in ((1, "begin"), (2, "end"), (3, "strides")))
    count = len(begin)
    if not count == len(end) == len(stride) <= 31:
        raise ModelError(f"{node.label}: begin {begin}, end {end} and strides {stride} must have one length below 32")
    ellipsis = [i for i in range(count) if o.ellipsis_mask >> i & 1]
    new = [i for i in range(count) if o.new_axis_mask >> i & 1 and i not in ellipsis]
    if len(ellipsis) > 1 or (o.offset and (ellipsis or new)):
        raise ops.refuse(node, "more than one ellipsis, or offset with an ellipsis or new axes, is not supported")
    rank = len(shape) + len(new)
    entries: list[int | None] = list(range(count))
    for at in ellipsis:
        entries[at : at + 1] = [None] * max(1, rank - count + 1)
    entries = [*entries, *[None] * rank][:rank]
    result: list[Range] = []
    sizes = iter(shape)
    for i in entries:
        if i in new:
            result.append(Range(0, 1, 1, is_new=True))
        elif (size := next(sizes, None)) is None:
            raise ModelError(f"{node.label}: {count} entries are too many for {list(shape)}")
        else:
            result.append(Range(0, size, 1) if i is None else _range(node, i, size, begin[i], end[i], stride[i]))
    return result


def _range(node: Node, i: int, size: int, begin: int, end: int, stride: int) -> Range:
    """Entry i along an axis of x."""
    o = node.options
    if stride == 0:
        raise ModelError(f"{node.label}: stride {i} is 0")
    lo, hi = (0, size) if stride > 0 else (-1, size - 1)
    start = min(max(begin + size if begin < 0 else begin, lo), hi)
    if o.begin_mask >> i & 1:
        start = 0 if stride > 0 else size - 1
    if o.shrink_axis_mask >> i & 1:
        if stride < 0 or not 0 <= start < size:
            raise ModelError(
                f"{node.label}: index {begin} with stride {stride} takes nothing of an axis of size {size}"
            )
        return Range(start, 1, 1, shrinks=True)
    stop = end + start if o.offset else end
    stop = min(max(stop + size if stop < 0 else stop, lo), hi)
    if o.end_mask >> i & 1:
        stop = size if stride > 0 else -1
    count = len(range(start, stop, stride))
    if o.offset and count != len(range(0, end, stride)):
        raise ModelError(f"{node.label}: {end} values from {begin} reach outside an axis of size {size}")
    return Range(start, count, stride)
