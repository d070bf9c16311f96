"""The command line: int8rt run, info, compare, bench. Every command takes --json for machines."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

import int8rt
from int8rt import arena, images, ops, profile, program, reader
from int8rt.errors import Error, InputError
from int8rt.graph import Graph, Tensor
from int8rt.model import Model, Port, load, random_inputs
from int8rt.numerics import numerics

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Run quantized .tflite models with the exact bits of the TFLite reference.",
)
out, err = Console(), Console(stderr=True)

ModelPath = Annotated[Path, typer.Argument(help="The .tflite file.", show_default=False)]
Threads = Annotated[int, typer.Option(help="How many CPU cores a run may use.", min=1, max=64)]
Seed = Annotated[int, typer.Option(help="Of the random input used where none is given.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
Inputs = Annotated[
    list[Path] | None,
    typer.Option("--input", "-i", help="Data: .npy, .npz, an image or raw bytes; once per input.", show_default=False),
]


def main() -> None:
    """The ``int8rt`` command. Exit status: 0, 1 where a comparison differs, 2 on errors."""
    try:
        app()
    except Error as error:
        err.print(f"[bold red]error:[/] {error}", highlight=False, soft_wrap=True)
        sys.exit(2)
    except (OSError, ImportError) as error:
        err.print(f"[bold red]error:[/] {error}", highlight=False, soft_wrap=True)
        sys.exit(2)


def _version(wanted: bool) -> None:
    if wanted:
        out.print(f"int8rt {int8rt.__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


# run


@app.command(
    epilog="Examples:  int8rt run model.tflite  ·  int8rt run model.tflite --input cat.png --labels labels.txt  ·  "
    "int8rt run model.tflite --input x.npz --output y.npz"
)
def run(
    model: ModelPath,
    input: Inputs = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the outputs to this .npz.")] = None,
    labels: Annotated[Path | None, typer.Option(help="A text file with the name of a class per line.")] = None,
    top: Annotated[int, typer.Option(help="With --labels: how many classes to print.", min=1)] = 5,
    threads: Threads = 1,
    repeat: Annotated[int, typer.Option(help="Run this often and say how long a run takes.", min=1)] = 1,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Run a model once, on given or random data, and print or save its outputs."""
    loaded = _load(model, threads)
    arrays = images.read_inputs(input, loaded.inputs) if input else random_inputs(loaded.graph.main, seed)
    results = _tuple(loaded(*arrays))
    seconds = [_timed(loaded, arrays) for _ in range(repeat - 1)]
    if output is not None:
        np.savez(output, **_named(loaded.outputs, results))  # type: ignore[arg-type]
    classes = _classes(loaded.outputs[0], results[0], labels, top) if labels else None
    if as_json:
        _print_json(_run_report(loaded, results, seconds, classes))
    elif classes is not None:
        _print_classes(classes)
    else:
        _print_outputs(loaded, results, "" if input else f"random input, seed {seed}")
    if seconds and not as_json:
        _print_times(seconds)


def _classes(port: Port, result: np.ndarray, labels: Path, top: int) -> list[list[tuple[str, float]]]:
    """The most likely classes of each item of the batch, with their probabilities."""
    names = labels.read_text(encoding="utf-8").splitlines()
    scores = port.dequantize(result).reshape(-1, result.shape[-1] if result.ndim else 1)
    if len(names) < scores.shape[1]:
        raise InputError(f"{labels} names {len(names)} classes; the model has {scores.shape[1]}")
    best = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    return [[(names[c], float(row[c])) for c in order] for row, order in zip(scores, best, strict=True)]


def _print_classes(classes: list[list[tuple[str, float]]]) -> None:
    for number, item in enumerate(classes):
        if len(classes) > 1:
            out.print(f"item {number}")
        width = max(len(name) for name, _ in item)
        for name, score in item:
            out.print(
                f"{name:<{width}}  {score:7.2%}  [green]{'█' * round(30 * min(max(score, 0), 1))}[/]", highlight=False
            )


def _print_outputs(model: Model, results: tuple[np.ndarray, ...], note: str) -> None:
    for port, result in zip(model.outputs, results, strict=True):
        out.print(f"[bold]{port.name}[/] {port.dtype}{list(result.shape)}", highlight=False)
        out.print(np.array2string(result, threshold=64), highlight=False, markup=False)
    if note:
        out.print(f"[dim]{note}[/]", highlight=False)


def _run_report(model: Model, results: tuple[np.ndarray, ...], seconds: list[float], classes: Any) -> dict[str, Any]:
    report: dict[str, Any] = {
        "outputs": [
            {"name": p.name, "shape": list(r.shape), "dtype": str(r.dtype), "values": r.tolist()}
            for p, r in zip(model.outputs, results, strict=True)
        ]
    }
    if classes is not None:
        report["classes"] = [[{"label": name, "score": score} for name, score in item] for item in classes]
    if seconds:
        report["seconds"] = seconds
    return report


# info


