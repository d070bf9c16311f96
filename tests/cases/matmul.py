"""Cases of BATCH_MATMUL: pairs of shapes, which operand is transposed, and models."""

from __future__ import annotations

from typing import Any

import numpy as np
from elementwise import values
from writer import T, model

SHAPES = [
    ((5, 6), (6, 4)),
    ((1, 1), (1, 1)),
    ((1, 37), (37, 1)),
    ((13, 64), (64, 70)),
    ((2, 5, 7), (2, 7, 9)),
    ((1, 2, 5, 6), (3, 1, 6, 4)),
    ((5, 6), (3, 6, 4)),
    ((3, 5, 6), (6, 4)),
    ((2, 3, 5, 6), (2, 1, 6, 4)),
    ((2, 1, 5, 6), (2, 3, 6, 4)),
    ((2, 2, 2, 5, 6), (1, 2, 1, 6, 4)),
    ((1, 5, 6), (7, 6, 4)),
    ((1, 12, 17, 33), (1, 12, 33, 17)),
]
ADJOINTS = [(False, False), (False, True), (True, False), (True, True)]


def operand(shape: Any, dtype: Any, transposed: bool, seed: int = 0) -> np.ndarray:
    """Values of an operand that is [..., rows, columns] of that shape unless it is transposed."""
    x = values(shape, dtype, seed)
    return np.ascontiguousarray(np.swapaxes(x, -1, -2)) if transposed else x


def matmul(
    x: np.ndarray,
    w: np.ndarray,
    adjoint: Any = (False, False),
    constant: Any = "",
    scales: Any = (None, None, None),
    zero_points: Any = (0, 0, 0),
    out: Any = None,
    **fields: Any,
) -> bytes:
    """A model of one BATCH_MATMUL; ``constant`` names the operands that are: x, w."""
    rows = x.shape[-1] if adjoint[0] else x.shape[-2]
    columns = w.shape[-2] if adjoint[1] else w.shape[-1]
    shape = (*np.broadcast_shapes(x.shape[:-2], w.shape[:-2]), rows, columns)
    inputs = [
        T(x.dtype, x.shape, scales[0], zero_points[0], data=x if "x" in constant else None),
        T(w.dtype, w.shape, scales[1], zero_points[1], data=w if "w" in constant else None, axis=w.ndim - 1),
    ]
    y = T(out or x.dtype, shape, scales[2], zero_points[2])
    return model("BATCH_MATMUL", inputs, [y], adj_x=adjoint[0], adj_y=adjoint[1], **fields)
