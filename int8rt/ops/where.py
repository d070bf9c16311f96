"""WHERE: the indices of all elements that are not 0 (the stored 0), row after row."""

from __future__ import annotations

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops._move import operand
from int8rt.steps import Step

operands = "x[1+] -> y:int64"

TYPES = ("bool", "int8", "uint8", "int32", "uint32", "int64", "float32")


def shapes(node: Node) -> list[tuple[int, ...]] | None:
    """Known only together with the condition's values."""
    x, (y,) = operand(node), node.outputs
    if y.dtype != np.int64 or not x.shape:
        raise ModelError(f"{node.label}: {x!r} gives {y!r}; rank 1 or more and int64 were expected")
    if x.type not in TYPES:
        raise ops.refuse(node, f"supported are {', '.join(TYPES)}")
    return None if x.data is None else [(int(np.count_nonzero(x.data)), len(x.shape))]


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    return np.argwhere(x)


def prepare(node: Node, numerics: Numerics) -> Step:
    return ops.by_reference(node, reference)
