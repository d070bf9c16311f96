"""What all tests share: which of them run, what they need, and a process of their own for code that needs one.

    python -m pytest -n auto                   every operator, type and model; of sweeps a covering part
    python -m pytest -n auto --exhaustive      every combination of every parameter
    INT8RT_REQUIRE=litert,models python -m pytest      fails, rather than skips, where these are missing

A test named by its id runs whatever its marks are.
"""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import hypothesis
import pytest
import requirements
import selection
from paths import ROOT, TESTS

# Compiling may happen within an example, and examples that fail belong into the test, not into a file.
hypothesis.settings.register_profile("default", deadline=None, database=None, max_examples=30)
hypothesis.settings.register_profile("exhaustive", deadline=None, database=None, max_examples=200)

# Where a process that a test starts finds the cases, and tests whose functions it calls.
FOLDERS = [TESTS / "cases", *sorted(path for path in TESTS.iterdir() if list(path.glob("test_*.py")))]

LEFT_OUT = pytest.StashKey[int]()  # how many tests of the sweeps do not run


def pytest_addoption(parser):
    parser.addoption("--exhaustive", action="store_true", help="run every combination of parameters, not a part")


def pytest_configure(config):
    requirements.required()  # refuses names that mean nothing
    hypothesis.settings.load_profile("exhaustive" if config.option.exhaustive else "default")


def pytest_collection_modifyitems(config, items):
    if config.option.exhaustive or any("::" in argument for argument in config.args):
        return
    kept = selection.chosen_by_default(items)
    left_out = list(set(items) - set(kept))
    config.stash[LEFT_OUT] = len(left_out)
    config.hook.pytest_deselected(items=left_out)
    items[:] = kept


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    for mark in item.iter_markers("needs"):
        requirements.need(*mark.args)


# xdist


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Every worker begins with a part of its own, so that two of them seldom compile the same kernel at once."""
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log) if config.option.dist == "load" else None


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left out"] = session.config.stash.get(LEFT_OUT, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    node.config.stash[LEFT_OUT] = getattr(node, "workeroutput", {}).get("left out", 0)


# What was not tested


def pytest_terminal_summary(terminalreporter, config):
    """Say what was skipped and why, and how much was left out."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(str(report.longrepr[2]).removeprefix("Skipped: ") for report in skipped)
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"not tested: {reason} ({count} tests)")
    if left_out := config.stash.get(LEFT_OUT, 0):
        terminalreporter.write_line(f"not tested: {left_out:,} more combinations of parameters (--exhaustive)")


@pytest.fixture(scope="session")
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
