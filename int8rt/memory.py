"""Memory for tensors: where arrays begin, and how far kernels may read past their end."""

from __future__ import annotations

import ctypes
import math
from typing import Any

import numpy as np

from int8rt import limits
from int8rt.errors import LimitError

CACHE_LINE = 64
SLACK = 256  # bytes that kernels may read past an end, since they load whole vectors: no intrinsic declares more


def address(array: np.ndarray) -> int:
    """Where an array's data begin."""
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array.data))
    except (TypeError, ValueError):  # read-only, strided or empty: NumPy's own answer, which takes five times as long
        return int(array.__array_interface__["data"][0])


def aligned(array: np.ndarray) -> np.ndarray:
    """The array, or a C-contiguous copy, that begins at a multiple of a cache line: no vector load spans two lines."""
    if array.flags.c_contiguous and address(array) % CACHE_LINE == 0:
        return array
    copy = aligned_empty(array.shape, array.dtype)
    copy[...] = array
    return copy


def aligned_empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array of no particular values that begins at a multiple of a cache line."""
    dtype = np.dtype(dtype)
    nbytes = math.prod(shape) * dtype.itemsize
    limits.need(nbytes)
    raw = limits.hold(np.empty(nbytes + CACHE_LINE, np.uint8))
    start = -address(raw) % CACHE_LINE
    return raw[start : start + nbytes].view(dtype).reshape(shape)


def allocate(nbytes: int) -> np.ndarray:
    """Zeroed bytes that begin at a multiple of CACHE_LINE. Raises LimitError where so many are not allowed."""
    limits.need(nbytes)
    try:
        raw = limits.hold(np.zeros(nbytes + CACHE_LINE, np.uint8))
    except (MemoryError, ValueError) as error:
        raise LimitError(f"the tensors take {nbytes:,} bytes, more than this machine has", "memory") from error
    start = -address(raw) % CACHE_LINE
    return raw[start : start + nbytes]
