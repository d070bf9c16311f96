"""POW: y = x1 ^ x2, with broadcasting.

Floats: the C library's powf. int32: what is beyond int32 becomes -2^31, as the conversion from float64 gives on x86-64;
exponents below zero are refused when the model is run.

A single exponent that is broadcast and lies within 1e-5 of a positive integer n is taken for it, and the power is a
series of products from the top bit of n down: y = x; then y = y y, and y = x y where n has the bit. There integers
wrap, and floats are clamped to finite numbers after each product.

Sources: TFLite's pow.cc, optimized_ops.h (BroadcastPow4D, IntegerExponentPow).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from int8rt.errors import InputError
from int8rt.graph import Node
from int8rt.native.kernel import inline
from int8rt.numerics import libm
from int8rt.numerics.rules import Numerics
from int8rt.ops._elementwise import call, checked, clamp, guard, shape
from int8rt.simd.memory import as_type_of
from int8rt.steps import Step

TYPES = ("int32", "float32")
NEAR = np.float32(1e-5)
GREATEST = np.finfo(np.float32).max


operands = "x1 x2 -> y"
by_value = True


def shapes(node: Node) -> list[tuple[int, ...]]:
    return [shape(node)]


def reference(node: Node, x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
    _, _, y = checked(node, TYPES)
    if y.type == "int32" and (x2 < 0).any():
        raise InputError(f"{node.label}: an exponent is below zero")
    if _is_single(node):
        exponent = x2.reshape(-1)[0]
        n = _integer_near(exponent)
        if n:
            return _by_products(x1, n)
    if y.type == "float32":
        return libm.pow(x1, x2)
    exponents = np.where(x2 > 32, 32 + (x2 & 1), x2)  # beyond, only 0, 1 and -1 have powers within int32
    powers = x1.astype(object) ** exponents.astype(object)
    return np.where((powers >= -(2**31)) & (powers < 2**31), powers, -(2**31)).astype(np.int32)


def _by_products(x: np.ndarray, n: int) -> np.ndarray:
    limits = np.array([-GREATEST, GREATEST] if x.dtype == np.float32 else [-(2**31), 2**31 - 1], x.dtype)
    y = x
    for bit in bin(n)[3:]:
        y = clamp(np.asarray(y * y), limits)
        y = clamp(np.asarray(x * y), limits) if bit == "1" else y
    return np.asarray(y)


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    a, b, y = checked(node, TYPES)
    if y.type == "float32":
        return [call(float_power, [_is_single(node)], a, b, y)]
    negative = guard(node, b, 0, is_less, "has exponents below zero")
    return [*negative, call(integer_power, [_is_single(node)], a, b, y)]


def _is_single(node: Node) -> bool:
    """Whether one exponent is broadcast."""
    x1, x2 = node.inputs
    return x1 is not None and x2 is not None and x2.size == 1 and x1.shape != x2.shape


@inline
def is_less(value: Any, bound: Any) -> Any:
    """Whether an exponent is too small."""
    return value < bound


@inline
def _integer_near(exponent: Any) -> Any:
    """The positive integer that a float is taken for, or 0."""
    if not 0.5 <= exponent < 2147483648.0:
        return 0
    n = int(np.floor(np.float64(exponent) + 0.5))
    return n if abs(np.float32(exponent) - np.float32(n)) < NEAR else 0


@inline
def _finite(v: Any) -> Any:
    v = -GREATEST if v < -GREATEST else v
    return GREATEST if v > GREATEST else v


@inline
def float_power(a: Any, b: Any, p: Any) -> Any:
    n = np.int64(_integer_near(b)) if p[0] else np.int64(0)
    if n == 0:
        return a**b
    bit = np.int64(1)
    while bit <= n >> 1:
        bit <<= 1
    y = a
    bit >>= 1
    while bit:
        y = _finite(y * y)
        if n & bit:
            y = _finite(a * y)
        bit >>= 1
    return y


@inline
def integer_power(a: Any, b: Any, p: Any) -> Any:
    n, x, y = np.int64(b), np.int64(a), np.int64(1)
    if p[0]:
        while n > 0:
            if n & 1:
                y = np.int64(as_type_of(a, y * x))
            x = np.int64(as_type_of(a, x * x))
            n >>= 1
        return y
    for _ in range(32 + (n & 1) if n > 32 else n):
        y *= x
        if y > 2147483647 or y < -2147483648:
            return np.int64(-2147483648)
    return y
