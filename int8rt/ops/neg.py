"""NEG: y = -x, of int8 and int16 as they are stored; the smallest integer stays what it is.

LiteRT negates stored integers whatever their quantization says. Where that is not what the tensors mean, because there
is a zero point or because scales differ, the node is refused.
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

shapes = _lookup.shapes


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    return -x


def prepare(node: Node, numerics: Numerics) -> Step:
    x, y = check_types(node, ["int8", "int16", "int32", "int64", "float16", "float32"])
    if x.dtype == np.float16:
        return ops.by_reference(node, reference)
    if x.dtype not in (np.int8, np.int16):
        return each(negative, x, y)
    if x.zero_point or y.zero_point or x.scale != y.scale:
        raise ops.refuse(
            node, f"{x!r} and {y!r} are quantized; LiteRT negates correctly with one scale and zero points 0"
        )
    return table(node, reference)


@inline
def negative(v: float) -> float:
    """-v."""
    return -v
