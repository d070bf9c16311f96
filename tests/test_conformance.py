"""The conformance run in small: some cases of each operator, and tables that agree with what it found."""

from __future__ import annotations

import itertools
import re
import zlib

import conformance
import pytest
from conformance_cases import BUILDERS, cases

from int8rt import ops
from int8rt.tools import checked

PER_OPERATOR = 2


@pytest.mark.needs("litert")
@pytest.mark.parametrize("op", sorted(op for op in BUILDERS if op in ops.supported()))
def test_some_cases(op):
    """The whole run is ``python -m tests.conformance``."""
    first = zlib.crc32(op.encode()) % 5
    some = list(itertools.islice(cases([op]), first, first + 40 * PER_OPERATOR, 40))
    for result in conformance.results(some):
        assert result.outcome in ("equal", "bounded", "wrong", "refused"), result


@pytest.mark.parametrize("path", ["README.md", "docs/operators.md"])
def test_documents_agree_with_the_table(path):
    """``python -m tests.conformance --documents`` brings them up to date."""
    expected = conformance.documents()[conformance.ROOT / path]
    assert (conformance.ROOT / path).read_text(encoding="utf-8") == expected


def test_the_table_has_only_operators_that_are_supported():
    assert {row.op for row in checked.operators()} <= set(ops.supported())


def test_every_operator_is_in_the_table():
    """A new one needs cases in conformance_cases.py, and ``python -m tests.conformance --update`` with its name."""
    assert set(ops.supported()) - {row.op for row in checked.operators()} == set(ops.CUSTOM)


def test_numerics_names_tests_that_exist():
    text = (conformance.ROOT / "docs" / "numerics.md").read_text(encoding="utf-8")
    tests = {path.stem: path.read_text(encoding="utf-8") for path in (conformance.ROOT / "tests").rglob("test_*.py")}
    known = {*tests, *re.findall(r"def (test_\w+)", "\n".join(tests.values()))}
    assert set(re.findall(r"\btest_\w+", text)) <= known


def test_architecture_names_every_folder():
    """And every module that stands beside them."""
    text = (conformance.ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    package = conformance.ROOT / "int8rt"
    parts = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")} | {p.name for p in package.glob("*.py")}
    assert parts - {"__init__.py", "__main__.py"} <= set(re.findall(r"^  (\w+(?:/|\.py)) ", text, re.MULTILINE))


def test_every_operator_is_listed(capsys):
    from int8rt.tools import cli

    with pytest.raises(SystemExit) as end:
        cli.main(["ops"])
    printed = capsys.readouterr().out
    assert not end.value.code
    assert all(op in printed for op in ops.supported())
