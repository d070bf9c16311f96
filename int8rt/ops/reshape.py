"""RESHAPE: the same values under another shape, given by a second input or the options; -1 stands for what is left."""

from __future__ import annotations

import math

import numpy as np

from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops import NotConstant
from int8rt.ops._move import operand, same_type
from int8rt.steps import View

operands = "x shape? -> y"


def shapes(node: Node) -> list[tuple[int, ...]]:
    x = operand(node)
    wanted = _wanted(node)
    if wanted.count(-1) > 1 or any(d < -1 for d in wanted):
        raise ModelError(f"{node.label}: new shape {wanted}; at most one -1 and no other negative size was expected")
    if -1 in wanted:
        wanted[wanted.index(-1)] = _left(x.shape, [d for d in wanted if d != -1])
    if math.prod(wanted) != x.size:
        raise ModelError(f"{node.label}: {list(x.shape)} does not fit into {wanted}")
    return [tuple(wanted)]


def _left(shape: tuple[int, ...], known: list[int]) -> int:
    """The size that -1 stands for; where both shapes hold a 0, what the other sizes leave, as in LiteRT."""
    if 0 in shape and 0 not in known:
        return 0
    return math.prod(d for d in shape if d) // math.prod(d for d in known if d)


def _wanted(node: Node) -> list[int]:
    shape = node.inputs[1] if len(node.inputs) == 2 else None
    if shape is None or shape.dtype != np.int32 or len(shape.shape) != 1:  # LiteRT ignores other types and ranks
        given = [int(d) for d in getattr(node.options, "new_shape", None) or ()]
        return [] if given == [0] else given  # how old converters wrote a scalar
    if shape.data is not None:
        return [int(d) for d in shape.data]
    raise NotConstant(f"{node.label}: the shape {shape.name!r} is not a constant")


def reference(node: Node, x: np.ndarray, shape: np.ndarray | None = None) -> np.ndarray:
    return x.reshape(node.outputs[0].shape)


def prepare(node: Node, numerics: Numerics) -> View:
    x, (y,) = operand(node), node.outputs
    same_type(node, x, y)
    return View(y, x)
