"""The guarded mode: what lies beyond an array cannot be touched, and nothing that runs touches it.

python -m tests.fuzz.guards cases     all conformance cases
"""

from __future__ import annotations

import os
import subprocess
import sys

import guards
import pytest
import watched

TOUCH = """
import ctypes, sys
import numpy as np
from int8rt import memory
array = {make}
place = memory.address(array) + (array.nbytes + 63) // 64 * 64 if {behind} else memory.address(array) - 4096
print(ctypes.string_at(place, 1))
"""
MADE = ["memory.allocate(100)", "memory.aligned_empty((3, 5000), np.int8)", "memory.guarded(np.ones(4096, np.uint8))"]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs mprotect")


def touching(make, behind, **variables):
    code = TOUCH.format(make=make, behind=behind)
    return subprocess.run([sys.executable, "-c", code], env={**os.environ, **variables}, capture_output=True)


@pytest.mark.parametrize("make", MADE)
def test_a_touch_behind_an_array_ends_the_process(make):
    assert touching(make, True, INT8RT_GUARD="1").returncode < 0


@pytest.mark.parametrize("make", MADE[:1])
def test_a_touch_before_an_array_ends_the_process(make):
    assert touching(make, False, INT8RT_GUARD="1").returncode < 0


def test_without_the_mode_memory_is_as_usual():
    assert touching(MADE[0], True, INT8RT_GUARD="").returncode == 0


def test_cases_touch_nothing_else(monkeypatch):
    """A case of every hundred, of all operators in turn; they give the same on one thread and on two."""
    monkeypatch.setenv("INT8RT_GUARD", "1")
    seeds = range(0, len(guards.all_cases()), 100)
    found = list(watched.watch("guards:case", seeds, limit=guards.LIMIT))
    assert not [v for v in found if v.is_finding]
    assert sum(v.kind == "ok" for v in found) > len(seeds) // 2
