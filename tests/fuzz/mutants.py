"""Changed model files: each is refused with an int8rt.Error, or gives the right answer, soon and in little memory.

A seed decides everything: the file that is changed, what is changed in it (``mutate``), the inputs, and what is done
with the model. The right answer is the evaluator's. A case runs in a child process (``watched``).

    python -m tests.fuzz.mutants FIRST END            the mutants of seeds; findings, and how often what came out
    python -m tests.fuzz.mutants FIRST END --log FILE       goes on where an earlier run with the same file ended
    python -m tests.fuzz.mutants FIRST END --public   of public models too, where they are there
    python -m tests.fuzz.mutants FIRST END --litert   what LiteRT's reference does with the same files
    python -m tests.fuzz.mutants --show SEED          one of them in this process: its nodes, and what comes of it
"""

from __future__ import annotations

import argparse
import functools
import json
import random
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / "fuzz"), str(TESTS / "cases"), str(TESTS)]

import mutate  # noqa: E402
import watched  # noqa: E402
from agreement import unequal  # noqa: E402
from conformance_cases import BUILDERS, Case, cases  # noqa: E402
from engines import REFERENCE, kept_litert, shared  # noqa: E402
from graphs import oracles  # noqa: E402
from paths import DATA, MODELS, SHARED_MODELS  # noqa: E402
from watched import DIFFERS, OK, REFUSED, Verdict  # noqa: E402

from int8rt import limits  # noqa: E402
from int8rt.errors import Error, LimitError, UnsupportedError  # noqa: E402
from int8rt.format import reader  # noqa: E402
from int8rt.graph import Node, Subgraph, Tensor  # noqa: E402
from int8rt.runtime.evaluator import reference  # noqa: E402
from int8rt.runtime.interpreter import Interpreter  # noqa: E402
from int8rt.runtime.model import Model, load  # noqa: E402
from int8rt.runtime.state import State  # noqa: E402
from int8rt.tools import cli, report  # noqa: E402
from int8rt.tools.litert import LiteRTCrash, LiteRTError, LiteRTTimeout  # noqa: E402

PER_SOURCE = 16  # mutants in a row of one file, whose kernels are then at hand
LARGEST = 120_000  # bytes of a file that is changed
LIMITS: dict[str, Any] = {"max_memory": 64 << 20, "max_iterations": 200, "timeout": 2.0}
LEAST_SCALE, MOST_SCALE = 2.0**-16, 2.0**10  # beyond which multipliers leave the reach of int32
KNOWN = {"READ_VARIABLE", "RFFT2D", "STABLEHLO_PAD"}  # of which LiteRT is wrong depending on shapes and values
COMPARISONS = {"EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL"}
MOST_FED = 1 << 18  # values of all inputs; what wants more is loaded and not run
RUNS = 2  # in a row, so that state shows

Outputs = list[np.ndarray]


# Files


@functools.cache
def known_cases(op: str) -> list[Case]:
    """An operator's conformance cases."""
    return list(cases([op]))


@functools.cache
def of_operator(op: str) -> list[bytes]:
    """Their files."""
    return list(dict.fromkeys(case.model for case in known_cases(op) if len(case.model) <= LARGEST))


@functools.cache
def trained(public: bool) -> list[bytes]:
    """Trained networks, the smaller ones."""
    paths = [*sorted(MODELS.glob("*.tflite")), *sorted(DATA.glob("*.tflite"))]
    paths += sorted(SHARED_MODELS.rglob("*.tflite")) if public else []
    found = [path.read_bytes() for path in paths if path.stat().st_size <= LARGEST]
    return sorted(found, key=len)


def source(number: int, public: bool = False) -> bytes:
    """A file to be changed; one in sixteen is a trained network."""
    rng = random.Random(f"source {number}")
    if rng.random() < 1 / 16:
        return rng.choice(trained(public))
    return rng.choice(of_operator(rng.choice(sorted(BUILDERS))))


def made(seed: int, public: bool = False) -> bytes:
    """The mutant of a seed."""
    number = seed // PER_SOURCE
    other = source(number + 1 if seed % 2 else number, public)
    return mutate.mutant(source(number, public), other, random.Random(f"mutant {seed}"))


# One case


