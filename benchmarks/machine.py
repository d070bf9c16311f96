"""What the figures were measured on: a description, the int8 peak of one core, and the memory of fresh processes."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

import benchmarks
import int8rt
from int8rt.memory import address
from int8rt.native.abi import pack, signature_of
from int8rt.native.cpu import cpu_name
from int8rt.native.entries import native
from int8rt.native.kernel import Kernel
from int8rt.simd.llvm import LANES
from int8rt.simd.lowerings import CHOICES, chosen
from int8rt.simd.tiles import byte_tile, tile_shapes

PACKAGES = ("numba", "llvmlite", "numpy", "ai-edge-litert", "openvino")
DEPTH = 64  # products per sum of one pass; the bytes of a pass stay in the first-level cache
PEAK_SECONDS = 0.05


def describe() -> dict[str, Any]:
    """CPU, system and versions."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "choices": {name: chosen(table) for name, table in CHOICES.items()},
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "int8rt": int8rt.__version__,
        "commit": _commit(),
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        **{name: installed for name in PACKAGES if (installed := _version(name))},
    }


def _cpu_model() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
        return f"{names[0]} ({cpu_name()})"
    except (OSError, IndexError):
        return platform.processor() or cpu_name()


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, cwd=benchmarks.ROOT, capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


# The peak


@functools.cache
def _peak_kernel(rows: int, vectors: int) -> Kernel:
    """A tile of accumulators, none of which waits for another, on data in the first-level cache."""
    tile = byte_tile(rows, vectors)
    t_rows, t_start, t_dot, t_store = tile.rows, tile.start, tile.dot, tile.store
    deep = 4 * LANES * vectors

    def peak(x: Any, offsets: Any, w: Any, bias: Any, times: int, sums: Any) -> None:
        pointers = t_rows(x, offsets, 0)
        acc = t_start(bias, 0)
        for _ in range(times):
            at = 0
            for k in range(0, DEPTH, 4):
                acc = t_dot(acc, pointers, k, w, at)
                at += deep
        t_store(acc, sums, 0)

    return Kernel(peak, f"{__name__}:peak[{rows}x{vectors}]")


@functools.cache
def peak() -> float:
    """The most int8 multiply-accumulates per second that one core was seen to do: every tile is tried for 50 ms.

    It is measured with int8rt's own words for dot products (``vpdpbusd`` where the CPU has it), without packing,
    requantization or stores.
    """
    return max(_rate(rows, vectors) for vectors, rows in tile_shapes().items())


def _rate(rows: int, vectors: int) -> float:
    lanes = LANES * vectors
    x = np.ones(rows * DEPTH, np.uint8)
    offsets = np.arange(0, rows * DEPTH, DEPTH, dtype=np.int32)
    w, bias, sums = np.ones(lanes * DEPTH, np.int8), np.zeros(lanes, np.int32), np.zeros(rows * lanes, np.int32)
    times = 1000
    args = (x, offsets, w, bias, times, sums)
    record = pack(args)
    run = native(_peak_kernel(rows, vectors), signature_of(args))
    best = np.inf
    end = time.perf_counter() + PEAK_SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        run(address(record), 0, 1)
        best = min(best, time.perf_counter() - start)
    return rows * lanes * DEPTH * times / best


# Fresh processes


def fresh(code: str, *args: object, environment: Mapping[str, str] | None = None) -> str:
    """What Python code prints that runs in a process of its own. Raises RuntimeError where it fails."""
    command = [sys.executable, "-c", code, *map(str, args)]
    variables = {**os.environ, "PYTHONPATH": str(benchmarks.ROOT), **(environment or {})}
    # With it, each process would compile our sources again, which installed packages, LiteRT's too, are spared.
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    result = subprocess.run(command, env=variables, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"exit status {result.returncode}: {result.stderr.strip()[-500:]}")
    return result.stdout


# One run each of random input on one thread. LiteRT gets its own types of input from its own details.
RUN_INT8RT = """
import sys, int8rt
from int8rt.runtime.model import random_inputs
model = int8rt.load(sys.argv[1])
model(*random_inputs(model.graph.main))
"""
RUN_LITERT = """
import sys, numpy as np
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter(sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
for d in interpreter.get_input_details():
    interpreter.set_tensor(d["index"], np.zeros(d["shape"], d["dtype"]))
interpreter.invoke()
outputs = [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]
"""
# ru_maxrss of a process that was forked counts the parent's memory too; VmHWM counts its own alone.
_PRINT_MEMORY = """
try:
    status = open("/proc/self/status").read()
    print(int(status.partition("VmHWM:")[2].split()[0]) * 1024)
except OSError:
    import resource
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
"""


def peak_memory(code: str, path: object) -> int:
    """The most bytes of memory that a fresh process held which runs a model so; Python and its imports included."""
    return int(fresh(code + _PRINT_MEMORY, path))
