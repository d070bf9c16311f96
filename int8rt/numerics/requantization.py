"""From accumulator to stored output, fast and exact: the one thing that stands between a sum of products and memory.

A ``Rounding`` says what is wanted, and ``requantized`` computes it for one accumulator. ``parameters`` turns it into
constants for vectors of 16 columns, where that is exact for all accumulators that can occur. Both roundings end in one
fixed-point formula on an accumulator ``acc``:

    x = acc + B;  h = (x * 2m) >> 32  (unsigned);  q = (h + C - (x < N)) >> e

**Double rounding** with multiplier m and right shift e: B makes B * m = 2**30 modulo 2**31, so that h is the rounded
high product but for a constant; C takes that away again and adds one half and the zero point; N = B where e > 0 makes
halves of negative values round away from zero. It holds for -2**30 <= acc < 2**30 and 0 <= e <= 22;
docs/performance.md has the proof.

**Double precision**, a product in float64: with e > 0, B = 2**31 makes h the high product rounded down, so that q is
one rounding of acc * m, half up. Both are monotone in acc; they are equal if they step at the same accumulators, which
is checked for each of the 255 steps of every column (``_steps_agree``). Where they are not, the kernel multiplies in
float64.

Filters that do not fit are made to fit where possible: a left shift moves into the weights (``fitted``), and a column
whose output is the same for every accumulator becomes a constant.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from int8rt.native.kernel import stage
from int8rt.numerics.fixedpoint import Multiplier, quantize_multiplier, requantize_double, requantize_double_rounding

ROWS = 5  # of Parameters; the last one is the bias


class Rounding(NamedTuple):
    """The wanted output of each column: double rounding where ``scale`` is empty, else double precision; clamped."""

    multiplier: np.ndarray  # int64 [columns]
    shift: np.ndarray  # int64 [columns]
    scale: np.ndarray  # float64 [columns] or [0]
    zero_point: int
    lo: int
    hi: int

    @property
    def rule(self) -> str:
        """The rounding's name in fixedpoint: ``requantize_`` and this."""
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


@stage
def requantized(acc: int, r: Any, c: int) -> int:
    """What is stored of an accumulator of column c, by what has the fields of a Rounding: its ``apply`` for kernels."""
    if r.scale.size:
        q = np.int64(requantize_double(acc, r.scale[c]))
    else:
        q = requantize_double_rounding(acc, r.multiplier[c], r.shift[c])
    return min(max(q + r.zero_point, r.lo), r.hi)


def double_rounding(scales: np.ndarray, zero_point: int, lo: int, hi: int) -> Rounding:
    """Both roundings in fixed point (gemmlowp)."""
    return Rounding(*quantize_multiplier(scales), np.zeros(0), zero_point, lo, hi)


def double_rounding_once(m: Multiplier, zero_point: int, lo: int, hi: int) -> Rounding:
    """The same for one column whose multiplier is in fixed point already."""
    return Rounding(np.array([m.multiplier]), np.array([m.shift]), np.zeros(0), zero_point, lo, hi)


def double_precision(scales: np.ndarray, zero_point: int, lo: int, hi: int) -> Rounding:
    """Product in float64, rounded half away from zero."""
    none = np.zeros(len(scales), np.int64)
    return Rounding(none, none, np.asarray(scales, np.float64), zero_point, lo, hi)


class Filters(NamedTuple):
    """What rows of bytes are multiplied with, a filter per output column.

    Weights are less their zero point; that of x is folded into the bias.
    """

    w: np.ndarray  # int16 or int8 [columns, depth]
    bias: np.ndarray  # int64 [columns]
    rounding: Rounding

    @property
    def least(self) -> np.ndarray:
        """The smallest accumulator that bytes 0 ... 255 can give, int64 [columns]."""
        return np.asarray(self.bias + 255 * row_sums(np.minimum(self.w, 0)))

    @property
    def most(self) -> np.ndarray:
        """The largest."""
        return np.asarray(self.bias + 255 * row_sums(np.maximum(self.w, 0)))

    @property
    def bound(self) -> int:
        """What no accumulator exceeds in magnitude, found without looking at every weight."""
        least, most = limits(self.w)
        return int(np.abs(self.bias).max(initial=0)) + 255 * self.w.shape[1] * max(-least, most)


def limits(w: np.ndarray) -> tuple[int, int]:
    """Numbers that no weight is below, and none above: those of int8, or the least and the largest weight."""
    return (-128, 127) if w.dtype == np.int8 else (int(w.min(initial=0)), int(w.max(initial=0)))


def row_sums(w: np.ndarray) -> np.ndarray:
    """The sums of rows of int8 or int16, int64 [rows]; in int32, which takes half the time, where they fit."""
    sums = np.add.reduce(w, axis=1, dtype=np.int32 if w.shape[1] < 1 << 16 else np.int64)
    return np.asarray(sums, np.int64)


