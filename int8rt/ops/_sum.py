"""What ADD and SUB share: y = x1 + x2 and y = x1 - x2.

Quantized values are brought to a common scale, that of twice the larger one, with ``left`` more bits:

    v_i = R(s_i / (2 max(s1, s2)), (x_i - z_i) 2^left)
    y   = z_y + R(2 max(s1, s2) / (2^left s_y), v1 +- v2)        clamped

R is double rounding (numerics 3.1), and left is 20 for 8 bits, 15 for int16. int16 tensors whose scales are powers of
two, with ``pot_scale_int16`` set, are instead shifted to the output's scale, rounding half away from zero: the same
formula with other multipliers.

Of 8-bit values the result is nearly always the same as that of one multiply-add,

    y   = (k1 x1 + k2 x2 + c) >> 29                              clamped

with 30-bit multipliers k, worked on as two digits of 15 bits so that int32 holds every step. ``linear`` looks for a c
that gives the formula's own result for all 65,536 pairs; where there is none the formula itself runs.

Other types are added as they are; integers wrap before they are clamped to the fused activation. Whatever type the file
declares for y, it is that of x2: see the reader.

Sources: TFLite's add.cc, sub.cc, reference/add.h, reference/sub.h.
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any, NamedTuple

import numpy as np

from int8rt import ops
from int8rt.graph import Node, Tensor
from int8rt.native.kernel import inline, kernel
from int8rt.numerics import storage
from int8rt.numerics.fixedpoint import Multiplier, activation_range, multiplier_of, requantize_double_rounding
from int8rt.numerics.storage import Stored, storage_dtype, stored_zero
from int8rt.ops._elementwise import (
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
)
from int8rt.simd.memory import as_type_of
from int8rt.simd.pairs import weighted_sum
from int8rt.steps import Call, Flat

IDENTITY = Multiplier(1 << 30, 1)


class Scaling(NamedTuple):
    """How quantized operands are brought together."""

    left: int
    first: Multiplier
    second: Multiplier
    out: Multiplier


def reference(node: Node, x1: np.ndarray, x2: np.ndarray, sign: int) -> np.ndarray:
    """x1 + sign * x2."""
    a, b, y = _checked(node, sign)
    if not _scaled(node, sign):
        return clamp(np.asarray(x1 + x2 if sign > 0 else x1 - x2), limits(node, y))
    s = scaling(node, a, b, y)
    v1 = requantize_double_rounding((x1.astype(np.int64) - a.zero_point) << s.left, *s.first)
    v2 = requantize_double_rounding((x2.astype(np.int64) - b.zero_point) << s.left, *s.second)
    q = requantize_double_rounding(v1 + sign * v2, *s.out) + y.zero_point
    return q.clip(*activation_range(y, activation(node)))


def prepare(node: Node, sign: int) -> Call:
    """The Call that computes x1 + sign * x2."""
    a, b, y = _checked(node, sign)
    if sign > 0:
        a, b = full_first(a, b)
    if not _scaled(node, sign):
        return call(plain_sum if sign > 0 else plain_difference, limits(node, y), a, b, y)
    s, t = scaling(node, a, b, y), storage.stored(y, activation(node))
    zeros = stored_zero(a), stored_zero(b)
    fast = _linear_call(s, zeros, t, sign, a, b, y) if y.type in EIGHT_BITS else None
    if fast is not None:
        return fast
    p = [s.left, zeros[0], *s.first, zeros[1], *s.second, min(sign, 0), *s.out, t.zero_point, t.lo, t.hi]
    return call(scaled_sum, p, a, b, y)


def _checked(node: Node, sign: int) -> tuple[Tensor, Tensor, Tensor]:
    x1, x2, y = checked(node, (*EIGHT_BITS, "int16", *PLAIN))
    if _scaled(node, sign):
        check_scales(node, x1, x2, y)
    if y.type == "int16" and any(t.zero_point for t in (x1, x2, y)):
        raise ops.refuse(node, "int16 tensors must have zero point 0")
    return x1, x2, y


def _scaled(node: Node, sign: int) -> bool:
    """Whether the operands are rescaled; int16 always is in SUB, in ADD where there are scales."""
    tensors = (*node.given, *node.outputs)
    return tensors[0].type in EIGHT_BITS or (
        tensors[0].type == "int16" and (sign < 0 or any(is_quantized(t) for t in tensors))
    )


def scaling(node: Node, x1: Tensor, x2: Tensor, y: Tensor) -> Scaling:
    """The multipliers of quantized operands. Raises UnsupportedError where LiteRT would not run the node."""
    if y.type == "int16" and getattr(node.options, "pot_scale_int16", True):
        logs = [_log2(t.scale) for t in (x1, x2, y)]
        if None not in logs:
            return _powers_of_two(node, *map(int, logs))  # type: ignore[arg-type]
    left = 15 if y.type == "int16" else 20
    common = 2 * np.float64(max(x1.scale, x2.scale))
    out = common / (np.float64(1 << left) * np.float64(y.scale))
    if out >= 1:  # LiteRT aborts in ADD; in SUB it shifts by a negative amount
        raise ops.refuse(node, f"output scale {y.scale} is too small for input scales {x1.scale} and {x2.scale}")
    first, second = multiplier_of(x1.scale / common), multiplier_of(x2.scale / common)
    return Scaling(left, first, second, multiplier_of(out))


def pairs(s: Scaling, zeros: tuple[int, int], t: Stored, sign: int) -> np.ndarray:
    """The result q[a, b] that each pair of stored bytes must have, int32.

    Planning spends most of its time on a sum here. So the last step of double rounding is made in place, and in two
    halves, for the cache's sake. Sums of bytes are below 2^28, so that no shift wraps and int32 has room for what is
    added.
    """
    stored = np.arange(256, dtype=np.int64)
    v1 = requantize_double_rounding((stored - zeros[0]) << s.left, *s.first)
    v2 = sign * requantize_double_rounding((stored - zeros[1]) << s.left, *s.second)
    multiplier, right = s.out.multiplier << max(s.out.shift, 0), max(-s.out.shift, 0)
    result = np.empty((256, 256), np.int32)
    for rows in (slice(128), slice(128, 256)):
        products = np.add.outer(v1[rows] * multiplier + (1 << 30), v2 * multiplier)
        products >>= 31
        q = result[rows]
        q[...] = products
        if right:  # half away from zero: half up, of what is below zero one less
            q += q >> 31
            q += np.int32(1 << right >> 1)
            q >>= right
        q += np.int32(t.zero_point)
    return result.clip(t.lo, t.hi, out=result)


def linear(s: Scaling, q: np.ndarray, t: Stored, sign: int, point: int) -> np.ndarray | None:
    """Digits of k1, k2 and c, and the clamp, int32, or None where no c gives q for every pair.

    ``point`` is how many bits of them are fraction.
    """
    real = s.out.multiplier * 2.0 ** (s.out.shift - 31) * 2.0 ** (s.left + point)
    k1, k2 = (round(m.multiplier * 2.0 ** (m.shift - 31) * real) for m in (s.first, s.second))
    found = functools.cache(functools.partial(_constants_of_rows, q, t, point))
    for d1, d2 in itertools.product((0, 1, -1), repeat=2):
        factors = k1 + d1, sign * (k2 + d2)
        product = factors[0] * np.arange(256, dtype=np.int64)
        least, most = found(factors[1])
        lowest, highest = int((least - product).max()), int((most - product).min())
        if lowest <= highest:
            return _digits(*factors, (lowest + highest) // 2 if t.lo < t.hi else -1, t)
    return None


NO_LIMIT = 1 << 61


def _constants_of_rows(q: np.ndarray, t: Stored, point: int, k2: int) -> tuple[np.ndarray, np.ndarray]:
    """For each a, the least and the largest constant for which (constant + k2 b) >> point, clamped, is q[a, b]."""
    x = np.left_shift(q, point, dtype=np.int64)
    x -= k2 * np.arange(256, dtype=np.int64)
    least = np.max(x, axis=1, where=q > t.lo, initial=-NO_LIMIT)
    most = np.min(x, axis=1, where=q < t.hi, initial=NO_LIMIT)
    return least, most + ((1 << point) - 1)


def _linear_call(
    s: Scaling, zeros: tuple[int, int], t: Stored, sign: int, a: Tensor, b: Tensor, y: Tensor
) -> Call | None:  # fmt: skip
    """The Call for one multiply-add, if there is one."""
    q = pairs(s, zeros, t, sign)
    whole = a.shape == b.shape and not a.is_constant and not b.is_constant  # only the arena may be read past an end
    digits = linear(s, q, t, sign, POINT)
    if whole:
        for point in (POINT, POINT - 2):
            fewer = digits if point == POINT else linear(s, q, t, sign, point)
            if fewer is not None and max(abs(fewer[0]), abs(fewer[2])) < 1 << 15:
                flat = [Flat(x, storage_dtype(x.dtype)) for x in (a, b, y)]
                p = np.append(fewer, np.int32(point - DIGIT))
                return Call(sum_bytes, *flat[:2], p, flat[2], writes=[y], in_place=a, work=4 * y.size)
    return None if digits is None else call(linear_sum, digits, a, b, y)


def _digits(k1: int, k2: int, c: int, t: Stored) -> np.ndarray | None:
    """k1, k2 and c in digits of 15 bits, with the clamp; None where the high ones could leave int32."""
    high1, low1, high2, low2, high, low = (digit for k in (k1, k2, c) for digit in divmod(k, 1 << DIGIT))
    if 255 * (abs(high1) + abs(high2)) + abs(high) >= 1 << 30:
        return None
    return np.array([high1, low1, high2, low2, high, low, t.lo, t.hi], np.int32)


POINT = 29  # fraction bits of linear_sum; sum_bytes can do with fewer, where the multipliers are large
DIGIT = 15


def _powers_of_two(node: Node, log1: int, log2: int, log_y: int) -> Scaling:
    right = log_y - log1, log_y - log2
    if min(right) < 0 or 0 not in right:
        raise ops.refuse(
            node,
            f"of scales 2^{log1}, 2^{log2} and 2^{log_y} of the output, one input's must be the output's, none larger",
        )
    return Scaling(1, Multiplier(1 << 30, -right[0]), Multiplier(1 << 30, -right[1]), IDENTITY)


def _log2(scale: np.float32) -> int | None:
    """The logarithm of a power of two; None of other numbers. Source: CheckedLog2 of TFLite's quantization_util.cc."""
    log = math.log2(scale)
    return round(log) if abs(log - round(log)) < 1e-3 else None


