"""DENSIFY: the dense form of a constant that the file holds sparsely, zeros filled in. Folded when a model is loaded.

The reader makes sparse constants dense, for every operator (``format.sparse``), so that nothing is left to do here.
"""

from __future__ import annotations

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops._lookup import unary
from int8rt.steps import Step

operands = "x -> y"

TYPES = ("int8", "float16", "float32")


def shapes(node: Node) -> list[tuple[int, ...]]:
    x, y = unary(node)
    if x.sparsity is None or not x.is_constant:
        raise ModelError(f"{node.label}: the input {x!r} is not a sparse constant")
    if x.type not in TYPES:
        raise ops.refuse(node, f"supported types are {', '.join(TYPES)}")
    if y.type != x.type:
        raise ModelError(f"{node.label}: the output is {y.type}, expected {x.type} as the input")
    return [x.shape]


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    return x.copy()


def prepare(node: Node, numerics: Numerics) -> Step:
    return ops.by_reference(node, reference)  # where there are too many to be made dense while planning
