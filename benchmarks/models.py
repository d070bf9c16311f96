"""Whole models under int8rt and LiteRT: the project's own, those of ../shared/models, and random networks.

python -m benchmarks.models
python -m benchmarks.models mobilenet resnet --threads 1 --seconds 3 --json out.json
python -m benchmarks.models vww --features avx2      # against ourselves without AVX-512
python -m benchmarks.models --readme
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import benchmarks
from benchmarks import machine, networks, tables
from benchmarks.contest import Others, Row, contest

SHARED = Path(os.environ.get("INT8RT_SHARED_MODELS", benchmarks.ROOT.parent / "shared" / "models"))
README = benchmarks.ROOT / "README.md"


def found() -> dict[str, Callable[[], Path]]:
    """How to get the file of every model, by name."""
    files = [*sorted(SHARED.glob("*.tflite")), *sorted((benchmarks.ROOT / "models").glob("*.tflite"))]
    made = {name: partial(networks.path, name) for name in networks.NETWORKS}
    return {**{file.stem: partial(Path, file) for file in files}, **made}


def run(names: Sequence[str], threads: Sequence[int], seconds: float, features: str | None, memory: bool) -> list[Row]:
    """A row per model and number of threads, printed as they come. Names are parts of models' names; none means all."""
    chosen = {name: get for name, get in found().items() if not names or any(part in name for part in names)}
    if not chosen:
        raise SystemExit(f"no model is called {' or '.join(names)}; there are: {', '.join(found())}")
    rows = []
    with Others(features=features) as others:
        for name, get in chosen.items():
            for count in threads:
                row = contest(name, get(), count, seconds, others)
                if memory and count == min(threads):
                    row["memory"] = {
                        "int8rt": machine.peak_memory(machine.RUN_INT8RT, get()),
                        "litert": machine.peak_memory(machine.RUN_LITERT, get()),
                    }
                rows.append(row)
                print(tables.brief(row), flush=True)
    return rows


def arguments(description: str | None) -> argparse.ArgumentParser:
    """What models and kernels have in common on their command lines."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="parts of names; all where none is given")
    parser.add_argument("--threads", default="1,2", help="numbers of threads, such as 1,2")
    parser.add_argument("--seconds", type=float, default=0.6, help="for each runtime, model and number of threads")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--features", choices=["avx2"], help="also time int8rt as on a CPU without anything newer")
    return parser


def counts(text: str) -> list[int]:
    """Numbers of threads."""
    return [int(part) for part in text.split(",")]


def show(rows: Sequence[Row], means: bool = True) -> None:
    """Print table, means and legend."""
    lines = ["", *tables.text(rows), ""]
    for name, values in tables.means(rows).items() if means else ():
        lines.append(f"against XNN, {name}: " + ", ".join(f"{what} {value:.2f}" for what, value in values.items()))
    lines += [tables.memory(row) for row in rows if "memory" in row]
    tables.show([*lines, f"int8 peak of one core: {machine.peak() / 1e9:.0f} GMAC/s", f"[dim]{tables.LEGEND}[/]"])


def main(args: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = arguments(__doc__)
    parser.add_argument("--memory", action="store_true", help="also the peak memory of a fresh process for each model")
    parser.add_argument("--readme", action="store_true", help="rewrite README's table")
    given = parser.parse_args(args)
    rows = run(given.names, counts(given.threads), given.seconds, given.features, given.memory)
    show(rows)
    if given.json:
        tables.write_json(given.json, rows, geometric_means=tables.means(rows))
    if given.readme:
        tables.write_readme(rows, README)


if __name__ == "__main__":
    main()
