"""DEQUANTIZE: integers to float32: y = scale * (x - zero_point), rounded once; float16 to float32 as it is.

Integers may have a scale per channel. Those of 2 and 4 bits are supported as constants, which are unpacked when a file
is read.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from int8rt import ops
from int8rt.graph import Node
from int8rt.native.kernel import kernel
from int8rt.numerics.rules import Numerics
from int8rt.ops import _affine, _lookup
from int8rt.ops._lookup import flat, unary
from int8rt.simd.memory import get, put
from int8rt.steps import Call, Step

TYPES = ("int8", "uint8", "int16", "float16")
CONSTANT_TYPES = (*TYPES, "int4", "uint4", "int2")


operands = "x -> y:float32"
by_value = True


def shapes(node: Node) -> list[tuple[int, ...]]:
    x, _ = unary(node)
    if x.type not in (CONSTANT_TYPES if x.is_constant else TYPES):
        raise ops.refuse(
            node, f"supported are {', '.join(TYPES)}, and of constants {', '.join(CONSTANT_TYPES[len(TYPES) :])} too"
        )
    _affine.check(node, x)
    return _lookup.shapes(node)


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    if x.dtype == np.float16:
        return x.astype(np.float32)
    x_, _ = unary(node)
    scale, zero_point = (_affine.along(v, x_, x) for v in _affine.parameters(x_))
    return scale * (x.astype(np.int64) - zero_point).astype(np.float32)


def prepare(node: Node, numerics: Numerics) -> Step:
    x, y = unary(node)
    if x.dtype == np.float16:
        return ops.by_reference(node, reference)
    s = _affine.lines(x)
    return Call(dequantize, flat(x), s.scale, s.zero_point, s.inner, flat(y), writes=[y])


@kernel
def dequantize(thread: int, threads: int, x: Any, scale: Any, zero_point: Any, inner: int, y: Any) -> None:
    """y[i] = scale * (x[i] - zero_point), line by line (``_affine.Lines``); the difference has at most 24 bits."""
    lines = (x.size + inner - 1) // inner
    for line in range(lines * thread // threads, lines * (thread + 1) // threads):
        s, z = scale[line % scale.size], zero_point[line % scale.size]
        for i in range(line * inner, min(x.size, (line + 1) * inner)):
            put(y, i, s * np.float32(np.int32(get(x, i)) - z))
