"""What quantization does to a network: how far every node's output is from the float model's, on the same inputs."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping

import numpy as np

from int8rt import limits
from int8rt.frozen import frozen
from int8rt.graph import Subgraph
from int8rt.quant.params import Assignment, Params, Range, is_float
from int8rt.runtime.model import Model, Port

EXACT = float("inf")  # decibels where there is no difference


@frozen
class NodeReport:
    """One node of the float model, and its first float output."""

    node: int
    op: str
    output: str
    range: Range  # of the float model's values over the data set
    params: Params | None  # None where the node stayed float
    snr: float  # dB: the power of the float model's values over that of the difference


def signal_to_noise(floating: Model, quantized: Model, runs: Iterable[list[np.ndarray]]) -> dict[int, float]:
    """dB of each float tensor that a node computes, over some runs; the models number these tensors alike."""
    computed = [t.index for node in floating.graph.main.nodes for t in node.outputs if is_float(t)]
    signal, noise = dict.fromkeys(computed, 0.0), dict.fromkeys(computed, 0.0)
    first, second = floating.session(preserve=True), quantized.session(preserve=True)
    tensors = quantized.graph.main.tensors
    for arrays in runs:
        limits.within(floating.budget, first.run, arrays)
        given = [port.quantize(x) for port, x in zip(quantized.inputs, arrays, strict=True)]
        limits.within(quantized.budget, second.run, given)
        for t in computed:
            real, stored = first.read_tensor(t), second.read_tensor(t)
            if real is not None and stored is not None:
                with np.errstate(over="ignore", invalid="ignore"):
                    difference = real.astype(np.float64) - Port(tensors[t]).dequantize(stored)
                    signal[t] += float(np.square(real, dtype=np.float64).sum())
                    noise[t] += float(np.square(difference).sum())
        first.reset()
        second.reset()
    return {t: decibels(signal[t], noise[t]) for t in computed}


def node_reports(
    graph: Subgraph, ranges: Mapping[int, Range], assignment: Assignment, snr: Mapping[int, float],
    kept: Collection[int],
) -> tuple[NodeReport, ...]:  # fmt: skip
    """A report of every node whose first output is a float; ``kept`` are the numbers of those that stayed float."""
    reports = []
    for node in graph.nodes:
        if node.outputs and is_float(t := node.outputs[0]):
            params = None if node.index in kept else assignment.values.get(t.index)
            known = ranges.get(t.index, (0.0, 0.0))
            reports.append(NodeReport(node.index, node.op, t.name, known, params, snr[t.index]))
    return tuple(reports)


def decibels(signal: float, noise: float) -> float:
    """A ratio of powers in dB; -infinity where there is no signal, or values are not finite."""
    if noise == 0:
        return EXACT
    is_known = signal > 0 and math.isfinite(signal) and math.isfinite(noise)
    return 10 * (math.log10(signal) - math.log10(noise)) if is_known else -EXACT
