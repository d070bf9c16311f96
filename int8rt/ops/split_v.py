"""SPLIT_V: a tensor cut into parts of given sizes along an axis; one size may be -1, what the others leave."""

from __future__ import annotations

import numpy as np

from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops import _split
from int8rt.ops._move import axis_within, integer, integers, operand
from int8rt.steps import Step

operands = "x[1+] sizes axis -> y1 more*"


def shapes(node: Node) -> list[tuple[int, ...]]:
    x, axis, sizes = operand(node), _axis(node), integers(node, 1, "sizes")
    if sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = x.shape[axis] - sum(sizes) - 1
    if min(sizes, default=0) < 0 or sum(sizes) != x.shape[axis] or len(sizes) != node.options.num_splits:
        raise ModelError(
            f"{node.label}: {list(x.shape)} does not split into {integers(node, 1, 'sizes')} along axis {axis}; "
            f"num_splits is {node.options.num_splits}"
        )
    return _split.shapes(x, sizes, axis)


def reference(node: Node, x: np.ndarray, sizes: np.ndarray, axis: np.ndarray) -> tuple[np.ndarray, ...]:
    return _split.reference(node, x, _axis(node))


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    return _split.prepare(node, operand(node), _axis(node))


def _axis(node: Node) -> int:
    return axis_within(node, integer(node, 2, "axis"), len(operand(node).shape))
