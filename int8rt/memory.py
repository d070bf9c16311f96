"""Memory for tensors: where arrays begin, and how far kernels may read past their end.

With ``INT8RT_GUARD=1``, a mode for tests, all that kernels are given lies between two pages that nobody may touch, and
ends at the second, give or take what the alignment of its beginning leaves: reading or writing elsewhere ends the
process. It needs an operating system with ``mprotect``.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import os
from typing import Any

import numpy as np

from int8rt import limits
from int8rt.errors import LimitError

CACHE_LINE = 64
IS_GUARDED = os.environ.get("INT8RT_GUARD") == "1"
SLACK = 256  # bytes that kernels may read past an end, since they load whole vectors: no intrinsic declares more


def address(array: np.ndarray) -> int:
    """Where an array's data begin."""
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array.data))
    except (TypeError, ValueError):  # read-only, strided or empty: NumPy's own answer, which takes five times as long
        return int(array.__array_interface__["data"][0])


def aligned(array: np.ndarray) -> np.ndarray:
    """The array, or a C-contiguous copy, that begins at a multiple of a cache line: no vector load spans two lines."""
    if array.flags.c_contiguous and address(array) % CACHE_LINE == 0 and not IS_GUARDED:
        return array
    copy = aligned_empty(array.shape, array.dtype)
    copy[...] = array
    return copy


def aligned_empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array of no particular values that begins at a multiple of a cache line."""
    dtype = np.dtype(dtype)
    nbytes = math.prod(shape) * dtype.itemsize
    limits.need(nbytes)
    if IS_GUARDED:
        return limits.hold(_between_guards(nbytes)).view(dtype).reshape(shape)
    raw = limits.hold(np.empty(nbytes + CACHE_LINE, np.uint8))
    start = -address(raw) % CACHE_LINE
    return raw[start : start + nbytes].view(dtype).reshape(shape)


def allocate(nbytes: int) -> np.ndarray:
    """Zeroed bytes that begin at a multiple of CACHE_LINE. Raises LimitError where so many are not allowed."""
    limits.need(nbytes)
    if IS_GUARDED:
        return limits.hold(_between_guards(nbytes))
    try:
        raw = limits.hold(np.zeros(nbytes + CACHE_LINE, np.uint8))
    except (MemoryError, ValueError) as error:
        raise LimitError(f"the tensors take {nbytes:,} bytes, more than this machine has", "memory") from error
    start = -address(raw) % CACHE_LINE
    return raw[start : start + nbytes]


def guarded(array: np.ndarray) -> np.ndarray:
    """The array; in the guarded mode a copy that lies between guards."""
    return aligned(array) if IS_GUARDED else array


def _between_guards(nbytes: int) -> np.ndarray:
    """Zeroed bytes between two pages that nobody may touch."""
    page = mmap.PAGESIZE
    inner = -(-max(nbytes, 1) // page) * page
    raw = np.frombuffer(mmap.mmap(-1, inner + 2 * page), np.uint8)
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    for guard in (0, page + inner):
        if protect(ctypes.c_void_p(address(raw) + guard), ctypes.c_size_t(page), 0) != 0:
            raise LimitError(f"no guard page: {os.strerror(ctypes.get_errno())}", "memory")
    start = page + inner - -(-nbytes // CACHE_LINE) * CACHE_LINE
    return raw[start : start + nbytes]
