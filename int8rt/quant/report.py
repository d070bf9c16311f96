"""What quantization does to a network: how far every node's output is from the float model's, on the same inputs."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping

import numpy as np

from int8rt.frozen import frozen
from int8rt.quant.params import Params, Range, Value, is_float
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


def node_reports(
    floating: Model, quantized: Model, runs: Iterable[list[np.ndarray]], ranges: Mapping[int, Range],
    params: Mapping[Value, Params], kept: Collection[int] = (),
) -> tuple[NodeReport, ...]:  # fmt: skip
    """A report of every node with float outputs, over some runs; the models number their tensors alike.

    kept: the numbers of the nodes that stayed float.
    """
    nodes = [node for node in floating.graph.main.nodes if node.outputs and is_float(node.outputs[0])]
    signal, noise = np.zeros(len(nodes)), np.zeros(len(nodes))
    first, second = floating.session(preserve=True), quantized.session(preserve=True)
    tensors = quantized.graph.main.tensors
    for arrays in runs:
        first.run(arrays)
        second.run([port.quantize(x) for port, x in zip(quantized.inputs, arrays, strict=True)])
        for i, node in enumerate(nodes):
            y = node.outputs[0].index
            real, stored = first.read_tensor(y), second.read_tensor(y)
            if real is not None and stored is not None:
                with np.errstate(over="ignore", invalid="ignore"):
                    difference = real.astype(np.float64) - Port(tensors[y]).dequantize(stored)
                    signal[i] += np.square(real, dtype=np.float64).sum()
                    noise[i] += np.square(difference).sum()
        first.reset()
        second.reset()
    reports = []
    for node, s, n in zip(nodes, signal.tolist(), noise.tolist(), strict=True):
        t = node.outputs[0]
        given = None if node.index in kept else params.get(t.index)
        reports.append(NodeReport(node.index, node.op, t.name, ranges.get(t.index, (0.0, 0.0)), given, decibels(s, n)))
    return tuple(reports)


def decibels(signal: float, noise: float) -> float:
    """A ratio of powers in dB; -infinity where there is no signal, or values are not finite."""
    if noise == 0:
        return EXACT
    is_known = signal > 0 and math.isfinite(signal) and math.isfinite(noise)
    return 10 * (math.log10(signal) - math.log10(noise)) if is_known else -EXACT
