"""What int8rt computes like LiteRT, operator by operator and type by type.

    python -m tests.conformance                    all cases; prints a table; exit status 1 where something differs
    python -m tests.conformance ADD CONV_2D        some operators
    python -m tests.conformance --update           all, then write the table of ``int8rt ops`` and what is made of it
    python -m tests.conformance --documents        write README.md's table and docs/operators.md from that alone

Each case (``conformance_cases``) runs on the program, on the reference evaluator and on LiteRT: on BUILTIN_REF, and
where that refuses it, on BUILTIN. Outcomes are

* equal: all three have the same bytes;
* bounded: reals within the case's bound;
* wrong: LiteRT's reference errs and docs/numerics.md says so; program and evaluator have the same bytes;
* declined: the same, and int8rt refuses the model on purpose;
* refused: LiteRT refuses the model or ends its process; int8rt does or does not run it;
* missing: LiteRT runs it and int8rt refuses it;
* different: none of these. There must not be any.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "cases")]

import tflite  # noqa: E402
from conformance_cases import BUILDERS, Case, cases  # noqa: E402
from engines import REFERENCE, near, same  # noqa: E402
from writer import T, model  # noqa: E402

from int8rt import ops  # noqa: E402
from int8rt.errors import Error  # noqa: E402
from int8rt.format import reader  # noqa: E402
from int8rt.runtime import session  # noqa: E402
from int8rt.runtime.evaluator import reference  # noqa: E402
from int8rt.runtime.state import State  # noqa: E402
from int8rt.tools import checked, litert, report  # noqa: E402
from int8rt.tools.litert import LiteRTCrash, LiteRTError  # noqa: E402

OUTCOMES = ("equal", "bounded", "wrong", "declined", "refused", "missing", "different")

# {(operator, types): which of LiteRT's results is no oracle; see section 7 of docs/numerics.md}
WRONG = {
    ("SUM", "int8"): "reads int8 as uint8",
    ("SUM", "int16"): "reads int16 as uint8",
    ("DYNAMIC_UPDATE_SLICE", "uint8"): "leaves other memory",
    ("MATRIX_DIAG", "bool"): "leaves other memory around the diagonal",
    ("MATRIX_SET_DIAG", "bool"): "leaves other memory around the diagonal",
    ("CONV_2D", "int16 x int2"): "reads past the weights",
    ("CONV_2D", "float32 x int2"): "reads past the weights",
    ("DEPTHWISE_CONV_2D", "int16 x int4"): "takes packed bytes for weights",
    ("DEPTHWISE_CONV_2D", "int16 x int2"): "takes packed bytes for weights",
}
DECLINED = {
    ("DEPTHWISE_CONV_2D", "float32 x int8"): "reads scales of channels where there is one",
    ("CONV_2D", "float32 x int2"): "with one scale for several groups, which it refuses of int8 weights",
    ("EMBEDDING_LOOKUP", "uint8 -> float32"): "reads a uint8 table as int8",
}


class Result(NamedTuple):
    """The outcome of one case, and why."""

    case: Case
    outcome: str
    resolver: str  # of LiteRT, where it ran
    why: str = ""


# Engines


def run_litert(case: Case) -> tuple[str, Any]:
    """(resolver, outputs of each step), or ("", the error) where none of them runs the model."""
    error: LiteRTError | None = None
    for resolver in ("reference", "builtin"):
        try:
            return resolver, litert.run_steps(case.model, [list(s) for s in case.steps], resolver=resolver)
        except LiteRTCrash as crash:
            error = crash
        except LiteRTError as refused:
            error = error if isinstance(error, LiteRTCrash) else refused
    return "", error


def run_int8rt(case: Case) -> list[list[np.ndarray]]:
    """The outputs of each step, on which program and evaluator agree. Raises Error, or AssertionError."""
    graph = reader.read(case.model).main
    running = session.Session(graph, REFERENCE)
    running.prepare([np.shape(x) for x in case.steps[0]])
    state = State()
    results = []
    for step in case.steps:
        results.append(running.run([np.array(x, order="C") for x in step]))
        values = reference(graph, *step, state=state)
        same("reference", [values[t.index] for t in graph.outputs], results[-1])
    return results


def judged(case: Case, resolver: str, expected: Any) -> Result:
    """Compare int8rt with what LiteRT gave."""
    try:
        found = run_int8rt(case)
    except Error as error:
        declined = "declined" if (case.op, case.types) in DECLINED else "missing"
        return Result(case, declined if resolver else "refused", resolver, str(error))
    except AssertionError as error:
        return Result(case, "different", resolver, str(error))
    if not resolver:
        return Result(case, "refused", "", str(expected))
    if (case.op, case.types) in WRONG:
        return Result(case, "wrong", resolver, WRONG[case.op, case.types])
    try:
        for e, f in zip(expected, found, strict=True):
            same("LiteRT", e, f)
        return Result(case, "equal", resolver)
    except AssertionError as error:
        why = str(error)
    try:
        for e, f in zip(expected, found, strict=True):
            bounded(case, e, f)
    except AssertionError:
        return Result(case, "different", resolver, why)
    return Result(case, "bounded", resolver, why)


def bounded(case: Case, expected: Sequence[np.ndarray], found: Sequence[np.ndarray]) -> None:
    """Assert that results are within the case's bound."""
    assert case.ulps or case.relative
    if case.ulps:
        return near("LiteRT", expected, found, case.ulps)
    for e, f in zip(expected, found, strict=True):
        np.testing.assert_allclose(f, e, rtol=0, atol=case.relative * np.abs(e).max(initial=0), strict=True)
    return None


