"""Non-maximum suppression: boxes in order of their scores, without those that overlap better ones too much.

Boxes are float32 [n, 4], (y1, x1, y2, x2). Which of several boxes with equal scores comes first is decided by the heaps
of GCC's standard library, in LiteRT's steps: those of ``adjust`` and ``lift``. What is inlined here is written so that
Python runs it too, on NumPy's float32, as the reference of the operators does.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from int8rt.native.kernel import Inline, inline
from int8rt.numerics import libm

ZERO = np.float32(0)


@inline
def overlap(boxes: Any, i: int, j: int) -> Any:
    """Intersection over union, 0 where an area is not positive; corners may be any two opposite ones."""
    i_top, i_bottom = ordered(boxes[4 * i], boxes[4 * i + 2])
    i_left, i_right = ordered(boxes[4 * i + 1], boxes[4 * i + 3])
    j_top, j_bottom = ordered(boxes[4 * j], boxes[4 * j + 2])
    j_left, j_right = ordered(boxes[4 * j + 1], boxes[4 * j + 3])
    i_area, j_area = (i_bottom - i_top) * (i_right - i_left), (j_bottom - j_top) * (j_right - j_left)
    if i_area <= ZERO or j_area <= ZERO:
        return ZERO
    _, top = ordered(i_top, j_top)
    bottom, _ = ordered(i_bottom, j_bottom)
    _, left = ordered(i_left, j_left)
    right, _ = ordered(i_right, j_right)
    _, height = ordered(bottom - top, ZERO)
    _, width = ordered(right - left, ZERO)
    shared = height * width
    return shared / (i_area + j_area - shared)


@inline
def ordered(a: Any, b: Any) -> tuple[Any, Any]:
    """The smaller and the larger of two, as std::min and std::max say where one is NaN."""
    return b if b < a else a, b if a < b else a


# Heaps of positions, the first of which is the last in the order


@inline
def less(keys: Any, a: int, b: int, descending: int) -> Any:
    """Whether a comes before b: its key is smaller, or larger where keys descend."""
    return keys[b] < keys[a] if descending else keys[a] < keys[b]


@inline
def lift(heap: Any, at: int, top: int, item: int, keys: Any, descending: int) -> None:
    """Put an item at a place of the heap that is free, or higher, but not above ``top`` (__push_heap)."""
    while at > top:
        parent = (at - 1) // 2
        if not less(keys, heap[parent], item, descending):
            break
        heap[at] = heap[parent]
        at = parent
    heap[at] = item


@inline
def adjust(heap: Any, at: int, size: int, item: int, keys: Any, descending: int) -> None:
    """Fill a free place from below down to a leaf, and lift the item from there (__adjust_heap)."""
    top = at
    while 2 * at + 2 < size:
        child = 2 * at + 2
        if less(keys, heap[child], heap[child - 1], descending):
            child -= 1
        heap[at] = heap[child]
        at = child
    if 2 * at + 2 == size:
        heap[at] = heap[size - 1]
        at = size - 1
    lift(heap, at, top, item, keys, descending)


@inline
def make_heap(heap: Any, size: int, keys: Any, descending: int) -> None:
    """Order the first items as a heap (std::make_heap)."""
    for at in range(size // 2 - 1, -1, -1):
        adjust(heap, at, size, heap[at], keys, descending)


@inline
def take(heap: Any, size: int, keys: Any, descending: int) -> Any:
    """Take the first item out of a heap of that size, which is moved behind the others (std::pop_heap)."""
    first = heap[0]
    if size > 1:
        item = heap[size - 1]
        heap[size - 1] = first
        adjust(heap, 0, size - 1, item, keys, descending)
    return first


# The operators NON_MAX_SUPPRESSION_V4 and V5


class _Exponential(Inline):
    """float32 exp, of the C library also when called from Python."""

    def __call__(self, x: Any) -> Any:
        return libm.exp(x)[()]


@_Exponential
def exponential(x: Any) -> Any:
    return math.exp(x)


@inline
def suppress(
    boxes: Any, scores: Any, most: int, iou_threshold: Any, score_threshold: Any, sigma: Any,
    heap: Any, begins: Any, selected: Any, selected_scores: Any,
) -> Any:  # fmt: skip
    """How many boxes are selected; scores decay, with a sigma, for every box that was selected before.

    A box returns to the heap after its score has decayed, and once more after it was selected: it is then dropped
    since it overlaps itself, unless its area is 0. ``begins`` says from where on a box has not been compared.
    """
    size = 0
    for i in range(scores.shape[0]):
        if scores[i] > score_threshold:
            heap[size] = i
            lift(heap, size, 0, i, scores, 0)
            begins[i] = 0
            size += 1
    count, wanted = 0, min(size, most)
    scale = np.float32(np.float64(-0.5) / np.float64(sigma)) if sigma > ZERO else ZERO
    while count < wanted and size > 0:
        box = take(heap, size, scores, 0)
        size -= 1
        before = scores[box]
        score = before
        dropped = False
        for j in range(count - 1, begins[box] - 1, -1):
            iou = overlap(boxes, box, selected[j])
            if iou >= iou_threshold:
                dropped = True
                break
            if sigma > ZERO:
                score = score * exponential(scale * iou * iou)
            if score <= score_threshold:
                break
        begins[box] = count
        scores[box] = score
        if not dropped:
            if score == before:
                selected[count] = box
                selected_scores[count] = score
                count += 1
            if score > score_threshold:
                lift(heap, size, 0, box, scores, 0)
                size += 1
    return count
