"""How long it takes from nothing to the first output, and how much memory that needs: fresh processes, interleaved.

    python -m benchmarks.start
    python -m benchmarks.start model.tflite --repeat 20 --json out.json

first run   int8rt with an empty cache: kernels are compiled
warm start  int8rt with compiled kernels in its cache; LiteRT as it always starts

Times are from the start of the Python process to the first output, imports and loading included; those of the parts
are given too. Both read the same file and run once, on one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median

from rich.markup import escape

from benchmarks import machine, models, networks, tables
from benchmarks.contest import Row
from int8rt.tools import litert, report

_MARK = "import sys, time; marks = [time.monotonic()]; mark = lambda: marks.append(time.monotonic())\n"
OURS = (
    _MARK
    + """
import numpy as np, int8rt; mark()
model = int8rt.load(sys.argv[1]); mark()
inputs = [np.zeros(p.shape, p.dtype) for p in model.inputs]
model(*inputs); mark()
print(*marks)
"""
)
LITERT = (
    _MARK
    + """
import numpy as np
from ai_edge_litert.interpreter import Interpreter; mark()
interpreter = Interpreter(sys.argv[1], num_threads=1); interpreter.allocate_tensors(); mark()
inputs = {d["index"]: np.zeros(d["shape"], d["dtype"]) for d in interpreter.get_input_details()}
for index, x in inputs.items():
    interpreter.set_tensor(index, x)
interpreter.invoke()
outputs = [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]; mark()
print(*marks)
"""
)
PARTS = ("python", "import", "load", "run", "total")


def once(code: str, path: Path, environment: Mapping[str, str] | None = None) -> Row:
    """Seconds of the parts of one start; the monotonic clock is the same in all processes."""
    start = time.monotonic()
    marks = [start, *map(float, machine.fresh(code, path, environment=environment).split())]
    parts = [after - before for before, after in pairwise(marks)]
    return dict(zip(PARTS, [*parts, marks[-1] - start], strict=True))


def first_run(path: Path) -> Row:
    """One start with an empty cache."""
    folder = tempfile.mkdtemp()
    try:
        return once(OURS, path, {"INT8RT_CACHE_DIR": folder})
    finally:
        shutil.rmtree(folder)


def run(path: Path, repeat: int, first: int) -> Row:
    """All figures: per kind of start the seconds of every repetition, and bytes of memory."""
    starts: dict[str, list[Row]] = {"int8rt, first run": [first_run(path) for _ in range(first)]} if first else {}
    kinds = {"int8rt, warm start": OURS}
    if litert.available():
        kinds["LiteRT (XNNPACK)"] = LITERT
    for code in kinds.values():  # files into the system's cache, kernels into ours
        once(code, path)
    for _ in range(repeat):
        for kind, code in kinds.items():
            starts.setdefault(kind, []).append(once(code, path))
    memory = {"int8rt": machine.peak_memory(machine.RUN_INT8RT, path)}
    if litert.available():
        memory["litert"] = machine.peak_memory(machine.RUN_LITERT, path)
    return {"name": path.stem, "starts": starts, "memory": memory}


def text(result: Row) -> list[str]:
    """Least and median of each kind of start, and memory."""
    rows = []
    for kind, starts in result["starts"].items():
        for name, of in (("min", min), ("median", median)):
            rows.append([kind, name, *(f"{of(s[part] for s in starts):.3f}" for part in PARTS), str(len(starts))])
    header = [f"{result['name']}, seconds", "", *(f"{part} " for part in PARTS), "runs "]
    lines = [escape(line) for line in report.plain(report.table(header, rows))]
    ours, theirs = (result["starts"].get(kind) for kind in ("int8rt, warm start", "LiteRT (XNNPACK)"))
    if ours and theirs:
        ratio = min(s["total"] for s in ours) / min(s["total"] for s in theirs)
        lines.append(f"  warm start: {ratio:.2f} of LiteRT's time (least seen)")
    mebibytes = ", ".join(f"{who} {value / 2**20:.0f} MiB" for who, value in result["memory"].items())
    return [*lines, f"  peak memory of a process that runs it once: {mebibytes}"]


def main(args: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", type=Path, help="a .tflite file; MobileNetV2 where none is given")
    parser.add_argument("--repeat", type=int, default=9, help="how many warm starts")
    parser.add_argument("--first", type=int, default=2, help="how many first runs")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    given = parser.parse_args(args)
    known = models.SHARED / "mobilenet_v2_1.0_224_int8.tflite"
    path = given.model or (known if known.exists() else networks.path("random_mobilenet_v2_1.0_224"))
    result = run(path.resolve(), given.repeat, given.first)
    tables.show(text(result))
    if given.json:
        given.json.write_text(json.dumps({"machine": machine.describe(), **result}, indent=1) + os.linesep)


if __name__ == "__main__":
    main()
