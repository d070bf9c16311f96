"""Whether two Graphs say the same, and where they first do not."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

OF_THE_FILE = {"nbytes", "unread"}  # what a Graph says of its file rather than of the model
DEEPEST = 24  # levels; subgraphs that run others are met at each of them


def difference(a: Any, b: Any, where: str = "graph", depth: int = 0) -> str:
    """What differs, in words; empty where nothing does."""
    if type(a) is not type(b):
        return f"{where}: {type(a).__name__}, {type(b).__name__}"
    if isinstance(a, np.ndarray):
        same = a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
        return "" if same else f"{where}: {a.dtype}{list(a.shape)} and {b.dtype}{list(b.shape)} differ"
    parts = _parts(a, b)
    if parts is None:
        return "" if a == b or (a != a and b != b) else f"{where}: {a!r}, {b!r}"
    if len(parts) != len(_parts(b, a) or ()):
        return f"{where}: {len(parts)} parts and {len(_parts(b, a) or ())}"
    if depth == DEEPEST:
        return ""
    return next((why for name, x, y in parts if (why := difference(x, y, f"{where}.{name}", depth + 1))), "")


def _parts(a: Any, b: Any) -> list[tuple[Any, Any, Any]] | None:
    """What a value consists of, with the same of another one; None of what has no parts."""
    if dataclasses.is_dataclass(a):
        names: Iterable[str] = [f.name for f in dataclasses.fields(a) if f.name not in OF_THE_FILE]
        return [(name, getattr(a, name), getattr(b, name)) for name in names]
    if isinstance(a, SimpleNamespace):
        a, b = vars(a), vars(b)
    if isinstance(a, Mapping):
        return [(key, value, b.get(key)) for key, value in a.items()]
    return [(i, x, y) for i, (x, y) in enumerate(zip(a, b))] if isinstance(a, tuple) else None
