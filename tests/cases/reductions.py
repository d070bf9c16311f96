"""Cases for the reductions: models, values, and the axes that the loops must get right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from writer import T, model

SHAPES_AND_AXES = [
    ((1, 7, 7, 300), [1, 2]),
    ((2, 5, 3, 17), [2, 1]),
    ((2, 5, 3, 17), [-1]),
    ((4, 3, 5), [0]),
    ((4, 3, 5), [0, 2]),
    ((4, 3, 5), [0, 1, 2]),
    ((4, 3, 5), [-3, 0, -1]),
    ((2, 3, 4, 5, 2, 3), [0, 2, 4]),
    ((2, 3, 4, 5, 2, 3), [1, 3, 5]),
    ((3, 1, 4, 1), [1, 3]),
    ((1,), [0]),
    ((9,), []),
    ((), []),
]


def reduction(
    op: str,
    x: np.ndarray,
    axes: Any,
    keep_dims: bool = False,
    scales: Sequence[Any] = (None, None),
    zero_points: Sequence[int] = (0, 0),
    constant: bool = True,
) -> bytes:
    """A model of one reduction; scales and zero points are those of input and output."""
    axes = np.asarray(axes, np.int32)
    reduced = {int(a) % max(x.ndim, 1) for a in axes.reshape(-1)}
    shape = [1 if i in reduced else n for i, n in enumerate(x.shape) if keep_dims or i not in reduced]
    inputs = [T(x.dtype, x.shape, scales[0], zero_points[0]), T(np.int32, axes.shape, data=axes if constant else None)]
    return model(op, inputs, [T(x.dtype, shape, scales[1], zero_points[1])], keep_dims=keep_dims)


def values(shape: Any, dtype: Any = np.int8, seed: int = 0) -> np.ndarray:
    """Over the whole range of the type; normally distributed for float32."""
    rng = np.random.default_rng(seed)
    if dtype == np.float32:
        return np.asarray(rng.normal(0, 4, shape), dtype)
    if dtype == np.bool_:
        return np.asarray(rng.random(shape) < 0.5)
    info = np.iinfo(dtype)
    return np.asarray(rng.integers(info.min, info.max, shape, dtype, endpoint=True))


def special(shape: Any, seed: int = 0, nan: bool = False) -> np.ndarray:
    """The floats that comparisons and sums may get wrong."""
    some = [np.inf, -np.inf, -0.0, 1e-45, 3e38, 0.0, *([np.nan] * nan)]
    return np.random.default_rng(seed).choice(np.array(some, np.float32), shape)
