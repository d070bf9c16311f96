"""Cases for the comparisons: what each test module of one of them runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import writer
from elementwise import BOTH, SHAPES
from writer import T

BROADCAST = [*SHAPES, *((b, a) for a, b in SHAPES[1:6]), *BOTH]
ARRAYS = [SHAPES[1], SHAPES[6][::-1], BOTH[0], SHAPES[10]]

# Scales and zero points. Below 2^-8 neighbouring values are equal, at 2^-31 and below all are.
QUANTIZATIONS = [
    ((0.1, 0.1), (3, 3)),
    ((0.1, 0.07), (-128, 127)),
    ((0.25, 0.5), (0, 10)),
    ((0.999, 0.5), (-3, 7)),
    ((0.003, 0.004), (0, 1)),
    ((2.0**-9, 2.0**-8), (5, 5)),
    ((2.0**-31, 2.0**-30), (0, 0)),
    ((1e-12, 0.3), (0, 0)),
]


def comparison(
    op: str,
    dtype: Any,
    shape1: Sequence[int],
    shape2: Sequence[int] | None = None,
    scales: Sequence[Any] = (None, None),
    zero_points: Sequence[int] = (0, 0),
) -> bytes:
    """A model of one comparison."""
    shape2 = shape1 if shape2 is None else shape2
    x1, x2 = (T(dtype, s, *q) for s, *q in zip((shape1, shape2), scales, zero_points, strict=True))
    return writer.model(op, [x1, x2], [T(np.bool_, np.broadcast_shapes(tuple(shape1), tuple(shape2)))])


def close(dtype: Any, shape: Sequence[int], seed: int = 0) -> np.ndarray:
    """Few different values, so that many pairs are equal."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 2 if dtype == np.bool_ else 5, shape).astype(dtype)


def shifted(dtype: Any, zero_points: Sequence[int]) -> tuple[int, ...]:
    """Zero points of int8 as those of the type."""
    return tuple(z + 128 * (dtype == np.uint8) for z in zero_points)
