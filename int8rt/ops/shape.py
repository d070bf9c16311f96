"""SHAPE: the sizes of a tensor's axes, known before the first run whatever the tensor holds."""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops._move import operand

operands = "x -> y"

TYPES: dict[int, np.dtype] = {2: np.dtype(np.int32), 4: np.dtype(np.int64)}  # by the number that the file has for them


def shapes(node: Node) -> list[tuple[int, ...]]:
    return [(len(operand(node).shape),)]


def constant(node: Node) -> list[np.ndarray]:
    (y,) = node.outputs
    wanted = TYPES.get(node.options.out_type)
    if wanted is None:
        raise ops.refuse(node, f"out_type {node.options.out_type} is neither int32 nor int64")
    if y.dtype != wanted:
        raise ModelError(f"{node.label}: out_type is {wanted}, but {y.name!r} is {y.type}")
    return [np.array(operand(node).shape, wanted)]


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    return np.array(operand(node).shape, node.outputs[0].dtype)  # of types that are not known x is mere bytes


def prepare(node: Node, numerics: Numerics) -> NoReturn:
    raise AssertionError("SHAPE is always known before a program is built")
