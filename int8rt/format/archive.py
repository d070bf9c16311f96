"""The zip archive that may follow a model: its labels and vocabularies, which TFLITE_METADATA mentions.

An archive ends with a record that says how long its directory is, and where that begins; an entry of the directory says
where the file begins. These offsets count from the start of the whole file, so they have to change when what stands in
front of the archive does (APPNOTE.TXT, sections 4.3.12 and 4.3.16).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from int8rt.errors import UnsupportedError

_END = struct.Struct("<4s4H2IH")  # signature, numbers of disks and entries, directory's size and offset, comment's size
_END_OFFSET = 16
_LONG = struct.Struct("<I")
_END_SIGNATURE = b"PK\5\6"
_ENTRY_SIGNATURE = b"PK\1\2"
_ENTRY_SIZE, _ENTRY_LENGTHS, _ENTRY_OFFSET = 46, 28, 42  # within an entry: three lengths of what follows it, the offset
_FILE_SIGNATURE = b"PK\3\4"
MAX_BYTES = 2**32 - 1  # of a file with an archive: its offsets have 32 bits
_LONGEST = _END.size + 2**16  # bytes of the last record and its comment


def found(raw: np.ndarray) -> bytes:
    """The archive behind a model, uint8 [nbytes], as a file by itself; empty where there is none that makes sense."""
    tail = raw[-_LONGEST:].tobytes()
    at = tail.rfind(_END_SIGNATURE)
    if at < 0 or len(tail) - at < _END.size:
        return b""
    end = len(raw) - len(tail) + at
    *_, size, stated, _ = _END.unpack_from(tail, at)
    directory = end - size
    if directory < 0:
        return b""
    shift = directory - stated  # of what is in front of the archive and its offsets do not count
    places = [offset + shift for _, offset in _entries(raw[directory:end].tobytes())]
    start = min(places, default=directory)
    is_sound = all(0 <= place < directory for place in places)
    if not is_sound or (places and raw[start : start + 4].tobytes() != _FILE_SIGNATURE):
        return b""
    return moved(raw[start:].tobytes(), 0)


def moved(archive: bytes, start: int) -> bytes:
    """The archive as it has to be where it begins at byte ``start`` of a file. Raises UnsupportedError beyond 4 GB."""
    if start + len(archive) > MAX_BYTES:
        raise UnsupportedError(f"an archive behind {start} bytes would end beyond {MAX_BYTES}, where none can be")
    content = bytearray(archive)
    end = content.rfind(_END_SIGNATURE)
    *_, size, stated, _ = _END.unpack_from(content, end)
    shift = start + (end - size) - stated
    for at, offset in _entries(archive[end - size : end]):
        _LONG.pack_into(content, end - size + at + _ENTRY_OFFSET, offset + shift)
    _LONG.pack_into(content, end + _END_OFFSET, stated + shift)
    return bytes(content)


def _entries(directory: bytes) -> Iterator[tuple[int, int]]:
    """Where each entry of a directory begins in it, and the offset that it states."""
    at = 0
    while directory[at : at + 4] == _ENTRY_SIGNATURE and at + _ENTRY_SIZE <= len(directory):
        lengths = struct.unpack_from("<3H", directory, at + _ENTRY_LENGTHS)
        yield at, _LONG.unpack_from(directory, at + _ENTRY_OFFSET)[0]
        at += _ENTRY_SIZE + sum(lengths)
