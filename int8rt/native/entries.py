"""Entry points of kernels: from the cache or from the compiler into memory.

An entry point is ``void (int64 *block, int64 thread, int64 threads)``: it unpacks a kernel's arguments from a block of
64-bit words (``abi.pack``) and calls the compiled function. A ``method`` is its own entry point.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

from int8rt.memory import address
from int8rt.native import cache, files, loader
from int8rt.native.abi import Signature, pack, signature_of, symbol
from int8rt.native.cpu import target_machine
from int8rt.native.kernel import Kernel

Progress = Callable[[str, int, int], None]  # what is being compiled, how many are done, how many there are

_lock = threading.RLock()
_engines: list[Any] = []  # code lives as long as its engine


def entry_point(kernel: Kernel, signature: Signature) -> int:
    """The address of the entry point for these argument types; compiled unless the cache has it."""
    with _lock:
        if signature not in kernel.entries:
            kernel.entries[signature] = _load(_code(kernel, signature))
        return kernel.entries[signature]


def compile_entry(kernel: Kernel, signature: Signature) -> None:
    """Make sure that the cache has the entry point for these argument types, without loading it."""
    with _lock:
        _code(kernel, signature)


def is_cached(kernel: Kernel, signature: Signature) -> bool:
    """Whether entry_point() would not have to compile."""
    return signature in kernel.entries or os.path.exists(cache.path(kernel, signature))


def native(kernel: Kernel, signature: Signature) -> Callable[..., None]:
    """The entry point as a ctypes function ``(block, thread, threads)``; it releases the GIL."""
    prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    return prototype(entry_point(kernel, signature))


def run(kernel: Kernel, *args: Any) -> None:
    """Call a kernel once by its entry point, on one thread."""
    native(kernel, signature_of(args))(ctypes.c_void_p(address(pack(args))), 0, 1)


def _code(kernel: Kernel, signature: Signature) -> dict[str, Any]:
    """What the cache keeps of an entry point; compiled if it has nothing."""
    path = cache.path(kernel, signature)
    entry = files.read(path)
    if entry is None or entry["symbol"] != symbol(kernel.name, signature):
        from int8rt.native import compiler

        entry = compiler.compiled(kernel, signature)
        files.write(path, entry)
    return entry


def _load(entry: dict[str, Any]) -> int:
    """The address of an entry point whose code is now in memory."""
    if entry["image"] is not None:
        with contextlib.suppress(loader.LoadError):
            return loader.load(entry["image"])
    return _load_by_llvm(entry)


def _load_by_llvm(entry: dict[str, Any]) -> int:
    """The same by LLVM's own loader, which knows every system and every object."""
    import llvmlite.binding as llvm

    if entry["numba"]:
        from numba.core import registry

        _ = registry.cpu_target.target_context  # registers Numba's runtime symbols with LLVM
    if "llvmlite.binding" in sys.modules and not _engines:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target_machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(entry["code"]))
    engine.finalize_object()
    _engines.append(engine)
    return int(engine.get_function_address(entry["symbol"]))
