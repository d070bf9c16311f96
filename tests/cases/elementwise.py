"""Cases for the operators on two tensors: models, values, and the pairs of shapes that broadcasting must get right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import writer
from writer import T

SHAPES = [
    ((1, 4, 5, 8), (1, 4, 5, 8)),
    ((1, 4, 5, 8), (8,)),
    ((1, 4, 5, 8), (1, 1, 1, 8)),
    ((1, 4, 5, 8), ()),
    ((3, 37), (1, 1)),
    ((1, 4, 5, 3), (1, 4, 5, 1)),
    ((2, 4, 5, 3), (2, 1, 1, 3)),
    ((2, 3, 4, 5, 6), (3, 1, 5, 1)),
    ((1, 1, 1, 1, 1), ()),
    ((2, 2, 2, 2, 2, 3), (1, 2, 1, 2, 1, 3)),
    ((5001,), (5001,)),  # beyond one chunk
    ((4, 2049), (4, 1)),
    ((0, 3), (1, 3)),
]
BOTH = [((2, 1, 5), (1, 3, 1)), ((4, 1), (1, 37)), ((1, 2, 1, 3, 1, 2), (5, 1, 4, 1, 2, 1))]  # both are broadcast


def binary(
    op: str,
    dtype: Any,
    shape1: Sequence[int],
    shape2: Sequence[int] | None = None,
    scales: Sequence[Any] = (),
    zero_points: Sequence[int] = (0, 0, 0),
    **fields: Any,
) -> bytes:
    """A model of one operator; ``scales`` and ``zero_points`` are those of both inputs and the output."""
    shape2 = shape1 if shape2 is None else shape2
    s1, s2, sy = scales or (None, None, None)
    z1, z2, zy = zero_points
    whole = np.broadcast_shapes(tuple(shape1), tuple(shape2))
    x1, x2 = T(dtype, shape1, s1, z1), T(dtype, shape2, s2, z2)
    return writer.model(op, [x1, x2], [T(dtype, whole, sy, zy)], **fields)


def values(shape: Sequence[int], dtype: Any, seed: int = 0) -> np.ndarray:
    """Values over the whole range of the type, its ends among them; normally distributed for float32."""
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return rng.normal(0, 3, shape).astype(dtype)
    info = np.iinfo(dtype)
    drawn = rng.integers(info.min, info.max, shape, dtype, endpoint=True)
    drawn = np.where(rng.random(shape) < 0.05, info.min, drawn)
    return np.where(rng.random(shape) < 0.05, info.max, drawn).astype(dtype)


def all_pairs(dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """Every pair of 8-bit values, [256, 256] each."""
    line = np.arange(256).astype(np.uint8).view(dtype)
    return np.repeat(line[:, None], 256, 1), np.repeat(line[None], 256, 0)


def special_floats() -> tuple[np.ndarray, np.ndarray]:
    """Every pair of the floats that comparisons and limits may get wrong, [9, 9] each."""
    line = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 3e38, -3e38, 1e-40, 6.5], np.float32)
    return np.repeat(line[:, None], line.size, 1), np.repeat(line[None], line.size, 0)


def extreme_integers(dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """Every pair of integers at which results wrap or activations begin, [n, n] each."""
    info = np.iinfo(dtype)
    line = np.array([info.min, info.min + 1, -2, -1, 0, 1, 5, 6, 7, info.max // 2 + 1, info.max - 1, info.max], dtype)
    return np.repeat(line[:, None], line.size, 1), np.repeat(line[None], line.size, 0)
