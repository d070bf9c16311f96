"""NON_MAX_SUPPRESSION_V4 and V5: as many boxes as are wanted, best first, without those that overlap better ones.

Inputs are boxes [n, 4], scores [n], and scalars: how many at most, the overlap from which on a box is dropped, the
score that a box must exceed, and, of V5, the sigma with which scores decay, ``s exp(-iou^2 / (2 sigma))``, if it is
not 0. Outputs are the indices, of V5 their scores, and how many there are; what follows is 0. ``_nms`` has the steps.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from int8rt import steps
from int8rt.errors import InputError, ModelError
from int8rt.graph import Node, Tensor
from int8rt.native.kernel import kernel
from int8rt.ops._index import known, report
from int8rt.ops._move import operand
from int8rt.ops._nms import ZERO, suppress
from int8rt.simd.memory import get, put
from int8rt.steps import Call, Flat


def shapes(node: Node, soft: bool) -> list[tuple[int, ...]] | None:
    boxes, scores = operand(node), operand(node, 1)
    most = known(node, 2, "number of boxes")
    if boxes.shape != (*scores.shape, 4) or any(t.size != 1 for t in node.given[2:]):
        found = [list(t.shape) for t in node.given]
        raise ModelError(f"{node.label}: shapes {found}; [n, 4], [n] and scalars were expected")
    if most is None:
        return None
    if most[0] < 0:
        raise ModelError(f"{node.label}: {most[0]} boxes are wanted; 0 or more were expected")
    return [(most[0],), (most[0],), ()] if soft else [(most[0],), ()]


def reference(node: Node, soft: bool, boxes: np.ndarray, scores: np.ndarray, *scalars: np.ndarray) -> Any:
    values = [v.reshape(()) for v in scalars]
    most, iou, score = int(values[0]), np.float32(values[1]), np.float32(values[2])
    sigma = np.float32(values[3]) if soft else ZERO
    if sigma < 0:
        raise InputError(f"{node.label}: sigma {sigma} is below 0")
    n = len(scores)
    selected, selected_scores = np.zeros(n, np.int32), np.zeros(n, np.float32)
    heap, begins = np.zeros(n + 1, np.int32), np.zeros(n, np.int32)
    count = suppress(boxes.reshape(-1), scores.copy(), most, iou, score, sigma, heap, begins, selected, selected_scores)
    indices, kept = np.zeros(most, np.int32), np.zeros(most, np.float32)
    indices[:count], kept[:count] = selected[:count], selected_scores[:count]
    number = np.array(count, np.int32)
    return (indices, kept, number) if soft else (indices, number)


def prepare(node: Node, soft: bool) -> Call:
    boxes, scores = operand(node), operand(node, 1)
    n = scores.size
    outputs = (
        node.outputs if soft else (node.outputs[0], _scratch(node, "scores", node.outputs[0].size), node.outputs[1])
    )
    sigma = operand(node, 5) if soft else np.zeros(1, np.float32)
    fault = steps.fault(f"{node.label}: sigma is below 0")
    thresholds = [
        _flat(operand(node, 3)),
        _flat(operand(node, 4)),
        sigma if isinstance(sigma, np.ndarray) else _flat(sigma),
    ]
    scratch = [_scratch(node, "kept", n), *(_scratch(node, name, n + 1, np.int32) for name in ("heap", "begins"))]
    written = [_flat(t) for t in outputs]
    return Call(
        non_max_suppression, _flat(boxes), _flat(scores), *thresholds, *scratch, *written, fault,
        writes=[*outputs, *scratch, fault],
    )  # fmt: skip


def _flat(t: Tensor) -> Flat:
    return Flat(t, t.dtype)


def _scratch(node: Node, name: str, size: int, dtype: Any = np.float32) -> Tensor:
    return steps.scratch(f"{node.outputs[0].name}/{name}", (size,), dtype)


@kernel
def non_max_suppression(
    boxes: Any, scores: Any, iou: Any, threshold: Any, sigma: Any, kept: Any, heap: Any, begins: Any,
    selected: Any, selected_scores: Any, number: Any, fault: Any,
) -> None:  # fmt: skip
    """boxes: float32 [n, 4]; scores, kept: float32 [n]; selected: int32 [most]; number: int32, how many there are.

    What is beyond number is 0 in selected and selected_scores; a negative sigma is a fault.
    """
    most = selected.shape[0]
    if get(sigma, 0) < ZERO:
        report(fault, 0)
        return
    for i in range(scores.shape[0]):
        put(kept, i, get(scores, i))
    count = suppress(
        boxes, kept, most, get(iou, 0), get(threshold, 0), get(sigma, 0), heap, begins, selected, selected_scores
    )
    for i in range(count, most):
        put(selected, i, 0)
        put(selected_scores, i, 0)
    put(number, 0, count)
