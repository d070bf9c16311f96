"""STABLEHLO_SHIFT_LEFT: y = x1 << x2 of stored values, without broadcasting.

A shift by less than 0, or by all bits or more, gives 0, as StableHLO's implementations have it. LiteRT's C++ leaves
those of int32 and by 32 or more of int16 undefined: what its builds give depends on the compiler.

Source: TFLite's stablehlo_shift_left.cc.
"""

from __future__ import annotations

import numpy as np

from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops import _stablehlo
from int8rt.steps import PythonCall

TYPES = ("int8", "int16", "int32")


operands = "x1 x2 -> y"
by_value = True


def shapes(node: Node) -> list[tuple[int, ...]]:
    return _stablehlo.shapes(node)


def reference(node: Node, x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
    return _stablehlo.computed(node, _shifted, x1, x2, TYPES)


def prepare(node: Node, numerics: Numerics) -> PythonCall:
    return _stablehlo.prepare(node, reference, TYPES)


def _shifted(x: np.ndarray, places: np.ndarray) -> np.ndarray:
    bits = 8 * x.dtype.itemsize
    defined = (places >= 0) & (places < bits)
    return np.where(defined, x.astype(np.int64) << np.where(defined, places, 0), 0).astype(x.dtype)
