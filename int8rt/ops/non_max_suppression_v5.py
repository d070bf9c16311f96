"""NON_MAX_SUPPRESSION_V5; see ``_suppression``."""

from __future__ import annotations

from typing import Any

import numpy as np

from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops import _suppression
from int8rt.steps import Call


def shapes(node: Node) -> list[tuple[int, ...]] | None:
    return _suppression.shapes(node, soft=True)


def reference(node: Node, boxes: np.ndarray, scores: np.ndarray, *scalars: np.ndarray) -> Any:
    return _suppression.reference(node, True, boxes, scores, *scalars)


def prepare(node: Node, numerics: Numerics) -> Call:
    return _suppression.prepare(node, soft=True)
