"""Whether the engines agree on a random graph: program on one and on two threads, evaluator, LiteRT's reference.

Compared is every tensor of the main subgraph after every run, byte by byte; of floats, NaN equals NaN. Where LiteRT may
differ in the last places, by the bound of the part's case. ``smallest`` makes of a graph that differs one that differs
too and has as few nodes as possible.

    python -m tests.fuzz.agreement FIRST END [SECONDS]     graphs of seeds in this process: what differs, and figures
"""

from __future__ import annotations

import copy
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / "fuzz"), str(TESTS / "cases"), str(TESTS)]

from conformance_cases import Case  # noqa: E402
from engines import REFERENCE, kept_litert, near, shared  # noqa: E402
from graphs import RUNS, Made, drawable, make  # noqa: E402
from unrolled import trip_by_trip  # noqa: E402

from int8rt.errors import Error  # noqa: E402
from int8rt.format import reader  # noqa: E402
from int8rt.graph import Subgraph  # noqa: E402
from int8rt.runtime.evaluator import reference  # noqa: E402
from int8rt.runtime.model import Model  # noqa: E402
from int8rt.runtime.state import State  # noqa: E402
from int8rt.tools.litert import LiteRTCrash, LiteRTError  # noqa: E402

Values = dict[int, np.ndarray]  # of the main subgraph's tensors by index, after a run


@dataclass(frozen=True)
class Outcome:
    """What came of a graph."""

    difference: str = ""  # between which engines, in which tensor; empty where they agree
    litert: str = "ran"  # or "refused: ..." or "died: ..." or "not asked"
    nodes: int = 0

    @property
    def ran(self) -> bool:
        """Whether LiteRT's values were compared."""
        return self.litert == "ran"


def outcome(made: Made) -> Outcome:
    """Run a graph everywhere."""
    content = made.file()
    graph = reader.read(content).main
    try:
        expected = evaluated(graph, made)
        found = difference("evaluator", graph, expected, programs(content, made))
    except Error as error:
        return Outcome(f"int8rt refuses a sound graph: {type(error).__name__}: {error}", "not asked", len(graph.nodes))
    if found or not made.is_compared:
        return Outcome(found, "not asked", len(graph.nodes))
    try:
        theirs = kept_litert().run_steps(content, made.steps(), tensors="all")
    except LiteRTCrash as crash:
        return Outcome("", f"died: {crash}", len(graph.nodes))
    except LiteRTError as error:
        return Outcome("", f"refused: {error}", len(graph.nodes))
    bounds = {content.indices[0][t]: case for t, case in made.bounds.items()}
    found = difference("LiteRT", graph, theirs, iter([("evaluator", expected)]), bounds)
    if found and _is_wrong_loop(content, expected, found):
        return Outcome("", "wrong: WHILE", len(graph.nodes))
    return Outcome(found, nodes=len(graph.nodes))


def _is_wrong_loop(content: bytes, values: list[Values], found: str) -> bool:
    """Whether the first difference is in a WHILE of which LiteRT, asked trip by trip, says what int8rt says."""
    place = re.match(r"WHILE \(node (\d+)\), tensor \d+, run (\d+)", found)
    if place is None:
        return False
    graph, run = reader.read(content), int(place[2])
    node = graph.main.nodes[int(place[1])]
    try:
        theirs = trip_by_trip(graph, node, values[run])
    except (LiteRTCrash, LiteRTError):
        return False
    ours = [values[run][t.index] for t in node.outputs]
    return theirs is not None and not any(unequal(a, b, None) for a, b in zip(theirs, ours, strict=True))


def evaluated(graph: Subgraph, made: Made) -> list[Values]:
    """The evaluator's values after each run."""
    state = State()
    return [reference(graph, *step, state=state) for step in made.steps()]


def programs(content: bytes, made: Made) -> Iterator[tuple[str, list[Values]]]:
    """(name, values after each run) of programs: as callers have them, with all tensors, with all calls in parts."""
    for threads in (1, 2):
        model = Model(reader.read(content), REFERENCE, shared(threads))
        indices = [t.index for t in model.graph.main.outputs]
        runs = []
        for step in made.steps():
            results = model(*step)
            results = results if isinstance(results, tuple) else (results,)
            runs.append({i: np.array(y) for i, y in zip(indices, results, strict=True)})
        yield f"program, threads={threads}", runs
        if threads == 1:
            yield "program that preserves", preserved(model, made)


def preserved(model: Model, made: Made) -> list[Values]:
    """The values of all tensors that nodes write."""
    session = model.session(preserve=True)
    written = [t.index for node in model.graph.main.nodes for t in node.outputs if t.dtype != object]
    runs = []
    for step in made.steps():
        session.run([np.array(x, order="C") for x in step])
        values = {i: session.read_tensor(i) for i in written}
        runs.append({i: v for i, v in values.items() if v is not None})
    return runs


def difference(
    engine: str,
    graph: Subgraph,
    expected: list[Values],
    others: Iterator[tuple[str, list[Values]]],
    bounds: dict[int, Case] | None = None,
) -> str:
    """The first tensor, in the order of runs and nodes, in which somebody differs from the engine; "" if none does."""
    order = [t.index for node in graph.nodes for t in node.outputs if t.dtype != object]
    order += [t.index for t in graph.outputs if t.index not in order]
    names = {t.index: f"{node.op} (node {node.index})" for node in graph.nodes for t in node.outputs}
    for name, runs in others:
        for run, (e, f) in enumerate(zip(expected, runs, strict=True)):
            for i in order:
                if i not in e or i not in f:
                    continue
                why = unequal(e[i], f[i], (bounds or {}).get(i))
                if why:
                    where = f"{names.get(i, 'input or constant')}, tensor {i}, run {run}"
                    return f"{where}: {name} differs from {engine}: {why}"
    return ""


