"""The conformance run in small: some cases of each operator, and tables that agree with what it found."""

from __future__ import annotations

import re
import zlib

import conformance
import conformance_cases
import pytest
from conformance_cases import Case

from int8rt import ops
from int8rt.tools import checked

ROWS = checked.operators()
CHECKED = {op: set().union(*(row.types for row in ROWS if row.op == op)) for op in ops.supported()}


def cases_of_each_type(op: str) -> dict[str, list[Case]]:
    """{types: an operator's cases in these}; which one is the first follows from the names."""
    found: dict[str, list[Case]] = {}
    for case in conformance_cases.cases([op]):
        found.setdefault(case.types, []).append(case)
    starts = {types: zlib.crc32(f"{op} {types}".encode()) % len(cases) for types, cases in found.items()}
    return {types: cases[starts[types] :] + cases[: starts[types]] for types, cases in found.items()}


@pytest.mark.needs("litert")
@pytest.mark.parametrize("op", [op for op in sorted(CHECKED) if CHECKED[op]])
def test_a_case_of_each_type(op):
    """Every operator in every type of the table, in a case that LiteRT runs."""
    cases = cases_of_each_type(op)
    for types in sorted(CHECKED[op]):
        results = (conformance.judged(case, *conformance.run_litert(case)) for case in cases[types])
        result = next(result for result in results if result.outcome not in ("refused", "declined"))
        assert result.outcome in ("equal", "bounded", "wrong"), result


def test_the_default_run_has_every_operator_and_type():
    """Nothing has taken ``test_a_case_of_each_type`` from the tests that run by default, nor operators from it."""
    marks = {mark.name: mark for mark in test_a_case_of_each_type.pytestmark}
    assert marks.keys() == {"needs", "parametrize"}
    assert set(marks["parametrize"].args[1]) == set(ops.supported()) - set(ops.CUSTOM)


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
    assert parts - {"__init__.py", "__main__.py"} <= set(re.findall(r"`(\w+(?:/|\.py))`", text))


def test_every_operator_is_listed(capsys):
    from int8rt.tools import cli

    with pytest.raises(SystemExit) as end:
        cli.main(["ops"])
    printed = capsys.readouterr().out
    assert not end.value.code
    assert all(op in printed for op in ops.supported())
