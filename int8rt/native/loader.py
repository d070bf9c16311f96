"""Compiled code into memory without LLVM, whose library takes longer to load than a model.

An ``Image`` is what ``elf`` makes of an object file when it is compiled: one piece of bytes, in which all distances are
settled. What is left to do are few **fixups**: places that hold an address, of something in the image or of a function
of the C library. ``load`` does them, and makes the memory executable once nothing more is written to it. It refuses
what it does not know, and LLVM's own loader has to serve.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import platform
import struct
import sys
from typing import NamedTuple

# Forms of a fixup: a whole address, or 16 bits of it (from bit 16 i) in an AArch64 move of a constant.
ADDRESS = 4
PIECES = range(4)


class Fixup(NamedTuple):
    """A place in the code that holds an address: of the image or, with a name, of a function of the C library."""

    form: int
    at: int
    name: str
    addend: int  # what to add to that address


class Image(NamedTuple):
    """Code for one kind of machine, complete but for its fixups."""

    machine: str
    code: bytes
    entry: int  # where in the code to begin
    fixups: tuple[Fixup, ...]


class LoadError(Exception):
    """An object or an image that this module does not know how to load, or that the system does not let it."""


def load(image: Image) -> int:
    """The address at which to call an image that is in memory from now on, as long as the process lives.

    Memory is never writable and executable at once. Raises LoadError.
    """
    if sys.platform != "linux" or image.machine != platform.machine() or struct.calcsize("P") != 8:
        raise LoadError(f"an image for Linux on {image.machine}")
    if not 0 <= image.entry < len(image.code):
        raise LoadError(f"entry at {image.entry} of {len(image.code)} bytes")
    size = -(-len(image.code) // mmap.PAGESIZE) * mmap.PAGESIZE
    system = _system()
    base = system.mmap(None, size, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    if base == ctypes.c_void_p(-1).value:
        raise LoadError(f"no memory: error {ctypes.get_errno()}")
    try:
        code = _fixed(image, base)
        ctypes.memmove(base, code, len(code))
        # This makes AArch64's instruction caches see what was written: Linux cleans pages that become executable.
        if system.mprotect(base, size, mmap.PROT_READ | mmap.PROT_EXEC):
            raise LoadError(f"memory cannot be made executable: error {ctypes.get_errno()}")
    except LoadError:
        system.munmap(base, size)
        raise
    return int(base) + image.entry


def _fixed(image: Image, base: int) -> bytes:
    """An image's code with the addresses that it needs, for its place in memory."""
    code = bytearray(image.code)
    for form, at, name, addend in image.fixups:
        if not 0 <= at <= len(code) - (8 if form == ADDRESS else 4):
            raise LoadError(f"a fixup at {at} of {len(code)} bytes")
        address = (_address_of(name) if name else base) + addend & 0xFFFFFFFFFFFFFFFF
        if form == ADDRESS:
            _WORD.pack_into(code, at, address)
        elif form in PIECES:
            (instruction,) = _HALF.unpack_from(code, at)
            _HALF.pack_into(code, at, instruction & ~(0xFFFF << 5) | (address >> 16 * form & 0xFFFF) << 5)
        else:
            raise LoadError(f"a fixup of form {form}")
    return bytes(code)


_WORD, _HALF = struct.Struct("<Q"), struct.Struct("<I")


@functools.cache
def _system() -> ctypes.CDLL:
    """The C library."""
    library = ctypes.CDLL(None, use_errno=True)
    library.mmap.restype = ctypes.c_void_p
    numbers = [ctypes.c_int] * 3
    library.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *numbers, ctypes.c_long]
    library.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    library.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return library


@functools.cache
def _address_of(function: str) -> int:
    """Where a function of the C library lies."""
    try:
        return ctypes.cast(_system()[function], ctypes.c_void_p).value or 0
    except (AttributeError, ValueError) as error:  # ValueError: no name at all
        raise LoadError(f"the system has no function {function!r}") from error
