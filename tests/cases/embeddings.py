"""Tables of quantized rows, and models that look them up."""

from __future__ import annotations

from typing import Any

import numpy as np
from moves import tensor
from writer import T, model

RANGES = {"INT8": (-128, 127), "INT4": (-8, 7), "INT2": (-2, 1)}


def lookup(table: T, count: int = 4, y: Any = np.float32) -> bytes:
    """A model of one EMBEDDING_LOOKUP of so many rows."""
    return model("EMBEDDING_LOOKUP", [T(np.int32, (count,)), table], [tensor(y, (1,))])


def table(name: str, shape: tuple[int, ...], scale: Any, **fields: Any) -> T:
    """A constant table of INT8, INT4 or INT2."""
    lo, hi = RANGES[name]
    data = np.random.default_rng(shape).integers(lo, hi + 1, shape).astype(np.int8)
    data.reshape(-1)[:2] = lo, hi
    return T(np.int8, shape, scale, 0, data=data, **({} if name == "INT8" else {"type_name": name}), **fields)
