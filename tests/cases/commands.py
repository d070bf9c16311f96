"""The command line as a test runs it."""

from __future__ import annotations

from typing import Any

import pytest

from int8rt.tools import cli


def ended(capture: pytest.CaptureFixture[str], *args: Any) -> tuple[Any, str, str]:
    """A command that has run: its exit status, standard output and standard error."""
    with pytest.raises(SystemExit) as end:
        cli.main([str(arg) for arg in args])
    captured = capture.readouterr()
    return end.value.code, captured.out, captured.err
