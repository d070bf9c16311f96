"""Object files -> images: the sections side by side, and fixups for what depends on where they will lie.

Known are ELF objects for Linux on x86-64 and AArch64, as LLVM writes them for code that may lie anywhere. Of anything
else a LoadError says what it is. Formats: the System V ABI and its supplements for AMD64 and AArch64.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Collection
from typing import Any, NamedTuple

from int8rt.native.loader import ADDRESS, Fixup, Image, LoadError

PAGE = 4096  # sections may count on no more; AArch64's ADRP counts in pages of this size
ALIGN = 64  # of each section: a cache line


class _Section(NamedTuple):
    name: int
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry_size: int


class _Symbol(NamedTuple):
    name: int
    info: int
    other: int
    section: int
    value: int
    size: int


class _Relocation(NamedTuple):
    offset: int
    info: int
    addend: int

    @property
    def type(self) -> int:
        return self.info & 0xFFFFFFFF

    @property
    def symbol(self) -> int:
        return self.info >> 32


_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_FORMATS: dict[type, struct.Struct] = {
    _Section: struct.Struct("<IIQQQQIIQQ"), _Symbol: struct.Struct("<IBBHQQ"), _Relocation: struct.Struct("<QQq"),
}  # fmt: skip

_MAGIC = b"\x7fELF\x02\x01\x01"  # 64 bits, little-endian
_RELOCATABLE = 1
MACHINES = {62: "x86_64", 183: "aarch64"}
_PROGBITS, _SYMTAB, _RELA, _NOBITS, _REL, _X86_UNWIND = 1, 2, 4, 8, 9, 0x70000001  # types of sections
_WRITE, _ALLOC, _EXECUTE, _TLS = 1, 2, 4, 0x400  # their flags
_UNDEFINED, _FIRST_RESERVED = 0, 0xFF00  # numbers of sections
_SEEN_BY_OTHERS = (1, 2)  # bindings of symbols: global and weak


def flatten(code: bytes, symbol: str, known: Collection[str]) -> Image:
    """The image of an object file, to be entered at a symbol; it may call functions whose names are ``known``.

    Raises LoadError where the object has anything that an image cannot express, or is malformed.
    """
    try:
        return _Object(code, known).image(symbol)
    except (struct.error, IndexError, ValueError, OverflowError) as error:
        raise LoadError(f"malformed object: {error}") from error


def check(code: bytes, symbol: str, machine: str) -> None:
    """Whether an object file for a machine defines a symbol, and all of its parts are inside it.

    Raises LoadError where not.
    """
    try:
        found = _Object(code, ())
        if found.machine != machine:
            raise LoadError(f"an object for {found.machine}")
        found.check(symbol)
    except (struct.error, IndexError, ValueError, OverflowError) as error:
        raise LoadError(f"malformed object: {error}") from error


class _Object:
    """An object file on its way to an image."""

    def __init__(self, raw: bytes, known: Collection[str]) -> None:
        self.raw, self.known = raw, known
        magic, kind, machine, _, _, _, start, _, _, _, _, size, count, _ = _HEADER.unpack_from(raw)
        if not magic.startswith(_MAGIC) or kind != _RELOCATABLE or machine not in MACHINES:
            raise LoadError(f"no relocatable ELF object of a known machine: {magic!r}, {kind}, {machine}")
        if size != _FORMATS[_Section].size:
            raise LoadError(f"section headers of {size} bytes")
        self.machine = MACHINES[machine]
        self.sections: list[_Section] = self.table(_Section, start, count * size)
        self.code = bytearray()
        self.fixups: list[Fixup] = []
        self.places: dict[int, int] = {}  # {section: where it begins in the code}
        self.stubs: dict[str, int] = {}

    def image(self, symbol: str) -> Image:
        """The whole: code first, then what it reads, then stubs."""
        kept = [i for i, section in enumerate(self.sections) if self.is_kept(section)]
        for number in sorted(kept, key=lambda i: not self.sections[i].flags & _EXECUTE):
            section = self.sections[number]
            if section.alignment > PAGE:
                raise LoadError(f"a section aligned to {section.alignment} bytes")
            self.places[number] = self.append(self.bytes_of(section), max(ALIGN, section.alignment))
        for section in self.sections:
            if section.type in (_RELA, _REL) and section.info in self.places:
                self.relocate(section)
        return Image(self.machine, bytes(self.code), self.find(symbol), tuple(self.fixups))

    def check(self, symbol: str) -> None:
        """Raises LoadError, or what reading beyond the end raises, unless all parts are inside and a symbol defined."""
        for section in self.sections:
            if section.type != _NOBITS:
                self.bytes_of(section)
            self.text(self.header_names, section.name)
        if not any(self.check_symbols(table, symbol) for table in self.sections if table.type == _SYMTAB):
            raise LoadError(f"no symbol {symbol}")
        for section in self.sections:
            if section.type == _RELA:
                self.check_relocations(section)

    def check_symbols(self, table: _Section, symbol: str) -> bool:
        """Whether one of these symbols has that name and can be called."""
        is_found = False
        for found in self.table(_Symbol, table.offset, table.size):
            name = self.text(self.sections[table.link], found.name)
            if _UNDEFINED < found.section < _FIRST_RESERVED:
                if found.value > self.sections[found.section].size:
                    raise LoadError(f"a symbol at {found.value} of section {found.section}")
                is_found |= name == symbol and found.info >> 4 in _SEEN_BY_OTHERS
        return is_found

    def check_relocations(self, section: _Section) -> None:
        """That these relocations change bytes of a section, and refer to symbols that there are."""
        target, symbols = self.sections[section.info], self.sections[section.link]
        count = len(self.table(_Symbol, symbols.offset, symbols.size))
        for r in self.table(_Relocation, section.offset, section.size):
            check_inside(r, target)
            if r.symbol >= count:
                raise LoadError(f"a relocation by symbol {r.symbol} of {count}")

    def is_kept(self, section: _Section) -> bool:
        """Whether the image needs a section. Nothing unwinds the stack through kernels; writable data are refused."""
        if not section.flags & _ALLOC or section.size == 0:
            return False
        name = self.text(self.header_names, section.name)
        if section.type == _X86_UNWIND or name == ".eh_frame":
            return False
        is_settled = name.startswith((".data.rel.ro", ".ldata.rel.ro"))  # constant once addresses are in
        if section.type != _PROGBITS or section.flags & _TLS or (section.flags & _WRITE and not is_settled):
            raise LoadError(f"section {name} of type {section.type} with flags {section.flags:#x}")
        return True

    @functools.cached_property
    def header_names(self) -> _Section:
        """The section with the names of sections."""
        return self.sections[_HEADER.unpack_from(self.raw)[-1]]

    # Reading

    def table(self, kind: Any, start: int, nbytes: int) -> list[Any]:
        """All entries of a table."""
        if nbytes % _FORMATS[kind].size:
            raise LoadError(f"a table of {nbytes} bytes")
        return [kind._make(entry) for entry in _FORMATS[kind].iter_unpack(self.slice(start, nbytes))]

    def slice(self, start: int, nbytes: int) -> bytes:
        """Some of the file's bytes."""
        if start + nbytes > len(self.raw):
            raise LoadError(f"bytes {start} to {start + nbytes} of an object of {len(self.raw)}")
        return self.raw[start : start + nbytes]

    def bytes_of(self, section: _Section) -> bytes:
        """A section's contents."""
        return self.slice(section.offset, section.size)

    def text(self, strings: _Section, start: int) -> str:
        """A name in a section of names."""
        held = self.bytes_of(strings)
        return held[start : held.index(b"\0", start)].decode()

    def find(self, symbol: str) -> int:
        """Where in the code a symbol lies that the object defines."""
        for table in self.sections:
            if table.type == _SYMTAB:
                for found in self.table(_Symbol, table.offset, table.size):
                    name = self.text(self.sections[table.link], found.name)
                    if name == symbol and found.section in self.places and found.info >> 4 in _SEEN_BY_OTHERS:
                        return self.place_of(found)
        raise LoadError(f"no symbol {symbol}")

    def place_of(self, symbol: _Symbol) -> int:
        """Where in the code a symbol lies."""
        if symbol.section not in self.places or symbol.value > self.sections[symbol.section].size:
            raise LoadError(f"a symbol at {symbol.value} of section {symbol.section}")
        return self.places[symbol.section] + symbol.value

    # Writing

    def append(self, content: bytes, alignment: int = ALIGN) -> int:
        """More of the image; gives where it begins."""
        self.code += bytes(-len(self.code) % alignment)
        start = len(self.code)
        self.code += content
        return start

    def relocate(self, section: _Section) -> None:
        """Settle what is relative in one section, and note as fixups what is not."""
        if section.type == _REL:
            raise LoadError("relocations without addends")
        target, symbols = self.sections[section.info], self.sections[section.link]
        table: list[_Symbol] = self.table(_Symbol, symbols.offset, symbols.size)
        apply = {"x86_64": self.relocate_x86, "aarch64": self.relocate_aarch64}[self.machine]
        for r in self.table(_Relocation, section.offset, section.size):
            symbol = table[r.symbol]
            if symbol.section >= _FIRST_RESERVED:
                raise LoadError(f"a symbol in section {symbol.section:#x}")
            name = self.text(self.sections[symbols.link], symbol.name) if symbol.section == _UNDEFINED else ""
            if symbol.section == _UNDEFINED and name not in self.known:
                raise LoadError(f"an unknown function {name!r}")
            check_inside(r, target)
            to = 0 if name else self.place_of(symbol)
            apply(r.type, self.places[section.info] + r.offset, name, to, r.addend)

    def relocate_x86(self, type_: int, at: int, name: str, to: int, addend: int) -> None:
        """R_X86_64_...: ``to + addend`` is meant, in the image or, with a name, of that function."""
        if type_ == 1:  # 64
            self.fixups.append(Fixup(ADDRESS, at, name, to + addend))
        elif type_ in (9, 41, 42):  # GOTPCREL, GOTPCRELX, REX_GOTPCRELX: the distance of a word with the address
            self.write("<i", at, self.slot(name, to) + addend - at)
        elif type_ in (2, 4) and (not name or type_ == 4):  # PC32, PLT32
            self.write("<i", at, (self.stub(name) if name else to) + addend - at)
        elif type_ == 24 and not name:  # PC64
            self.write("<q", at, to + addend - at)
        else:
            raise LoadError(f"relocation of type {type_}, {name or 'in the object'}")

    def relocate_aarch64(self, type_: int, at: int, name: str, to: int, addend: int) -> None:
        """R_AARCH64_...: likewise."""
        goal = to + addend
        if type_ == 257:  # ABS64
            self.fixups.append(Fixup(ADDRESS, at, name, goal))
        elif type_ in _AARCH64_MOVES:
            self.fixups.append(Fixup(_AARCH64_MOVES[type_], at, name, goal))
        elif type_ in (282, 283):  # JUMP26, CALL26
            self.insert(at, self.distance((self.stub(name) + addend if name else goal) - at, 28), 2, 26)
        elif name:
            raise LoadError(f"relocation of type {type_} of {name}")
        elif type_ in (260, 261):  # PREL64, PREL32
            self.write("<q" if type_ == 260 else "<i", at, goal - at)
        elif type_ == 275:  # ADR_PREL_PG_HI21, in pages, its two lowest bits apart
            pages = self.distance((goal & -PAGE) - (at & -PAGE), 33) >> 12
            self.insert(at, pages, 0, 2, to=29)
            self.insert(at, pages, 2, 19, to=5)
        elif type_ in _AARCH64_OFFSETS:
            shift = _AARCH64_OFFSETS[type_]
            if goal % (1 << shift):
                raise LoadError(f"address {goal} for a relocation of type {type_}")
            self.insert(at, goal % PAGE, shift, 12 - shift, to=10)
        else:
            raise LoadError(f"relocation of type {type_}")

    @staticmethod
    def distance(value: int, bits: int) -> int:
        """A signed number that an instruction can hold."""
        if not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
            raise LoadError(f"a distance of {value}")
        return value

    def write(self, form: str, at: int, value: int) -> None:
        """A number in the code; struct.error where it does not fit."""
        struct.pack_into(form, self.code, at, value)

    def insert(self, at: int, value: int, start: int, count: int, to: int = 0) -> None:
        """``count`` bits of value, from bit ``start``, into an instruction from bit ``to``."""
        (instruction,) = struct.unpack_from("<I", self.code, at)
        mask = (1 << count) - 1
        self.write("<I", at, instruction & ~(mask << to) | ((value >> start) & mask) << to)

    def slot(self, name: str, to: int) -> int:
        """A word with an address."""
        at = self.append(bytes(8), 8)
        self.fixups.append(Fixup(ADDRESS, at, name, to))
        return at

    def stub(self, name: str) -> int:
        """A jump to a function that may be far away."""
        if name not in self.stubs:
            self.stubs[name] = self.append(_JUMPS[self.machine], 16)
            self.slot(name, 0)
        return self.stubs[name]


def check_inside(r: _Relocation, target: _Section) -> None:
    """Raises LoadError unless a relocation changes bytes of its section."""
    if r.offset + (8 if r.type in _OF_EIGHT_BYTES else 4) > target.size:
        raise LoadError(f"a relocation at {r.offset} of {target.size} bytes")


# Jumps to the address in the next word: jmp [rip + 2] and two bytes of nothing; ldr x16, #8 and br x16.
_JUMPS = {"x86_64": bytes.fromhex("ff25020000006690"), "aarch64": bytes.fromhex("5000005800021fd6")}

_OF_EIGHT_BYTES = (1, 24, 257, 260)  # relocations, of both machines
_AARCH64_MOVES = {264: 0, 266: 1, 268: 2, 269: 3}  # MOVW_UABS_G0_NC, G1_NC, G2_NC, G3
_AARCH64_OFFSETS = {277: 0, 278: 0, 284: 1, 285: 2, 286: 3, 299: 4}  # ADD and LDST8 ... 128_ABS_LO12_NC
