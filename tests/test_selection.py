"""Which cases run by default, and what happens where something is missing that tests need."""

import itertools
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import requirements
from selection import chosen_by_default, covering, exhaustive, share


def item(name, marks=(), **params):
    """A test as pytest collects it, as far as the selection looks at it."""
    found = SimpleNamespace(
        nodeid=name,
        callspec=SimpleNamespace(params=params),
        iter_markers=lambda kind: [mark for mark in marks if mark.name == kind],
        get_closest_marker=lambda kind: next((mark for mark in marks if mark.name == kind), None),
        params=params,
    )
    if not params:
        del found.callspec
    return Item(found)


class Item:
    """Compared by identity, as pytest's are."""

    def __init__(self, parts):
        vars(self).update(vars(parts))


def product(**values):
    """A test for every combination of the values, one parameter inside another."""
    return [item("test[...]", **dict(zip(values, row, strict=True))) for row in itertools.product(*values.values())]


def test_every_value_of_every_parameter_is_there():
    shapes, types, flags = [object() for _ in range(7)], ["int8", "int16", "float32"], [True, False]
    chosen = [test.params for test in chosen_by_default(product(shape=shapes, dtype=types, flag=flags))]
    assert len(chosen) == 7
    assert [test["shape"] for test in chosen] == shapes
    counts = [[test[name] for test in chosen].count(value) for name, value in
              (*(("dtype", t) for t in types), *(("flag", f) for f in flags))]  # fmt: skip
    assert min(counts[:3]) >= 2
    assert min(counts[3:]) >= 3


def test_parameters_given_together_are_one():
    """(1, "a"), (1, "b"), (2, "b") are three values of one parameter, though there are two of each."""
    mark = pytest.mark.parametrize(("x", "y"), []).mark
    tests = [item("test[...]", [mark], x=x, y=y) for x, y in ((1, "a"), (1, "b"), (2, "b"))]
    assert chosen_by_default(tests) == tests
    assert chosen_by_default([item("test[...]", x=x, y=y) for x, y in ((1, "a"), (1, "b"), (2, "b"))]) != tests


@dataclass(frozen=True)
class Product:
    op: str
    shape: tuple[int, ...]
    activation: int = 0


def test_cases_count_by_their_fields_for_each_operator():
    cases = [Product(*row) for row in itertools.product(("CONV_2D", "ADD"), ((1,), (2,), (3,)), (0, 1))]
    chosen = [test.params["case"] for test in chosen_by_default([item("test[...]", case=case) for case in cases])]
    assert len(chosen) == 6
    for op in ("CONV_2D", "ADD"):
        assert {case.shape for case in chosen if case.op == op} == {(1,), (2,), (3,)}
        assert {case.activation for case in chosen if case.op == op} == {0, 1}


def test_what_is_marked_is_left_out_and_covers_nothing():
    plain, marked = item("test[a]", n=1), item("test[b]", [pytest.mark.exhaustive.mark], n=2)
    alone = item("other")
    assert chosen_by_default([plain, marked, alone]) == [plain, alone]
    assert [mark.name for parameter in exhaustive(2, 3) for mark in parameter.marks] == ["exhaustive"] * 2


def test_shares_of_a_list_are_the_whole():
    rows = [(i, -i) for i in range(8)]
    shares = [[row for row in share(rows, first) if not hasattr(row, "marks")] for first in (3, 4, 5)]
    assert sorted(row for part in shares for row in part) == rows
    assert all(len(share(rows, first)) == 8 for first in range(3))


def test_covering_is_the_same_every_time():
    cases = [frozenset({("a", i % 5), ("b", i % 3), ("c", i % 2)}) for i in range(30)]
    assert covering(cases) == covering([frozenset(sorted(case, reverse=True)) for case in cases])
    assert set().union(*(cases[i] for i in covering(cases))) == set().union(*cases)


def test_what_is_missing_skips_unless_it_is_required(monkeypatch):
    monkeypatch.setitem(requirements.MISSING, "models", lambda: "no models here")
    monkeypatch.delenv("INT8RT_REQUIRE", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no models here"):
        requirements.need("models")
    monkeypatch.setenv("INT8RT_REQUIRE", "litert,models")
    with pytest.raises(pytest.fail.Exception, match="models required: no models here"):
        requirements.need("models")
    monkeypatch.setitem(requirements.MISSING, "models", lambda: "")
    requirements.need("models")


def test_a_requirement_that_nobody_knows_is_refused(monkeypatch):
    monkeypatch.setenv("INT8RT_REQUIRE", "litrt")
    with pytest.raises(pytest.UsageError, match="litrt"):
        requirements.required()
