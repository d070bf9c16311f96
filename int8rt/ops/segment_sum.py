"""SEGMENT_SUM: the sums of the rows of x that belong to one segment; ids begin with 0 and rise by 0 or 1.

Runs by its reference.

Source: TFLite's segment_sum.cc.
"""

from __future__ import annotations

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops._move import integers, operand
from int8rt.ops._segment import checked, combined
from int8rt.steps import PythonCall

operands = "x[1+] ids[1]:int32 -> y"


def shapes(node: Node) -> list[tuple[int, ...]]:
    x, ids = operand(node), operand(node, 1)
    if ids.shape != x.shape[:1]:
        raise ModelError(f"{node.label}: {ids.size} ids for {list(x.shape)}; one for each row was expected")
    values = np.array(integers(node, 1, "the segment ids"), np.int64)
    if values.size and (values[0] != 0 or not np.isin(np.diff(values), (0, 1)).all()):
        raise ModelError(f"{node.label}: segment ids must begin with 0 and rise by 0 or 1")
    return [(int(values[-1]) + 1 if values.size else 0, *x.shape[1:])]


def reference(node: Node, x: np.ndarray, ids: np.ndarray) -> np.ndarray:
    checked(node)
    return combined(node, x, ids, 0, np.add)


def prepare(node: Node, numerics: Numerics) -> PythonCall:
    checked(node)
    return ops.by_reference(node, reference)
