"""NEG: y = -x, of int8 and int16 as they are stored; the smallest integer stays what it is.

LiteRT negates stored integers whatever scales and zero points say, also where they differ between x and y.
"""

from __future__ import annotations

import numpy as np

from int8rt import ops
from int8rt.graph import Node
from int8rt.native.kernel import inline
from int8rt.numerics.rules import Numerics
from int8rt.ops import _lookup
from int8rt.ops._lookup import check_types, each, table
from int8rt.steps import Step

operands = "x -> y"
by_value = True
shapes = _lookup.shapes


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    return -x


def prepare(node: Node, numerics: Numerics) -> Step:
    x, y = check_types(node, ["int8", "int16", "int32", "int64", "float16", "float32"])
    if x.dtype == np.float16:
        return ops.by_reference(node, reference)
    if x.dtype not in (np.int8, np.int16):
        return each(negative, x, y)
    return table(node, reference)


@inline
def negative(v: float) -> float:
    """-v."""
    return -v