def results(all_cases: Iterable[Case]) -> Iterator[Result]:
    """The outcome of every case; LiteRT, in its own process, works some cases ahead."""
    waiting: list[tuple[Case, Any]] = []
    with ThreadPoolExecutor(1) as ahead:
        for case in all_cases:
            waiting.append((case, ahead.submit(run_litert, case)))
            if len(waiting) > 50:
                done, answer = waiting.pop(0)
                yield judged(done, *answer.result())
        for done, answer in waiting:
            yield judged(done, *answer.result())


# LiteRT's operators


def registered(with_versions: bool) -> dict[str, dict[str, list[int]]]:
    """{operator: {resolver: lowest and highest version}} of the builtin operators of LiteRT, or the lowest twice."""
    names = sorted(n for n in vars(tflite.BuiltinOperator) if n.isupper() and n not in ("CUSTOM", "DELEGATE"))
    found: dict[str, dict[str, list[int]]] = {}
    for name in names:
        for resolver in ("reference", "builtin"):
            first = next((v for v in (1, 2) if _resolves(name, v, resolver)), 0)
            last = first
            while first and with_versions and _resolves(name, last + 1, resolver):
                last += 1
            if first:
                found.setdefault(name, {})[resolver] = [first, last]
    return found


def _resolves(name: str, version: int, resolver: Any) -> bool:
    content = model(name, [T(np.float32, (1,))], [T(np.float32, (1,))], options=None, version=version)
    try:
        litert.details(content, resolver=resolver, allocate=False)
    except LiteRTError as error:
        return "Didn't find op" not in str(error) and "Op builtin_code out of range" not in str(error)
    return True


# The table


def tabulated(found: Iterable[Result]) -> dict[str, dict[str, dict[str, Any]]]:
    """{operator: {types: {outcome: count, "resolver": the weakest that was needed}}}."""
    table: dict[str, dict[str, dict[str, Any]]] = defaultdict(lambda: defaultdict(dict))
    for r in found:
        cell = table[r.case.op][r.case.types]
        cell[r.outcome] = cell.get(r.outcome, 0) + 1
        if r.resolver:
            cell["resolver"] = "builtin" if "builtin" in (r.resolver, cell.get("resolver")) else "reference"
    return table


def summary(table: dict[str, Any]) -> list[str]:
    """Operators x types as text."""
    rows = [[op, types, *(str(cell.get(o, "")) for o in OUTCOMES)] for op in table for types, cell in table[op].items()]
    return report.plain(report.table(["operator", "types", *(f"{o} " for o in OUTCOMES)], rows))


