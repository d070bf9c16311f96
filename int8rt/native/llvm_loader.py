"""Compiled code into memory by LLVM's own loader, which knows every system and every object.

It does not survive what is no object, so that is found out first, where the format is known.
"""

from __future__ import annotations

import platform
import sys
from typing import Any

from int8rt.native import elf
from int8rt.native.cpu import target_machine
from int8rt.native.loader import LoadError

_engines: list[Any] = []  # code lives as long as its engine


def load(code: bytes, symbol: str, needs_numba: bool) -> int:
    """The address of a symbol of an object file, which is in memory from now on; it may call functions of Numba.

    Raises LoadError where the object is malformed or does not define the symbol.
    """
    if sys.platform == "linux" and platform.machine() in elf.MACHINES.values():
        elf.check(code, symbol, platform.machine())
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
    found = int(engine.get_function_address(symbol))
    if not found:
        raise LoadError(f"no symbol {symbol}")
    return found
