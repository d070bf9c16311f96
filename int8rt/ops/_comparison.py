"""What the comparisons share: EQUAL, NOT_EQUAL, GREATER, GREATER_EQUAL, LESS, LESS_EQUAL.

int8 and uint8, and quantized int16 in EQUAL and NOT_EQUAL, are brought to one scale before they are compared:

    v_i = R(s_i, (x_i - z_i) 2^8)

R is double rounding (numerics 3.1). So neighbouring values of a scale below 2^-8 may count as equal. Scales from 1 on,
with which LiteRT aborts or shifts by a negative amount, are both divided by the power of two that brings them below 1.
All other types are compared as they are, int16 in GREATER, GREATER_EQUAL, LESS and LESS_EQUAL too, whatever its
quantization.

The values v_i are tables here. GREATER is LESS with its operands exchanged.

Sources: TFLite's comparisons.cc, reference/comparisons.h.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.native.kernel import Inline, inline
from int8rt.numerics.fixedpoint import quantize_multiplier, requantize_double_rounding
from int8rt.ops._elementwise import EIGHT_BITS, PLAIN, call_into, check_scales, is_quantized
from int8rt.steps import Call

TYPES = (*EIGHT_BITS, "int16", *PLAIN)
TYPES_OF_EQUAL = (*TYPES, "bool")
LEFT = 8


def reference(node: Node, x1: np.ndarray, x2: np.ndarray, relation: Callable[..., Any]) -> np.ndarray:
    """relation(x1, x2), bool."""
    a, b = _checked(node)
    if _is_scaled(node):
        t1, t2 = _tables(a, b)
        lowest = np.iinfo(x1.dtype).min
        x1, x2 = t1[x1.astype(np.int64) - lowest], t2[x2.astype(np.int64) - lowest]
    return np.asarray(relation(x1, x2))


def prepare(node: Node, plain: Inline, scaled: Inline, exchanged: bool = False) -> Call:
    """The Call that compares by one of the formulas below."""
    a, b = _checked(node)
    if exchanged:
        a, b = b, a
    if not _is_scaled(node):
        return call_into(plain, np.zeros(1, np.int64), a, b, node.outputs[0])
    lowest = 0 if a.type in EIGHT_BITS else np.iinfo(a.dtype).min
    p = np.concatenate([[lowest], *_tables(a, b)]).astype(np.int32)
    return call_into(scaled, p, a, b, node.outputs[0])


def _checked(node: Node) -> tuple[Tensor, Tensor]:
    """The operands. Raises ModelError and UnsupportedError."""
    x1, x2 = node.given
    if x1.type != x2.type:
        raise ModelError(f"{node.label} compares {x1.type} with {x2.type}; one type was expected")
    types = TYPES_OF_EQUAL if _is_equality(node) else TYPES
    if x1.type not in types:
        raise ops.refuse(node, f"supported are {', '.join(types)}")
    if _is_scaled(node):
        check_scales(node, x1, x2)
    return x1, x2


def _is_equality(node: Node) -> bool:
    return node.op in ("EQUAL", "NOT_EQUAL")


def _is_scaled(node: Node) -> bool:
    x1, _ = node.given
    return x1.type in EIGHT_BITS or (x1.type == "int16" and _is_equality(node) and is_quantized(x1))


def _tables(*operands: Tensor) -> list[np.ndarray]:
    """What each operand's values, from the lowest on, are compared as."""
    excess = max(0, *(int(np.frexp(np.float64(t.scale))[1]) for t in operands))
    tables = []
    for t in operands:
        info = np.iinfo(t.dtype)
        values = (np.arange(info.min, info.max + 1) - t.zero_point) << LEFT
        tables.append(requantize_double_rounding(values, *quantize_multiplier(t.scale * 2.0**-excess)))
    return tables


# Formulas. p of the scaled ones is the lowest stored value, then both tables.


@inline
def _first(a: Any, p: Any) -> Any:
    return p[1 + a - p[0]]


@inline
def _second(b: Any, p: Any) -> Any:
    return p[1 + ((p.size - 1) >> 1) + b - p[0]]


@inline
def equal(a: Any, b: Any, p: Any) -> Any:
    return np.uint8(a == b)


@inline
def not_equal(a: Any, b: Any, p: Any) -> Any:
    return np.uint8(a != b)


@inline
def less(a: Any, b: Any, p: Any) -> Any:
    return np.uint8(a < b)


@inline
def less_equal(a: Any, b: Any, p: Any) -> Any:
    return np.uint8(a <= b)


@inline
def equal_scaled(a: Any, b: Any, p: Any) -> Any:
    return np.uint8(_first(a, p) == _second(b, p))


@inline
def not_equal_scaled(a: Any, b: Any, p: Any) -> Any:
    return np.uint8(_first(a, p) != _second(b, p))


@inline
def less_scaled(a: Any, b: Any, p: Any) -> Any:
    return np.uint8(_first(a, p) < _second(b, p))


@inline
def less_equal_scaled(a: Any, b: Any, p: Any) -> Any:
    return np.uint8(_first(a, p) <= _second(b, p))
