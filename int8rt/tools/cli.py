"""The command line: int8rt run, info, compare, quantize, bench, ops, warmup, cache.

Each makes a report of plain values and prints it as text or JSON. Reports go to standard output, progress and errors to
standard error. Exit status: 0, 1 where a comparison finds a difference, 2 on errors.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import math
import os
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

import int8rt
from int8rt import ops
from int8rt.data import files
from int8rt.errors import Error, InputError, ModelError, UnsupportedError, printable
from int8rt.format import reader
from int8rt.format.source import file_bytes
from int8rt.graph import Graph, Subgraph, Tensor
from int8rt.native.cache import cache_folder
from int8rt.native.entries import Progress
from int8rt.numerics.rules import numerics
from int8rt.numerics.storage import storage_nbytes
from int8rt.plan import arena
from int8rt.runtime import session
from int8rt.runtime.model import MAX_THREADS, Model, Port, load, random_inputs, unique_names
from int8rt.steps import View
from int8rt.tools import checked, report

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Run quantized .tflite models with the exact bits of the TFLite reference.",
)

ModelPath = Annotated[Path, typer.Argument(help="The .tflite file.", show_default=False)]
Threads = Annotated[int, typer.Option(help="How many CPU cores a run may use.", min=1, max=MAX_THREADS)]
Hybrid = Annotated[
    str, typer.Option(help="How float activations meet integer weights: dynamic, as TFLite does, or weight_only.")
]
Memory = Annotated[
    str | None,
    typer.Option(help="What the model may take, such as 2G; default: half of what is free.", show_default=False),
]
Iterations = Annotated[
    int | None, typer.Option(help="Trips of WHILE loops in a run; default: 1,000,000.", min=1, show_default=False)
]
Timeout = Annotated[
    float | None, typer.Option(help="Seconds that a run may take; default: no end.", show_default=False)
]
Seed = Annotated[int, typer.Option(help="Of the random input used where none is given.", min=0)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
Inputs = Annotated[
    list[Path] | None,
    typer.Option("--input", "-i", help="Data: .npy, .npz, an image or raw bytes; once per input.", show_default=False),
]
Span = Annotated[
    str | None,
    typer.Option(
        "--range", help="The reals that black and white of images stand for, such as -1,1.", show_default=False
    ),
]


def main(args: Sequence[str] | None = None) -> None:
    """The ``int8rt`` command; ends by SystemExit."""
    try:
        _open_streams()
        status = app(args, prog_name="int8rt", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of a pipe has seen enough
        _drop_output()
        status = 1
    except (KeyboardInterrupt, typer.Abort):
        status = 130
    except (Error, OSError, ImportError, MemoryError) as error:
        status = _fail(_one_line(error))
        _drop_output()
    except Exception as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            status = 2
        elif hasattr(error, "format_message"):  # of the library that reads the command line
            status = _fail(error.format_message())
        elif os.environ.get("INT8RT_TRACEBACK"):
            raise
        else:
            what = f"{type(error).__name__}: {_one_line(error)}"
            status = _fail(f"{what}; INT8RT_TRACEBACK=1 shows where: please report it")
    sys.exit(status if isinstance(status, int) else 0)


def _open_streams() -> None:
    """Have streams that take every character: closed ones lead nowhere, and what an encoding lacks is escaped."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (until the process ends)
        if isinstance(stream := getattr(sys, name), io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    """Lose what standard output could not take, or Python would try again at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{os.fsdecode(error.filename)}: {error.strerror.lower()}"
    return " ".join(str(error).split()) or type(error).__name__


def _fail(message: str) -> int:
    text = report.escape(" ".join(message.split()))
    _console(stderr=True).print(f"[bold red]error:[/] {text}", highlight=False, soft_wrap=True)
    return 2


def _version(wanted: bool) -> None:
    if wanted:
        print(f"int8rt {int8rt.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def _examples(*lines: str) -> str:
    return "\n\n".join(["Examples:", *(f"  {line}" for line in lines)])


# run


@app.command(
    epilog=_examples(
        "int8rt run model.tflite",
        "int8rt run model.tflite --input cat.png --labels labels.txt --top 3",
        "int8rt run model.tflite --input x.npz --output y.npz",
        "int8rt run model.tflite --threads 2 --repeat 100",
    )
)
def run(
    model: ModelPath,
    input: Inputs = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the outputs to this .npz.", show_default=False)
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="A text file with the name of a class per line.", show_default=False)
    ] = None,
    top: Annotated[int, typer.Option(help="With --labels: how many classes to print.", min=1)] = 5,
    span: Span = None,
    hybrid: Hybrid = "dynamic",
    threads: Threads = 1,
    repeat: Annotated[int, typer.Option(help="Run it this many times, and say how long a run takes.", min=1)] = 1,
    seed: Seed = 0,
    max_memory: Memory = None,
    max_iterations: Iterations = None,
    timeout: Timeout = None,
    as_json: Json = False,
) -> None:
    """Run a model on given or random data, and print or save its outputs."""
    with _about(model), _progress() as progress:
        loaded = load(
            model, hybrid=hybrid, threads=threads, progress=progress,
            max_memory=max_memory, max_iterations=max_iterations, timeout=timeout,
        )  # fmt: skip
        arrays = _read_inputs(input, loaded.graph, span) or random_inputs(loaded.graph.main, seed)
        results = _tuple(loaded(*arrays))
    result: report.Report = {"outputs": [_values(p, r) for p, r in zip(loaded.outputs, results, strict=True)]}
    if labels:
        result["classes"] = _classes(loaded.outputs[0], results[0], _read_labels(labels), top)
    if repeat > 1:
        result["times"] = _summary([_timed(loaded, arrays) for _ in range(repeat)])
    if output:
        names = unique_names(loaded.graph.main.outputs)
        _save(output, {names[p.tensor]: r for p, r in zip(loaded.outputs, results, strict=True)})
    if as_json:
        _print_json(result)
    else:
        for y, port, values in zip(result["outputs"], loaded.outputs, results, strict=True):
            y["text"] = _as_text(values)
            if port.is_quantized:
                y["real"] = _as_text(port.dequantize(values))
        _print(report.classes(result["classes"], _width()) if labels else report.outputs(result["outputs"]))
        _print([] if input else [f"[dim]random input, seed {seed}[/]"])
        _print([report.times(result["times"])] if repeat > 1 else [])


def _read_inputs(paths: Sequence[Path] | None, graph: Graph, span: str | None) -> list[np.ndarray]:
    return files.read_inputs(paths, graph, _span(span)) if paths else []


def _span(span: str | None) -> files.Span | None:
    """What --range says."""
    if span is None:
        return None
    try:
        low, high = (float(part) for part in span.split(","))
    except ValueError:
        low = high = math.nan
    if not math.isfinite(high - low):
        raise InputError(f"--range is {span!r}, expected two numbers such as -1,1")
    return low, high


def _values(port: Port, result: np.ndarray) -> report.Report:
    return {**_described(port.tensor), "shape": list(result.shape), "values": result.tolist()}


def _as_text(values: np.ndarray) -> str:
    return np.array2string(values, threshold=64, max_line_width=76, floatmode="maxprec", suppress_small=True)


def _read_labels(path: Path) -> list[str]:
    try:
        return file_bytes(path).tobytes().decode("utf-8-sig").rstrip().splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{path} is not text in UTF-8, expected the name of a class per line") from None


def _classes(port: Port, result: np.ndarray, names: Sequence[str], top: int) -> list[list[report.Report]]:
    """The classes with the highest scores, for each item of the batch."""
    scores = port.dequantize(result).reshape(-1, result.shape[-1] if result.ndim else 1)
    if len(names) < scores.shape[1]:
        raise InputError(f"{len(names)} labels given, the model has {scores.shape[1]} classes")
    best = np.argsort(-scores.astype(np.float64), axis=1, kind="stable")[:, :top]
    return [
        [{"label": names[c], "index": int(c), "score": float(row[c])} for c in order]
        for row, order in zip(scores, best, strict=True)
    ]


def _save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays as .npz, under any names; one array as .npy if the path says so."""
    if path.suffix.lower() == ".npy":
        if len(arrays) > 1:
            raise InputError(f"{path} can hold one array, the model has {len(arrays)} outputs: write an .npz")
        np.save(path, next(iter(arrays.values())))
        return
    with zipfile.ZipFile(path, "w") as archive:  # numpy.savez would not take every name
        for name, array in arrays.items():
            with archive.open(f"{printable(name)}.npy", "w") as file:
                np.lib.format.write_array(file, array)


# info


@app.command(
    epilog=_examples(
        "int8rt info model.tflite",
        "int8rt info --memory model.tflite",
        "int8rt info --json model.tflite | jq '.operators[].op'",
    )
)
def info(
    model: ModelPath,
    memory: Annotated[bool, typer.Option("--memory", help="Show which tensor lives where and when.")] = False,
    as_json: Json = False,
) -> None:
    """Show what a model is: inputs, outputs, operators with types and versions, size, memory."""
    with _about(model):
        graph = reader.read(model)
        result = _info(graph)
        try:
            result["memory"] = _memory(graph.main, memory)
        except UnsupportedError as error:
            result["unsupported"] = str(error)
    if as_json:
        _print_json(result)
    else:
        _print(report.info(result))
        if memory and "memory" in result:
            _print(report.memory(result["memory"]))


def _info(graph: Graph) -> report.Report:
    count: Counter[tuple[str, int, str, str, bool]] = Counter()
    for subgraph in graph.subgraphs:
        for node in subgraph.nodes:
            types = ", ".join("-" if t is None else t.type for t in node.inputs)
            count[node.op, node.version, types, ", ".join(t.type for t in node.outputs), ops.has(node)] += 1
    return {
        "description": graph.description,
        "bytes": graph.nbytes,
        "subgraphs": len(graph.subgraphs),
        "inputs": [_described(t) for t in graph.main.inputs],
        "outputs": [_described(t) for t in graph.main.outputs],
        "signatures": [{"key": s.key, "inputs": list(s.inputs), "outputs": list(s.outputs)} for s in graph.signatures],
        "operators": [
            {"op": op, "version": v, "inputs": i, "outputs": o, "nodes": n, "supported": supported}
            for (op, v, i, o, supported), n in sorted(count.items())
        ],
    }


def _described(t: Tensor) -> report.Report:
    described = {
        "name": t.name,
        "shape": list(t.shape),
        "type": t.type,
        "scale": float(t.scale),
        "zero_point": t.zero_point,
    }
    if -1 in t.shape_signature:
        described["shape_signature"] = list(t.shape_signature)
    return described


def _memory(graph: Subgraph, details: bool) -> report.Report:
    """How large the arena is beside the sum of all tensors and the least that any plan needs."""
    plan = session.plan(graph, numerics("reference"))
    blocks, offsets = plan.blocks, plan.plan.offsets
    every = set(plan.blocks) | {t for t in plan.aliases if t.data is None}
    result: report.Report = {
        "arena": plan.plan.nbytes,
        "lower_bound": arena.lower_bound(blocks),
        "tensors": sum(arena.aligned(storage_nbytes(t)) for t in every),
        "packed": sum(a.nbytes for c in plan.calls for a in c.args if isinstance(a, np.ndarray)),
    }
    if details:
        result["steps"] = [
            f"{node.index} {'view' if isinstance(step, View) else step.name}" for node, step in plan.steps
        ]
        result["blocks"] = [
            {"tensor": t.name, "bytes": b.nbytes, "offset": offsets[t], "first": b.first, "last": b.last,
             "is_scratch": t.index < 0, "shared_with": [s.name for s, alias in plan.aliases.items() if alias.base is t]}
            for t, b in sorted(blocks.items(), key=lambda item: (item[1].first, offsets[item[0]]))
        ]  # fmt: skip
    return result


# compare


@app.command(
    epilog=_examples(
        "int8rt compare model.tflite",
        "int8rt compare model.tflite --runs 20 --seed 7",
        "int8rt compare model.tflite --input x.npy --resolver builtin",
    )
)
def compare(
    model: ModelPath,
    input: Inputs = None,
    span: Span = None,
    runs: Annotated[int, typer.Option(help="How many random inputs to try.", min=1)] = 3,
    seed: Seed = 0,
    resolver: Annotated[str, typer.Option(help="LiteRT's kernels: reference, builtin or xnnpack.")] = "reference",
    threads: Threads = 1,
    as_json: Json = False,
) -> None:
    """Compare every tensor with LiteRT's and say where the first difference arises.

    LiteRT runs in a child process. Exit status: 0 where every byte is equal, 1 where not, 2 on errors.
    """
    from int8rt.tools.compare import compare as compare_models

    with _about(model), _progress() as progress:
        given = _read_inputs(input, reader.read(model), span)
        result = compare_models(
            model,
            [given] if given else None,
            runs=runs,
            seed=seed,
            resolver=resolver,  # type: ignore[arg-type]
            threads=threads,
            progress=progress,
        )
    plain = {"equal": result.equal, **dataclasses.asdict(result)}
    if as_json:
        _print_json(plain)
    else:
        for entry, difference in zip(plain["differences"], result.differences, strict=True):
            entry["text"] = str(difference)
        _print(report.comparison(plain))
    raise typer.Exit(0 if result.equal else 1)


# bench


# quantize


@app.command(
    epilog=_examples(
        "int8rt quantize float.tflite --data calibration.npz -o int8.tflite",
        "int8rt quantize float.tflite --data photographs/ --range=-1,1 -o int8.tflite",
        "int8rt quantize float.tflite --data x.npy -o int8.tflite --inputs int8 --allow-float",
    )
)
def quantize(
    model: ModelPath,
    data: Annotated[
        Path,
        typer.Option(
            help="Typical inputs, as real values: an .npz (an array per input, samples along the first axis), an .npy, "
            "or a folder of images.",
            show_default=False,
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.", show_default=False)],
    span: Span = None,
    inputs: Annotated[str, typer.Option(help="What the model takes: float32, int8 or uint8.")] = "float32",
    outputs: Annotated[
        str | None, typer.Option(help="What it gives; default: what it takes.", show_default=False)
    ] = None,
    allow_float: Annotated[
        bool, typer.Option("--allow-float", help="Keep what has no integer form as floats, instead of refusing.")
    ] = False,
    like: Annotated[
        str | None,
        typer.Option(help="tf: exactly the numbers of TensorFlow's converter, no corrections.", show_default=False),
    ] = None,
    max_memory: Memory = None,
    as_json: Json = False,
) -> None:
    """Make an int8 model of a float one, and show how far each node's output is from the float model's."""
    with _about(model):
        made = int8rt.quantize(
            model, data, inputs=inputs, outputs=outputs, allow_float=allow_float, like=like, span=_span(span),
            max_memory=max_memory,
        )  # fmt: skip
    made.save(output)
    result: report.Report = {
        "output": str(output),
        "nbytes": len(made.data),
        "nbytes_before": model.stat().st_size if model.exists() else None,
        "snr": list(made.snr),
        "kept": list(made.kept),
        "nodes": [
            {
                "node": r.node, "op": r.op, "output": r.output, "range": list(r.range), "snr": r.snr,
                "scale": r.params.scales[0] if r.params else None,
                "zero_point": r.params.zero_points[0] if r.params else None,
            }
            for r in made.report
        ],
    }  # fmt: skip
    if as_json:
        _print_json(result)
    else:
        _print(report.quantized(result))


@app.command(epilog=_examples("int8rt bench model.tflite", "int8rt bench model.tflite --threads 2 --profile"))
def bench(
    model: ModelPath,
    hybrid: Hybrid = "dynamic",
    threads: Threads = 1,
    seconds: Annotated[float, typer.Option(help="How long to measure.", min=0)] = 1.0,
    by_operator: Annotated[bool, typer.Option("--profile", help="Show where the time goes, on one thread.")] = False,
    seed: Seed = 0,
    max_memory: Memory = None,
    max_iterations: Iterations = None,
    timeout: Timeout = None,
    as_json: Json = False,
) -> None:
    """Measure how long a run takes: least, median and 90th percentile."""
    from int8rt.tools.profile import profile

    if not math.isfinite(seconds):
        raise InputError(f"--seconds is {seconds}, expected a finite number")
    with _about(model), _progress() as progress:
        loaded = load(
            model, hybrid=hybrid, threads=threads, progress=progress,
            max_memory=max_memory, max_iterations=max_iterations, timeout=timeout,
        )  # fmt: skip
    arrays = random_inputs(loaded.graph.main, seed)
    loaded(*arrays)  # the first run meets cold memory
    times: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 10:
        times.append(_timed(loaded, arrays))
    result: report.Report = {"times": _summary(times), "threads": threads}
    if by_operator:
        result["nodes"] = [row._asdict() for row in profile(loaded, arrays)]
    if as_json:
        _print_json(result)
    else:
        _print([report.times(result["times"])])
        _print(report.profile(result["nodes"]) if by_operator else [])


def _timed(model: Model, arrays: Sequence[np.ndarray]) -> float:
    start = time.perf_counter()
    model(*arrays)
    return time.perf_counter() - start


def _summary(seconds: Sequence[float]) -> report.Report:
    low, median, high = np.percentile(seconds, [0, 50, 90])
    return {"runs": len(seconds), "min": float(low), "median": float(median), "p90": float(high)}


# ops


@app.command("ops", epilog=_examples("int8rt ops", "int8rt ops CONV_2D ADD", "int8rt ops --json"))
def operators(
    names: Annotated[
        list[str] | None, typer.Argument(help="Operators; all where none is named.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """List the operators: in which types and versions each is checked, and against which LiteRT."""
    wanted = [name.upper() for name in names or ()]
    if unknown := sorted(set(wanted) - {name.upper() for name in ops.supported()}):
        raise UnsupportedError(f"there is no operator {', '.join(unknown)}")
    rows = [row for row in checked.operators() if not wanted or row.op in wanted]
    others = {name for name in ops.supported() if not wanted or name.upper() in wanted} - {row.op for row in rows}
    result: report.Report = {
        "litert": checked.litert_version(),
        "operators": [row._asdict() for row in rows],
        "not_in_the_table": sorted(others),
        "lacking": [] if wanted else checked.lacking(),
    }
    if as_json:
        _print_json(result)
    else:
        plain = [{**row._asdict(), "types": checked.marked(row)} for row in rows]
        _print(report.operators({**result, "operators": plain}))


# warmup


@app.command("warmup", epilog=_examples("int8rt warmup model.tflite", "int8rt warmup --prune  (after an update)"))
def warm_up(
    models: Annotated[
        list[Path] | None, typer.Argument(metavar="[MODEL]...", help="The .tflite files.", show_default=False)
    ] = None,
    prune: Annotated[bool, typer.Option("--prune", help="Remove what is of no use to this version and CPU.")] = False,
    as_json: Json = False,
) -> None:
    """Compile the kernels that models need, so that their first run starts as fast as later ones.

    Without a model: what other versions of int8rt, Python or Numba had compiled, or this one for other CPUs.
    """
    from int8rt.tools import warmup

    warmup.check_cache()
    start, before = time.perf_counter(), warmup.entries()
    result: report.Report = {"folder": str(cache_folder())}
    with _progress() as progress:
        for path in models or ():
            with _about(path):
                warmup.prepare(path, progress)
        if not models:
            result["lacking"] = warmup.renew(progress)
    result["compiled"] = warmup.entries() - before
    result["seconds"] = time.perf_counter() - start
    if prune:
        result["pruned"] = warmup.prune()
    if as_json:
        _print_json(result)
    else:
        _print(report.warmup(result))


@app.command("cache", epilog=_examples("int8rt cache", "int8rt cache --clear"))
def show_cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove everything, of all versions.")] = False,
    as_json: Json = False,
) -> None:
    """Show where compiled kernels are kept, how much that is, and whether the folder is trusted; or remove them.

    INT8RT_CACHE_DIR names another folder, INT8RT_CACHE=off keeps nothing.
    """
    from int8rt.tools import warmup

    result = {"removed": warmup.clear()} if clear else {}
    result |= warmup.state()
    if as_json:
        _print_json(result)
    else:
        _print(report.cache(result))


# Shared


@contextlib.contextmanager
def _about(model: Path) -> Iterator[None]:
    """Errors in which the model is at fault say which one it is."""
    try:
        yield
    except (ModelError, UnsupportedError) as error:
        raise error if str(model) in str(error) else type(error)(f"{model}: {error}") from error


@contextlib.contextmanager
def _progress() -> Iterator[Progress]:
    """What tells the user, on standard error, that kernels are being compiled: a bar, or one line if nobody watches."""
    bars: list[Any] = []

    def progress(name: str, done: int, total: int) -> None:
        console = _console(stderr=True)
        if console.is_terminal:
            if not bars:
                bars.append(_bar(console))
            bars[0].update(0, description=name, completed=done, total=total)
        elif done == 0:
            console.print(f"compiling {total} kernels, which are kept for later runs", highlight=False, soft_wrap=True)

    try:
        yield progress
    finally:
        for bar in bars:
            bar.stop()


def _bar(console: Console) -> Any:
    """A bar with one task, 0, on the screen."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn  # most runs compile nothing

    columns = TextColumn("compiling {task.description}"), BarColumn(), MofNCompleteColumn()
    bar = Progress(*columns, console=console, transient=True)
    bar.add_task("", total=None)
    bar.start()
    return bar


def _console(stderr: bool = False) -> Console:
    from rich.console import Console  # which JSON does without

    return Console(stderr=stderr)


def _width() -> int | None:
    """The columns of the terminal; None where output goes to a pipe or a file."""
    console = _console()
    return console.width if console.is_terminal else None


def _print(lines: Iterable[str | Table]) -> None:
    report.show(_console(), lines)


def _tuple(results: Any) -> tuple[np.ndarray, ...]:
    return results if isinstance(results, tuple) else (results,)


def _print_json(value: Any) -> None:
    text = json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False)
    print("\n".join(line if line.isprintable() else _escaped(line) for line in text.split("\n")))


def _escaped(line: str) -> str:
    """A line of JSON with JSON's own escapes for what a terminal would not print but obey."""
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1].replace(c, f"\\u{ord(c):04x}") for c in line)


def _plain(value: Any) -> Any:
    """The value in JSON's types; NaN and infinities, which it lacks, as strings."""
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, (str, int, float)) else str(value)
