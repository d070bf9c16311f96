"""Entry points of kernels: from the cache or from the compiler into memory.

An entry point is ``void (int64 *block, int64 thread, int64 threads)``: it takes a kernel's arguments from an argument
block (``abi``) and calls the compiled function. A ``method`` is its own entry point.

``INT8RT_LOADER=llvm`` has LLVM load all code, where int8rt's own loader is suspected of anything.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Callable
from typing import Any

from int8rt import locks
from int8rt.errors import InputError
from int8rt.memory import address
from int8rt.native import cache, loader
from int8rt.native.abi import Signature, pack, signature_of
from int8rt.native.cache import Entry
from int8rt.native.kernel import Kernel
from int8rt.native.undisturbed import undisturbed

Progress = Callable[[str, int, int], None]  # what is being compiled, how many are done, how many there are

_lock = locks.lock()


def entry_point(kernel: Kernel, signature: Signature) -> int:
    """The address of the entry point for these argument types; compiled unless the cache has it."""
    with _lock:
        if signature not in kernel.entries:
            kernel.entries[signature] = _loaded(kernel, signature)
        return kernel.entries[signature]


def compile_entry(kernel: Kernel, signature: Signature) -> None:
    """Make sure that the cache has the entry point for these argument types, without loading it."""
    with _lock:
        if cache.read(kernel, signature) is None:
            _compiled(kernel, signature)


def is_cached(kernel: Kernel, signature: Signature) -> bool:
    """Whether entry_point() would not have to compile."""
    return signature in kernel.entries or cache.has(kernel, signature)


def native(kernel: Kernel, signature: Signature) -> Callable[..., None]:
    """The entry point as a ctypes function ``(block, thread, threads)``; it releases the GIL."""
    prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    return prototype(entry_point(kernel, signature))


def run(kernel: Kernel, *args: Any) -> None:
    """Call a kernel once by its entry point, on one thread."""
    native(kernel, signature_of(args))(ctypes.c_void_p(address(pack(args))), 0, 1)


def _loaded(kernel: Kernel, signature: Signature) -> int:
    """The address of an entry point: as the cache has it or, where nothing there can be loaded, compiled."""
    entry = cache.read(kernel, signature)
    if entry is not None:
        with contextlib.suppress(loader.LoadError):
            return _load(entry)
    return _load(_compiled(kernel, signature))


def _compiled(kernel: Kernel, signature: Signature) -> Entry:
    """An entry point that is compiled now, and kept."""
    from int8rt.native import compiler

    def compile_and_keep() -> Entry:
        entry = compiler.compiled(kernel, signature)
        cache.write(kernel, entry)
        return entry

    return undisturbed(compile_and_keep)


def _load(entry: Entry) -> int:
    """The address of an entry point whose code is now in memory."""
    if entry.image is not None and not _is_llvm_wanted():
        with contextlib.suppress(loader.LoadError):
            return loader.load(entry.image)
    from int8rt.native import llvm_loader

    return undisturbed(llvm_loader.load, entry.code, entry.symbol, entry.needs_numba)


def _is_llvm_wanted() -> bool:
    value = os.environ.get("INT8RT_LOADER") or "int8rt"
    if value not in ("int8rt", "llvm"):
        raise InputError(f"INT8RT_LOADER is int8rt or llvm, not {value!r}")
    return value == "llvm"