def unequal(expected: np.ndarray, found: np.ndarray, case: Case | None) -> str:
    """How two values of a tensor differ; "" where they do not."""
    if (expected.shape, expected.dtype) != (found.shape, found.dtype):
        return f"{expected.dtype}{expected.shape} and {found.dtype}{found.shape}"
    if expected.dtype == bool:  # any byte but 0 is true
        expected, found = (v.view(np.uint8) != 0 for v in (expected, found))
    x, y = (np.ascontiguousarray(v).reshape(-1) for v in (expected, found))
    differ = (x.view(np.uint8) != y.view(np.uint8)).reshape(x.size, -1).any(1) if x.size else np.zeros(0, bool)
    if x.dtype.kind in "fc":
        differ &= ~(np.isnan(x) & np.isnan(y))
    if not differ.any() or (case is not None and _within(case, expected, found)):
        return ""
    at = int(np.flatnonzero(differ)[0])
    return f"{int(differ.sum())} of {x.size}; first at {np.unravel_index(at, found.shape)}: {x[at]} and {y[at]}"


def _within(case: Case, expected: np.ndarray, found: np.ndarray) -> bool:
    try:
        if case.ulps:
            near("LiteRT", [expected], [found], case.ulps)
        else:
            np.testing.assert_allclose(found, expected, rtol=0, atol=case.relative * np.abs(expected).max(initial=0))
    except AssertionError:
        return False
    return True


# Making a graph small


def smallest(made: Made, differs: Callable[[Made], bool] | None = None) -> Made:
    """A graph that differs as this one does, from which no node can be taken without its differing no more.

    What a node computed that is taken away becomes an input, with the evaluator's values.
    """
    differs = differs or (lambda m: bool(outcome(m).difference))
    size = max(len(made.nodes) // 2, 1)
    while size:
        start = len(made.nodes)
        while start > 0:
            start = max(start - size, 0)
            fewer = without(made, range(start, min(start + size, len(made.nodes))))
            if fewer is not None and _holds(differs, fewer):
                made = fewer
        size //= 2
    for t in list(made.outputs):
        fewer = replace(made, outputs=[o for o in made.outputs if o is not t])
        if fewer.outputs and _holds(differs, fewer):
            made = fewer
    return made


def _holds(differs: Callable[[Made], bool], made: Made) -> bool:
    try:
        return differs(made)
    except Exception:
        return False


def without(made: Made, positions: range) -> Made | None:
    """The graph without some nodes; None where the evaluator cannot give what they computed."""
    gone = [made.nodes[i] for i in positions]
    nodes = [node for i, node in enumerate(made.nodes) if i not in positions]
    if not nodes:
        return None
    content = made.file()
    try:
        values = evaluated(reader.read(content).main, made)
    except Error:
        return None
    read = {t for node in nodes for t in node.inputs if t is not None}
    lost = [t for node in gone for t in node.outputs if t is not None and t in read]
    if any(t.type_name is not None for t in lost):
        return None
    fed = {t: [run[content.indices[0][t]] for run in values] for t in lost}
    written = {t for node in nodes for t in node.outputs}
    inputs = [t for t in [*made.inputs, *lost] if t in read]
    outputs = [t for t in made.outputs if t in written] or [t for t in nodes[-1].outputs if t is not None]
    fewer = copy.copy(made)
    fewer.nodes, fewer.inputs, fewer.outputs, fewer.values = nodes, inputs, outputs, made.values | fed
    return fewer


def described(made: Made) -> str:
    """The nodes of a graph and its inputs' values, to read."""
    graph = reader.read(made.file()).main
    lines = [
        f"{node.op}: {[_shown(t) for t in node.inputs]} -> {[_shown(t) for t in node.outputs]}" for node in graph.nodes
    ]
    lines += [f"outputs: {[t.index for t in graph.outputs]}"]
    for t, written in zip(graph.inputs, made.inputs, strict=True):
        lines += [f"input {t.index}: {[v.reshape(-1)[:8].tolist() for v in made.values[written][:RUNS]]}"]
    return "\n".join(lines)


def _shown(t: Any) -> str:
    if t is None:
        return "-"
    quantization = f" {t.scale:g} {t.zero_point}" if t.dtype.kind in "iu" and np.ndim(t.scale) == 0 and t.scale else ""
    return f"{t.index} {t.dtype}{list(t.shape)}{quantization}{' constant' if t.data is not None else ''}"


def main(arguments: list[str]) -> int:
    """Run the graphs of seeds; 1 where something differs."""
    first, end = int(arguments[0]), int(arguments[1])
    until = time.monotonic() + float(arguments[2]) if len(arguments) > 2 else float("inf")
    counts: Counter[str] = Counter()
    operators: set[str] = set()
    for seed in range(first, end):
        start = time.monotonic()
        if start > until:
            break
        made = make(seed)
        result = outcome(made)
        operators |= made.operators
        counts.update(["graphs", f"LiteRT {result.litert.split(':')[0]}"])
        counts["nodes"] += result.nodes
        if time.monotonic() - start > 10:
            counts["longer than 10 s"] += 1
        if result.difference:
            counts["different"] += 1
            print(f"seed {seed}: {result.difference}", flush=True)
        elif result.litert.startswith(("died", "refused")):
            print(f"seed {seed}: LiteRT {result.litert[:200]}", flush=True)
    print(f"{dict(counts)}; {len(operators)} of {len(drawable())} operators")
    return 1 if counts["different"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
