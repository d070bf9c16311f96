"""What tests of operators that only move values share: tensors of every type, and values that show where they went."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from writer import T

from int8rt.errors import Error
from int8rt.format import reader
from int8rt.numerics.rules import numerics
from int8rt.plan.program import build

TYPES = (np.int8, np.uint8, np.int16, np.int32, np.int64, np.float32, np.bool_)
QUANTIZED = {np.int8: (0.05, -7), np.uint8: (0.05, 131), np.int16: (0.001, 0)}


def tensor(dtype: Any, shape: Any = (1,), **fields: Any) -> T:
    """A tensor with the quantization that fits its type."""
    scale, zero_point = QUANTIZED.get(dtype, (None, 0))
    return T(dtype, shape, **{"scale": scale, "zero_point": zero_point, **fields})


def values(dtype: Any, shape: Any, seed: int = 0) -> np.ndarray:
    """Random bytes as an array, but 0 and 1 for bool; floats among them may be NaN or infinite."""
    rng = np.random.default_rng([seed, *shape])
    if np.dtype(dtype) == np.bool_:
        return rng.integers(0, 2, shape).astype(bool)
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return rng.integers(0, 256, size, np.uint8).view(dtype).reshape(shape)


def indices(values: Any, dtype: Any = np.int32) -> T:
    """A constant of integers."""
    data = np.array(values, dtype)
    return T(dtype, data.shape, data=data)


def refused(error: type[Error], message: str, model: bytes) -> None:
    """Assert that building a program for the model raises the error with words of the message."""
    with pytest.raises(error, match=message):
        build(reader.read(model).main, numerics("reference"))


def calls(model: bytes) -> list[str]:
    """The names of the kernels that a model needs."""
    return [c.kernel.__name__ for c in build(reader.read(model).main, numerics("reference")).calls]
