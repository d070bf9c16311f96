"""Arrays with memory behind them that nobody may touch, extreme values, and formulas of requantization in NumPy."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np

from int8rt.memory import address

COUNTS = (0, 1, 15, 16, 17, 63, 64, 65)
RNG = np.random.default_rng(0)


def guarded(values: np.ndarray, past: int = 0) -> np.ndarray:
    """The values, ``past`` bytes of no meaning, then a page that may not be touched."""
    page = mmap.PAGESIZE
    whole = -(-(values.nbytes + past) // page) * page
    memory_ = mmap.mmap(-1, whole + page)
    array = np.frombuffer(memory_, np.uint8)
    array[:whole] = 0xA5
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mprotect(ctypes.c_void_p(address(array) + whole), ctypes.c_size_t(page), 0) == 0
    result = array[whole - past - values.nbytes : whole - past].view(values.dtype).reshape(values.shape)
    result[...] = values
    return result


def extremes(dtype: Any, size: int) -> Iterator[np.ndarray]:
    """Arrays of one type: its least value, its largest, both by chance, any."""
    info = np.iinfo(dtype)
    for values in ([info.min], [info.max], [info.min, info.max]):
        yield RNG.choice(np.array(values, dtype), size)
    yield RNG.integers(info.min, info.max, size, dtype, endpoint=True)


def wrapped(values: Any) -> np.ndarray:
    """int64 as int32 modulo 2**32."""
    return np.asarray(values, np.int64).astype(np.uint64).astype(np.uint32).view(np.int32)


def same(found: Any, expected: Any) -> None:
    assert np.array_equal(np.asarray(found), np.asarray(expected)), f"{found} instead of {expected}"


# Formulas


def fixed(x: Any, multiplier: Any, constant: Any, shift: Any, negative: Any) -> np.ndarray:
    return wrapped(_sum(x, multiplier, constant) - (_unsigned(x) < _unsigned(negative))) >> shift


def plain(x: Any, multiplier: Any, constant: Any, shift: Any) -> np.ndarray:
    return wrapped(_sum(x, multiplier, constant)) >> shift


def double(x: Any, scale: Any, zero_point: Any) -> np.ndarray:
    real = np.asarray(x, np.float64) * scale
    real = np.clip(real + np.copysign(0.49999999999999994, real), -(2.0**30), 2.0**30)
    return wrapped(np.trunc(real).astype(np.int64) + zero_point)


def _unsigned(x: Any) -> np.ndarray:
    return np.asarray(x, np.int32).view(np.uint32).astype(np.uint64)


def _sum(x: Any, multiplier: Any, constant: Any) -> np.ndarray:
    return (_unsigned(x) * _unsigned(multiplier) >> np.uint64(32)).astype(np.int64) + constant


def parameters(count: int) -> list[np.ndarray]:
    """Rows of the fixed-point formula: multiplier, constant, shift, least negative sum."""
    any_ = (RNG.integers(-(2**31), 2**31, count, np.int64).astype(np.int32) for _ in range(3))
    multiplier, constant, negative = any_
    return [multiplier, constant, RNG.integers(0, 32, count).astype(np.int32), negative]
