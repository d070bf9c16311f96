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
def _function(name: str) -> Callable[[float], float]:
    library = ctypes.CDLL("ucrtbase" if os.name == "nt" else None)
    function = library[name]
    function.restype, function.argtypes = ctypes.c_float, [ctypes.c_float]
    return function


def _over(name: str, x: np.ndarray) -> np.ndarray:
    function = _function(name)
    values = np.asarray(x, np.float32)
    return np.fromiter(map(function, values.reshape(-1).tolist()), np.float32, values.size).reshape(values.shape)


def exp(x: np.ndarray) -> np.ndarray:
    """``expf`` of float32."""
    return _over("expf", x)


def tanh(x: np.ndarray) -> np.ndarray:
    """``tanhf`` of float32."""
    return _over("tanhf", x)
