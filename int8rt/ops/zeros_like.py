"""ZEROS_LIKE: zeros in the shape of a tensor, known before the first run whatever the tensor holds."""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from int8rt import ops
from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops._move import operand, same_type

TYPES = ("int32", "int64", "float32", "bool")  # not quantized ones, of which LiteRT does not say what their zero is


operands = "x -> y"
by_value = True


def shapes(node: Node) -> list[tuple[int, ...]]:
    return [operand(node).shape]


def constant(node: Node) -> list[np.ndarray]:
    x = operand(node)
    same_type(node, x, *node.outputs)
    if x.type not in TYPES:
        raise ops.refuse(node, f"supported are {', '.join(TYPES)}")
    return [np.zeros(x.shape, x.dtype)]


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    return np.zeros_like(x)


def prepare(node: Node, numerics: Numerics) -> NoReturn:
    raise AssertionError("ZEROS_LIKE is always known before a program is built")
