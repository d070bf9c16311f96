"""Cases and engines: a case is a model and its inputs; every engine must give the same bytes.

check(writer.model("ADD", ...), x1, x2)             program, reference and LiteRT's BUILTIN_REF agree
check(model, x, litert=expected)                    where LiteRT is wrong: the true value, from an argument in the test
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from int8rt import litert, program, reader
from int8rt.numerics import numerics

REFERENCE = numerics("reference")


def run_program(model: bytes, *inputs: np.ndarray, threads: int = 1) -> list[np.ndarray]:
    """The outputs of the native program."""
    graph = reader.read(model).main
    shapes = {t.index: np.shape(x) for t, x in zip(graph.inputs, inputs, strict=True)}
    instance = program.Instance(program.build(graph, REFERENCE, shapes, threads=threads))
    return instance.run([np.ascontiguousarray(x) for x in inputs])


def run_reference(model: bytes, *inputs: np.ndarray) -> list[np.ndarray]:
    """The outputs of the reference evaluator."""
    graph = reader.read(model).main
    values = program.reference(graph, *inputs)
    return [values[t.index] for t in graph.outputs]


def run_litert(model: bytes, *inputs: np.ndarray) -> list[np.ndarray]:
    """The outputs of LiteRT's BUILTIN_REF."""
    pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
    return list(litert.run(model, list(inputs), resolver="reference"))


def check(model: bytes, *inputs: np.ndarray, litert: Sequence[np.ndarray] | None = None) -> list[np.ndarray]:
    """Assert that program, reference and LiteRT give the same bytes; returns the outputs."""
    outputs = run_program(model, *inputs)
    same("reference", run_reference(model, *inputs), outputs)
    same("LiteRT", run_litert(model, *inputs) if litert is None else list(litert), outputs)
    return outputs


def same(engine: str, expected: Sequence[np.ndarray], found: Sequence[np.ndarray]) -> None:
    """Assert that the program's outputs are the engine's, in shape, type and every byte."""
    assert len(found) == len(expected)
    for i, (e, f) in enumerate(zip(expected, found, strict=True)):
        assert (f.shape, f.dtype) == (e.shape, e.dtype), (
            f"output {i}: program {f.shape} {f.dtype}, {engine} {e.shape} {e.dtype}"
        )
        differ = np.flatnonzero(f.reshape(-1).view(np.uint8) != np.ascontiguousarray(e).reshape(-1).view(np.uint8))
        differ = np.unique(differ // f.itemsize)
        if differ.size:
            at = int(differ[0])
            raise AssertionError(
                f"output {i}: {differ.size} of {f.size} differ; first at {np.unravel_index(at, f.shape)}: "
                f"program {f.reshape(-1)[at]}, {engine} {e.reshape(-1)[at]}"
            )
