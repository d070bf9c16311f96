"""Post-training quantization: a float model and some of the inputs that it is made for become an int8 model."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from int8rt import limits
from int8rt.arguments import as_choice, as_flag, as_numbers, shown
from int8rt.data.files import Span
from int8rt.errors import InputError, UnsupportedError
from int8rt.format import reader, writer
from int8rt.format.source import Source
from int8rt.frozen import frozen
from int8rt.graph import Graph, Node, Subgraph, Tensor
from int8rt.numerics.rules import numerics
from int8rt.quant.improve import with_corrected_biases
from int8rt.quant.params import Assignment, assign, is_float
from int8rt.quant.ranges import observed, samples
from int8rt.quant.report import NodeReport, node_reports, signal_to_noise
from int8rt.quant.rewrite import is_quantized, rewrite
from int8rt.quant.rules import rule_of
from int8rt.runtime.model import Model, load

LOOKED_AT = 64  # runs of the data set on which biases are corrected and the two models compared
EDGES = ("float32", "int8", "uint8")


@frozen
class Quantized:
    """A quantized model: the bytes of a .tflite file, and how its numbers came about."""

    data: bytes
    report: tuple[NodeReport, ...]  # a line for each node of the float model
    snr: tuple[float, ...]  # dB, of each float output that a node computes
    kept: tuple[str, ...]  # the nodes that stayed float
    assignment: Assignment  # scales and zero points, by the numbers of the float model's tensors

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the file, in the place of another as a whole. Raises OSError, and InputError for what is no path."""
        writer.replace_file(path, [self.data])

    def __repr__(self) -> str:
        kept = f", {len(self.kept)} nodes stayed float" if self.kept else ""
        snr = ", ".join(f"{y:.1f} dB" for y in self.snr)
        return f"<Quantized: {len(self.data):,} bytes, outputs at {snr}{kept}>"


def quantize(
    model: Source,
    data: Any,
    scheme: str = "int8",
    *,
    inputs: str = "float32",
    outputs: str | None = None,
    allow_float: bool = False,
    like: str | None = None,
    span: Span | None = None,
    max_memory: int | str | None = None,
    progress: Callable[[int], None] | None = None,
) -> Quantized:
    """An int8 model of a float one: weights by channel, activations by the ranges that ``data`` shows.

    model: a path, bytes or an open file of a float32 (or float16) .tflite; it needs no signature.
    data: some tens to hundreds of typical inputs, as real values: an array with samples along the first axis where
      there is one input; arrays by name; a path of an .npy or .npz with such, or of a folder of images; an iterable of
      arrays, of arrays by name or of lists of arrays; or a function that gives an iterable, as TensorFlow's
      ``representative_dataset``.
    scheme: int8.
    inputs, outputs: what the model takes and gives: float32, int8 or uint8; outputs as inputs where not said.
    allow_float: keep nodes without an integer form as they are, between DEQUANTIZE and QUANTIZE.
    like: "tf" for exactly the parameters, weights and biases of TensorFlow 2.21's converter on the same ranges. Else
      biases are corrected where that brings the outputs nearer to the float model's.
    span: the reals that black and white of images stand for, such as (-1, 1).
    max_memory: what running the models may take, as for ``int8rt.load``.
    progress: called after each run of the data with the number of runs so far.

    Raises UnsupportedError that names all nodes that have no integer form, or for a model that is quantized already;
    InputError for data that do not fit; and what ``int8rt.load`` raises.
    """
    as_choice(scheme, "scheme", ("int8",))
    as_choice(inputs, "inputs", EDGES)
    as_choice(outputs := inputs if outputs is None else outputs, "outputs", EDGES)
    as_flag(allow_float, "allow_float")
    if progress is not None and not callable(progress):
        raise InputError(f"progress is {shown(progress)}, expected a function of the number of runs")
    if like is not None:
        as_choice(like, "like", ("tf",))
    span = None if span is None else _checked_span(span)
    budget = limits.Budget(max_memory)
    graph = with_float32(limits.within(budget, reader.read, model, is_timed=False))
    refuse_quantized(graph.main)
    if graph.unread:
        writer.pieces(graph)  # says what would be lost, before anything is computed
    if not allow_float:
        _refuse([node for node in graph.main.nodes if _has_floats(node) and rule_of(node) is None])
    floating = Model(graph, numerics("reference"), budget=budget)
    first: list[list[np.ndarray]] = []
    ranges = observed(floating, _noted(samples(floating, data, span), first), progress)
    assignment = assign(graph.main, ranges, like)
    kept = [node for node in graph.main.nodes if _has_floats(node) and not is_quantized(node, assignment)]
    if not allow_float:
        _refuse(kept)
    if len(kept) == sum(map(_has_floats, graph.main.nodes)):
        raise UnsupportedError("no node of the model has an integer form: there is nothing to quantize")
    candidates = [(graph, assignment)]
    if like is None:
        corrected = with_corrected_biases(graph, assignment, first, budget)
        candidates.append((corrected, assign(corrected.main, ranges)))
    results, numbers = [], {node.index for node in kept}
    for candidate, params in candidates:
        content = writer.write(rewrite(candidate, params, inputs, outputs).graph)
        ratios = signal_to_noise(floating, load(content, max_memory=max_memory), first)
        reports = node_reports(graph.main, ranges, params, ratios, numbers)
        snr = tuple(ratios[t.index] for t in graph.main.outputs if t.index in ratios)
        results.append(Quantized(content, reports, snr, tuple(node.label for node in kept), params))
    return max(results, key=lambda result: sum(result.snr))


