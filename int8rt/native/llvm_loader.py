"""Compiled code into memory by LLVM's own loader, which knows every system and every object."""

from __future__ import annotations

from typing import Any

from int8rt.native.cpu import target_machine

_engines: list[Any] = []  # code lives as long as its engine


def load(code: bytes, symbol: str, needs_numba: bool) -> int:
    """The address of a symbol of an object file, which is in memory from now on; it may call functions of Numba."""
    import llvmlite.binding as llvm

    if needs_numba:
        from numba.core import registry

        _ = registry.cpu_target.target_context  # registers Numba's runtime symbols with LLVM
    if not _engines:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target_machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _engines.append(engine)
    return int(engine.get_function_address(symbol))
