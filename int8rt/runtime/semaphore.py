"""Semaphores on which compiled code sleeps and wakes others, without Python's lock.

They are the locks of Python's C interface, which every platform has, any thread may release, and need no GIL: a POSIX
semaphore, that is a futex, on Linux. Kernels get the addresses of a semaphore and of the two functions.
"""

from __future__ import annotations

import ctypes
from typing import Any


def _function(name: str, result: Any, *arguments: Any) -> Any:
    return ctypes.PYFUNCTYPE(result, *arguments)((name, ctypes.pythonapi))


_allocate = _function("PyThread_allocate_lock", ctypes.c_void_p)
_free = _function("PyThread_free_lock", None, ctypes.c_void_p)
_acquire = _function("PyThread_acquire_lock", ctypes.c_int, ctypes.c_void_p, ctypes.c_int)

# int (lock, int wait) sleeps until somebody has released it; void (lock) releases it.
ACQUIRE_ADDRESS, RELEASE_ADDRESS = (
    ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0
    for name in ("PyThread_acquire_lock", "PyThread_release_lock")
)


class Semaphore:
    """A semaphore that has not been released yet. Raises MemoryError where there can be no more."""

    def __init__(self) -> None:
        self.address: int = _allocate() or 0
        if not self.address:
            raise MemoryError("no more semaphores")
        _acquire(self.address, 0)

    def __del__(self) -> None:
        if self.address:
            _free(self.address)
