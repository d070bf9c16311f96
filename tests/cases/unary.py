"""Cases of unary operators: every 8- or 16-bit value at once, under ordinary and extreme quantizations."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import writer
from engines import REFERENCE, check, run_program
from writer import T

from int8rt.format import reader
from int8rt.plan.program import build


class Case(NamedTuple):
    """Types and quantization of input and output."""

    dtype: Any
    s_x: float
    z_x: int
    s_y: float
    z_y: int

    def __repr__(self) -> str:
        return f"{np.dtype(self.dtype).name}-{self.s_x:g}-{self.z_x}-{self.s_y:g}-{self.z_y}"


def every(dtype: Any) -> np.ndarray:
    """All values of an integer type, in order."""
    info = np.iinfo(dtype)
    return np.arange(info.min, info.max + 1).astype(dtype)


# Scales of input and output and where their zero points lie, as parts of the range from smallest to largest
_SCALES_AND_ZEROS = [
    (0.05, 0.49, 0.05, 0.49),  # nothing to rescale
    (0.05, 0.5, 0.025, 0.5),  # exactly twice
    (0.05, 0.5, 0.1, 0.5),  # exactly half: ties
    (0.0471, 0.3, 0.0235, 0.0),
    (0.0235, 0.7, 0.0471, 1.0),
    (0.02, 0.0, 0.02, 0.0),
    (0.02, 1.0, 0.02, 1.0),
    (0.02, 0.0, 0.03, 1.0),
    (0.02, 1.0, 0.03, 0.0),
    (1.0, 0.5, 1.0, 0.5),  # 6 and 1 are few steps
    (4.0, 0.5, 4.0, 0.5),  # 1 rounds to 0
    (2.0, 0.5, 2.0, 0.5),  # 1 is a tie
    (2.0**-28, 0.2, 2.0**-28, 0.4),
    (2.0**-20, 0.5, 1.0, 0.5),  # all values become 0
    (3.7, 0.5, 1e-4, 0.5),  # all values saturate
    (0.05, 0.25, 0.05 * 2**7.5, 0.75),
]

EIGHT_BITS = [
    Case(dtype, s_x, round(np.iinfo(dtype).min + 255 * z_x), s_y, round(np.iinfo(dtype).min + 255 * z_y))
    for dtype in (np.int8, np.uint8)
    for s_x, z_x, s_y, z_y in _SCALES_AND_ZEROS
]

INT16 = [
    Case(np.int16, s_x, 0, s_y, 0)
    for s_x, s_y in (
        (0.0003, 0.0003),
        (0.0003, 0.0007),
        (0.0011, 0.0004),
        (2.0**-10, 2.0**-9),
        (1.0, 1e-3),
        (1e-6, 1.0),
    )
]

# NaN, infinities, zeros of both signs, denormals and everyday values
FLOATS = np.concatenate(
    [
        np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, -1e-40, 1, -1, 3, -3, 6, -6, 100, -100, 3e38], np.float32),
        np.random.default_rng(7).normal(size=1000, scale=6).astype(np.float32),
    ]
)

SHAPES = [(), (1,), (7,), (3, 5), (1, 1, 1), (2, 3, 4, 5), (1, 17, 13, 3), (2, 1, 3, 1, 2), (1, 2, 1, 2, 3, 2)]


def node(op: str, c: Case, shape: tuple[int, ...], **fields: Any) -> bytes:
    """A model of one unary operator."""
    return writer.model(op, [T(c.dtype, shape, c.s_x, c.z_x)], [T(c.dtype, shape, c.s_y, c.z_y)], **fields)


def check_every(op: str, c: Case, litert: np.ndarray | None = None, **fields: Any) -> np.ndarray:
    """All engines agree on all values."""
    x = every(c.dtype)
    (y,) = check(node(op, c, x.shape, **fields), x, litert=None if litert is None else [litert])
    return y


def check_float(op: str, x: np.ndarray = FLOATS, **fields: Any) -> np.ndarray:
    """All engines agree on float32."""
    (y,) = check(float_node(op, x.shape, **fields), x)
    return y


def float_node(op: str, shape: tuple[int, ...], **fields: Any) -> bytes:
    """A model of one float32 operator."""
    return writer.model(op, [T(np.float32, shape)], [T(np.float32, shape)], **fields)


def check_shape(op: str, shape: tuple[int, ...], s_y: float = 0.03, **fields: Any) -> None:
    """All engines agree on int8 of this shape, also with threads."""
    c = Case(np.int8, 0.05, -7, s_y, 3)
    x = np.random.default_rng(len(shape)).integers(-128, 128, shape).astype(np.int8)
    check(node(op, c, shape, **fields), x)


def check_threads(op: str, **fields: Any) -> None:
    """Large enough to be shared among threads, of which every one does its part."""
    content = float_node(op, (3, 50_021), **fields)
    x = np.random.default_rng(1).normal(size=(3, 50_021), scale=4).astype(np.float32)
    (one,), (three,) = run_program(content, x), run_program(content, x, threads=3)
    np.testing.assert_array_equal(one, three)


def refused(content: bytes, error: type[Exception], words: str) -> None:
    """Building a program fails, and says so in these words."""
    with pytest.raises(error, match=words):
        build(reader.read(content).main, REFERENCE)


# FAKE_QUANT

FAKE_QUANT_VALUES = np.concatenate([np.linspace(-12, 12, 2001), FLOATS[1:]]).astype(np.float32)


def fake_quant(
    shape: Any = FAKE_QUANT_VALUES.shape,
    min: float = -6.0,
    max: float = 6.0,
    num_bits: int = 8,
    dtype: Any = np.float32,
    narrow_range: bool = False,
) -> bytes:
    """A model of one FAKE_QUANT."""
    fields = {"min": min, "max": max, "num_bits": num_bits, "narrow_range": narrow_range}
    return writer.model("FAKE_QUANT", [T(dtype, shape)], [T(dtype, shape)], **fields)
