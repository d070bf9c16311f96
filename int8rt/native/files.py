"""Files that tell whether they are whole: a checksum, a line of JSON, and bytes. And where they are kept.

All that int8rt keeps is in such files: compiled code, and what it found out about this CPU and about its own sources.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import Any

try:  # hashlib would load OpenSSL, which takes 2 ms
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

_DIGEST = 32  # bytes of a checksum


def digest(content: bytes) -> bytes:
    """A checksum that tells contents apart."""
    return blake2b(content, digest_size=_DIGEST).digest()


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], bytes] | None:
    """What ``write`` put into a file, header and bytes; None where the file is missing or damaged."""
    try:
        with open(path, "rb", buffering=0) as file:
            content = file.read()
    except OSError:
        return None
    checksum, body = content[:_DIGEST], content[_DIGEST:]
    if digest(body) != checksum:
        return None
    line, _, held = body.partition(b"\n")
    try:
        header = json.loads(line)
    except ValueError:  # of a version that writes other files
        return None
    return (header, held) if isinstance(header, dict) else None


def write(path: str | os.PathLike[str], header: dict[str, Any], held: bytes = b"") -> None:
    """Make a file of a header, which JSON can express, and bytes; nobody ever sees a part of it.

    What cannot be written is not: a cache that is lacking costs time, nothing else.
    """
    import tempfile

    body = json.dumps(header).encode() + b"\n" + held
    temporary = None
    folder, name = os.path.split(path)
    try:
        os.makedirs(folder, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=os.path.splitext(name)[0])
        with os.fdopen(handle, "wb") as file:
            file.write(digest(body) + body)
        os.replace(temporary, path)
    except OSError:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def cache_base() -> str:
    """The folder of all that is kept: ``INT8RT_CACHE_DIR``, or int8rt's in the user's folder of caches."""
    given = os.environ.get("INT8RT_CACHE_DIR")
    if given:
        return given
    if sys.platform == "win32":
        root = os.environ.get("LOCALAPPDATA")
    elif sys.platform == "darwin":
        root = os.path.expanduser("~/Library/Caches")
    else:
        root = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(root if root and not root.startswith("~") else os.devnull, "int8rt")
