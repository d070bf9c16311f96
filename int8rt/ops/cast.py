"""CAST: the same number in another type.

Integers wrap. Reals lose their fraction on the way to integers, where what is out of range becomes the nearest end and
NaN the largest; to float16 and float32 they are rounded, halves to even. Of complex numbers the real part is cast; what
is not 0 is true. Elements of 2 and 4 bits are cast from constants to float32, and float32 to them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from int8rt import ops
from int8rt.graph import Node, Tensor
from int8rt.native.kernel import inline, kernel
from int8rt.numerics.rules import Numerics
from int8rt.numerics.storage import INT8_OFFSET
from int8rt.ops import _lookup
from int8rt.ops._lookup import each, flat, table, unary
from int8rt.simd.memory import get, put
from int8rt.steps import Call, Step, View

INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64")
TYPES = (*INTEGERS, "float16", "float32", "float64", "bool", "complex64")
NARROW = {"int4": (-8, 7), "int2": (-2, 1), "uint4": (0, 15)}


operands = "x -> y"
by_value = True


def shapes(node: Node) -> list[tuple[int, ...]]:
    x, y = unary(node)
    from_narrow = x.type in NARROW and x.is_constant and y.type == "float32"
    to_narrow = x.type == "float32" and y.type in NARROW
    if not (from_narrow or to_narrow or (x.type in TYPES and y.type in TYPES)):
        narrow = "int4, int2 and uint4 constants to float32, and back"
        raise ops.refuse(node, f"to {y.type} is not supported; supported are {', '.join(TYPES)}; {narrow}")
    return _lookup.shapes(node)


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    x_, y_ = unary(node)
    if x_.type == y_.type:
        return x
    x = x.real if x.dtype.kind == "c" else x
    if x.dtype.kind == "f" and y_.dtype.kind in "iu":
        return _to_integers(x, y_)
    if y_.dtype == np.float16:
        x = x.astype(np.float32)
    return x.astype(y_.dtype)


def _to_integers(x: np.ndarray, y: Tensor) -> np.ndarray:
    lo, hi = _range(y)
    x = x.astype(np.float64)
    is_high, is_low = (x >= hi + 1.0) | (x != x), x < lo
    whole = np.where(is_high | is_low, 0, x).astype(y.dtype)
    return np.where(is_high, y.dtype.type(hi), np.where(is_low, y.dtype.type(lo), whole))


def _range(y: Tensor) -> tuple[int, int]:
    info = np.iinfo(y.dtype)
    return NARROW.get(y.type, (int(info.min), int(info.max)))


def prepare(node: Node, numerics: Numerics) -> Step | Call:
    x, y = unary(node)
    offset_x, offset_y = (INT8_OFFSET if t.dtype == np.int8 else 0 for t in (x, y))
    if x.type == y.type:
        return View(y, x)
    if np.float16 in (x.dtype, y.dtype) or "c" in (x.dtype.kind, y.dtype.kind):
        return ops.by_reference(node, reference)
    if x.dtype in (np.int8, np.uint8):
        return table(node, reference)
    if y.dtype == np.bool_:
        return each(is_not_zero, x, y)
    if x.dtype.kind == "f" and y.dtype.kind in "iu":
        lo, hi = _range(y)
        return Call(saturate, flat(x), np.float64(lo), np.float64(hi + 1), lo, hi, offset_y, flat(y), writes=[y])
    if y.dtype.kind == "f":
        return each(unchanged, x, y)
    return Call(wrap, flat(x), offset_y - offset_x, flat(y), writes=[y])


@inline
def unchanged(v: Any) -> Any:
    """v, to be converted as it is stored."""
    return v


@inline
def is_not_zero(v: Any) -> bool:
    """Whether v is not 0; NaN is not."""
    return v != 0


@kernel
def wrap(thread: int, threads: int, x: Any, offset: int, y: Any) -> None:
    """y[i] = x[i] + offset, modulo what y holds."""
    for i in range(x.size * thread // threads, x.size * (thread + 1) // threads):
        put(y, i, np.int64(get(x, i)) + offset)


@kernel
def saturate(
    thread: int, threads: int, x: Any, first: float, end: float, lo: int, hi: int, offset: int, y: Any
) -> None:  # fmt: skip
    """y[i] = x[i] without its fraction, at least lo and at most hi, plus offset; first and end are lo and hi + 1."""
    for i in range(x.size * thread // threads, x.size * (thread + 1) // threads):
        v = np.float64(get(x, i))
        if v < first:
            put(y, i, lo + offset)
        elif v < end:
            put(y, i, np.int64(v) + offset)
        else:
            put(y, i, hi + offset)
