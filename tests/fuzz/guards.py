"""Models and conformance cases in the guarded mode (``int8rt.memory``): whoever reads or writes elsewhere dies.

Each is run in a child process (``watched``) with one thread and with every call cut in two parts, from inputs between
guards as well.

    python -m tests.fuzz.guards cases              the conformance cases of all operators
    python -m tests.fuzz.guards models             public models, where they are there, and the project's own
    NUMBA_CPU_NAME=generic NUMBA_CPU_FEATURES="" python -m tests.fuzz.guards cases          the portable lowering
"""

from __future__ import annotations

import functools
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / "fuzz"), str(TESTS / "cases"), str(TESTS)]

import watched  # noqa: E402
from conformance_cases import BUILDERS, Case, cases  # noqa: E402
from engines import REFERENCE, shared  # noqa: E402
from paths import DATA, MODELS, SHARED_MODELS  # noqa: E402
from watched import OK  # noqa: E402

from int8rt.format import reader  # noqa: E402
from int8rt.memory import IS_GUARDED, guarded  # noqa: E402
from int8rt.runtime.model import Model, random_inputs  # noqa: E402

LIMIT = 300.0  # seconds for a case: some have to be compiled, and large models take their time


@functools.cache
def all_cases() -> list[Case]:
    """The conformance cases, in order."""
    return [case for op in sorted(BUILDERS) for case in cases([op])]


@functools.cache
def all_models() -> list[Path]:
    """The files, in order."""
    return [*sorted(MODELS.glob("*.tflite")), *sorted(DATA.glob("*.tflite")), *sorted(SHARED_MODELS.rglob("*.tflite"))]


def case(number: int) -> tuple[str, str]:
    """Run a conformance case."""
    found = all_cases()[number]
    return run(found.model, found.steps)


def model(number: int) -> tuple[str, str]:
    """Run a model on random inputs."""
    content = all_models()[number].read_bytes()
    return run(content, [random_inputs(reader.read(content).main)])


def run(content: bytes, steps: Sequence[Sequence[np.ndarray]]) -> tuple[str, str]:
    """One thread and two; results must be the same."""
    assert IS_GUARDED
    results = []
    for threads in (1, 2):
        loaded = Model(reader.read(content), REFERENCE, shared(threads))
        given = [[guarded(np.asarray(x)) for x in step] for step in steps]
        results.append([loaded(*step) for step in given])
        if threads == 2 and all(len(step) == 1 and step[0].ndim for step in given):
            loaded(np.concatenate([given[0][0]] * 4))  # a batch, shared out by items
    return OK, "ran"


def main(arguments: Sequence[str]) -> int:
    """Run all of a kind, or those from a number to before another one; 1 where something died."""
    kind, *ends = arguments
    count = len(all_cases() if kind == "cases" else all_models())
    first, end = map(int, ends) if ends else (0, count)
    os.environ["INT8RT_GUARD"] = "1"
    counts: Counter[str] = Counter()
    for verdict in watched.watch(f"guards:{kind[:-1]}", range(first, min(end, count)), limit=LIMIT):
        counts[verdict.kind] += 1
        if verdict.is_finding:
            what = all_cases()[verdict.seed].op if kind == "cases" else all_models()[verdict.seed].name
            print(f"{verdict.seed} ({what}): {verdict.kind}: {verdict.detail[:600]}", flush=True)
    print(dict(counts))
    return 1 if sum(counts[k] for k in watched.FINDINGS) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
