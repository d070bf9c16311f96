"""This version of int8rt beside another one, such as the commit before a change: interleaved, model by model.

    git worktree add ../before HEAD~1
    python -m benchmarks.versions ../before
    python -m benchmarks.versions ../before mobilenet kws --threads 1 --seconds 3 --json out.json
    python -m benchmarks.versions ../before --start 20

Each version runs in a process of its own, by what both have: ``int8rt.load`` and ``model(*inputs)``. The two take
turns in bursts; a ratio is the other version's 10th percentile by ours, of two neighbouring bursts, and the median of
these is shown: above 1 this version is faster. With ``--start``, fresh processes are compared, from the start of
Python to the first output: with compiled kernels in the cache (warm) and with an empty one (first run).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import benchmarks
from benchmarks import models
from benchmarks.contest import Row, geometric_mean
from benchmarks.start import OURS, once
from int8rt.tools import report

BURST = 0.05  # seconds

_CHILD = """
import json, sys, time
import numpy as np
import int8rt
rng = np.random.default_rng(1)

def random(port):
    if port.dtype.kind in "iu":
        limits = np.iinfo(port.dtype)
        return rng.integers(max(limits.min, -(2**15)), min(limits.max, 2**15), port.shape, port.dtype, endpoint=True)
    return rng.standard_normal(port.shape).astype(port.dtype)

for line in sys.stdin:
    path, threads, seconds = json.loads(line)
    if path:
        model = int8rt.load(path, threads=threads)
        inputs = [random(port) for port in model.inputs]
        model(*inputs)
    times = []
    end = time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        model(*inputs)
        now = time.perf_counter()
        times.append(now - start)
        if now >= end:
            break
    print(float(np.percentile(times, 10)), flush=True)
"""


class Version:
    """A process that runs models under the int8rt of one checkout."""

    def __init__(self, checkout: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=environment(checkout), cwd=checkout,
        )  # fmt: skip

    def burst(self, seconds: float, path: Path | None = None, threads: int = 1) -> float:
        """The 10th percentile of a run in seconds; with a path, of that model from now on."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps([path and str(path), threads, seconds]), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the process of {self.process.args!r} ended")
        return float(line)


def environment(checkout: Path) -> dict[str, str]:
    """Environment variables under which Python finds the int8rt of a checkout."""
    return {**os.environ, "PYTHONPATH": str(checkout)}


def run(other: Path, names: Sequence[str], threads: Sequence[int], seconds: float) -> list[Row]:
    """A row per model and number of threads."""
    chosen = {name: get for name, get in models.found().items() if not names or any(part in name for part in names)}
    ours, theirs = Version(benchmarks.ROOT), Version(other)
    rows = []
    for name, get in chosen.items():
        for count in threads:
            for version in (ours, theirs):
                version.burst(0, get().resolve(), count)
            pairs = [(ours.burst(BURST), theirs.burst(BURST)) for _ in range(max(3, round(seconds / BURST / 2)))]
            ratio = median(b / a for a, b in pairs)
            row: Row = {"name": name, "threads": count, "ratio": ratio}
            rows.append({**row, "seconds": min(a for a, _ in pairs), "other": min(b for _, b in pairs)})
            print(f"{name} ({count}): {ratio:.3f}", flush=True)
    return rows


def start(other: Path, repeat: int) -> dict[str, Any]:
    """Seconds of fresh processes of both versions, interleaved: {kind: {version: [...]}}."""
    path = next(get for name, get in models.found().items() if "mobilenet_v2_1.0_224_int8" in name)().resolve()
    found: dict[str, Any] = {kind: {"ours": [], "other": []} for kind in ("warm start", "first run")}
    versions = {"ours": environment(benchmarks.ROOT), "other": environment(other)}
    for kind, times in (("warm start", repeat), ("first run", max(1, repeat // 8))):
        for number in range(times + (kind == "warm start")):
            for name, variables in versions.items():
                folder = tempfile.mkdtemp() if kind == "first run" else ""
                total = once(OURS, path, variables | ({"INT8RT_CACHE_DIR": folder} if folder else {}))["total"]
                if folder:
                    shutil.rmtree(folder)
                if number or kind == "first run":  # the first warm start fills the cache
                    found[kind][name].append(total)
    return found


def main(args: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="a checkout of the other version")
    parser.add_argument("names", nargs="*", help="parts of models' names; all where none is given")
    parser.add_argument("--threads", default="1", help="numbers of threads, such as 1,2")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each model and number of threads")
    parser.add_argument("--start", type=int, default=0, help="compare so many fresh processes instead of models")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    given = parser.parse_args(args)
    other = given.other.resolve()
    if given.start:
        found = start(other, given.start)
        rows = [
            [kind, *(f"{of(times):.3f}" for times in by.values() for of in (min, median))] for kind, by in found.items()
        ]
        print(
            "\n".join(report.plain(report.table(["seconds", "ours, least", "median", "other, least", "median"], rows)))
        )
        content: Any = found
    else:
        content = run(other, given.names, models.counts(given.threads), given.seconds)
        ratios = sorted((row["ratio"], row["name"]) for row in content)
        print(f"geometric mean {geometric_mean(r for r, _ in ratios):.3f}; least: {ratios[:5]}")
    if given.json:
        given.json.write_text(json.dumps(content, indent=1) + os.linesep)


if __name__ == "__main__":
    main()