@app.command(
    epilog="Examples:  int8rt info model.tflite  ·  int8rt info --memory model.tflite  ·  int8rt info --json model.tflite"
)
def info(
    model: ModelPath,
    memory: Annotated[bool, typer.Option("--memory", help="Show which tensor lives where and when.")] = False,
    as_json: Json = False,
) -> None:
    """Show what a model is: inputs, outputs, operators with types and versions, size, memory."""
    graph = reader.read(model)
    report = _info(graph)
    missing = [row for row in report["operators"] if not row["supported"]]
    if not missing:
        report["memory"] = _memory(graph, memory)
    if as_json:
        _print_json(report)
        return
    _print_info(report)
    if memory and "memory" in report:
        _print_memory(report["memory"])
    elif memory:
        raise InputError("memory is planned only where every operator is supported")


def _info(graph: Graph) -> dict[str, Any]:
    count: Counter[tuple[str, int, str, str]] = Counter()
    for subgraph in graph.subgraphs:
        for node in subgraph.nodes:
            types = ", ".join("-" if t is None else t.type for t in node.inputs)
            count[node.op, node.version, types, ", ".join(t.type for t in node.outputs)] += 1
    return {
        "description": graph.description,
        "bytes": graph.nbytes,
        "subgraphs": len(graph.subgraphs),
        "inputs": [_described(t) for t in graph.main.inputs],
        "outputs": [_described(t) for t in graph.main.outputs],
        "signatures": [s.key for s in graph.signatures],
        "operators": [
            {"op": op, "version": v, "inputs": i, "outputs": o, "nodes": n, "supported": op in ops.supported()}
            for (op, v, i, o), n in sorted(count.items())
        ],
    }


def _described(t: Tensor) -> dict[str, Any]:
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


def _memory(graph: Graph, details: bool) -> dict[str, Any]:
    """How large the arena is beside the sum of all tensors and the least that any plan needs."""
    plan = program.build(graph.main, numerics("reference"))
    blocks, offsets = plan.blocks, plan.plan.offsets
    every = set(plan.blocks) | {t for t in plan.source if t.data is None}
    report: dict[str, Any] = {
        "arena": plan.plan.nbytes,
        "tensors": sum(arena.aligned(ops.storage_nbytes(t)) for t in every),
        "lower_bound": arena.lower_bound(blocks),
        "packed": sum(a.nbytes for c in plan.calls for a in c.args if isinstance(a, np.ndarray)),
    }
    if details:
        report["blocks"] = [
            {"tensor": t.name, "bytes": b.nbytes, "offset": offsets[t], "first": b.first, "last": b.last,
             "shared_with": [s.name for s, root in plan.source.items() if root is t]}
            for t, b in sorted(blocks.items(), key=lambda item: (item[1].first, offsets[item[0]]))
        ]  # fmt: skip
        report["steps"] = [f"{node.op} #{node.index}" for node, _ in plan.steps]
    return report


def _print_info(report: dict[str, Any]) -> None:
    out.print(f"[bold]{report['description'] or 'no description'}[/], {report['bytes']:,} bytes", highlight=False)
    for kind in ("inputs", "outputs"):
        for t in report[kind]:
            quantization = f"  {t['scale']:.7g} * (q - {t['zero_point']})" if t["scale"] else ""
            open_ = f"  signature {t['shape_signature']}" if "shape_signature" in t else ""
            out.print(
                f"  {kind[:-1]:<6} {t['name']}  {t['type']}{t['shape']}{quantization}{open_}",
                highlight=False,
                markup=False,
            )
    if report["signatures"]:
        out.print(f"  signatures: {', '.join(report['signatures'])}", highlight=False)
    table = Table("operator", "version", "inputs", "outputs", "nodes", "", box=None, header_style="bold")
    for row in report["operators"]:
        note = "" if row["supported"] else "[red]not supported[/]"
        table.add_row(row["op"], str(row["version"]), row["inputs"], row["outputs"], str(row["nodes"]), note)
    out.print(table)
    if "memory" in report:
        m = report["memory"]
        out.print(
            f"memory: arena {m['arena']:,} bytes; all tensors {m['tensors']:,}; least possible {m['lower_bound']:,}; "
            f"packed weights {m['packed']:,}",
            highlight=False,
        )


def _print_memory(memory: dict[str, Any]) -> None:
    table = Table("tensor", "bytes", "offset", "alive", "shares its memory with", box=None, header_style="bold")
    for b in memory["blocks"]:
        alive = f"{b['first']} - {b['last']}"
        table.add_row(b["tensor"], f"{b['bytes']:,}", f"{b['offset']:,}", alive, ", ".join(b["shared_with"]))
    out.print(table)


# compare


