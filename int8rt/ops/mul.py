"""MUL: y = x1 x2, with broadcasting and a fused activation.

Quantized values, whose scale is computed in float32:

    y = z_y + R(s1 s2 / s_y, (x1 - z1) (x2 - z2))        clamped

R is double rounding (numerics 3.1). Other types are multiplied as they are; integers wrap before they are clamped to
the fused activation.

Sources: TFLite's mul.cc, reference/integer_ops/mul.h, reference/mul.h.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from int8rt import ops
from int8rt.graph import Node, Tensor
from int8rt.native.kernel import Kernel, inline, kernel_factory
from int8rt.numerics.fixedpoint import Multiplier, activation_range, requantize_double_rounding, scale_float
from int8rt.numerics.requantization import Filters, double_rounding_once, parameters
from int8rt.numerics.rules import Numerics
from int8rt.numerics.storage import Stored, storage_dtype, stored, stored_zero, to_storage
from int8rt.ops._elementwise import (
    CHUNK,
    EIGHT_BITS,
    PLAIN,
    activation,
    call,
    check_scales,
    checked,
    clamp,
    full_first,
    is_quantized,
    limits,
    multiplier_for,
    shape,
    start_of,
    walk,
)
from int8rt.simd.memory import as_type_of
from int8rt.simd.pairs import scaled_products
from int8rt.steps import Call, Flat

operands = "x1 x2 -> y"
by_value = True


def shapes(node: Node) -> list[tuple[int, ...]]:
    return [shape(node)]


def reference(node: Node, x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
    a, b, y = _checked(node)
    if not _scaled(y):
        return clamp(np.asarray(x1 * x2), limits(node, y))
    product = (x1.astype(np.int64) - a.zero_point) * (x2.astype(np.int64) - b.zero_point)
    multiplier = _multiplier(node, a, b, y)
    q = requantize_double_rounding(product, *multiplier) + y.zero_point
    return q.clip(*activation_range(y, activation(node)))


def prepare(node: Node, numerics: Numerics) -> Call:
    a, b, y = _checked(node)
    a, b = full_first(a, b)
    if not _scaled(y):
        return call(plain_product, limits(node, y), a, b, y)
    s = stored(y, activation(node))
    multiplier = _multiplier(node, a, b, y)
    fast = _bytes_call(multiplier, s, a, b, y) if y.type in EIGHT_BITS else None
    if fast is not None:
        return fast
    p = [stored_zero(a), stored_zero(b), *multiplier, s.zero_point, s.lo, s.hi]
    return call(scaled_product, p, a, b, y)


def _checked(node: Node) -> tuple[Tensor, Tensor, Tensor]:
    x1, x2, y = checked(node, (*EIGHT_BITS, "int16", *PLAIN, "uint32"))
    if _scaled(y):
        check_scales(node, x1, x2, y)
    if y.type == "int16" and any(t.zero_point for t in (x1, x2, y)):
        raise ops.refuse(node, "int16 tensors must have zero point 0")
    return x1, x2, y


def _scaled(y: Tensor) -> bool:
    """Whether the product is rescaled: int16 is where the output has a scale."""
    return y.type in EIGHT_BITS or (y.type == "int16" and is_quantized(y))


def _multiplier(node: Node, x1: Tensor, x2: Tensor, y: Tensor) -> Multiplier:
    return multiplier_for(node, scale_float(x1.scale, x2.scale, y.scale))


def _bytes_call(multiplier: Multiplier, s: Stored, a: Tensor, b: Tensor, y: Tensor) -> Call | None:
    """The Call that multiplies 64 bytes at a time; None where an operand stands still or there is no formula."""
    w = walk(a.shape, b.shape)
    rule = double_rounding_once(multiplier, s.zero_point, s.lo, s.hi)
    f = parameters(Filters(np.array([[-255, 255]], np.int16), np.zeros(1, np.int64), rule))  # as large as any product
    if f is None or not (w.advance1 and w.advance2):
        return None
    p = np.concatenate([[stored_zero(a), stored_zero(b)], f.rows[:, 0]]).astype(np.int32)
    in_place = a if a.size == y.size and not a.is_constant else None
    places = w.runs, w.length, w.extents, w.steps1, w.steps2
    operands = [_readable(a), _readable(b)]
    return Call(
        multiply_bytes(f.kind), *places, p, s.lo, s.hi, *operands, Flat(y, s.dtype), writes=[y], in_place=in_place,
        work=4 * y.size,
    )  # fmt: skip


def _readable(t: Tensor) -> Flat | np.ndarray:
    """A tensor as an argument that may be read 64 bytes past its end: as the arena may, constants may not."""
    if t.data is None:
        return Flat(t, storage_dtype(t.dtype))
    return np.pad(to_storage(t.data).reshape(-1), (0, 64))


@kernel_factory
def multiply_bytes(kind: str) -> Kernel:
    """The kernel for operands that both advance along runs; p: int32, both zero points and the formula's rows."""
    multiply = scaled_products[kind]

    def multiply_bytes(
        thread: int, threads: int, runs: int, length: int, extents: Any, steps1: Any, steps2: Any, p: Any, lo: int,
        hi: int, x1: Any, x2: Any, y: Any,
    ) -> None:  # fmt: skip
        """y = requantize((x1 - z1)(x2 - z2)) of uint8 arrays of one size, 64 at a time; p: see ``scaled_products``."""
        chunks = (length + CHUNK - 1) // CHUNK
        total = runs * chunks
        for item in range(total * thread // threads, total * (thread + 1) // threads):
            run = item // chunks
            first = (item - run * chunks) * CHUNK
            at1, at2 = start_of(run, extents, steps1), start_of(run, extents, steps2)
            for i in range(first, min(first + CHUNK, length), 64):
                multiply(x1, at1 + i, x2, at2 + i, p, lo, hi, y, run * length + i, length - i)

    return Kernel(multiply_bytes)


@inline
def scaled_product(a: Any, b: Any, p: Any) -> Any:
    z1, z2, m, e, z, lo, hi, _, _, _, _, _, _, _, _, _ = p
    q = requantize_double_rounding((np.int64(a) - z1) * (np.int64(b) - z2), m, e) + z
    return min(max(q, lo), hi)


@inline
def plain_product(a: Any, b: Any, p: Any) -> Any:
    v = as_type_of(a, a * b)
    v = p[0] if v < p[0] else v
    return p[1] if p[1] < v else v
