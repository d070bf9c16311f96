"""TFLite_Detection_PostProcess: anchors and what a network says of them become boxes, classes and scores.

Box i, in the anchor's frame, as float32 computed in float64:

    center = y / y_scale * anchor.h + anchor.y      half = 0.5 exp(h / h_scale) anchor.h     (x and w alike)
    (center_y - half_h, center_x - half_w, center_y + half_h, center_x + half_w)

**Fast**: boxes by their best class, without those that overlap a better one by more than ``nms_iou_threshold``; each
has its ``max_classes_per_detection`` best classes. **Regular** (``use_regular_nms``): the same for each class by
itself, up to ``detections_per_class``, and the best of all classes, those of earlier classes first where scores are
equal. A class 0 that stands for no object (``num_classes`` is one less than there are) is left out. What follows the
detections, which LiteRT leaves as its memory is, is 0. A box with its top below its bottom is an error.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from flatbuffers import flexbuffers

from int8rt import ops
from int8rt.errors import InputError, ModelError
from int8rt.graph import Node, Tensor
from int8rt.native.kernel import inline, kernel
from int8rt.numerics.rules import Numerics
from int8rt.numerics.storage import storage_dtype
from int8rt.ops._index import report
from int8rt.ops._move import operand
from int8rt.ops._nms import adjust, less, make_heap, overlap, take
from int8rt.simd.memory import get, put
from int8rt.steps import Call, Flat, Step, scratch
from int8rt.steps import fault as new_fault

operands = "boxes[3] scores[3] anchors[2] -> boxes:float32 classes:float32 scores:float32 count:float32"

DESCENDING = 1
PER_CLASS = 100  # detections, unless the options say otherwise


class Options(NamedTuple):
    """The FlexBuffer's values; those that are missing are 0, as in LiteRT."""

    most: int  # detections
    classes: int
    classes_each: int  # of a detection, fast
    per_class: int  # detections, regular
    regular: bool
    score: np.float32  # thresholds
    iou: np.float32
    scales: np.ndarray  # float32: y, x, h, w


def options(node: Node) -> Options:
    """What the node's FlexBuffer says. Raises ModelError."""
    try:
        given = flexbuffers.Loads(bytes(node.options.custom_options))
    except Exception as error:  # of any kind, from a reader that checks nothing
        raise ModelError(f"{node.label}: the options are no FlexBuffer: {type(error).__name__}: {error}") from None
    if not isinstance(given, dict):
        raise ModelError(f"{node.label}: the options are {given!r}; a map was expected")
    scales = np.array([given.get(f"{name}_scale", 0) for name in "yxhw"], np.float32)
    o = Options(
        int(given.get("max_detections", 0)), int(given.get("num_classes", 0)),
        int(given.get("max_classes_per_detection", 0)), int(given.get("detections_per_class", PER_CLASS)),
        bool(given.get("use_regular_nms", False)), np.float32(given.get("nms_score_threshold", 0)),
        np.float32(given.get("nms_iou_threshold", 0)), scales,
    )  # fmt: skip
    if o.most < 0 or o.classes < 1 or o.classes_each < 1 or min(o.per_class, o.most) < int(o.regular):
        raise ModelError(f"{node.label}: {o.most} detections, {o.classes} classes, {o.classes_each} of each detection")
    if not 0 < o.iou <= 1:
        raise ModelError(f"{node.label}: nms_iou_threshold {o.iou}; more than 0, at most 1 was expected")
    return o


def shapes(node: Node) -> list[tuple[int, ...]]:
    o = options(node)
    count = o.most * o.classes_each
    return [(1, count, 4), (1, count), (1, count), (1,)]