@app.command(
    epilog="Exit status: 0 where every byte is equal, 1 where not.  Example:  int8rt compare model.tflite --runs 20"
)
def compare(
    model: ModelPath,
    input: Inputs = None,
    runs: Annotated[int, typer.Option(help="How many random inputs to try.", min=1)] = 3,
    seed: Seed = 0,
    resolver: Annotated[str, typer.Option(help="LiteRT's kernels: reference, builtin or xnnpack.")] = "reference",
    as_json: Json = False,
) -> None:
    """Compare every tensor with LiteRT's, which runs in a child process, and say where the first difference arises."""
    from int8rt.compare import compare as compare_models

    given = None
    if input:
        graph = reader.read(model)
        given = [images.read_inputs(input, [Port(t) for t in graph.main.inputs])]
    result = compare_models(model, given, runs=runs, seed=seed, resolver=resolver)  # type: ignore[arg-type]
    if as_json:
        _print_json({"equal": result.equal, **dataclasses.asdict(result)})
    else:
        _print_comparison(result)
    raise typer.Exit(0 if result.equal else 1)


def _print_comparison(result: Any) -> None:
    what = f"{result.tensors} tensors, {result.runs} run(s), LiteRT {result.version} {result.resolver}"
    if result.equal:
        out.print(f"[green]equal[/]: every byte of {what}", highlight=False)
    else:
        first = result.differences[0]
        out.print(f"[red]different[/]: {what}", highlight=False)
        out.print(f"first: {first}", highlight=False, markup=False, soft_wrap=True)
        origins = result.origins
        ops_ = Counter(d.op for d in origins)
        listed = ", ".join(f"{op} {n}" for op, n in ops_.most_common())
        out.print(
            f"{len(result.differences)} tensors differ; at {len(origins)} nodes the inputs were equal ({listed})",
            highlight=False,
        )
    if result.not_compared:
        out.print(f"[dim]LiteRT gives no values for {len(result.not_compared)} tensors[/]", highlight=False)


# bench


@app.command(epilog="Examples:  int8rt bench model.tflite  ·  int8rt bench model.tflite --profile --threads 2")
def bench(
    model: ModelPath,
    threads: Threads = 1,
    seconds: Annotated[float, typer.Option(help="How long to measure.", min=0.01)] = 1.0,
    by_operator: Annotated[bool, typer.Option("--profile", help="Show where the time goes, per node.")] = False,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Measure how long a run takes: least, median and 90th percentile."""
    loaded = _load(model, threads)
    arrays = random_inputs(loaded.graph.main, seed)
    loaded(*arrays)
    times: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 10:
        times.append(_timed(loaded, arrays))
    rows = profile.profile(loaded, arrays) if by_operator else []
    if as_json:
        _print_json({"seconds": _summary(times), "runs": len(times), "nodes": [r._asdict() for r in rows]})
        return
    _print_times(times)
    if rows:
        _print_profile(rows)


def _print_profile(rows: list[profile.Row]) -> None:
    total = sum(r.seconds for r in rows)
    by_op: Counter[str] = Counter()
    for r in rows:
        by_op[r.op] += r.seconds  # type: ignore[assignment]
    for title, entries in (
        ("node", [(f"{r.op} #{r.node} {r.kernel}", r.seconds, r.work) for r in rows]),
        ("operator", [(op, s, sum(r.work for r in rows if r.op == op)) for op, s in by_op.most_common()]),
    ):
        table = Table(title, "µs", "%", "G/s", box=None, header_style="bold")
        for name, s, work in entries:
            rate = f"{work / s / 1e9:.1f}" if s else ""
            table.add_row(name, f"{s * 1e6:.1f}", f"{100 * s / total:.1f}", rate)
        out.print(table)


# Shared


def _load(path: Path, threads: int) -> Model:
    """A model, with a progress bar while kernels compile."""
    with Progress(
        TextColumn("compiling {task.description}"), BarColumn(), MofNCompleteColumn(), console=err, transient=True
    ) as bar:
        task = bar.add_task("", total=None, visible=False)

        def progress(name: str, done: int, total: int) -> None:
            bar.update(task, description=name, completed=done, total=total, visible=True)

        return load(path, threads=threads, progress=progress)


def _tuple(results: Any) -> tuple[np.ndarray, ...]:
    return results if isinstance(results, tuple) else (results,)


def _named(ports: tuple[Port, ...], results: tuple[np.ndarray, ...]) -> dict[str, np.ndarray]:
    names = [p.name for p in ports]
    return {n if names.count(n) == 1 else f"{n}#{p.index}": r for n, p, r in zip(names, ports, results, strict=True)}


def _timed(model: Model, arrays: list[np.ndarray]) -> float:
    start = time.perf_counter()
    model(*arrays)
    return time.perf_counter() - start


def _summary(seconds: list[float]) -> dict[str, float]:
    low, median, high = np.percentile(seconds, [0, 50, 90])
    return {"min": float(low), "median": float(median), "p90": float(high)}


def _print_times(seconds: list[float]) -> None:
    s = _summary(seconds)
    out.print(
        f"{len(seconds)} runs: min {_readable(s['min'])}, median {_readable(s['median'])}, p90 {_readable(s['p90'])}",
        highlight=False,
    )


def _readable(seconds: float) -> str:
    return f"{seconds * 1e6:.1f} µs" if seconds < 1e-3 else f"{seconds * 1e3:.3f} ms"


def _print_json(report: Any) -> None:
    print(json.dumps(report, indent=2, default=_plain))


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (tuple, set)):
        return list(value)
    return str(value)
