"""RANK: how many axes a tensor has, known before the first run whatever the tensor holds."""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops._move import operand

operands = "x -> y"


def shapes(node: Node) -> list[tuple[int, ...]]:
    return [()]


def constant(node: Node) -> list[np.ndarray]:
    (y,) = node.outputs
    if y.dtype != np.int32:
        raise ModelError(f"{node.label}: {y.name!r} is {y.type}; int32 was expected")
    return [np.array(len(operand(node).shape), np.int32)]


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    return np.array(len(operand(node).shape), np.int32)


def prepare(node: Node, numerics: Numerics) -> NoReturn:
    raise AssertionError("RANK is always known before a program is built")
