"""Coverage-guided runs: libFuzzer, by way of atheris, keeps what reaches code that nothing before it reached.

Most of its steps change the structure (``mutate``), the others bytes. It begins with files of the
conformance cases, and goes on with the folder that it wrote before.

    pip install atheris
    python -m tests.fuzz.guided read FOLDER [SECONDS]     bytes to Graph
    python -m tests.fuzz.guided plan FOLDER [SECONDS]     and on to Programs, of which nothing is compiled or run

What raises anything but an int8rt.Error, takes more than 10 s or more than 1 GB ends the run, and lies in
FOLDER/findings. atheris is no dependency of the tests.
"""

from __future__ import annotations

import random
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / "fuzz"), str(TESTS / "cases"), str(TESTS)]

LARGEST = 8192  # bytes of a file
BEGINNINGS = 3  # files of each operator
INSTRUMENTED = {"read": ["int8rt.format", "int8rt.graph"], "plan": ["int8rt.format", "int8rt.plan", "int8rt.ops"]}


def target(kind: str) -> Callable[[bytes], None]:
    """What is given files."""
    from int8rt import limits, ops
    from int8rt.errors import Error
    from int8rt.format import reader
    from int8rt.numerics.rules import NUMERICS
    from int8rt.plan import program

    if kind == "plan":
        for op in ops.supported():
            ops.find(op)  # imports it, to be followed
    budget = limits.Budget(max_memory=64 << 20, max_iterations=100, timeout=2.0)

    def read(content: bytes) -> None:
        try:
            with limits.using(budget):
                graph = reader.read(content)
                if kind == "plan":
                    program.build(graph.main, NUMERICS["reference"])
        except Error:
            return

    return read


def beginnings(folder: Path) -> None:
    """Write the smallest files of every operator, and of several, into a folder."""
    import graphs
    import mutants
    from conformance_cases import BUILDERS

    for op in sorted(BUILDERS):
        files = sorted((f for f in mutants.of_operator(op) if len(f) <= LARGEST), key=len)
        for i, content in enumerate(files[:BEGINNINGS]):
            (folder / f"{op}-{i}").write_bytes(content)
    for seed in range(8):
        (folder / f"graph-{seed}").write_bytes(graphs.make(seed).file()[: 4 * LARGEST])


def changed(content: bytes, most: int, seed: int) -> bytes:
    """The next file, of one that reached something new: another structure, or other bytes."""
    import mutate

    rng = random.Random(seed)
    try:
        with np.errstate(all="ignore"):
            made = mutate.mutant(content, content, rng) if rng.random() < 0.7 else flipped(content, rng)
    except Exception:  # what cannot be read has no structure, and not every structure can be written
        made = flipped(content, rng)
    return made if len(made) <= most else made[:most]


def flipped(content: bytes, rng: random.Random) -> bytes:
    """A few bytes changed, put in or taken out."""
    raw = bytearray(content or b"\0")
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        at = rng.randrange(len(raw))
        how = rng.randrange(4)
        if how == 0:
            raw[at] ^= 1 << rng.randrange(8)
        elif how == 1:
            raw[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        elif how == 2:
            raw[at:at] = rng.randbytes(rng.choice((1, 4, 8)))
        elif len(raw) > 8:
            del raw[at : at + rng.choice((1, 4, 8))]
        raw = raw or bytearray(1)
    return bytes(raw)


def main(arguments: list[str]) -> None:
    """Run until something is found or the time is over."""
    import atheris

    kind, folder = arguments[0], Path(arguments[1])
    seconds = arguments[2] if len(arguments) > 2 else "0"
    found = folder / "findings"
    found.mkdir(parents=True, exist_ok=True)
    (folder / kind).mkdir(exist_ok=True)
    warnings.simplefilter("error")
    with atheris.instrument_imports(include=INSTRUMENTED[kind]):
        run = target(kind)
        if not any((folder / kind).iterdir()):
            beginnings(folder / kind)
    options = [f"-max_len={LARGEST}", f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=1024"]
    options += [f"-artifact_prefix={found}/", str(folder / kind)]
    atheris.Setup([sys.argv[0], *options], run, custom_mutator=changed)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
