"""The cache of compiled code: a folder per fingerprint, in it a file per kernel and list of argument types."""

from __future__ import annotations

import functools
import os
import re
from typing import TYPE_CHECKING

from int8rt.native.abi import Signature
from int8rt.native.files import cache_base, digest, read
from int8rt.native.fingerprint import fingerprint
from int8rt.native.kernel import Kernel

if TYPE_CHECKING:  # a warm start does without it
    from pathlib import Path


def path(kernel: Kernel, signature: Signature) -> str:
    """The file that an entry point is kept in."""
    name = re.sub(r"\W+", "_", kernel.name.split(":")[-1])[:60]
    key = digest(repr((kernel.name, signature, _foreign_source(kernel))).encode()).hex()[:20]
    return os.path.join(_folder(), f"{name}-{key}.o")


def _foreign_source(kernel: Kernel) -> bytes:
    """The code of a kernel that is not int8rt's own, whose sources the fingerprint does not cover."""
    if kernel.function.__module__.partition(".")[0] == "int8rt":
        return b""
    code = kernel.function.__code__
    return code.co_code + repr((code.co_consts, code.co_names)).encode()


@functools.cache
def cache_folder() -> Path:
    """Where compiled code is kept, if it can be written: in ``INT8RT_CACHE_DIR`` or in the user's cache folder.

    One that is read-only is read. There is no fallback to a temporary folder, where other users could plant code.
    """
    from pathlib import Path

    return Path(_folder())


@functools.cache
def _folder() -> str:
    return os.path.join(cache_base(), fingerprint())


def other_folders() -> list[Path]:
    """Beside our own: the folders of other versions of int8rt, Python and Numba, and of other CPUs."""
    try:
        beside = sorted(cache_folder().parent.iterdir())
    except OSError:
        return []
    is_ours = re.compile(r"[0-9a-f]{20}").fullmatch
    return [p for p in beside if is_ours(p.name) and p != cache_folder() and p.is_dir() and not p.is_symlink()]


def recorded(folder: Path) -> set[tuple[str, Signature]]:
    """The recipe and the argument types of every entry in a folder."""
    entries = filter(None, map(read, folder.glob("*.o")))
    return {(e["recipe"], tuple(e["signature"])) for e in entries if "recipe" in e and "signature" in e}
