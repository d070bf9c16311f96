"""Which cases of a test run by default: every value of every parameter, though not every combination of them.

A case that is made of fields (a dataclass or a named tuple) counts by its fields: every value of every field is there,
for each operator where one of the fields is the operator.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any

import pytest


def exhaustive(*values: Any) -> list[Any]:
    """Values of a parameter that run with --exhaustive only: parametrize("n", [1, *exhaustive(2, 3)])."""
    return [pytest.param(value, marks=pytest.mark.exhaustive) for value in values]


def share(rows: Sequence[Any], first: int, step: int = 3) -> list[Any]:
    """Cases, or rows of arguments, that several tests sweep: by default each test has another step-th part of them."""
    mark = pytest.mark.exhaustive
    given = [row if type(row) is tuple else (row,) for row in rows]
    return [row if i % step == first % step else pytest.param(*given[i], marks=mark) for i, row in enumerate(rows)]


def values_of(item: pytest.Item) -> frozenset[Hashable]:
    """What a test's parameters are, as (name, value) pairs; parameters that are given together are one."""
    given = dict(item.callspec.params) if hasattr(item, "callspec") else {}
    found: set[Hashable] = set()
    for mark in item.iter_markers("parametrize"):
        names = mark.args[0].replace(" ", "").split(",") if isinstance(mark.args[0], str) else list(mark.args[0])
        if len(names) > 1 and given.keys() >= set(names):
            found.add((tuple(names), tuple(id(given.pop(name)) for name in names)))
    for name, value in given.items():
        fields = _fields(value)
        found |= {(name, field, fields.get("op"), _text(content)) for field, content in fields.items()}
        if not fields:
            found.add((name, id(value)))
    return frozenset(found)


def _fields(case: Any) -> dict[str, Any]:
    if dataclasses.is_dataclass(case) and not isinstance(case, type):
        return vars(case)
    return case._asdict() if hasattr(case, "_asdict") else {}


def _text(value: Any) -> str:
    """A value as text, the same for equal ones in every process."""
    return f"{value.__name__}" if isinstance(value, type) else repr(value)


def covering(cases: Sequence[frozenset[Hashable]]) -> list[int]:
    """The indices of few cases, in order, that have between them every value that any has.

    First those that alone have a value; then always the case with most that is new, and of several the one whose values
    were rarest so far, so that a short parameter's values are spread over a long one's.
    """
    counts = Counter(value for case in cases for value in case)
    chosen = [i for i, case in enumerate(cases) if any(counts[value] == 1 for value in case)]
    used = Counter(value for i in chosen for value in cases[i])
    left = counts.keys() - used.keys()
    waiting = {i: case for i, case in enumerate(cases) if case & left}
    while left:
        best = max(waiting, key=lambda i: (len(left & waiting[i]), -sum(used[v] for v in waiting[i]), -i))
        chosen.append(best)
        left -= waiting[best]
        used.update(waiting.pop(best))
    return sorted(chosen)


def chosen_by_default(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """The tests without the mark ``exhaustive``, and of each with parameters a covering set of cases."""
    groups: dict[Hashable, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("exhaustive") is None:
            groups.setdefault(item.nodeid.partition("[")[0], []).append(item)
    kept = set()
    for group in groups.values():
        cases = [values_of(item) for item in group]
        kept |= {group[i] for i in covering(cases)} if cases[0] else set(group)
    return [item for item in items if item in kept]