@inline
def scaled_sum(a: Any, b: Any, p: Any) -> Any:
    """``minus`` is -1 to subtract, else 0."""
    left, z1, m1, e1, z2, m2, e2, minus, m, e, z, lo, hi, _, _, _ = p
    v1 = requantize_double_rounding((np.int64(a) - z1) << left, m1, e1)
    v2 = requantize_double_rounding((np.int64(b) - z2) << left, m2, e2)
    q = requantize_double_rounding(v1 + (v2 ^ minus) - minus, m, e) + z
    return min(max(q, lo), hi)


@kernel
def sum_bytes(thread: int, threads: int, a: Any, b: Any, p: Any, y: Any) -> None:
    """``linear_sum`` of tensors of one shape, 64 bytes at a time."""
    blocks = (y.size + 63) // 64
    for block in range(blocks * thread // threads, blocks * (thread + 1) // threads):
        weighted_sum(a, b, block * 64, p, y, y.size - block * 64)


@inline
def linear_sum(a: Any, b: Any, p: Any) -> Any:
    """Every step fits int32, and is kept there so that twice as many fit a vector."""
    high1, low1, high2, low2, high, low, lo, hi, _, _, _, _, _, _, _, _ = p
    x1, x2 = np.int32(a), np.int32(b)
    carry = np.int32(x1 * low1 + x2 * low2 + low) >> DIGIT
    q = np.int32(x1 * high1 + x2 * high2 + high + carry) >> (POINT - DIGIT)
    return min(max(q, lo), hi)


@inline
def plain_sum(a: Any, b: Any, p: Any) -> Any:
    v = as_type_of(a, a + b)
    v = p[0] if v < p[0] else v
    return p[1] if p[1] < v else v


@inline
def plain_difference(a: Any, b: Any, p: Any) -> Any:
    v = as_type_of(a, a - b)
    v = p[0] if v < p[0] else v
    return p[1] if p[1] < v else v
