"""Bytes from where callers have them: a path, memory, an open file. They are read once, and nothing changes them."""

from __future__ import annotations

import io
import os
import stat
from typing import IO, Any, TypeAlias

import numpy as np

from int8rt import limits
from int8rt.arguments import shown
from int8rt.errors import InputError, ModelError
from int8rt.memory import aligned_empty

Source: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes]"

PIECE = 1 << 24  # bytes of a pipe that are read at once


def bytes_of(source: Source) -> np.ndarray:
    """The bytes of a model: uint8 [nbytes], read-only.

    Raises InputError for a source of another type, ModelError for an empty file, and what ``file_bytes`` raises.
    """
    if isinstance(source, (str, os.PathLike)):
        found = file_bytes(source)
        if found.size == 0:
            raise ModelError(f"{os.fspath(source)} is empty, expected a .tflite file")
        return found
    if not isinstance(source, (bytes, bytearray, memoryview)):
        if not hasattr(source, "read"):
            raise InputError(f"a model is a path, bytes or an open file, not {type(source).__name__}")
        source = content(source)
    try:
        view = memoryview(source)
        if not (view.readonly and view.c_contiguous):
            view = memoryview(view.tobytes())  # what was checked must not change afterwards
    except ValueError as error:  # a memoryview that was released
        raise InputError(f"the bytes of the model cannot be read: {error}") from None
    return np.frombuffer(view.cast("B"), np.uint8) if view.nbytes else np.empty(0, np.uint8)


def content(file: Any) -> bytes:
    """What an open binary file still holds. Raises InputError, and OSError where it cannot be read."""
    try:
        found = file.read()
    except (OSError, InputError):
        raise
    except Exception as error:  # a closed file, or an object that only looks like one
        raise InputError(f"{shown(file)} cannot be read: {type(error).__name__}: {error}") from None
    if not isinstance(found, bytes):
        raise InputError(f"the file gave {type(found).__name__}, expected bytes: open it in binary mode")
    return found


def file_bytes(path: str | os.PathLike[str]) -> np.ndarray:
    """A file or a pipe in memory: uint8 [nbytes], read-only; that of a file begins at a multiple of a cache line.

    Raises InputError for what is no path, and for devices and folders; LimitError for more bytes than may be allocated;
    OSError.
    """
    try:
        file = open(path, "rb", buffering=0)  # noqa: SIM115 (the `with` below)
    except OSError:
        raise
    except Exception as error:  # a NUL in the path, or an object that is no path after all
        raise InputError(f"cannot open {shown(path)}: {error}") from None
    with file:
        status = os.fstat(file.fileno())
        if stat.S_ISREG(status.st_mode):
            found = _filled(aligned_empty((status.st_size,), np.uint8), file)
        elif stat.S_ISFIFO(status.st_mode):  # as a shell makes of <(...)
            found = _drained(file)
        else:
            raise InputError(f"{os.fspath(path)} is no file")
    found.flags.writeable = False
    return found


def _filled(array: np.ndarray, file: io.FileIO) -> np.ndarray:
    """The part of an array that a file has bytes for, with these in it."""
    rest = array.data
    while rest and (count := file.readinto(rest)):
        rest = rest[count:]
    return array[: array.size - len(rest)]


def _drained(pipe: io.FileIO) -> np.ndarray:
    """All that a pipe gives, which may have no end."""
    pieces: list[bytes] = []
    size = 0
    while piece := pipe.read(PIECE):
        pieces.append(piece)
        size += len(piece)
        limits.need(2 * size)  # the pieces, and the whole that is made of them
    return np.frombuffer(b"".join(pieces), np.uint8)
