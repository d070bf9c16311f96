"""What COMPLEX_ABS, REAL and IMAG share: complex64 to float32, complex128 to float64."""

from __future__ import annotations

from typing import Any

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.native.kernel import Inline, Kernel, kernel_factory
from int8rt.ops._lookup import flat, unary
from int8rt.simd.memory import get, put
from int8rt.steps import Call, Flat

REAL_TYPES = {"complex64": "float32", "complex128": "float64"}


def shapes(node: Node) -> list[tuple[int, ...]]:
    """That of the input. Raises ModelError, UnsupportedError."""
    x, y = unary(node)
    if x.type not in REAL_TYPES:
        raise ops.refuse(node, f"supported types are {', '.join(REAL_TYPES)}")
    if y.type != REAL_TYPES[x.type]:
        raise ModelError(f"{node.label}: the output is {y.type}, expected {REAL_TYPES[x.type]}")
    return [x.shape]


def step(node: Node, f: Inline) -> Call:
    """The Call for y[i] = f(real part of x[i], imaginary part of x[i])."""
    x, y = unary(node)
    return Call(mapping(f), Flat(x, y.dtype), flat(y), writes=[y])


@kernel_factory
def mapping(f: Inline) -> Kernel:
    """The kernel for a formula of two parts, which lie side by side in x."""

    def map_parts(thread: int, threads: int, x: Any, y: Any) -> None:
        for i in range(y.size * thread // threads, y.size * (thread + 1) // threads):
            put(y, i, f(get(x, 2 * i), get(x, 2 * i + 1)))

    return Kernel(map_parts)
