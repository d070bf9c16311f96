"""RESHAPE: the same values under another shape, which a second input or the options give; -1 stands for what is left."""

from __future__ import annotations

import math

import numpy as np

from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.ops import View
from int8rt.numerics import Numerics


def shapes(node: Node) -> list[tuple[int, ...]]:
    x = node.inputs[0]
    assert x is not None
    wanted = _wanted(node)
    known = math.prod(d for d in wanted if d != -1)
    if wanted.count(-1) > 1 or any(d < -1 for d in wanted):
        raise ModelError(f"{node.label}: new shape {wanted}; at most one -1 and no other negative size was expected")
    if -1 in wanted and known > 0:
        wanted[wanted.index(-1)] = x.size // known
    if math.prod(wanted) != x.size:
        raise ModelError(f"{node.label}: {list(x.shape)} does not fit into {wanted}")
    return [tuple(wanted)]


def _wanted(node: Node) -> list[int]:
    shape = node.inputs[1] if len(node.inputs) > 1 else None
    if shape is not None and shape.data is not None:
        return [int(d) for d in shape.data.reshape(-1)]
    if shape is None:
        given = [int(d) for d in getattr(node.options, "new_shape", None) or ()]
        return [] if given == [0] else given  # how old converters wrote a scalar
    return list(node.outputs[0].shape)  # known only at run time: what the file declares


def reference(node: Node, x: np.ndarray, shape: np.ndarray | None = None) -> np.ndarray:
    return x.reshape(node.outputs[0].shape)


def prepare(node: Node, numerics: Numerics) -> View:
    assert node.inputs[0] is not None
    return View(node.outputs[0], node.inputs[0])
