"""SPLIT: a tensor cut into equal parts along an axis; the first input gives the axis."""

from __future__ import annotations

import numpy as np

from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops import _split
from int8rt.ops._move import axis_within, integer, operand
from int8rt.steps import Step

operands = "axis x[1+] -> y1 more*"


def shapes(node: Node) -> list[tuple[int, ...]]:
    x, axis, count = operand(node, 1), _axis(node), node.options.num_splits
    if count != len(node.outputs) or count < 1 or x.shape[axis] % count:
        raise ModelError(
            f"{node.label}: {list(x.shape)} does not split into {count} equal parts along axis {axis}, "
            f"one for each of {len(node.outputs)} outputs"
        )
    return _split.shapes(x, [x.shape[axis] // count] * count, axis)


def reference(node: Node, _: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, ...]:
    return _split.reference(node, x, _axis(node))


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    return _split.prepare(node, operand(node, 1), _axis(node))


def _axis(node: Node) -> int:
    return axis_within(node, integer(node, 0, "axis"), len(operand(node, 1).shape))
