"""Writes FlatBuffers tables: the inverse of ``flatbuffer``, from the same descriptions of the schema.

A table is a namespace with its fields in snake case, as ``FlatBuffer`` gives it: numbers, strings, namespaces,
sequences of strings or namespaces, anything with numbers for vectors of numbers; a union is the pair of its table's
name and the namespace, and the field beside it says the type. A field that is None or missing is left out, and so is a
number that equals its default. Everything else is written, empty vectors too.

Tables come first, each before what it points to, and vectors of bytes last, so that they never have to be copied.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, TypeAlias

import numpy as np

from int8rt.errors import UnsupportedError
from int8rt.format.flatbuffer import DTYPES, Field, layout
from int8rt.format.schema import UNIONS

Piece: TypeAlias = "bytes | bytearray | memoryview"

ALIGNMENT = 16  # of vectors of bytes: the schema forces it for buffers and custom options
MAX_BYTES = 2**31 - 1  # of a FlatBuffer: readers take its offsets for signed numbers
_OFFSET = struct.Struct("<I")


def build(root: SimpleNamespace, table: str, identifier: bytes) -> list[Piece]:
    """The pieces of a file that ``FlatBuffer.root(table, identifier)`` reads, in order.

    Raises UnsupportedError where they would be longer than a FlatBuffer can be.
    """
    builder = _Builder(identifier)
    builder.point(0, builder.table(root, table))
    return builder.pieces()


class _Builder:
    """A file that grows at its end. ``blobs`` are what follows it: vectors of bytes, and where their offsets stand."""

    def __init__(self, identifier: bytes) -> None:
        self.out = bytearray(4) + identifier
        self.blobs: list[tuple[int, memoryview]] = []
        self._vtables: dict[bytes, int] = {}

    def point(self, at: int, target: int) -> None:
        """Let the offset at byte ``at`` point to ``target``, which lies behind it."""
        if target > MAX_BYTES:
            raise UnsupportedError(f"the file would be a FlatBuffer of more than {MAX_BYTES} bytes")
        _OFFSET.pack_into(self.out, at, target - at)

    def table(self, values: SimpleNamespace, name: str) -> int:
        """Append a table and all that it points to; returns where it begins."""
        fields = [(slot, f, v) for slot, f in enumerate(layout(name)) if (v := _given(values, f)) is not None]
        fields.sort(key=lambda entry: -_inline_size(entry[1]))  # no gaps between them
        places, end, largest = {}, 4, 4  # behind the offset to the vtable
        for slot, field, _ in fields:
            size = _inline_size(field)
            end, largest = end + -end % size, max(largest, size)
            places[slot] = end
            end += size
        vtable = self._vtable(places, end)
        self.align(largest)
        start = len(self.out)
        self.out += bytes(end)
        struct.pack_into("<i", self.out, start, start - vtable)
        for slot, field, value in fields:
            if field.scalar is not None:
                field.scalar.pack_into(self.out, start + places[slot], value)
        for slot, field, value in fields:
            if field.scalar is None:
                self.pointed(start + places[slot], field, value)
        return start

    def _vtable(self, places: dict[int, int], size: int) -> int:
        """Where a vtable for fields at these places lies: tables with the same ones share it."""
        slots = range(1 + max(places, default=-1))
        numbers = [4 + 2 * len(slots), size, *(places.get(slot, 0) for slot in slots)]
        vtable = struct.pack(f"<{len(numbers)}H", *numbers)
        if vtable not in self._vtables:
            self.align(2)
            self._vtables[vtable] = len(self.out)
            self.out += vtable
        return self._vtables[vtable]

    def pointed(self, at: int, field: Field, value: Any) -> None:
        """Append what the offset at byte ``at`` points to."""
        if field.is_vector and field.kind == "ubyte":
            self.blobs.append((at, _bytes_of(value)))
        elif field.is_vector:
            self.point(at, self.vector(field.kind, value))
        elif field.kind == "string":
            self.point(at, self.string(value))
        else:
            kind, values = value if field.kind in UNIONS else (field.kind, value)
            self.point(at, self.table(values, kind))

    def string(self, text: str) -> int:
        """Append a string, with the NUL that ends it for C; returns where it begins."""
        self.align(4)
        start = len(self.out)
        raw = text.encode("utf-8", "backslashreplace")
        self.out += _OFFSET.pack(len(raw)) + raw + b"\0"
        return start

    def vector(self, kind: str, items: Sequence[Any] | np.ndarray) -> int:
        """Append a vector of numbers, strings or tables; returns where it begins."""
        if kind in DTYPES:
            numbers = np.asarray(items, DTYPES[kind])
            self.align(max(4, numbers.itemsize), ahead=4)
            start = len(self.out)
            self.out += _OFFSET.pack(numbers.size) + numbers.tobytes()
            return start
        self.align(4)
        start = len(self.out)
        self.out += _OFFSET.pack(len(items)) + bytes(4 * len(items))
        for i, item in enumerate(items):
            self.point(start + 4 + 4 * i, self.string(item) if kind == "string" else self.table(item, kind))
        return start

    def align(self, size: int, ahead: int = 0) -> None:
        """Append zeros until what follows ``ahead`` more bytes begins at a multiple of ``size``."""
        self.out += bytes(-(len(self.out) + ahead) % size)

    def pieces(self) -> list[Piece]:
        """The whole file."""
        end = len(self.out)
        behind: list[Piece] = []
        for at, raw in self.blobs:
            padding = -(end + 4) % ALIGNMENT
            self.point(at, end + padding)
            behind += [bytes(padding) + _OFFSET.pack(len(raw)), raw]
            end += padding + 4 + len(raw)
        if end > MAX_BYTES:
            raise UnsupportedError(f"the file would be a FlatBuffer of {end} bytes, at most {MAX_BYTES} are possible")
        return [self.out, *behind]


def _given(values: SimpleNamespace, field: Field) -> Any:
    """What has to be written of a field; None where nothing has."""
    value = getattr(values, field.name, None)
    return None if field.scalar is not None and value == field.default else value


def _inline_size(field: Field) -> int:
    """The bytes that a field takes within its table."""
    return 4 if field.scalar is None else field.scalar.size


def _bytes_of(value: Any) -> memoryview:
    """A vector of bytes without copying it."""
    if len(value) == 0:
        return memoryview(b"")
    if isinstance(value, bytes | bytearray | memoryview):
        return memoryview(value).cast("B")
    return np.ascontiguousarray(value, np.uint8).reshape(-1).data.cast("B")
