"""Models beside processes that keep the CPUs busy: one thread and two, LiteRT with two, batches.

    python -m benchmarks.neighbours
    python -m benchmarks.neighbours mobilenet vww --busy 0,2 --seconds 3 --json out.json

Contenders take turns of half a second, so that a run in which the system gives the CPU to others for a whole time slice
counts for what it costs. Times are milliseconds per image, the mean over all turns and, after a slash, the 90th
percentile of single runs. Busy processes compute all the time at the same priority, each in a session of its own, as
LiteRT's process is: Linux may give sessions, not processes, equal shares of a CPU (sched_autogroup_enabled).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import int8rt
from benchmarks import machine, tables
from benchmarks.contest import Row
from benchmarks.models import counts, found
from int8rt.runtime.model import random_inputs
from int8rt.tools import litert, report

TURN = 0.5  # seconds
BATCH = 16  # images
NAMES = ("mobilenet_v2_1.0_224_int8", "vww_96_int8", "kws_ref_model")  # where the command line gives none
HEADER = (
    "model", "busy ", "1 thread ", "2 threads ", "2 by 1 ", "XNN, 2 ", "XNN by ours ", f"{BATCH} images, 1 ", "2 ",
    "2 by 1 ",
)  # fmt: skip

BUSY = """
import os
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(1_000_000):
        pass
"""  # until the benchmark has ended, however it did

Turn = Callable[[], list[float]]  # seconds per image of each run


@contextmanager
def busy(count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """So many processes that compute all the time."""
    processes = []
    with ExitStack() as stack:
        for _ in range(count):
            process = subprocess.Popen([sys.executable, "-c", BUSY], start_new_session=True)
            stack.callback(process.wait)
            stack.callback(process.kill)
            processes.append(process)
        yield processes


def contenders(path: Path, stack: ExitStack) -> dict[str, Turn]:
    """What is timed, by name, warmed up."""
    found: dict[str, Turn] = {}
    for threads in (1, 2):
        model = int8rt.load(path, threads=threads)
        inputs = random_inputs(model.graph.main)
        found[f"int8rt {threads}"] = _ours(model, inputs, 1)
        if all(x.ndim for x in inputs):
            found[f"batch {threads}"] = _ours(model, [np.concatenate([x] * BATCH) for x in inputs], BATCH)
        if litert.available():
            watch = stack.enter_context(litert.Stopwatch())
            watch.open(path, inputs, resolver="xnnpack", threads=threads)
            found[f"xnnpack {threads}"] = _theirs(watch)
    for turn in found.values():
        turn()
    return found


def _ours(model: int8rt.Model, inputs: Sequence[np.ndarray], images: int) -> Turn:
    def turn() -> list[float]:
        times = []
        end = time.perf_counter() + TURN
        while (start := time.perf_counter()) < end:
            model(*inputs)
            times.append((time.perf_counter() - start) / images)
        return times

    return turn


def _theirs(watch: litert.Stopwatch) -> Turn:
    return lambda: [run for run, _ in watch.burst(TURN)]


def measure(name: str, path: Path, neighbours: int, seconds: float) -> Row:
    """One model beside so many busy processes, each contender for about so many seconds."""
    with ExitStack() as stack:
        turns = contenders(path, stack)
        stack.enter_context(busy(neighbours))
        time.sleep(TURN)
        times: dict[str, list[float]] = {contender: [] for contender in turns}
        for _ in range(max(1, round(seconds / TURN))):
            for contender, turn in turns.items():
                times[contender] += turn()
    return {
        "name": name,
        "busy": neighbours,
        "mean": {contender: float(np.mean(t)) for contender, t in times.items()},
        "p90": {contender: float(np.percentile(t, 90)) for contender, t in times.items()},
    }


def text(rows: Sequence[Row]) -> list[str]:
    """The table."""
    return report.plain(report.table(HEADER, [_cells(row) for row in rows]))


def _cells(row: Row) -> list[str]:
    return [
        row["name"],
        str(row["busy"]),
        _ms(row, "int8rt 1"),
        _ms(row, "int8rt 2"),
        _ratio(row, "int8rt 2", "int8rt 1"),
        _ms(row, "xnnpack 2"),
        _ratio(row, "xnnpack 2", "int8rt 2"),
        _ms(row, "batch 1"),
        _ms(row, "batch 2"),
        _ratio(row, "batch 2", "batch 1"),
    ]


def _ms(row: Row, who: str) -> str:
    return f"{1e3 * row['mean'][who]:.3g} / {1e3 * row['p90'][who]:.3g}" if who in row["mean"] else "-"


def _ratio(row: Row, a: str, b: str) -> str:
    mean: dict[str, Any] = row["mean"]
    return f"{mean[a] / mean[b]:.2f}" if a in mean and b in mean else "-"


def main(args: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="parts of models' names")
    parser.add_argument("--busy", default="0,1,2,4", help="numbers of busy processes")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each contender and number of busy processes")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args(args)
    names = options.names or NAMES
    chosen = {name: get for name, get in found().items() if any(part in name for part in names)}
    if not chosen:
        raise SystemExit(f"no model is called {' or '.join(names)}; there are: {', '.join(found())}")
    rows = []
    for name, get in chosen.items():
        for neighbours in counts(options.busy):
            rows.append(measure(name, get(), neighbours, options.seconds))
            print(" ".join(_cells(rows[-1])), flush=True)
    tables.show(["", *text(rows), "", f"mean / 90th percentile, ms per image; {machine.describe()['cpu']}"])
    if options.json:
        tables.write_json(options.json, rows)


if __name__ == "__main__":
    main()
