"""From accumulator to stored output, fast and exact: the one thing that stands between a sum of products and memory.

A ``Rounding`` says what is wanted; ``formula`` turns it into constants for vectors of 16 columns, where that is exact for all
accumulators that can occur.

**Rule A** on an accumulator ``acc`` with multiplier m > 0 and right shift e has both its roundings folded into one shift:

    x = acc + B;  h = (x * 2m) >> 32  (unsigned);  q = (h + C - (acc < 0 and e > 0)) >> e

B makes B * m = 2**30 modulo 2**31; C takes away again what B added, and adds one half and the zero point. It holds for
-2**30 <= acc < 2**30 and 0 <= e <= 22; the proof is in docs/performance.md. **Rule C** is a product in float64.

Columns that do not fit are made to fit where possible (``fitted``): a left shift moves into the weights, and a column whose
output is the same for every accumulator becomes a constant.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from int8rt.fixedpoint import quantize_multiplier, requantize_double, requantize_double_rounding

ROWS = 5  # of the constants of a formula; the last one is the bias


class Rounding(NamedTuple):
    """The wanted output of each column: rule A where ``scale`` is empty, else rule C; then zero point and clamp."""

    multiplier: np.ndarray  # int64 [columns]
    shift: np.ndarray  # int64 [columns]
    scale: np.ndarray  # float64 [columns] or [0]
    zero_point: int
    lo: int
    hi: int

    @property
    def rule(self) -> str:
        """The rule's name in fixedpoint: ``requantize_`` and this."""
        return "double" if self.scale.size else "double_rounding"

    def part(self, columns: slice) -> Rounding:
        """The same for some of the columns."""
        return self._replace(**{name: getattr(self, name)[columns] for name in ("multiplier", "shift", "scale")})

    def apply(self, acc: np.ndarray) -> np.ndarray:
        """Stored outputs of accumulators, int64 [..., columns]."""
        if self.scale.size:
            q = requantize_double(acc, self.scale).clip(-(2.0**62), 2.0**62).astype(np.int64)
        else:
            q = requantize_double_rounding(acc, self.multiplier, self.shift)
        return np.asarray((q + self.zero_point).clip(self.lo, self.hi))


def rule_a(scales: np.ndarray, zero_point: int, lo: int, hi: int) -> Rounding:
    """Double rounding in fixed point (gemmlowp)."""
    return Rounding(*quantize_multiplier(scales), np.zeros(0), zero_point, lo, hi)


def rule_c(scales: np.ndarray, zero_point: int, lo: int, hi: int) -> Rounding:
    """Product in float64, rounded half away from zero."""
    none = np.zeros(len(scales), np.int64)
    return Rounding(none, none, np.asarray(scales, np.float64), zero_point, lo, hi)


class Columns(NamedTuple):
    """What the rows of bytes are multiplied with: weights less their zero point, bias with x's zero point folded in."""

    w: np.ndarray  # int16 [columns, depth]
    bias: np.ndarray  # int64 [columns]
    rounding: Rounding

    @property
    def least(self) -> np.ndarray:
        """The smallest accumulator that bytes 0 ... 255 can give, int64 [columns]."""
        return np.asarray(self.bias + 255 * np.minimum(self.w, 0).sum(axis=1, dtype=np.int64))

    @property
    def most(self) -> np.ndarray:
        """The largest."""
        return np.asarray(self.bias + 255 * np.maximum(self.w, 0).sum(axis=1, dtype=np.int64))


LIMIT = 1 << 30  # accumulators must stay below it in magnitude
MAX_SHIFT = 22


def fitted(columns: Columns) -> Columns:
    """The same outputs from columns that more often have a formula: left shifts moved into the weights."""
    w, bias, r = columns
    left = np.maximum(r.shift, 0)
    if r.scale.size or not left.any() or (left > 3).any():
        return columns
    moved = Columns((w << left[:, None]).astype(np.int16), bias << left, r._replace(shift=r.shift - left))
    wraps = np.maximum(-moved.least, moved.most) >= 1 << 31  # there a shift of the accumulator would wrap
    return columns if wraps.any() else moved


def formula(columns: Columns) -> np.ndarray | None:
    """Constants of the rule's formula, int32 [ROWS, columns], or None where it is inexact for some column.

    Rule A: doubled multiplier, rounding constant, shift, what an x below means a negative accumulator, bias. Rule C: the
    scales' low and high words, zero point, nothing, bias.
    """
    r = columns.rounding
    if np.maximum(-columns.least, columns.most).max(initial=0) >= 1 << 31:
        return None
    if r.rule == "double":
        words = r.scale.view(np.uint32).reshape(-1, 2)
        zero = np.full(len(r.scale), r.zero_point)
        return _int32([words[:, 0], words[:, 1], zero, np.zeros_like(zero), columns.bias])
    low, high = r.apply(columns.least), r.apply(columns.most)
    constant = (low == high) & (np.maximum(-columns.least, columns.most) < 1 << 31)
    small = np.maximum(-columns.least, columns.most) < LIMIT
    exact = small & (r.shift <= 0) & (r.shift >= -MAX_SHIFT) & (r.multiplier > 0)
    if not (exact | constant).all():
        return None
    m, e = np.where(exact, r.multiplier, 1 << 30), np.where(exact, -r.shift, 0)
    b = (1 << 30) + np.where(m & 1, 0, (1 << 30) // (m & -m))
    added = (b * 2 * m - (1 << 31)) >> 32
    half = np.where(e > 0, 1 << np.maximum(e - 1, 0), 0)
    rows = [2 * m, half + (r.zero_point << e) - added, e, np.where(e > 0, b, 0), b + columns.bias]
    zero = np.zeros_like(m)
    constants = [zero, low, zero, zero, zero]
    return _int32([np.where(exact, row, other) for row, other in zip(rows, constants, strict=True)])


def _int32(rows: list[np.ndarray]) -> np.ndarray:
    return np.array([np.asarray(row, np.int64) & 0xFFFFFFFF for row in rows], np.uint32).view(np.int32)