LIMIT = 1 << 30  # accumulators must stay below it in magnitude
MAX_SHIFT = 22


class Parameters(NamedTuple):
    """Requantization parameters for kernels of that kind, int32 [ROWS, columns]; the last row is the bias.

    ``fixed``: 2m, C, e, N, B + bias. ``plain``: the same where N is 0 or changes nothing, since the clamp begins at
    the zero point. ``double``: the scales' low and high words, zero point, nothing, bias.
    """

    kind: str
    rows: np.ndarray


def fitted(filters: Filters) -> Filters:
    """The same outputs from filters that more often have Parameters: left shifts moved into the weights."""
    w, bias, r = filters
    left = np.maximum(_multiplier(r)[1], 0)
    if not left.any() or (left > 3).any():
        return filters
    scale = np.ldexp(r.scale, -left) if r.scale.size else r.scale
    shift = r.shift if r.scale.size else r.shift - left
    moved = Filters(
        w.astype(np.int16) << left[:, None].astype(np.int16), bias << left, r._replace(shift=shift, scale=scale)
    )
    wraps = np.maximum(-moved.least, moved.most) >= 1 << 31  # there a shift of the accumulator would wrap
    return filters if wraps.any() else moved


def parameters(filters: Filters) -> Parameters | None:
    """Constants that give the wanted outputs for every accumulator that can occur; None where there are none."""
    r = filters.rounding
    m, shift = _multiplier(r)
    exact = (shift <= 0) & (shift >= -MAX_SHIFT) & (m > 0)
    if filters.bound >= LIMIT:
        largest = np.maximum(-filters.least, filters.most)
        if largest.max(initial=0) >= 1 << 31:
            return None
        exact &= largest < LIMIT
    m, e = np.where(exact, m, 1 << 30), np.where(exact, -shift, 0)
    if r.rule == "double":
        exact &= _steps_agree(r, m, e)
    low: np.ndarray | int = 0  # what columns give that are not exact, but the same for every accumulator
    if not exact.all():
        least, most = filters.least, filters.most
        low, high = r.apply(least), r.apply(most)
        # no left shift that wraps
        rises = (r.rule == "double") | (np.maximum(-least, most) < (1 << 31) >> np.clip(shift, 0, 31))
        if not (exact | (rises & (low == high))).all():
            return _double(filters) if r.rule == "double" else None
    half = (1 << e) >> 1
    twice = (e == 0) | (
        r.rule == "double_rounding"
    )  # the high product is rounded too; without a shift it is all there is
    b = np.where(twice, (1 << 30) + np.where(m & 1, 0, (1 << 30) // (m & -m)), 1 << 31)
    added = (b * m - np.where(twice, 1 << 30, 0)) >> 31
    negative = np.where(twice & (e > 0), b, 0)
    rows = [2 * m, half + (r.zero_point << e) - added, e, negative, b + filters.bias]
    constants = [0, low, 0, 0, 0]
    kind = "plain" if r.lo >= r.zero_point or not negative.any() else "fixed"
    return Parameters(kind, _int32([np.where(exact, row, other) for row, other in zip(rows, constants, strict=True)]))


def _multiplier(r: Rounding) -> tuple[np.ndarray, np.ndarray]:
    return quantize_multiplier(r.scale) if r.scale.size else (r.multiplier, r.shift)


def _steps_agree(r: Rounding, m: np.ndarray, e: np.ndarray) -> np.ndarray:
    """Whether one rounding of acc * m * 2**-(31 + e), half up, is the rounding of acc * scale for every acc; per
    column.

    The fixed-point result reaches k at acc = ceil((k * 2**(31 + e) - 2**(30 + e)) / m). There, and not before, the
    product in float64 must reach it too.
    """
    k = np.arange(r.lo - r.zero_point + 1, r.hi - r.zero_point + 1)[:, None]
    step = -(-((k << (31 + e)) - (1 << (30 + e))) // m)
    reached = requantize_double(step, r.scale) >= k
    before = requantize_double(step - 1, r.scale) < k
    return np.asarray((reached & before).all(axis=0))


def _double(filters: Filters) -> Parameters:
    scale = filters.rounding.scale
    words = np.ascontiguousarray(scale).view(np.uint32).reshape(-1, 2)
    zero = np.full(len(scale), filters.rounding.zero_point)
    return Parameters("double", _int32([words[:, 0], words[:, 1], zero, np.zeros_like(zero), filters.bias]))


def _int32(rows: list[np.ndarray]) -> np.ndarray:
    return np.array([np.asarray(row, np.int64) & 0xFFFFFFFF for row in rows], np.uint32).view(np.int32)
