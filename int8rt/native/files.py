"""Files that tell whether they are whole: a checksum, a line of JSON, and bytes. And where they are kept.

All that int8rt keeps is in such files: compiled code, and what it found out about this CPU and about its own sources.

The code in them is run, and a checksum says only that nothing was damaged, not who wrote it. So a file is believed
where nobody but the user or root can have put it: both own it and its folders, and others may not write there. What is
anywhere else is neither read nor written, with one warning; kernels are then compiled again in each process.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
import warnings
from typing import Any

from int8rt.errors import InputError

try:  # hashlib would load OpenSSL, which takes 2 ms
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

_DIGEST = 32  # bytes of a checksum


def digest(content: bytes) -> bytes:
    """A checksum that tells contents apart."""
    return blake2b(content, digest_size=_DIGEST).digest()


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], bytes] | None:
    """What ``write`` put into a file, header and bytes; None where it is missing, damaged, or not to be trusted."""
    content = _content(path)
    checksum, body = content[:_DIGEST], content[_DIGEST:]
    if digest(body) != checksum:
        return None
    line, _, held = body.partition(b"\n")
    try:
        header = json.loads(line)
    except (ValueError, RecursionError):  # of a version that writes other files
        return None
    return (header, held) if isinstance(header, dict) else None


def _content(path: str | os.PathLike[str]) -> bytes:
    """All bytes of a file that can be trusted; none of any other."""
    if not may_use(os.path.dirname(path)):
        return b""
    try:
        handle = os.open(path, _READ)
    except OSError:
        return b""
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        return b""
    fault = _fault(status)
    with open(handle, "rb", buffering=0) as file:
        try:
            content = b"" if fault else file.read()
        except OSError:
            return b""
    if fault:
        _warn(os.fspath(path), fault)
    return content


# A symbolic link is not followed, and a FIFO not waited for.
_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def write(path: str | os.PathLike[str], header: dict[str, Any], held: bytes = b"") -> None:
    """Make a file of a header, which JSON can express, and bytes; nobody ever sees a part of it.

    What cannot be written is not: a cache that is missing something costs time, nothing else.
    """
    import tempfile

    body = json.dumps(header).encode() + b"\n" + held
    temporary = None
    folder, name = os.path.split(path)
    try:
        if not make_folder(folder):
            return
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=os.path.splitext(name)[0])  # for the user alone
        with os.fdopen(handle, "wb") as file:
            file.write(digest(body) + body)
        os.replace(temporary, path)
    except OSError:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def make_folder(folder: str) -> bool:
    """Make a folder for the user alone, and those above that do not exist; whether it may be used.

    Raises OSError where it cannot be made.
    """
    if not is_on():
        return False
    missing = []
    above = os.path.abspath(folder)
    while not os.path.isdir(above) and above != os.path.dirname(above):
        missing.append(above)
        above = os.path.dirname(above)
    for path in reversed(missing):
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o700)
    return may_use(folder)


# Where files are kept


def is_on() -> bool:
    """Whether anything is kept at all: ``INT8RT_CACHE=off`` turns that off. Raises InputError for other values."""
    value = os.environ.get("INT8RT_CACHE") or "on"
    if value not in ("on", "off"):
        raise InputError(f"INT8RT_CACHE is on or off, not {value!r}")
    return value == "on"


def cache_base() -> str:
    """The folder of all that is kept: ``INT8RT_CACHE_DIR``, or int8rt's in the user's folder of caches."""
    given = os.environ.get("INT8RT_CACHE_DIR")
    if given:
        return os.path.abspath(os.path.expanduser(given))
    if sys.platform == "win32":
        root = os.environ.get("LOCALAPPDATA")
    elif sys.platform == "darwin":
        root = os.path.expanduser("~/Library/Caches")
    else:
        root = os.environ.get("XDG_CACHE_HOME")
        if not root or not os.path.isabs(root):  # the XDG Base Directory Specification has relative ones ignored
            root = os.path.expanduser("~/.cache")
    return os.path.join(root if root and os.path.isabs(root) else os.devnull, "int8rt")


# Whom to trust


def may_use(folder: str) -> bool:
    """Whether files in a folder are to be read and written: it exists, and ``why_not`` has nothing against it."""
    if not is_on():
        return False
    found = _judged.get(folder)
    if found is None:
        try:
            reason = why_not(folder)
        except OSError:  # it does not exist yet, or cannot be looked at
            return False
        found = _judged[folder] = reason is None
        if reason:
            _warn(folder, reason)
    return found


_judged: dict[str, bool] = {}


def why_not(folder: str) -> str | None:
    """What keeps a folder from being trusted, if anything; it and all above it are looked at, and links on the way.

    On Windows a user's folders have access lists, which are not looked at. Raises OSError where a folder is missing.
    """
    if not hasattr(os, "geteuid"):
        return None
    folder = os.path.abspath(folder)
    real, base = os.path.realpath(folder), cache_base()
    for path in dict.fromkeys([*_with_parents(folder), *_with_parents(real)]):
        status = os.lstat(path)
        if fault := _fault(status, may_be_shared=path not in (folder, real, base)):
            return fault if path == folder else f"lies below {path}, which {fault}"
    return None


def _with_parents(path: str) -> list[str]:
    """A folder and all above it."""
    found = [path]
    while (above := os.path.dirname(path)) != path:
        found.append(above)
        path = above
    return found


def _fault(status: os.stat_result, may_be_shared: bool = False) -> str | None:
    """What is wrong with a file or folder: its owner, or who may write there.

    A folder above may be shared if its sticky bit keeps others from replacing what is ours, as in /tmp. A group with
    the number of its user is the user's own, by the custom of Linux distributions, whose umask then lets it write.
    """
    if not hasattr(os, "geteuid"):
        return None
    user, mode = os.geteuid(), status.st_mode
    if status.st_uid not in (0, user):
        return f"belongs to user {status.st_uid}"
    if stat.S_ISLNK(mode) or (may_be_shared and mode & stat.S_ISVTX):
        return None
    if mode & stat.S_IWOTH:
        return "can be written by others"
    if mode & stat.S_IWGRP and status.st_gid != status.st_uid:
        return "can be written by its group"
    return None


def _warn(path: str, reason: str) -> None:
    """Say, once a process, that compiled code is not kept, why, and what to do."""
    if not _warned:
        _warned.append(path)
        warnings.warn(
            f"int8rt does not use its cache, and compiles kernels in every process: {path} {reason}. Only you or root "
            "may own the cache and be able to write to it; INT8RT_CACHE_DIR names another folder, INT8RT_CACHE=off "
            "goes without",
            RuntimeWarning,
            stacklevel=2,
        )


_warned: list[str] = []
