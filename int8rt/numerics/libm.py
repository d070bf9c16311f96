"""The C library's float32 functions over NumPy arrays: what LiteRT calls, and what compiled kernels call, bit for bit.

NumPy has approximations of its own, whose last bits differ.
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable

import numpy as np


@functools.cache
def _function(name: str, arity: int) -> Callable[..., float]:
    library = ctypes.CDLL("ucrtbase" if os.name == "nt" else None)
    function = library[name]
    function.restype, function.argtypes = ctypes.c_float, [ctypes.c_float] * arity
    return function


def _over(name: str, *arrays: np.ndarray) -> np.ndarray:
    function = _function(name, len(arrays))
    values = np.broadcast_arrays(*(np.asarray(x, np.float32) for x in arrays))
    flat = map(function, *(v.reshape(-1).tolist() for v in values))
    return np.fromiter(flat, np.float32, values[0].size).reshape(values[0].shape)


def exp(x: np.ndarray) -> np.ndarray:
    """``expf`` of float32."""
    return _over("expf", x)


def tanh(x: np.ndarray) -> np.ndarray:
    """``tanhf`` of float32."""
    return _over("tanhf", x)


def expm1(x: np.ndarray) -> np.ndarray:
    """``expm1f`` of float32."""
    return _over("expm1f", x)


def log(x: np.ndarray) -> np.ndarray:
    """``logf`` of float32."""
    return _over("logf", x)


def sin(x: np.ndarray) -> np.ndarray:
    """``sinf`` of float32."""
    return _over("sinf", x)


def cos(x: np.ndarray) -> np.ndarray:
    """``cosf`` of float32."""
    return _over("cosf", x)


def erfc(x: np.ndarray) -> np.ndarray:
    """``erfcf`` of float32."""
    return _over("erfcf", x)


def hypot(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """``hypotf`` of float32."""
    return _over("hypotf", x, y)


def pow(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """``powf`` of float32."""
    return _over("powf", x, y)


def atan2(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """``atan2f`` of float32."""
    return _over("atan2f", y, x)
