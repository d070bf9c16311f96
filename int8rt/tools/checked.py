"""Which operators are checked against LiteRT, in which types and versions: what ``python -m tests.conformance`` found.

The findings are a file, ``ops/checked.json``. The table of ``int8rt ops`` is made of it, and so are those of README.md
and docs/operators.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

PATH = Path(__file__).parents[1] / "ops" / "checked.json"

RESOLVERS = {"reference": "BUILTIN_REF", "builtin": "BUILTIN"}


class Checked(NamedTuple):
    """One operator in the types in which one of LiteRT's sets of kernels runs it."""

    op: str
    types: tuple[str, ...]
    bounded: tuple[str, ...]  # those of the types that are equal within units in the last place only
    wrong: tuple[str, ...]  # those that LiteRT computes wrongly: see docs/numerics.md
    versions: str  # that LiteRT registers
    against: str
    cases: int


def litert_version() -> str:
    """The LiteRT that all was checked against."""
    return str(_content()["litert"])


def lacking() -> list[str]:
    """The builtin operators that LiteRT has and int8rt has not."""
    return list(_content()["lacking"])


def operators() -> list[Checked]:
    """One row per operator and set of LiteRT's kernels, by name."""
    return [row for op, found in sorted(_content()["operators"].items()) for row in _rows(op, found)]


def _content() -> Any:
    return json.loads(PATH.read_text(encoding="utf-8"))


def _rows(op: str, found: Any) -> Iterable[Checked]:
    """The rows of one operator, one for each set of LiteRT's kernels that it was compared with."""
    for resolver, against in RESOLVERS.items():
        types = {name: cell for name, cell in found["types"].items() if cell["resolver"] == resolver}
        if types:
            first, last = found["versions"].get(resolver, ("?", "?"))
            yield Checked(
                op, tuple(types), tuple(n for n, c in types.items() if "bounded" in c),
                tuple(n for n, c in types.items() if "wrong" in c),
                str(first) if first == last else f"{first} - {last}", against,
                sum(cell[key] for cell in types.values() for key in ("equal", "bounded", "wrong") if key in cell),
            )  # fmt: skip


def marked(row: Checked) -> str:
    """The types, with ~ for those that are bounded and * for those that LiteRT computes wrongly."""
    return condensed(name + "~" * (name in row.bounded) + "*" * (name in row.wrong) for name in row.types)


def condensed(types: Iterable[str]) -> str:
    """The types as text; of ``a -> b`` those a that go to the same b are named together."""
    types = list(types)
    plain = [name for name in types if "->" not in name]
    targets: dict[str, list[str]] = {}
    for name in types:
        if "->" in name:
            source, target = name.split(" -> ")
            targets.setdefault(source, []).append(target)
    sources: dict[tuple[str, ...], list[str]] = {}
    for source, names in targets.items():
        sources.setdefault(tuple(names), []).append(source)
    return "; ".join(
        filter(None, [", ".join(plain), *(f"{', '.join(s)} -> {', '.join(t)}" for t, s in sources.items())])
    )


# Markdown


def by_types() -> list[str]:
    """A short table: operators that have the same types share a row."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for op in sorted({row.op for row in operators()}):
        own = [row for row in operators() if row.op == op]
        types = tuple(sorted({name for row in own for name in row.types}, key=_rank))
        groups.setdefault(types, []).append(f"{op}\\*" if any(row.wrong for row in own) else op)
    ordered = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    rows = [f"| {', '.join(names)} | {condensed(types)} |" for types, names in ordered]
    cases = sum(row.cases for row in operators())
    return [
        "| operators | types |", "|---|---|", *rows, "",
        f"As {cases:,} models of one operator each show, compared with LiteRT {litert_version()}; `int8rt ops` and "
        "[operators](docs/operators.md) say more. \\* In one of these types LiteRT's own result is wrong: see "
        "[numerics](docs/numerics.md).",
    ]  # fmt: skip


def as_markdown() -> list[str]:
    """The whole table."""
    head = ["| operator | types | versions | checked against | cases |", "|---|---|---|---|--:|"]
    return head + [
        f"| {r.op} | {marked(r)} | {r.versions} | {r.against} | {r.cases} |".replace("*", r"\*") for r in operators()
    ]


ORDER = ("int8", "uint8", "int16", "int32", "int64", "float32", "bool")


def _rank(name: str) -> tuple[int | str, ...]:
    words = name.split()
    first, last = (ORDER.index(n) if n in ORDER else len(ORDER) for n in (words[0], words[-1]))
    return first, len(words), last, name