def case(seed: int, public: bool = False) -> tuple[str, str]:
    """What comes of a mutant, as (kind, detail)."""
    return judged(made(seed, public), seed)


def judged(content: bytes, seed: int) -> tuple[str, str]:
    """Loads a file, runs it where that goes, and compares; raises what int8rt raises for it."""
    warnings.simplefilter("error")
    rng = np.random.default_rng(seed)
    threads, looks = (2 if rng.random() < 0.25 else 1), rng.random()
    if looks < 0.1:
        looked_at(content)
    if threads == 1:
        model = load(content, **LIMITS)
    else:
        budget = limits.Budget(**LIMITS)
        graph = limits.within(budget, reader.read, content, is_timed=False)
        model = Model(graph, REFERENCE, shared(threads), budget=budget)
    steps = steps_of(model.graph.main, rng)
    if steps is None:
        return OK, "loaded, too large to be run, or wants text"
    found = disagreement(model, steps)
    if not found and looks < 0.4:
        found = in_trace(model, steps[0])
    if found:
        return DIFFERS, f"{operators(content)}: {found} (threads={threads})"
    return OK, "ran"


def fed(t: Tensor, rng: np.random.Generator) -> np.ndarray:
    """Values for an input, mostly such as a type's range or small numbers; sometimes extreme."""
    if t.dtype.kind in "iu":
        info, small = np.iinfo(t.dtype), t.dtype.itemsize > 1 and rng.random() < 0.7
        low, high = (max(info.min, -1), 4) if small else (info.min, info.max)
        return rng.integers(low, high, t.shape, t.dtype, endpoint=True)
    if t.dtype.kind == "b":
        return rng.integers(0, 2, t.shape).astype(bool)
    with np.errstate(all="ignore"):
        x = (rng.standard_normal(t.shape) * rng.choice([1, 1, 10, 1e4])).astype(t.dtype)
        if x.size and rng.random() < 0.1:
            x.reshape(-1)[rng.integers(x.size)] = rng.choice([np.nan, np.inf, -np.inf, 3e38, 1e-40])
    return x


def disagreement(model: Model, steps: Sequence[Sequence[np.ndarray]]) -> str:
    """How the program's outputs differ from the evaluator's, run by run; raises the program's Error."""
    main, state = model.graph.main, State()
    for run, step in enumerate(steps):
        outputs = outputs_of(model, step)
        try:
            values = evaluated(main, step, state)
        except LimitError:  # NumPy takes more of everything
            return ""
        except Error as error:
            return f"run {run}: the evaluator raises {type(error).__name__}: {error}"
        for i, (t, y) in enumerate(zip(main.outputs, outputs, strict=True)):
            if t.dtype != object and (why := unequal(values[t.index], y, None)):
                return f"run {run}, output {i}: {why}"
    return ""


def evaluated(graph: Subgraph, step: Sequence[np.ndarray], state: State) -> dict[int, np.ndarray]:
    """The evaluator's values of all tensors."""
    with limits.using(limits.Budget(**LIMITS | {"timeout": 3.0})):
        return reference(graph, *step, state=state)


def in_trace(model: Model, step: Sequence[np.ndarray]) -> str:
    """How a tensor of a program that keeps all of them differs from the evaluator's."""
    trace = model.trace(*step)
    try:
        values = evaluated(model.graph.main, step, State())
    except LimitError:
        return ""
    for node in model.graph.main.nodes:
        for t in node.outputs:
            if t.index in trace and (why := unequal(values[t.index], trace[t.index], None)):
                return f"trace of {node.label}, tensor {t.index}: {why}"
    return ""


def looked_at(content: bytes) -> None:
    """What ``int8rt info`` and the interpreter say of a file, or what they raise."""
    graph = reader.read(content)
    said = cli._info(graph)
    with limits.using(limits.Budget(**LIMITS)):
        try:
            said["memory"] = cli._memory(graph.main, True)
        except UnsupportedError as error:
            said["unsupported"] = str(error)
    json.dumps(said)
    lines = list(report.info(said))
    if "memory" in said:
        lines += list(report.memory(said["memory"]))
    for line in lines:
        str(line)
    interpreter = Interpreter(model_content=content)
    interpreter.get_signature_list()
    interpreter.get_tensor_details()
    interpreter.allocate_tensors()