def update(table: dict[str, Any], versions: dict[str, dict[str, list[int]]]) -> None:
    """Write what LiteRT runs and int8rt gives the bytes of; operators that were not run stay as they are."""
    known = json.loads(checked.PATH.read_text(encoding="utf-8"))["operators"] if checked.PATH.exists() else {}
    operators = {op: known[op] for op in known if op not in table and op in ops.supported()}
    for op in table:
        types = {
            name: {o: cell[o] for o in ("equal", "bounded", "wrong") if o in cell} | {"resolver": cell["resolver"]}
            for name, cell in table[op].items()
            if any(o in cell for o in ("equal", "bounded", "wrong"))
        }
        if types:
            operators[op] = {"versions": versions.get(op, {}), "types": types}
    write_table(litert.version(), operators, [op for op in versions if op not in ops.supported()])


def write_table(version: str, operators: dict[str, Any], lacking: list[str]) -> None:
    """Write checked.json, a line per operator, so that changes can be read."""
    rows = [f"  {json.dumps(op)}: {json.dumps(operators[op])}" for op in sorted(operators)]
    head = f'{{\n "litert": {json.dumps(version)},\n "lacking": {json.dumps(lacking)},\n "operators": {{\n'
    checked.PATH.write_text(head + ",\n".join(rows) + "\n }\n}\n", encoding="utf-8")


def documents() -> dict[Path, str]:
    """The files that hold a table made of checked.json, as they should be."""
    start, end = "<!-- operators -->", "<!-- /operators -->"
    made = {}
    for path, lines in [
        (ROOT / "README.md", checked.by_types()),
        (ROOT / "docs" / "operators.md", checked.as_markdown()),
    ]:
        text = path.read_text(encoding="utf-8")
        before, after = text.split(start)[0], text.split(end)[-1] if end in text else text.split(start)[1]
        made[path] = f"{before}{start}\n" + "\n".join(lines) + f"\n{end}{after}"
    return made


def write_documents() -> None:
    """Bring the documents up to date."""
    for path, text in documents().items():
        path.write_text(text, encoding="utf-8")


# The command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; 1 where something differs."""
    parser = argparse.ArgumentParser(description="What int8rt computes like LiteRT, operator by operator.")
    parser.add_argument("operators", nargs="*")
    parser.add_argument("--update", action="store_true", help="write the table of int8rt ops")
    parser.add_argument("--documents", action="store_true", help="write the documents' tables only")
    parser.add_argument("--verbose", action="store_true", help="print too why LiteRT refuses what")
    given = parser.parse_args(arguments)
    if given.documents:
        write_documents()
        return 0
    found, said = [], set()
    for r in results(cases(given.operators)):
        found.append(r)
        line = f"{r.outcome}: {r.case.op} {r.case.types}: {r.why[:300]}"
        if line not in said and (r.outcome in ("different", "missing") or (given.verbose and r.outcome == "refused")):
            print(line, flush=True)
            said.add(line)
    table = tabulated(found)
    print("\n".join(summary(table)))
    counts = Counter(r.outcome for r in found)
    print(f"\n{len(found):,} cases of {len(table)} operators: " + ", ".join(f"{counts[o]} {o}" for o in OUTCOMES))
    if given.update or not given.operators:
        versions = registered(given.update)
        print(_listed("missing altogether", (op for op in versions if op not in ops.supported())))
        print(_listed("without a case here", (op for op in versions if op in ops.supported() and op not in BUILDERS)))
    print(_listed("missing", sorted({f"{r.case.op} {r.case.types}" for r in found if r.outcome == "missing"})))
    if given.update:
        update(table, versions)
        write_documents()
    return 1 if counts["different"] else 0


def _listed(what: str, names: Iterable[str]) -> str:
    names = list(names)
    return f"{what} ({len(names)}): " + (", ".join(names) or "none")


if __name__ == "__main__":
    sys.exit(main())
