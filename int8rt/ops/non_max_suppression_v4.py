"""NON_MAX_SUPPRESSION_V4; see ``_suppression``."""

from __future__ import annotations

from typing import Any

from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops import _suppression
from int8rt.steps import Call

operands = (
    "boxes[2]:float32 scores[1]:float32 count:int32 overlap:float32 threshold:float32 -> indices:int32 valid:int32"
)


def shapes(node: Node) -> list[tuple[int, ...]] | None:
    return _suppression.shapes(node, soft=False)


def reference(node: Node, boxes: Any, scores: Any, count: Any, overlap: Any, threshold: Any) -> Any:
    return _suppression.reference(node, False, boxes, scores, count, overlap, threshold)


def prepare(node: Node, numerics: Numerics) -> Call:
    return _suppression.prepare(node, soft=False)
