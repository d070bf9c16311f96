"""Files of the cache: a checksum, a line of JSON, compiled code. A damaged one counts as missing."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

try:  # hashlib would load OpenSSL, which takes 2 ms
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

from int8rt.native import loader

if TYPE_CHECKING:  # a warm start does without it
    from pathlib import Path


def read(path: str | Path) -> dict[str, Any] | None:
    """The entry that a file holds: checksum, a line of JSON, image, object. None where it is missing or damaged."""
    try:
        with open(path, "rb", buffering=0) as file:
            content = file.read()
    except OSError:
        return None
    checksum, body = content[:32], content[32:]
    if digest(body) != checksum:
        return None
    line, _, code = body.partition(b"\n")
    try:
        header = json.loads(line)
        if header.get("image"):
            machine, size, start, fixups = header["image"]
            header["image"] = loader.Image(machine, code[:size], start, tuple(map(tuple, fixups)))
            code = code[size:]
    except (AttributeError, TypeError, ValueError):  # of a version that writes other entries
        return None
    return {**header, "code": code}


def write(path: str | Path, entry: dict[str, Any]) -> None:
    import tempfile

    image = entry.get("image")
    header = {key: value for key, value in entry.items() if key != "code"}
    if image is not None:
        header["image"] = image._replace(code=len(image.code))
    body = json.dumps(header).encode() + b"\n" + (image.code if image is not None else b"") + entry["code"]
    temporary = None
    folder, name = os.path.split(path)
    try:
        os.makedirs(folder, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=os.path.splitext(name)[0])
        with os.fdopen(handle, "wb") as file:
            file.write(digest(body) + body)
        os.replace(temporary, path)
    except OSError:  # a cache that cannot be written costs time, nothing else
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def cache_base() -> str:
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


def digest(content: bytes) -> bytes:
    """A checksum that tells contents apart."""
    return blake2b(content, digest_size=32).digest()


def version(package: str) -> str:
    """What tells one version of Numba or llvmlite from another; importlib.metadata takes 15 ms to import."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    try:
        with open(os.path.join(os.path.dirname(spec.origin), "_version.py"), encoding="utf-8") as file:
            return file.read()
    except OSError:
        from importlib.metadata import version

        return version(package)