def _noted(runs: Iterable[list[np.ndarray]], first: list[list[np.ndarray]]) -> Iterator[list[np.ndarray]]:
    """The runs, of which the first few are kept for the report."""
    for run in runs:
        if len(first) < LOOKED_AT:
            first.append([np.array(x) for x in run])
        yield run


def _checked_span(span: Any) -> Span:
    """Two finite numbers."""
    ends = as_numbers(span, "span").astype(np.float64)
    if ends.shape != (2,) or not np.isfinite(ends).all():
        raise InputError(f"span is {shown(span)}, expected two numbers such as (-1, 1)")
    return float(ends[0]), float(ends[1])


def _has_floats(node: Node) -> bool:
    return any(is_float(t) for t in (*node.inputs, *node.outputs))


def _refuse(nodes: list[Node]) -> None:
    if nodes:
        raise UnsupportedError(
            f"{len(nodes)} nodes have no integer form: {', '.join(node.label for node in nodes)}; "
            "allow_float=True keeps them as they are"
        )


def refuse_quantized(graph: Subgraph) -> None:
    """Raises UnsupportedError where tensors are quantized already, as in dynamic-range models."""
    for t in graph.tensors:
        if t.quantization is not None and t.dtype.kind in "iu":
            raise UnsupportedError(f"the model is quantized already: {t!r}")


def with_float32(graph: Graph) -> Graph:
    """The graph with its float16 constants, which a DEQUANTIZE each would make floats, as float32 constants."""
    main = graph.main
    made: dict[Tensor, Tensor] = {}
    nodes = []
    for node in main.nodes:
        x = node.inputs[0] if node.op == "DEQUANTIZE" and len(node.inputs) == 1 else None
        if x is not None and x.data is not None and x.dtype == np.float16 and node.outputs[0] not in main.outputs:
            data = x.data.astype(np.float32)
            data.flags.writeable = False
            made[node.outputs[0]] = replace(node.outputs[0], data=data)
        else:
            nodes.append(node)
    if not made:
        return graph

    def renewed(tensors: Iterable[Tensor | None]) -> tuple[Any, ...]:
        return tuple(made.get(t, t) if t is not None else None for t in tensors)

    nodes = [
        replace(node, index=i, inputs=renewed(node.inputs), outputs=renewed(node.outputs))
        for i, node in enumerate(nodes)
    ]
    return replace(
        graph, subgraphs=(replace(main, tensors=renewed(main.tensors), nodes=tuple(nodes)), *graph.subgraphs[1:])
    )
