"""Two or more runtimes on one model, interleaved in short bursts, so that all of them meet the same disturbances.

What is timed is the same on every side:

run      NumPy arrays in, NumPy arrays out: ``model(x)``; LiteRT's set_tensor, invoke and get_tensor
invoke   inputs are in the runtime's memory, outputs stay there: ``Instance.invoke``; LiteRT's invoke

LiteRT runs in a child process that sleeps while others are measured. Ratios are LiteRT's time by int8rt's, of low
percentiles (10th), since disturbances only ever add.
"""

from __future__ import annotations

import importlib.util
import math
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import int8rt
from benchmarks import machine
from int8rt.format import reader
from int8rt.graph import Node, Subgraph
from int8rt.runtime.instance import Instance
from int8rt.runtime.model import random_inputs
from int8rt.tools import litert
from int8rt.tools.profile import profile

BURST = 0.04  # seconds
RARELY = 5  # rounds, of which LiteRT's slower kernels take part in one
LITERT_NAMES: dict[litert.Resolver, str] = {"xnnpack": "XNN", "builtin": "OPT", "reference": "REF"}

Row = dict[str, Any]


class Times(NamedTuple):
    """Seconds of single runs; invoke is empty where a model cannot be run so."""

    run: list[float]
    invoke: list[float]


Burst = Callable[[float], Times]


# Contenders


class Ours:
    """A model under int8rt in this process."""

    def __init__(self, path: Path, threads: int) -> None:
        self.model = int8rt.load(path, threads=threads)
        self.inputs = random_inputs(self.model.graph.main)
        self.model(*self.inputs)
        program = self.model.program
        self.instance = Instance(program) if program.is_whole and not program.variables else None
        if self.instance is not None:
            self.instance.run(self.inputs)

    def burst(self, seconds: float) -> Times:
        """Half of the time with copies, half without."""
        if self.instance is None:
            return Times(_repeated(self._run, seconds), [])
        return Times(_repeated(self._run, seconds / 2), _repeated(self.instance.invoke, seconds / 2))

    def _run(self) -> None:
        self.model(*self.inputs)


class OpenVINO:
    """A model under OpenVINO, which reads ``.tflite`` files and computes in its own arithmetic."""

    def __init__(self, path: Path, threads: int) -> None:
        import openvino

        compiled = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_NUM_THREADS": threads})
        self.request = compiled.create_infer_request()
        self.inputs = random_inputs(reader.read(path).main)
        self._run()

    def burst(self, seconds: float) -> Times:
        """Half of the time with copies, half without."""
        return Times(_repeated(self._run, seconds / 2), _repeated(self.request.infer, seconds / 2))

    def _run(self) -> None:
        self.request.infer(self.inputs, share_inputs=False, share_outputs=False)


def _repeated(run: Callable[[], object], seconds: float) -> list[float]:
    times = []
    end = time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        run()
        now = time.perf_counter()
        times.append(now - start)
        if now >= end:
            return times


class Worker:
    """A contender in a process of its own, with environment variables of its own."""

    def __init__(self, kind: type[Ours] | type[OpenVINO], environment: Mapping[str, str] | None = None) -> None:
        self.kind, self.environment = kind, dict(environment or {})
        self.pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))

    def open(self, path: Path, threads: int) -> None:
        """Load a model in place of the one before."""
        with _variables(self.environment):  # the process starts with the first request
            self.pool.submit(_open_here, self.kind, path, threads).result()

    def burst(self, seconds: float) -> Times:
        """Time it."""
        return self.pool.submit(_burst_here, seconds).result()

    def close(self) -> None:
        """End the process."""
        self.pool.shutdown()


_here: list[Ours | OpenVINO] = []  # in a worker's process: what is open


def _open_here(kind: type[Ours] | type[OpenVINO], path: Path, threads: int) -> None:
    _here.clear()
    _here.append(kind(path, threads))


