"""What decides how compiled code looks: the sources of int8rt, the versions of what compiles them, and the CPU."""

from __future__ import annotations

import functools
import os
import platform
import time

import numpy as np

from int8rt.native.cpu import cpu_features, cpu_name, version
from int8rt.native.files import cache_base, digest, read, write

_PACKAGE = os.path.dirname(os.path.dirname(__file__))


def _hash_of_sources() -> str:
    """A hash of the places and contents of all sources, kept for as long as the system says that none has changed.

    A change of a file changes the time of its last change, unless the one before was but a moment ago.
    """
    files = sorted(_files_below(_PACKAGE))
    stamp = digest(repr(files).encode()).hex()
    path = os.path.join(cache_base(), f"sources-{stamp[:20]}")
    known, _ = (read(path) if os.name == "posix" else None) or ({}, b"")
    if known.get("stamp") == stamp and isinstance(known.get("hash"), str):
        return str(known["hash"])
    contents = []
    for name, *_ in files:
        with open(name, "rb", buffering=0) as file:
            contents.append((os.path.relpath(name, _PACKAGE), digest(file.read())))
    found = digest(repr(contents).encode()).hex()
    if os.name == "posix" and files and max(changed for *_, changed in files) < time.time_ns() - _MOMENT:
        write(path, {"stamp": stamp, "hash": found})
    return found


_MOMENT = 2 * 10**9  # nanoseconds: file systems count time in steps of up to so much


def _files_below(folder: str) -> list[tuple[str, int, int, int, int]]:
    """The sources in a folder and in those below: path, number, size, and when content and file were changed."""
    found: list[tuple[str, int, int, int, int]] = []
    try:
        entries = list(os.scandir(folder))
    except OSError:  # no folder: a package in an archive has no files
        return found
    for entry in entries:
        if entry.name.endswith(".py"):
            s = entry.stat()
            found.append((entry.path, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns))
        elif entry.is_dir(follow_symlinks=False):
            found += _files_below(entry.path)
    return found


# Now, before kernels are imported: code that is edited later must not be filed under what it was edited to.
_sources = _hash_of_sources()


@functools.cache
def fingerprint() -> str:
    """A hash of all that decides what compiled code looks like."""
    versions = version("numba"), version("llvmlite"), np.__version__
    target = platform.python_version(), platform.machine(), cpu_name(), cpu_features()
    return digest(repr((_sources, versions, target)).encode()).hex()[:20]
