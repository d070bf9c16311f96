"""Random cases of quantize_and_dequantize and fake_quant, the same on every machine and under every version of NumPy.

Only raw bits of PCG64 and exact operations make them, so that ``data/make_simulate.py`` may store TensorFlow's answers
to the former as one digest per case.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

COUNT = 10_000
FAKE_COUNT = 300
TYPES = (np.float16, np.float32, np.float64)
SHAPES = (((16,), None), ((37,), None), ((), None), ((2, 3, 5), None), ((2, 3, 5), 1), ((4, 3), 0), ((3, 7), -1))
USUAL = {np.float16: (-4, 6), np.float32: (-10, 10), np.float64: (-20, 20)}  # exponents of 2
EXTREME = {np.float16: (-22, -14, 15), np.float32: (-135, -122, 125), np.float64: (-1030, -1018, 1020)}


class Case(NamedTuple):
    x: np.ndarray
    input_min: np.ndarray
    input_max: np.ndarray
    signed_input: bool
    num_bits: int
    range_given: bool
    round_mode: str
    narrow_range: bool
    axis: int | None

    def options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._fields[3:]}


class FakeCase(NamedTuple):
    x: np.ndarray
    min: np.float32
    max: np.float32
    num_bits: int
    narrow_range: bool


class Draw:
    """Numbers from a seed."""

    def __init__(self, seed: int) -> None:
        self.bits = np.random.PCG64(seed)

    def below(self, n: int) -> int:
        return int(self.bits.random_raw()) % n

    def flag(self) -> bool:
        return self.below(2) == 1

    def reals(self, shape: Any, exponent: int) -> np.ndarray:
        """float64 [*shape], evenly from -2^exponent to 2^exponent."""
        raw = np.asarray(self.bits.random_raw(int(np.prod(shape))) >> np.uint64(11), np.int64)
        return np.ldexp(raw * 2.0**-52 - 1, exponent).reshape(shape)


def cases() -> Iterator[Case]:
    return (case(i) for i in range(COUNT))


def case(i: int) -> Case:
    draw, dtype = Draw(i), TYPES[i % 3]
    shape, axis = SHAPES[draw.below(len(SHAPES))]
    first, last = USUAL[dtype]
    exponent = first + draw.below(last - first) if draw.below(5) else EXTREME[dtype][draw.below(3)]
    signed, given, narrow = draw.flag(), draw.flag(), draw.flag()
    bits = num_bits(draw, dtype, signed, narrow)
    if draw.below(8) == 0:  # halves, and a scale of 1
        x, bits, signed = draw.reals(shape, 9), 9, True
        x = np.rint(x) / 2
        lo, hi = (np.full(ends(shape, axis), v) for v in (-256.0, 255.0))
    else:
        x = values(draw, shape, exponent)
        lo, hi = limits(draw, ends(shape, axis), exponent - 2 + draw.below(4))
    with np.errstate(over="ignore", under="ignore"):
        x, lo, hi = (np.asarray(v).astype(dtype) for v in (x, lo, hi))
    if given:
        special(draw, x)
    else:
        x = plain(x)
    mode = ("HALF_TO_EVEN", "HALF_UP")[draw.below(2)]
    return Case(x, lo, hi, signed, bits, given, mode, narrow, axis)


def ends(shape: tuple[int, ...], axis: int | None) -> tuple[int, ...]:
    """Shape of input_min."""
    return () if axis is None else (shape[axis],)


def num_bits(draw: Draw, dtype: Any, signed: bool, narrow: bool) -> int:
    """Mostly 1 to 16, as far as the type allows."""
    if dtype != np.float16 and draw.below(8) == 0:
        return 17 + draw.below(45)
    most = 15 if dtype == np.float16 and not signed else 16
    return max(1 + draw.below(most), 2 if signed and narrow else 1)


def values(draw: Draw, shape: tuple[int, ...], exponent: int) -> np.ndarray:
    x = draw.reals(shape, exponent)
    kind = draw.below(8)
    if kind == 0:
        return -np.abs(x)
    if kind == 1:
        return np.abs(x)
    if kind == 2:
        return np.where(x > 0, x, 0)
    return x * 0 if kind == 3 else x


def limits(draw: Draw, shape: tuple[int, ...], exponent: int) -> tuple[np.ndarray, np.ndarray]:
    """Ranges around 0, beginning or ending with it, on one side of it, of a single number, or empty."""
    a, b = draw.reals(shape, exponent), draw.reals(shape, exponent)
    kind = draw.below(10)
    lo, hi = (np.minimum(a, b), np.maximum(a, b)) if kind < 3 else (-np.abs(a), np.abs(b))
    if kind == 3:
        return lo * 0, hi
    if kind == 4:
        return lo, hi * 0
    if kind == 5:
        return hi * 0, hi * 0
    return (hi, hi) if kind == 6 else (lo, hi)


def special(draw: Draw, x: np.ndarray) -> None:
    """Now and then NaN and infinities, in place."""
    for value in (np.nan, np.inf, -np.inf, -0.0):
        if draw.below(6) == 0:
            x.reshape(-1)[draw.below(x.size)] = value


def plain(x: np.ndarray) -> np.ndarray:
    """x with no zeros but +0: of +0, -0, and denormals that count as such, the maximum is whichever lane comes last."""
    x = x + x.dtype.type(0)
    return x if x.dtype == np.float16 else np.where(np.abs(x) < np.finfo(x.dtype).tiny, x.dtype.type(0), x)


def fake_cases() -> Iterator[FakeCase]:
    """Those of fake_quant, float32 [64]."""
    return (fake_case(i) for i in range(FAKE_COUNT))


def fake_case(i: int) -> FakeCase:
    draw = Draw(COUNT + i)
    exponent, bits = draw.below(12) - 6, 2 + draw.below(15)
    x = np.float32(draw.reals((64,), exponent))
    lo, hi = np.float32(-np.abs(draw.reals((), exponent))), np.float32(np.abs(draw.reals((), exponent)))
    ranges = ((lo, hi), (lo, hi), (np.float32(0), hi), (lo, np.float32(0)), (hi, 2 * hi), (2 * lo, lo))
    return FakeCase(x, *ranges[i % len(ranges)], bits, draw.flag())


def digest(y: np.ndarray) -> int:
    """64 bits that stand for y's type, shape and bits; every NaN counts as the same."""
    y = np.where(np.isnan(y), y.dtype.type(np.nan), y)
    content = f"{y.dtype.name} {y.shape} ".encode() + y.astype(y.dtype.newbyteorder("<")).tobytes()
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")
