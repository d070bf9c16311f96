"""Operators that declare ``by_value``: values that change places change places in the output, and nothing else."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import conformance_cases
import numpy as np
import pytest
from conformance_cases import Case
from engines import run_reference

from int8rt import ops
from int8rt.errors import Error
from int8rt.format import reader
from int8rt.graph import Tensor

MOST = 6  # cases of an operator
DECLARED = [op for op in ops.supported() if ops.find(op).by_value]


def meets(t: Tensor | None, shape: tuple[int, ...]) -> bool:
    """Whether a tensor has an element, of one scale, for each of the output's, or one element for all."""
    one_scale = t is None or t.quantization is None or len(t.quantization.scale) <= 1
    return one_scale and (t is None or t.size == 1 or (t.shape == shape and not t.is_constant))


def changed_places(op: str) -> Iterator[tuple[list[np.ndarray], list[np.ndarray]]]:
    """Of cases whose tensors all have one shape, or one element: outputs with places changed, and of inputs so."""
    rng = np.random.default_rng(0)
    for case in conformance_cases.cases([op]):
        graph = reader.read(case.model).main
        tensors = [*graph.nodes[0].inputs, *graph.outputs]
        shape = graph.outputs[0].shape
        if len(graph.nodes) > 1 or graph.outputs[0].size < 2 or not all(meets(t, shape) for t in tensors):
            continue
        order = rng.permutation(graph.outputs[0].size)
        try:
            yield run_both(case, order)
        except Error:  # a case may be of types that are refused
            continue


def run_both(case: Case, order: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    def moved(x: np.ndarray) -> np.ndarray:
        return x if x.size == 1 else x.reshape(-1)[order].reshape(x.shape)

    inputs = list(case.steps[0])
    return [moved(y) for y in run_reference(case.model, *inputs)], run_reference(case.model, *map(moved, inputs))


def test_others_are_not() -> None:
    """SOFTMAX depends on all values of a row."""
    assert any(e.tobytes() != y.tobytes() for pairs in changed_places("SOFTMAX") for e, y in zip(*pairs, strict=True))


@pytest.mark.parametrize("op", DECLARED)
def test_by_value(op: str) -> None:
    found = list(itertools.islice(changed_places(op), MOST))
    assert found, "no case to try it on"
    for expected, outputs in found:
        for e, y in zip(expected, outputs, strict=True):
            assert e.tobytes() == y.tobytes()