def litert(seed: int, public: bool = False) -> tuple[str, str]:
    """What LiteRT's reference does with a mutant: refuses it, ends or hangs the process, or gives what int8rt gives."""
    content = made(seed, public)
    server = kept_litert()
    server.timeout = watched.LIMIT / 2  # seconds
    try:
        steps = steps_of(reader.read(content).main, np.random.default_rng(seed))
    except Error:
        steps = None
    try:
        if not (steps and steps[0]):  # nothing to feed it
            server.details(content)
            return OK, "allocated"
        theirs = server.run_steps(content, steps)
    except LiteRTTimeout as error:
        return watched.HANG, str(error)
    except LiteRTCrash as error:
        return watched.DEATH, str(error)
    except (LiteRTError, Error) as error:
        return REFUSED, str(error)
    try:
        model = load(content, **LIMITS)
        ours = [outputs_of(model, step) for step in steps]
    except Error as error:
        return OK, f"refused by int8rt ({type(error).__name__})"
    bound = loosest(content)
    for number, (expected, found) in enumerate(zip(theirs, ours, strict=True)):
        for i, (a, b) in enumerate(zip(expected, found, strict=True)):
            if b.dtype != object and (why := unequal(np.asarray(a), b, bound)):
                is_finite = all(np.isfinite(x).all() for x in steps[number] if x.dtype.kind == "f")
                known = explained(content) if is_finite else "differs: infinity or NaN"
                return (OK, known) if known else (DIFFERS, f"{operators(content)}: run {number}, output {i}: {why}")
    return OK, "equal"


def explained(content: bytes) -> str:
    """Why LiteRT's results may be others, where ``docs/numerics.md`` says so of all operators; else empty."""
    model, graphs = mutate.tree(content), reader.read(content).subgraphs
    tensors = [t for graph in graphs for t in graph.tensors]
    if any(t.fields.get("sparsity") for graph in mutate.subgraphs(model) for t in mutate.listed(graph, "tensors")):
        return "differs: sparse constant"
    main = mutate.subgraphs(model)[0]
    if any(mutate.data_of(model, mutate.listed(main, "tensors")[t.index]) for t in graphs[0].inputs):
        return "differs: constant input"
    if any(t.type.startswith("float8") for t in tensors):
        return "differs: float8"
    scales = np.abs(np.concatenate([t.quantization.scale for t in tensors if t.quantization is not None] or [[]]))
    if not ((scales == 0) | ((scales >= LEAST_SCALE) & (scales <= MOST_SCALE))).all():
        return "differs: scale out of reach"
    if any(t.quantization is not None and len(t.quantization.scale) > 1 for t in tensors if t.data is None):
        return "differs: scales of an activation"
    return next((why for graph in graphs for node in graph.nodes if (why := _known(node))), "")


def _known(node: Node) -> str:
    """Why LiteRT is no oracle of an operator on its types, by the section's table or by the conformance cases."""
    if node.op in KNOWN:
        return f"differs: {node.op}"
    tensors = [t for t in (*node.inputs, *node.outputs) if t is not None]
    if node.op in COMPARISONS and any(t.quantization is not None and t.quantization.scale.max() >= 1 for t in tensors):
        return f"differs: {node.op} of such scales"
    types = {t.type for t in tensors}
    right = [kind for op, kind in oracles()[0] if op == node.op]
    words = [{word for part in kind.split(" -> ") for word in part.split(" x ")} for kind in right]
    is_right = any(kind <= types and tensors[0].type in kind for kind in words)
    return "" if is_right else f"differs: {node.op} of such types"


def steps_of(graph: Subgraph, rng: np.random.Generator) -> list[list[np.ndarray]] | None:
    """Inputs of some runs; None where there are none that can be made."""
    if any(t.dtype == object for t in graph.inputs) or sum(t.size for t in graph.inputs) > MOST_FED:
        return None
    return [[fed(t, rng) for t in graph.inputs] for _ in range(RUNS)]


def outputs_of(model: Model, step: Sequence[np.ndarray]) -> Outputs:
    """Of one run. Raises Error."""
    results = model(*step)
    return list(results) if isinstance(results, tuple) else [results]


