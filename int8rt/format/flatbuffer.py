"""Reads FlatBuffers tables out of bytes that nobody vouches for: every offset is checked before it is followed.

A FlatBuffers table is a signed offset back to its vtable, then its fields. The vtable is 16-bit numbers: its own size,
the table's size, and where each field lies from the table's start, 0 for a field left at its default. Vectors and
strings are a 32-bit length and the items; tables, vectors and strings are reached by unsigned 32-bit offsets, forward
from where the offset stands. All numbers are little-endian (https://flatbuffers.dev/internals).
"""

from __future__ import annotations

import struct
from functools import cache
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from int8rt.errors import ModelError
from int8rt.format.schema import TABLES, UNIONS

_FORMATS = {
    "bool": "?",
    "byte": "b",
    "ubyte": "B",
    "short": "h",
    "ushort": "H",
    "int": "i",
    "uint": "I",
    "long": "q",
    "ulong": "Q",
    "float": "f",
    "double": "d",
}
_SCALARS = {kind: struct.Struct("<" + code) for kind, code in _FORMATS.items()}
DEPRECATED = "-"  # how the schema's tables mark a slot that nobody reads
DTYPES = {kind: np.dtype("<" + code) for kind, code in _FORMATS.items()}


class Field(NamedTuple):
    """One slot of a table."""

    name: str
    kind: str  # of a vector, of its items
    is_vector: bool
    scalar: struct.Struct | None  # how to read it, where it is a plain number
    default: Any


@cache
def layout(table: str) -> tuple[Field, ...]:
    """The fields of a table, by slot."""
    return tuple(_field(text) for text in TABLES[table].split())


def _field(text: str) -> Field:
    """A field of a table, from its line in the schema: ``name:type=default``, ``name:[type]`` of vectors."""
    if text == DEPRECATED:
        return Field(DEPRECATED, "", False, None, None)
    declared, _, default = text.partition("=")
    name, _, kind = declared.partition(":")
    item = kind.strip("[]")
    if kind != item:
        return Field(name, item, True, None, np.empty(0, DTYPES[item]) if item in DTYPES else ())
    if kind not in _SCALARS:
        return Field(name, item, False, None, "" if kind == "string" else None)
    python_type = {"bool": bool, "float": float, "double": float}.get(kind, int)
    return Field(name, item, False, _SCALARS[kind], python_type(float(default or 0)))


def defaults(table: str) -> SimpleNamespace:
    """A table of which nothing is written."""
    return SimpleNamespace(**_default_values(table))


@cache
def _default_values(table: str) -> dict[str, Any]:
    return {field.name: field.default for field in layout(table) if field.name != DEPRECATED}


