"""How values are held while a program runs: every 8-bit integer as uint8, an int8 value ``q`` as ``q + 128``.

So one kernel serves int8 and uint8, a byte is an index into a table, and the products that CPUs offer (unsigned times
signed) take activations as they are. Other types are stored as they are; bool as uint8.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from int8rt.graph import Tensor
from int8rt.numerics.fixedpoint import activation_range

INT8_OFFSET = 128


class Stored(NamedTuple):
    """A tensor's integers as a running program holds them."""

    dtype: np.dtype
    zero_point: int
    lo: int
    hi: int


def storage_dtype(dtype: np.dtype) -> np.dtype:
    """The type that holds values of this type while a program runs."""
    return np.dtype(np.uint8) if dtype in (np.int8, np.bool_) else dtype


def stored(t: Tensor, activation: int = 0) -> Stored:
    """Zero point and clamp limits (of the type and a fused activation) of a quantized tensor, in storage form."""
    offset = INT8_OFFSET if t.dtype == np.int8 else 0
    lo, hi = activation_range(t, activation)
    return Stored(storage_dtype(t.dtype), t.zero_point + offset, lo + offset, hi + offset)


def storage_nbytes(t: Tensor) -> int:
    """How many bytes a tensor takes while a program runs."""
    return t.size * storage_dtype(t.dtype).itemsize


def stored_zero(t: Tensor) -> int:
    """The stored form of a tensor's zero."""
    return t.zero_point + (INT8_OFFSET if t.dtype == np.int8 else 0)


def to_storage(array: np.ndarray) -> np.ndarray:
    """A copy of the array in storage form."""
    if array.dtype == np.int8:
        stored = np.array(array, order="C").view(np.uint8)
        stored ^= np.uint8(0x80)
        return stored
    return np.array(array, storage_dtype(array.dtype), order="C")


def from_storage(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """A copy of the stored array in the tensor's own type."""
    if dtype == np.int8:
        return np.asarray(np.bitwise_xor(array, np.uint8(0x80))).view(np.int8)
    return np.asarray(array.astype(dtype))
