"""What tests need beside int8rt. Where it is missing they are skipped; where INT8RT_REQUIRE names it they fail.

    INT8RT_REQUIRE=litert,models python -m pytest

A test says what it needs by a mark, ``@pytest.mark.needs("litert")``, or, where it comes to need it, by ``need`` or
``shared_model``.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from paths import SHARED_MODELS

from int8rt.tools import litert


def _no_litert() -> str:
    return "" if litert.available() else "ai_edge_litert is not installed"


def _no_emulator() -> str:
    import aarch64

    return f"{' and '.join(aarch64.missing())} not found" if aarch64.missing() else ""


def _no_models() -> str:
    return "" if any(SHARED_MODELS.rglob("*.tflite")) else f"no models made by others at {SHARED_MODELS}"


def _no_pillow() -> str:
    return "" if importlib.util.find_spec("PIL") else "Pillow is not installed"


# {what may be needed: says why it is missing, nothing where it is there}
MISSING: dict[str, Callable[[], str]] = {
    "litert": _no_litert,
    "emulator": _no_emulator,
    "models": _no_models,
    "pillow": _no_pillow,
}


def required() -> set[str]:
    """What must not be missing in this run."""
    names = set(filter(None, os.environ.get("INT8RT_REQUIRE", "").split(",")))
    if names - MISSING.keys():
        raise pytest.UsageError(f"INT8RT_REQUIRE names {names - MISSING.keys()}, expected {', '.join(MISSING)}")
    return names


def need(kind: str) -> None:
    """Skip the test that calls this, or fail it, where something of this kind is missing."""
    if why := MISSING[kind]():
        missing(kind, why)


def missing(kind: str, why: str) -> NoReturn:
    """Skip the test that calls this for want of something of the kind, or fail it."""
    if kind in required():
        pytest.fail(f"{kind} required: {why}", pytrace=False)
    pytest.skip(why)


def shared_model(name: str) -> Path:
    """A model made by others, by its path within their folder."""
    need("models")
    path = SHARED_MODELS / name
    return path if path.exists() else missing("models", f"{path} is not there")
