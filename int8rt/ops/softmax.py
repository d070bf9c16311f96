"""SOFTMAX over the last axis: y = exp(beta (x - m)) / sum of exp(beta (x - m)), with m the largest of a row.

8-bit inputs work in gemmlowp's fixed point: differences in Q5.26, their exponentials in Q0.31, the sum in Q12.19, and
its reciprocal by Newton's method; outputs are 8-bit or int16. int16 inputs go through two tables with interpolation,
one of exp on [-10, 0] and one of 1 / (1 + x) on [0, 1]. float32 is the C library's ``expf`` and a sum from left to
right.
Formulas: TFLite ``reference/softmax.h`` and SoftmaxPrepare.

A difference has only 256 (65,536) values, so the exponentials of all are one table, made at prepare time. LiteRT ends
the process where a row's exponentials sum to 512 or more; the same formulas go on here, with probabilities near 0.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.native.kernel import inline, kernel
from int8rt.numerics import libm
from int8rt.numerics.fixedmath import bit_length, one_over_one_plus
from int8rt.numerics.fixedpoint import high_product, quantize_multiplier, requantize_double_rounding, shift_half_away
from int8rt.numerics.rules import Numerics
from int8rt.numerics.storage import INT8_OFFSET
from int8rt.ops import _lookup, refuse
from int8rt.ops._lookup import check_scales, check_symmetric, curve, flat, interpolate, unary
from int8rt.ops._softmax import differences, largest_of_rows
from int8rt.simd.lanes import lanes_look_up, lanes_scale, lanes_sum
from int8rt.simd.lowerings import SOFTMAX, lower
from int8rt.simd.memory import get, put
from int8rt.simd.runs import largest_of_bytes
from int8rt.steps import Call, Step

operands = "x[1+] -> y"

# {input: outputs}
TYPES = {
    "float32": ("float32",),
    "int8": ("int8", "int16"),
    "uint8": ("uint8", "int16"),
    "int16": ("int16",),
}

# What LiteRT demands of outputs, the scale within 0.1 %: {(input, output): (scale, zero point)}
OUTPUTS = {("int8", "int8"): (1 / 256, -128), ("int16", "int16"): (1 / 32768, 0)}

SUM_INTEGER_BITS = 12
SUM_SHIFT = 12  # from Q0.31 to Q12.19


shapes = _lookup.shapes


# References


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    x_, y_ = unary(node)
    if x.size == 0:
        return x.astype(y_.dtype)
    if x.dtype == np.float32:
        return _float(x, np.float32(node.options.beta))
    difference = x.max(-1, keepdims=True).astype(np.int64) - x
    if x.dtype == np.int16:
        return _int16(exponentials_int16(x_, node.options.beta)[difference])
    return _eight_bits(differences(x_, node.options.beta).exponentials[difference], y_)


def _float(x: np.ndarray, beta: np.float32) -> np.ndarray:
    e = libm.exp((x - largest_of_rows(x)) * beta)
    return e / np.add.accumulate(e, -1, dtype=np.float32)[..., -1:]


def _eight_bits(e: np.ndarray, y: Tensor) -> np.ndarray:
    """Exponentials in Q0.31 to outputs."""
    total = shift_half_away(e.astype(np.int64), SUM_SHIFT).sum(-1, keepdims=True)
    headroom = 32 - np.frexp(total.astype(np.float64))[1].astype(np.int64)
    mantissa = (total << np.maximum(headroom, 0)) >> np.maximum(-headroom, 0)
    inverse = one_over_one_plus(mantissa - (1 << 31))
    info = np.iinfo(y.dtype)
    exponent = SUM_INTEGER_BITS - headroom + 31 - info.bits
    q = shift_half_away(high_product(inverse, e), exponent) + info.min
    return q.clip(info.min, info.max).astype(y.dtype)


def exponentials_int16(x: Tensor, beta: float) -> np.ndarray:
    """exp(-beta s_x d) in Q0.15 for d = 0 ... 65535: int16."""
    unit = 10.0 / 65535.0
    scale = np.float64(np.float32(x.scale) * np.float32(beta)) / unit
    scaled = requantize_double_rounding(-np.arange(65536), *quantize_multiplier(scale)) + 32767
    return interpolate(curve(np.exp, unit, 32767, 2.0 / 65535), scaled.clip(-32768, 32767)).astype(np.int16)


def reciprocals_int16() -> np.ndarray:
    """The curve of 1 / (1 + x) for x in [0, 1], in Q0.15."""
    return curve(lambda x: 1 / (1 + x), 1.0 / 65535, -32768, 2.0 / 65535)


def _int16(e: np.ndarray) -> np.ndarray:
    """Exponentials in Q0.15 to outputs."""
    e = e.astype(np.int64)
    total = e.sum(-1, keepdims=True)
    bits = np.frexp(total.astype(np.float64))[1].astype(np.int64)
    mantissa = ((total << np.maximum(31 - bits, 0) >> np.maximum(bits - 31, 0)) + (1 << 13)) >> 14
    inverse = interpolate(reciprocals_int16(), (mantissa - (1 << 15) - (1 << 16)).clip(-32768, 32767))
    q = (e * inverse + (np.int64(1) << (bits - 2))) >> (bits - 1)
    return q.clip(0, 32767).astype(np.int16)


# Preparation


def prepare(node: Node, numerics: Numerics) -> Step:
    x, y = _checked(node)
    depth = x.shape[-1]
    work = 8 * x.size
    if x.dtype == np.float32:
        beta = np.float32(node.options.beta)
        return Call(softmax_float, flat(x), depth, beta, flat(y), writes=[y], in_place=x, work=4 * work)
    if x.dtype == np.int16:
        parameters = exponentials_int16(x, node.options.beta), reciprocals_int16()
        return Call(softmax_int16, flat(x), depth, *parameters, flat(y), writes=[y], in_place=x, work=work)
    table = differences(x, node.options.beta).exponentials
    if y.dtype.itemsize == 1 and lower(SOFTMAX) == "registers":
        rows = np.ascontiguousarray(table.view(np.uint8).reshape(256, 4).T)
        return Call(softmax_of_bytes, flat(x), depth, rows, flat(y), writes=[y], in_place=x, work=work // 4)
    info = np.iinfo(y.dtype)
    offset = INT8_OFFSET if y.dtype == np.int8 else 0
    limits = info.bits, info.min + offset, info.max + offset
    return Call(softmax, flat(x), depth, table, *limits, flat(y), writes=[y], in_place=x, work=work)


def _checked(node: Node) -> tuple[Tensor, Tensor]:
    """Input and output. Raises ModelError and UnsupportedError."""
    x, y = unary(node)
    if y.type not in TYPES.get(x.type, ()):
        raise refuse(node, f"{x.type} to {y.type} is not supported")
    if x.dtype == np.float32:
        return x, y
    check_scales(node, x)
    if not 0 < node.options.beta < math.inf:
        raise ModelError(f"{node.label}: beta is {node.options.beta:g}, expected a positive number")
    if x.dtype == np.int16:
        check_symmetric(node, x)
    scale, zero_point = OUTPUTS.get((x.type, y.type), (y.scale, y.zero_point))
    if abs(y.scale - scale) > 0.001 * scale or y.zero_point != zero_point:
        found = f"scale {y.scale:g} and zero point {y.zero_point}"
        raise ModelError(f"{node.label}: the output has {found}, expected {scale:g} and {zero_point}")
    return x, y


# Kernels


@kernel
def softmax(
    thread: int, threads: int, x: Any, depth: int, table: Any, bits: int, lo: int, hi: int, y: Any
) -> None:  # fmt: skip
    """Rows of ``depth`` bytes; table int32 [256]: exponentials by difference to the largest; y has ``bits`` bits."""
    rows = x.size // max(depth, 1)
    for row in range(rows * thread // threads, rows * (thread + 1) // threads):
        first, last = row * depth, (row + 1) * depth
        largest = get(x, first)
        for i in range(first, last):
            largest = max(largest, get(x, i))
        top = np.int64(largest)
        total = 0
        for i in range(first, last):
            total += shift_half_away(np.int64(table[top - get(x, i)]), SUM_SHIFT)
        inverse, exponent = reciprocal(total, bits)
        for i in range(first, last):
            q = shift_half_away(high_product(inverse, table[top - get(x, i)]), exponent) + lo
            put(y, i, min(max(q, lo), hi))


@inline
def reciprocal(total: int, bits: int) -> tuple[int, int]:
    """1 / total, a sum in Q12.19, as a factor in Q0.31 and a shift to the right, for outputs of so many bits."""
    headroom = 32 - bit_length(total)
    mantissa = total << headroom if headroom >= 0 else total >> -headroom
    return one_over_one_plus(mantissa - 2147483648), SUM_INTEGER_BITS - headroom + 31 - bits


@kernel
def softmax_of_bytes(thread: int, threads: int, x: Any, depth: int, table: Any, y: Any) -> None:
    """``softmax`` from bytes to bytes, 64 at a time; table uint8 [4, 256]: the bytes of the exponentials."""
    rows = x.size // max(depth, 1)
    for row in range(rows * thread // threads, rows * (thread + 1) // threads):
        first, last = row * depth, (row + 1) * depth
        top = largest_of_bytes(x, first, depth)
        total = 0
        for i in range(first, last, 64):
            total += lanes_sum(lanes_look_up(table, top, x, i, last - i), SUM_SHIFT)
        inverse, exponent = reciprocal(total, 8)
        for i in range(first, last, 64):
            lanes_scale(lanes_look_up(table, top, x, i, last - i), inverse, exponent, y, i, last - i)


@kernel
def softmax_int16(thread: int, threads: int, x: Any, depth: int, table: Any, reciprocals: Any, y: Any) -> None:
    """Rows of ``depth`` int16; table int16 [65536]: exponentials by difference; reciprocals int16 [513], a curve."""
    rows = x.size // max(depth, 1)
    for row in range(rows * thread // threads, rows * (thread + 1) // threads):
        first, last = row * depth, (row + 1) * depth
        largest = get(x, first)
        for i in range(first, last):
            largest = max(largest, get(x, i))
        top = np.int64(largest)
        total = 0
        for i in range(first, last):
            total += table[top - get(x, i)]
        bits = bit_length(total)
        mantissa = total << (31 - bits) if bits <= 31 else total >> (bits - 31)
        at = ((mantissa + 8192) >> 14) - 98304
        inverse = interpolate(reciprocals, min(max(at, -32768), 32767))
        for i in range(first, last):
            q = (table[top - get(x, i)] * inverse + (1 << (bits - 2))) >> (bits - 1)
            put(y, i, min(max(q, 0), 32767))


@kernel
def softmax_float(thread: int, threads: int, x: Any, depth: int, beta: float, y: Any) -> None:
    """Rows of ``depth`` float32."""
    rows = x.size // max(depth, 1)
    for row in range(rows * thread // threads, rows * (thread + 1) // threads):
        first, last = row * depth, (row + 1) * depth
        largest = np.float32(-3.4028234663852886e38)
        for i in range(first, last):
            v = get(x, i)
            largest = v if largest < v else largest
        total = np.float32(0)
        for i in range(first, last):
            e = math.exp((get(x, i) - largest) * beta)
            put(y, i, e)
            total += e
        for i in range(first, last):
            put(y, i, get(y, i) / total)
