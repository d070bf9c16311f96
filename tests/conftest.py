"""Fixtures that several test modules share."""

import os
import subprocess
import sys
from pathlib import Path

import hypothesis
import pytest
from paths import ROOT, TESTS

# Compiling may happen within an example, and examples that fail belong into the test, not into a file.
hypothesis.settings.register_profile("int8rt", deadline=None, database=None)
hypothesis.settings.load_profile("int8rt")

# Where a process that a test starts finds the cases, and tests whose functions it calls.
FOLDERS = [TESTS / "cases", *sorted(path for path in TESTS.iterdir() if list(path.glob("test_*.py")))]


@pytest.fixture
def python():
    """Run code in another process: python("print(1)", INT8RT_CACHE_DIR="...") gives what it prints.

    The process finds int8rt and the tests' modules; a variable given as None is taken away; warnings are errors.
    """

    def run(code: str, *args: object, check: bool = True, cwd: Path = ROOT, **environment: object) -> str:
        variables = {"PYTHONPATH": os.pathsep.join(map(str, (cwd, *FOLDERS))), "PYTHONDONTWRITEBYTECODE": "1"}
        given = {**os.environ, **variables, **environment}
        given = {name: str(value) for name, value in given.items() if value is not None}
        command = [sys.executable, "-W", "error", "-c", code, *map(str, args)]
        result = subprocess.run(command, cwd=cwd, env=given, capture_output=True, text=True, timeout=300)
        if check:
            assert result.returncode == 0, f"exit status {result.returncode}\n{result.stdout}\n{result.stderr}"
        return result.stdout

    return run