class FlatBuffer:
    """A file's bytes and the tables in them.

    Tables become namespaces: numbers, strings, namespaces, tuples of strings or namespaces, read-only NumPy views for
    vectors of numbers. What is left out has its default: 0, "", an empty vector, None for a table.

    Tables may share what they point to, so a small file can describe a huge tree. Work is therefore counted, in units
    of about eight bytes read, and what no file without sharing comes near is refused.
    """

    def __init__(self, raw: np.ndarray) -> None:
        self.raw = raw  # uint8 [nbytes]
        self.size = len(raw)
        self._view = raw.data
        self._work_left = 200_000 + self.size // 2
        self._written: dict[tuple[int, str], list[tuple[Field, int]]] = {}  # what tables with a vtable hold; many share
        self.unread: dict[str, None] = {}  # what of the tables read belongs to a later schema; in order, each once

    def root(self, table: str, identifier: bytes) -> SimpleNamespace:
        """The root table of a file that starts with its offset and a four-byte identifier.

        Raises ModelError, as everything here does, where the bytes do not make sense.
        """
        if self.size < 8:
            raise ModelError(f"not a .tflite file: {self.size} bytes, expected a header of 8")
        if (found := self._view[4:8].tobytes()) != identifier:
            raise ModelError(f"not a .tflite file: bytes 4 to 7 are {found!r}, expected {identifier!r}")
        return self.table(self._offset(0, table), table, table)

    def work(self, nbytes: int, where: str) -> None:
        """Counts bytes that are read or copied."""
        self._work_left -= 1 + nbytes // 8
        if self._work_left < 0:
            raise ModelError(f"{where}: the file of {self.size} bytes expands to far more than it holds")

    def slice(self, start: int, nbytes: int, where: str) -> np.ndarray:
        """Bytes of the file: uint8 [nbytes], a read-only view."""
        if start + nbytes > self.size:
            raise ModelError(f"{where}: bytes {start} to {start + nbytes} lie outside the file of {self.size} bytes")
        return self.raw[start : start + nbytes]

    def table(self, start: int, name: str, where: str) -> SimpleNamespace:
        """The table called ``name`` in the schema, at byte ``start``."""
        values = dict(_default_values(name))
        for field, offset in self._fields(start, name, where):
            if field.scalar is None:
                values[field.name] = self._pointed(field, start + offset, values, f"{where}.{field.name}")
            elif start + offset + field.scalar.size <= self.size:
                values[field.name] = field.scalar.unpack_from(self._view, start + offset)[0]
            else:
                raise ModelError(f"{where}.{field.name} lies at byte {start + offset}, past the file's {self.size}")
        return SimpleNamespace(**values)

    def _fields(self, start: int, name: str, where: str) -> list[tuple[Field, int]]:
        """The fields that are written in the table at ``start``, and where they lie, counted from there."""
        vtable = start - int(self._number("int", start, where))
        size = int(self._number("ushort", vtable, f"{where} (vtable)"))
        self.work(size, where)
        known = self._written.get((vtable, name))
        if known is None:
            if size < 4 or size % 2:
                raise ModelError(f"{where}: its vtable has {size} bytes, expected an even number from 4")
            numbers = struct.unpack(f"<{size // 2}H", self.slice(vtable, size, f"{where} (vtable)").tobytes())
            slots = layout(name)
            known = [(f, offset) for f, offset in zip(slots, numbers[2:]) if offset and f.name != DEPRECATED]
            for slot, offset in enumerate(numbers[2 + len(slots) :], start=len(slots)):
                if offset:
                    self.unread[f"{name}, slot {slot}"] = None
            self._written[vtable, name] = known
        return known

    def _number(self, kind: str, start: int, where: str) -> Any:
        scalar = _SCALARS[kind]
        if start < 0 or start + scalar.size > self.size:
            raise ModelError(f"{where} lies at byte {start}, outside the file of {self.size} bytes")
        return scalar.unpack_from(self._view, start)[0]

    def _offset(self, start: int, where: str) -> int:
        """Where the offset at byte ``start`` points to."""
        return start + int(self._number("uint", start, where))

    def _pointed(self, field: Field, start: int, values: dict[str, Any], where: str) -> Any:
        """What a field that is an offset points to."""
        start = self._offset(start, where)
        if field.is_vector:
            return self._vector(field.kind, start, where)
        if field.kind == "string":
            return self._string(start, where)
        if field.kind not in UNIONS:
            return self.table(start, field.kind, where)
        number = values[f"{field.name}_type"]
        if table := UNIONS[field.kind].get(number):
            return self.table(start, table, where)
        if number:  # else it says that there is none
            self.unread[f"{field.kind}, type {number}"] = None
        return None

    def _string(self, start: int, where: str) -> str:
        count = int(self._number("uint", start, where))
        self.work(count, where)
        return self.slice(start + 4, count, where).tobytes().decode("utf-8", "backslashreplace")

    def _vector(self, kind: str, start: int, where: str) -> Any:
        """A vector that begins at ``start``: an array of numbers, or a tuple of strings or tables."""
        count = int(self._number("uint", start, where))
        start += 4
        if kind in DTYPES:
            data = self.slice(start, count * DTYPES[kind].itemsize, where)
            self.work(0 if kind == "ubyte" else len(data), where)  # bytes stay as they are: nobody walks over them
            return data if kind == "ubyte" else data.view(DTYPES[kind])
        offsets = self.slice(start, 4 * count, where).view("<u4").tolist()
        self.work(4 * count, where)
        items = [start + 4 * i + offset for i, offset in enumerate(offsets)]
        if kind == "string":
            return tuple(self._string(at, f"{where}[{i}]") for i, at in enumerate(items))
        return tuple(self.table(at, kind, f"{where}[{i}]") for i, at in enumerate(items))