def loosest(content: bytes) -> Case | None:
    """The case, of all of the file's operators, whose results may differ most from LiteRT's."""
    ops = {node.op for graph in reader.read(content).subgraphs for node in graph.nodes}
    cases = [case for op in sorted(ops & set(BUILDERS)) for case in known_cases(op) if case.ulps or case.relative]
    return max(cases, key=lambda case: (case.relative, case.ulps), default=None)


def operators(content: bytes) -> str:
    """Their names."""
    return ", ".join(sorted({n.op for n in reader.read(content).main.nodes})[:8])


# Many cases


def main(arguments: Sequence[str]) -> int:
    """Run mutants; 1 where something is found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.mutants", description=__doc__.splitlines()[0])
    parser.add_argument("first", type=int, nargs="?", default=0)
    parser.add_argument("end", type=int, nargs="?", default=1000)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--public", action="store_true")
    parser.add_argument("--litert", action="store_true")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--show", type=int)
    given = parser.parse_args(arguments)
    if given.show is not None:
        return show(given.show, given.public)
    tally = Tally(given.log)
    function = "mutants:litert" if given.litert else "mutants:case"
    seeds = range(max(given.first, tally.next), given.end)
    tally.count(watched.watch(function, seeds, {"public": given.public}, given.processes))
    print(tally)
    return 1 if tally.findings else 0


class Tally:
    """How often what came out, kept in a file from which a later run goes on."""

    EVERY = 2000  # cases between two notes

    def __init__(self, log: Path | None = None) -> None:
        self.log = log
        self.next = 0  # seed
        self.seconds = 0.0
        self.longest = 0.0
        self.counts: Counter[str] = Counter()
        self.findings: list[str] = []
        if log is not None and log.exists():
            kept = json.loads(log.read_text())
            self.next, self.seconds, self.longest = kept["next"], kept["seconds"], kept["longest"]
            self.counts, self.findings = Counter(kept["counts"]), kept["findings"]

    def count(self, verdicts: Iterable[Verdict]) -> None:
        """Take in verdicts, in the order of their seeds."""
        before = time.monotonic()
        for verdict in verdicts:
            self.add(verdict)
            if self.counts.total() % self.EVERY == 0:
                self.seconds, before = self.seconds + time.monotonic() - before, time.monotonic()
                self.note()
        self.seconds += time.monotonic() - before
        self.note()

    def add(self, verdict: Verdict) -> None:
        """Take in one."""
        self.next = max(self.next, verdict.seed + 1)
        self.longest = max(self.longest, verdict.seconds)
        self.counts[_counted(verdict)] += 1
        if verdict.is_finding:
            found = f"seed {verdict.seed}: {verdict.kind}, {verdict.seconds:.1f} s: {verdict.detail}"
            self.findings.append(found)
            print(found, flush=True)

    def note(self) -> None:
        """Write down what there is by now."""
        if self.log is not None:
            kept = {name: getattr(self, name) for name in ("next", "seconds", "longest", "counts", "findings")}
            self.log.write_text(json.dumps(kept, indent=1))

    def __str__(self) -> str:
        counts = ", ".join(f"{name} {n:,}" for name, n in self.counts.most_common())
        total = self.counts.total()
        rate = total / self.seconds if self.seconds else 0
        return f"{total:,} mutants in {self.seconds:,.0f} s ({rate:.0f}/s), longest {self.longest:.1f} s: {counts}"


def _counted(verdict: Verdict) -> str:
    """What is counted of a verdict: of refusals which error, of what loaded whether it ran."""
    what = verdict.detail if verdict.kind == OK else verdict.detail.split(":")[0] if verdict.kind == REFUSED else ""
    return f"{verdict.kind} ({what})" if what and len(what) < 40 else verdict.kind


def show(seed: int, public: bool) -> int:
    """Run one mutant here, and say what it is."""
    content = made(seed, public)
    try:
        for graph in reader.read(content).subgraphs:
            for node in graph.nodes:
                print(graph.index, node, vars(node.options))
        kind, detail = judged(content, seed)
        print(kind, detail)
    except Error as error:
        print(f"{type(error).__name__}: {error}")
        return 0
    return int(kind in watched.FINDINGS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