def reference(node: Node, boxes: np.ndarray, scores: np.ndarray, anchors: np.ndarray) -> tuple[np.ndarray, ...]:
    o, background = _checked(node)
    given, classes, frames = (operand(node, i) for i in range(3))
    corners = _decoded(_real(boxes[0, :, :4], given), _real(anchors, frames), o.scales)
    if ((corners[:, 0] > corners[:, 2]) | (corners[:, 1] > corners[:, 3])).any():
        raise InputError(f"{node.label}: a box has its top below its bottom")
    values = _real(scores[0], classes)[:, background:]
    found = _regular(o, corners, values) if o.regular else _fast(o, corners, values)
    each = 1 if o.regular else min(o.classes_each, o.classes)
    step = 1 if o.regular else o.classes_each
    slots = o.most * o.classes_each
    y, kinds, best = (np.zeros((1, slots, *rest), np.float32) for rest in ((4,), (), ()))
    for i, (box, kind, score) in enumerate(found):
        at = i // each * step + i % each
        y[0, at], kinds[0, at], best[0, at] = corners[box], kind, score
    return y, kinds, best, np.array([len(found) // each], np.float32)


Found = list[tuple[int, int, np.float32]]  # box, class, score


def _real(q: np.ndarray, t: Tensor) -> np.ndarray:
    return q if q.dtype == np.float32 else (q.astype(np.float32) - np.float32(t.zero_point)) * t.scale


def _decoded(boxes: np.ndarray, anchors: np.ndarray, scales: np.ndarray) -> np.ndarray:
    box, anchor, scale = boxes.astype(np.float64), anchors.astype(np.float64), scales.astype(np.float64)
    center = (box[:, :2] / scale[:2] * anchor[:, 2:] + anchor[:, :2]).astype(np.float32)
    exponents = box[:, 2:] / scale[2:]
    powers = np.fromiter(map(_exp, exponents.reshape(-1).tolist()), np.float64).reshape(exponents.shape)
    half = (0.5 * powers * anchor[:, 2:]).astype(np.float32)
    return np.concatenate([center - half, center + half], axis=1)


def _exp(x: float) -> float:
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def _picked(o: Options, corners: np.ndarray, scores: np.ndarray, most: int) -> list[int]:
    """Which boxes stay, best first."""
    kept = np.flatnonzero(scores >= o.score)
    selected: list[int] = []
    for box in kept[np.argsort(-scores[kept], kind="stable")]:
        if len(selected) == most:
            break
        if not any(overlap(corners.reshape(-1), other, box) > o.iou for other in selected):
            selected.append(int(box))
    return selected


def _regular(o: Options, corners: np.ndarray, scores: np.ndarray) -> Found:
    found: Found = []
    for kind, column in enumerate(scores.T):
        boxes = _picked(o, corners, column, min(o.per_class, o.most))
        found = sorted([*found, *((b, kind, column[b]) for b in boxes)], key=lambda f: -f[2])[: o.most]
    return found


def _fast(o: Options, corners: np.ndarray, scores: np.ndarray) -> Found:
    boxes = _picked(o, corners, scores.max(axis=1), o.most)
    return [(b, kind, scores[b, kind]) for b in boxes for kind in _best(o, scores[b])]


def _best(o: Options, scores: np.ndarray) -> list[int]:
    heap = np.arange(o.classes)
    sort_first(heap, min(o.classes_each, o.classes), o.classes, scores, 0)
    return [int(kind) for kind in heap[: o.classes_each]]


def _checked(node: Node) -> tuple[Options, int]:
    """The options, and how many classes stand for no object. Raises ModelError and UnsupportedError."""
    o = options(node)
    boxes, scores, anchors = (operand(node, i) for i in range(3))
    n = anchors.shape[0]
    if boxes.shape[:2] != (1, n) or boxes.shape[2] < 4 or anchors.shape != (n, 4):
        raise ModelError(f"{node.label}: boxes {list(boxes.shape)} and anchors {list(anchors.shape)} do not fit")
    if scores.shape[:2] != (1, n) or scores.shape[2] - o.classes not in (0, 1):
        raise ModelError(f"{node.label}: scores {list(scores.shape)} do not fit {n} boxes of {o.classes} classes")
    if not boxes.type == anchors.type in ("float32", "uint8") or scores.type not in ("float32", "uint8"):
        raise ops.refuse(node, "float32 and uint8 are supported, of boxes and anchors alike")
    return o, scores.shape[2] - o.classes


# The steps


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    o, background = _checked(node)
    boxes, scores, anchors = (operand(node, i) for i in range(3))
    n, name = anchors.shape[0], node.outputs[0].name
    corners = scratch(f"{name}/corners", (4 * n,), np.float32)
    fault = new_fault(f"{node.label}: box {{}} has its top below its bottom")
    steps: list[Step] = [
        Call(
            decode, _flat(boxes), _flat(anchors), boxes.shape[2], _affine(boxes), _affine(anchors), o.scales, corners,
            fault, writes=[corners, fault], work=50 * n,
        )
    ]  # fmt: skip
    values = scores
    if scores.type != "float32":
        values = scratch(f"{name}/scores", (scores.size,), np.float32)
        steps.append(Call(dequantize, _flat(scores), _affine(scores), values, writes=[values]))
    heap, selected = (scratch(f"{name}/{what}", (n + 1,), np.int32) for what in ("heap", "selected"))
    written = [*node.outputs, heap, selected]
    common = corners, _flat(values), scores.shape[2], background, o.score, o.iou, heap, selected
    outputs = [_flat(y) for y in node.outputs]
    if o.regular:
        most = min(o.per_class, o.most)
        best = scratch(f"{name}/best", (2, o.most), np.float32)
        places = scratch(f"{name}/places", (2, o.most), np.int32)
        steps.append(Call(regular, *common, o.most, most, best, places, *outputs, writes=[*written, best, places]))
        return steps
    best = scratch(f"{name}/best", (n,), np.float32)
    order = scratch(f"{name}/classes", (o.classes,), np.int32)
    steps.append(Call(best_scores, _flat(values), scores.shape[2], background, best, writes=[best], work=values.size))
    steps.append(Call(fast, *common, best, order, o.most, o.classes_each, *outputs, writes=[*written, order]))
    return steps


def _flat(t: Tensor) -> Flat:
    return Flat(t, storage_dtype(t.dtype))


def _affine(t: Tensor) -> np.ndarray:
    """Zero point and scale, with which float32 stays as it is."""
    return np.array([0, 1] if t.type == "float32" else [t.zero_point, t.scale], np.float32)


@inline
def real(x: Any, at: int, affine: Any) -> Any:
    return (np.float32(get(x, at)) - get(affine, 0)) * get(affine, 1)


@kernel
def decode(
    thread: int, threads: int, boxes: Any, anchors: Any, width: int, box: Any, anchor: Any, scales: Any, corners: Any,
    where: Any,
) -> None:  # fmt: skip
    """corners [n, 4]; boxes have ``width`` values each, of which the first four count."""
    n = corners.shape[0] // 4
    for i in range(n * thread // threads, n * (thread + 1) // threads):
        for axis in range(2):
            middle = np.float64(real(boxes, width * i + axis, box)) / np.float64(get(scales, axis))
            power = math.exp(np.float64(real(boxes, width * i + 2 + axis, box)) / np.float64(get(scales, 2 + axis)))
            size = np.float64(real(anchors, 4 * i + 2 + axis, anchor))
            center = np.float32(middle * size + np.float64(real(anchors, 4 * i + axis, anchor)))
            half = np.float32(0.5 * power * size)
            put(corners, 4 * i + axis, center - half)
            put(corners, 4 * i + 2 + axis, center + half)
            if center - half > center + half:
                report(where, i)


@kernel
def dequantize(thread: int, threads: int, x: Any, affine: Any, y: Any) -> None:
    for i in range(y.shape[0] * thread // threads, y.shape[0] * (thread + 1) // threads):
        put(y, i, real(x, i, affine))


@kernel
def best_scores(thread: int, threads: int, scores: Any, columns: int, background: int, best: Any) -> None:
    """The largest score of each box."""
    for i in range(best.shape[0] * thread // threads, best.shape[0] * (thread + 1) // threads):
        value = get(scores, i * columns + background)
        for at in range(i * columns + background + 1, (i + 1) * columns):
            value = max(value, get(scores, at))
        put(best, i, value)


@inline
def worse(scores: Any, stride: int, first: int, a: int, b: int) -> Any:
    """Whether box a comes after box b: a lower score, or the same and a later place."""
    score_a, score_b = scores[first + stride * a], scores[first + stride * b]
    return score_a < score_b or (score_a == score_b and a > b)


@inline
def sink(heap: Any, at: int, size: int, scores: Any, stride: int, first: int) -> None:
    """Move an item of the heap down until none below it is better."""
    item = heap[at]
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and worse(scores, stride, first, heap[child], heap[child + 1]):
            child += 1
        if not worse(scores, stride, first, item, heap[child]):
            break
        heap[at] = heap[child]
        at = child
    heap[at] = item


@inline
def pick(
    corners: Any, scores: Any, stride: int, first: int, lowest: Any, iou: Any, most: int, heap: Any, selected: Any
) -> int:  # fmt: skip
    """How many boxes are selected; box i has the score scores[first + stride i]. No more are sorted than are needed."""
    size = 0
    for i in range(corners.shape[0] // 4):
        if scores[first + stride * i] >= lowest:
            heap[size] = i
            size += 1
    for at in range(size // 2 - 1, -1, -1):
        sink(heap, at, size, scores, stride, first)
    count = 0
    while size > 0 and count < most:
        box = heap[0]
        size -= 1
        heap[0] = heap[size]
        sink(heap, 0, size, scores, stride, first)
        stays = True
        for i in range(count):
            if overlap(corners, selected[i], box) > iou:
                stays = False
                break
        if stays:
            selected[count] = box
            count += 1
    return count


@inline
def sort_first(heap: Any, count: int, size: int, scores: Any, first: int) -> None:
    """Bring those of the positions to the front whose scores are largest, in order (std::partial_sort of GCC).

    Of one alone it is the first of the largest.
    """
    if count == 1:
        for i in range(1, size):
            if scores[heap[i]] > scores[heap[0]]:
                heap[0] = heap[i]
        return
    make_heap(heap, count, scores, DESCENDING)
    for i in range(count, size):
        if less(scores, heap[i], heap[0], DESCENDING):
            item = heap[i]
            heap[i] = heap[0]
            adjust(heap, 0, count, item, scores, DESCENDING)
    for left in range(count, 1, -1):
        take(heap, left, scores, DESCENDING)


@inline
def clear(boxes: Any, classes: Any, scores: Any) -> None:
    for i in range(classes.shape[0]):
        put(classes, i, 0)
        put(scores, i, 0)
    for i in range(boxes.shape[0]):
        put(boxes, i, 0)


@inline
def write(corners: Any, box: int, kind: int, score: Any, at: int, boxes: Any, classes: Any, scores: Any) -> None:
    for i in range(4):
        put(boxes, 4 * at + i, get(corners, 4 * box + i))
    put(classes, at, kind)
    put(scores, at, score)


@kernel
def fast(
    corners: Any, given: Any, columns: int, background: int, lowest: Any, iou: Any, heap: Any, selected: Any,
    best: Any, order: Any, most: int, each: int, boxes: Any, classes: Any, scores: Any, number: Any,
) -> None:  # fmt: skip
    """best: the largest score of each box; order: scratch for the positions of a box's scores."""
    clear(boxes, classes, scores)
    count = pick(corners, best, 1, 0, lowest, iou, most, heap, selected)
    kinds = order.shape[0]
    for i in range(count):
        first = selected[i] * columns + background
        for kind in range(kinds):
            order[kind] = first + kind
        sort_first(order, min(each, kinds), kinds, given, 0)
        for j in range(min(each, kinds)):
            write(corners, selected[i], order[j] - first, given[order[j]], i * each + j, boxes, classes, scores)
    put(number, 0, count)


@kernel
def regular(
    corners: Any, given: Any, columns: int, background: int, lowest: Any, iou: Any, heap: Any, selected: Any,
    most: int, per_class: int, best: Any, places: Any, boxes: Any, classes: Any, scores: Any, number: Any,
) -> None:  # fmt: skip
    """best, places [2, most]: scores and positions of what is found so far, and of that merged with a class."""
    clear(boxes, classes, scores)
    found = 0
    for column in range(background, columns):
        count = pick(corners, given, columns, column, lowest, iou, per_class, heap, selected)
        old, new = 0, 0
        for i in range(min(found + count, most)):
            place = selected[new] * columns + column if new < count else 0
            if new == count or (old < found and not given[place] > best[0, old]):
                best[1, i], places[1, i] = best[0, old], places[0, old]
                old += 1
            else:
                best[1, i], places[1, i] = given[place], place
                new += 1
        found = min(found + count, most)
        for i in range(found):
            best[0, i], places[0, i] = best[1, i], places[1, i]
    for i in range(found):
        box = places[0, i] // columns
        write(corners, box, places[0, i] - box * columns - background, best[0, i], i, boxes, classes, scores)
    put(number, 0, found)
