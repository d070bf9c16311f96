"""The cache of compiled code: a folder per fingerprint, in it a file per kernel and list of argument types."""

from __future__ import annotations

import functools
import os
import re
from types import FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

from int8rt.native import files
from int8rt.native.abi import Signature, symbol
from int8rt.native.fingerprint import fingerprint
from int8rt.native.kernel import Inline, Kernel
from int8rt.native.loader import Fixup, Image

if TYPE_CHECKING:  # a warm start does without it
    from pathlib import Path


class Entry(NamedTuple):
    """The compiled code of one entry point."""

    symbol: str  # its name in the object
    recipe: str  # of the kernel: with the signature, what to compile for another version or CPU
    signature: Signature
    needs_numba: bool  # whether the object calls functions of Numba
    code: bytes  # an object file
    image: Image | None  # the same for ``loader``, if it can take it


def read(kernel: Kernel, signature: Signature) -> Entry | None:
    """What the cache has of an entry point, if anything."""
    kept = path(kernel, signature)
    entry = read_entry(kept) if kept is not None else None
    return entry if entry is not None and entry.symbol == symbol(kernel.name, signature) else None


def write(kernel: Kernel, entry: Entry) -> None:
    """Put an entry point where ``read`` finds it, if that can be."""
    kept = path(kernel, entry.signature)
    if kept is not None:
        write_entry(kept, entry)


def has(kernel: Kernel, signature: Signature) -> bool:
    """Whether there is a file with an entry point; it may be damaged."""
    kept = path(kernel, signature)
    return kept is not None and files.may_use(os.path.dirname(kept)) and os.path.exists(kept)


def path(kernel: Kernel, signature: Signature) -> str | None:
    """The file that an entry point is kept in; None for a kernel of others whose code depends on who knows what."""
    content = b""
    if not is_ours(kernel):
        from int8rt.native import foreign

        known = foreign.content(kernel)
        if known is None:
            return None
        content = known
    name = re.sub(r"\W+", "_", kernel.label)[:60]
    key = files.digest(repr((kernel.name, signature, content)).encode()).hex()[:20]
    return os.path.join(_folder(), f"{name}-{key}.o")


def is_ours(value: Any) -> bool:
    """Whether the fingerprint and a kernel's name cover its code: all functions that it is made of are of int8rt.

    What a kernel factory is given is among the variables that its kernel closes over.
    """
    if not isinstance(value, (Kernel, Inline, FunctionType)):
        return True
    function = value if isinstance(value, FunctionType) else value.function
    closed_over = (cell.cell_contents for cell in function.__closure__ or ())
    return (function.__module__ or "").partition(".")[0] == "int8rt" and all(map(is_ours, closed_over))


def read_entry(path: str | os.PathLike[str]) -> Entry | None:
    """The entry point in a file; None where there is none that is whole."""
    header, held = files.read(path) or ({}, b"")
    try:
        size, image = 0, header["image"]
        if image is not None:
            machine, size, start, fixups = image
            if not 0 <= size <= len(held):
                return None
            image = Image(machine, held[:size], start, tuple(Fixup(*f) for f in fixups))
        found = Entry(header["symbol"], header["recipe"], tuple(header["signature"]), header["needs_numba"], b"", image)
        return found._replace(code=held[size:]) if _is_sound(found) else None
    except (LookupError, TypeError, ValueError):  # of a version that writes other entries
        return None


def _is_sound(entry: Entry) -> bool:
    """Whether everything in an entry is of the type that it is declared with: it was read from a file."""
    texts = [entry.symbol, entry.recipe, *entry.signature]
    numbers: list[Any] = []
    if entry.image is not None:
        texts += [entry.image.machine, *(fixup.name for fixup in entry.image.fixups)]
        numbers = [entry.image.entry, *(n for f in entry.image.fixups for n in (f.form, f.at, f.addend))]
    return all(type(x) is str for x in texts) and all(type(x) is int for x in numbers)


def write_entry(path: str | os.PathLike[str], entry: Entry) -> None:
    """Make a file of an entry point: its header, the image's code, the object."""
    image = entry.image
    header = {**entry._asdict(), "image": image and image._replace(code=len(image.code))}  # type: ignore[arg-type]
    files.write(path, header | {"code": None}, (image.code if image else b"") + entry.code)


@functools.cache
def cache_folder() -> Path:
    """Where compiled code is kept, if it can be written: in ``INT8RT_CACHE_DIR`` or in the user's cache folder.

    One that is read-only is read. There is no fallback to a temporary folder, where other users could plant code;
    ``files`` says which folders are trusted.
    """
    from pathlib import Path

    return Path(_folder())


@functools.cache
def _folder() -> str:
    return os.path.join(files.cache_base(), fingerprint())


def other_folders() -> list[Path]:
    """Beside our own: the folders of other versions of int8rt, Python and Numba, and of other CPUs."""
    try:
        beside = sorted(cache_folder().parent.iterdir())
    except OSError:
        return []
    is_ours = re.compile(r"[0-9a-f]{20}").fullmatch
    return [p for p in beside if is_ours(p.name) and p != cache_folder() and p.is_dir() and not p.is_symlink()]


def contents(folder: Path) -> list[Path]:
    """The files in a folder of compiled code; none where there is no such folder."""
    return [p for p in folder.iterdir() if p.is_file()] if folder.is_dir() else []


def notes() -> list[Path]:
    """Beside the folders: what was found out about CPUs and sources."""
    return [p for p in cache_folder().parent.glob("*-*") if re.fullmatch(r"(cpu|sources)-[0-9a-f]{20}", p.name)]


def recorded(folder: Path) -> set[tuple[str, Signature]]:
    """The recipe and the argument types of every entry in a folder."""
    entries = filter(None, map(read_entry, folder.glob("*.o")))
    return {(entry.recipe, entry.signature) for entry in entries}