def _burst_here(seconds: float) -> Times:
    return _here[0].burst(seconds)


@contextmanager
def _variables(environment: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def restricted(features: str) -> dict[str, str]:
    """Environment variables under which kernels are compiled for a CPU with AVX2 and nothing newer."""
    import llvmlite.binding as llvm

    if features != "avx2":
        raise ValueError(f"features are {features!r}, expected 'avx2'")
    newer = ("avx512", "avxvnni", "avxifma", "avxneconvert", "avx10", "amx", "evex512")
    found = llvm.get_host_cpu_features()
    found.update({name: False for name in found if name.startswith(newer)})
    return {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": str(found.flatten())}


class Others:
    """All contenders but int8rt itself; processes start when they are first needed."""

    def __init__(self, resolvers: Sequence[litert.Resolver] = litert.RESOLVERS, features: str | None = None) -> None:
        self._stack = ExitStack()
        self._watches = {r: self._stack.enter_context(litert.Stopwatch()) for r in resolvers if litert.available()}
        self._workers: dict[str, Worker] = {}
        if features:
            self._workers[features] = Worker(Ours, restricted(features))
        if importlib.util.find_spec("openvino") is not None:
            self._workers["openvino"] = Worker(OpenVINO)
        for worker in self._workers.values():
            self._stack.callback(worker.close)

    def open(self, path: Path, threads: int) -> tuple[dict[str, Burst], dict[str, str]]:
        """Bursts of all that can run the model, by name, and the complaints of those that cannot."""
        inputs = random_inputs(reader.read(path).main)
        bursts: dict[str, Burst] = {}
        errors: dict[str, str] = {}
        for resolver, watch in self._watches.items():
            if resolver == "reference" and threads > 1:  # its kernels know one thread
                continue
            try:
                watch.open(path, inputs, resolver=resolver, threads=threads)
                watch.burst(0)
                bursts[resolver] = _of_litert(watch)
            except litert.LiteRTError as error:
                errors[resolver] = _in_one_line(error)
        for name, worker in self._workers.items():
            try:
                worker.open(path, threads)
                bursts[name] = worker.burst
            except Exception as error:  # whatever another runtime raises, the others are measured
                errors[name] = _in_one_line(error)
        return bursts, errors

    def __enter__(self) -> Others:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()


def _in_one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def _of_litert(watch: litert.Stopwatch) -> Burst:
    def burst(seconds: float) -> Times:
        whole, invoke = zip(*watch.burst(seconds), strict=True)
        return Times(list(whole), list(invoke))

    return burst


# A contest


def contest(name: str, path: Path, threads: int, seconds: float, others: Others, profiled: bool = True) -> Row:
    """Time one model under all contenders for about so many seconds each, int8rt's bursts between those of the others.

    Only ``error`` is in the row where int8rt cannot run the model.
    """
    row: Row = {"name": name, "threads": threads}
    try:
        ours = Ours(path, threads)
    except int8rt.Error as error:
        return {**row, "error": _in_one_line(error)}
    graph = ours.model.program.graph if ours.model.program.is_whole else ours.model.graph.main
    opened, errors = others.open(path, threads)
    times = _alternate({"int8rt": ours.burst, **opened}, seconds)
    found = {contender: _summaries(t) for contender, t in times.items()}
    run = found["int8rt"]["run"]["p10"]
    row |= {
        "group": group(graph),
        "macs": macs(graph),
        "gmacs": macs(graph) / run / 1e9,
        "share_of_peak": macs(graph) / run / (machine.peak() * threads),
        "seconds": found,
        "ratio": {contender: _ratios(t, found["int8rt"]) for contender, t in found.items() if contender != "int8rt"},
        "errors": errors,
    }
    if profiled and threads == 1:
        row["operators"] = _shares(ours)
    return row


def _alternate(bursts: Mapping[str, Burst], seconds: float) -> dict[str, Times]:
    times = {name: Times([], []) for name in bursts}
    often = [name for name in bursts if name not in ("builtin", "reference")]
    rounds = max(2, round(seconds / BURST))
    for number in range(rounds):
        rare = [name for name in bursts if name == "builtin" and number % RARELY == 1]
        if number == 0 and "reference" in bursts:
            rare = ["reference"]
        for name in [*often, *rare]:
            found = bursts[name](BURST)
            times[name].run.extend(found.run)
            times[name].invoke.extend(found.invoke)
    return times


def _summaries(times: Times) -> dict[str, dict[str, float]]:
    """Of run and of invoke: how many, least, 10th percentile and median seconds."""
    return {
        kind: {
            "runs": len(s),
            **dict(zip(("min", "p10", "median"), map(float, np.percentile(s, [0, 10, 50])), strict=True)),
        }
        for kind, s in times._asdict().items()
        if s
    }


def _ratios(theirs: Row, ours: Row) -> dict[str, float]:
    """Their time by ours: of runs by p10 and by median, of invoke by p10."""
    ratios = {
        "run": theirs["run"]["p10"] / ours["run"]["p10"],
        "median": theirs["run"]["median"] / ours["run"]["median"],
    }
    if "invoke" in ours and "invoke" in theirs:
        ratios["invoke"] = theirs["invoke"]["p10"] / ours["invoke"]["p10"]
    return ratios


def _shares(ours: Ours) -> dict[str, float]:
    """The share of each operator in the time of a run, the largest first."""
    seconds: Counter[str] = Counter()
    for row in profile(ours.model, ours.inputs, repeat=2):
        seconds[row.op] += row.seconds
    total = sum(seconds.values())
    return {op: s / total for op, s in seconds.most_common()}


def geometric_mean(values: Iterable[float]) -> float:
    """The geometric mean; NaN of nothing."""
    logs = [math.log(v) for v in values]
    return math.exp(sum(logs) / len(logs)) if logs else math.nan


# What a model is


def group(graph: Subgraph) -> str:
    """``int8 vision`` or ``uint8 vision`` of networks of convolutions on colour images, else ``other``."""
    for node in graph.nodes:
        x = node.inputs[0] if node.inputs else None
        image = graph.inputs[0].shape
        if node.op == "CONV_2D" and x is not None and len(image) == 4 and image[1] >= 32 and image[3] == 3:
            w = node.inputs[1]
            same = w is not None and w.dtype == x.dtype and x.dtype in (np.int8, np.uint8)
            return f"{x.dtype} vision" if same else "other"
    return "other"


def macs(graph: Subgraph) -> int:
    """Multiply-accumulates of one run: those of operators with weights, counted from their shapes."""
    return sum(_macs(node) for node in graph.nodes)


def _macs(node: Node) -> int:
    count = _MACS.get(node.op)
    return count(node) if count else 0


def _weights(node: Node) -> tuple[int, ...]:
    assert node.inputs[1] is not None
    return node.inputs[1].shape


def _of_lstm(node: Node) -> int:
    """Every matrix once per step."""
    x = node.inputs[0]
    assert x is not None
    matrices = sum(t.size for t in node.inputs[1:9] if t is not None)
    return matrices * x.size // x.shape[-1]


_MACS: dict[str, Callable[[Node], int]] = {
    "CONV_2D": lambda n: n.outputs[0].size * math.prod(_weights(n)[1:]),
    "CONV_3D": lambda n: n.outputs[0].size * math.prod(_weights(n)[:4]),
    "DEPTHWISE_CONV_2D": lambda n: n.outputs[0].size * math.prod(_weights(n)[1:3]),
    "FULLY_CONNECTED": lambda n: n.outputs[0].size * _weights(n)[-1],
    "TRANSPOSE_CONV": lambda n: n.inputs[2].size * math.prod(_weights(n)[:3]) if n.inputs[2] else 0,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _of_lstm,
}
