"""Cases and engines: a case is a model and its inputs; every engine must give the same bytes.

check(writer.model("ADD", ...), x1, x2)             program, reference and LiteRT's BUILTIN_REF agree
check(model, x, litert=expected)                    where LiteRT is wrong: the true value, from an argument in the test
check(model, x, resolver="builtin")                 where BUILTIN_REF lacks the operator
check(model, x, ulps=2)                             where LiteRT's float32 functions are its own approximations
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from requirements import need

from int8rt.errors import Error, InconsistentNode
from int8rt.format import reader
from int8rt.memory import address
from int8rt.native.abi import pack
from int8rt.native.entries import native
from int8rt.numerics.rules import numerics
from int8rt.plan.program import Program, call_signature
from int8rt.plan.sharing import ONE_THREAD, Sharing
from int8rt.runtime import session
from int8rt.runtime.evaluator import reference
from int8rt.runtime.instance import Instance
from int8rt.steps import PythonCall
from int8rt.tools import litert

REFERENCE = numerics("reference")


def shared(threads: int) -> Sharing:
    """How that many threads share every call that can be shared, in as many parts as there may be."""
    return Sharing(threads, least_work=0, work_of_part=1) if threads > 1 else ONE_THREAD


def run_program(model: bytes, *inputs: np.ndarray, threads: int = 1) -> list[np.ndarray]:
    """The outputs of the native program; fails where threads are asked for and nothing is shared among them."""
    running = session.Session(reader.read(model).main, REFERENCE, sharing=shared(threads))
    running.prepare([np.shape(x) for x in inputs])
    outputs = running.run([np.array(x, order="C") for x in inputs])
    if threads > 1:
        assert_shared(running)
        if running.program.is_whole and not running.program.variables:
            same("parts from the last to the first", run_backwards(running.program, inputs), outputs)
    return outputs


def run_backwards(plan: Program, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The outputs of a program whose calls do their parts from the last to the first, all on this thread.

    So what a part reads of another part's results, or writes in another's place, shows whatever threads do.
    """
    instance = Instance(plan)
    for t, x in zip(plan.graph.inputs, inputs, strict=True):
        instance.memory.write(t, x)
    for step in plan.calls:
        arguments = instance.memory.arguments(step)
        if isinstance(step, PythonCall):
            step.function(*arguments)
            continue
        block, count = pack(arguments), plan.sharing.parts_of(step)
        for part in reversed(range(count)):
            native(step.kernel, call_signature(step))(address(block), part, count)
    return [instance.memory.read(t) for t in plan.graph.outputs]


def run_zeros(model: bytes) -> list[np.ndarray]:
    """The outputs of the native program for inputs of zeros: where it is to be refused, no others are needed."""
    return run_program(model, *(np.zeros(t.shape, t.dtype) for t in reader.read(model).main.inputs))


def assert_shared(running: session.Session) -> None:
    """Assert that threads shared calls of the session's runs: a test with threads must not run on one."""
    parts = [(call, plan.sharing.parts_of(call)) for plan in running._instances for call in plan.calls]
    assert any(count > 1 for _, count in parts), f"nothing to share among threads: {parts}"


def run_reference(model: bytes, *inputs: np.ndarray) -> list[np.ndarray]:
    """The outputs of the reference evaluator."""
    graph = reader.read(model).main
    values = reference(graph, *inputs)
    return [values[t.index] for t in graph.outputs]


def run_litert(model: bytes, *inputs: np.ndarray, resolver: litert.Resolver = "reference") -> list[np.ndarray]:
    """The outputs of LiteRT."""
    return list(run_litert_steps(model, [inputs], resolver)[0])


def run_litert_steps(
    model: bytes, steps: Sequence[Sequence[np.ndarray]], resolver: litert.Resolver = "reference"
) -> list[list[np.ndarray]]:
    """The outputs of LiteRT at every step of one interpreter, which keeps its state."""
    need("litert")
    fed = [list(inputs) for inputs in steps]
    try:
        return kept_litert().run_steps(model, fed, resolver=resolver)
    except Error:  # perhaps for what an earlier model did to the process: the word of one of its own counts
        return litert.run_steps(model, fed, resolver=resolver)


@functools.cache
def kept_litert() -> litert.LiteRT:
    """LiteRT in a process that runs one model after another: twenty times as fast as one process for each."""
    server = litert.LiteRT()
    server.forks = False
    return server


def check(
    model: bytes,
    *inputs: np.ndarray,
    litert: Sequence[np.ndarray] | None = None,
    resolver: litert.Resolver = "reference",
    ulps: int = 0,
) -> list[np.ndarray]:
    """Assert that program, reference and LiteRT give the same bytes; returns the outputs.

    LiteRT's may be ``ulps`` units in the last place away. The model is sound: an operator that trips over it is wrong.
    """
    try:
        outputs = run_program(model, *inputs)
        same("reference", run_reference(model, *inputs), outputs)
    except InconsistentNode as error:
        raise AssertionError(f"int8rt trips over a sound model: {error}") from error.__cause__
    expected = run_litert(model, *inputs, resolver=resolver) if litert is None else list(litert)
    if ulps:
        near("LiteRT", expected, outputs, ulps)
    else:
        same("LiteRT", expected, outputs)
    return outputs


def near(engine: str, expected: Sequence[np.ndarray], found: Sequence[np.ndarray], ulps: int) -> None:
    """Assert that float32 outputs are at most so many units in the last place from the engine's, NaN where it is."""
    for i, (e, f) in enumerate(zip(expected, found, strict=True)):
        assert (f.shape, f.dtype, e.dtype) == (e.shape, np.float32, np.float32)
        np.testing.assert_array_equal(np.isnan(f), np.isnan(e))
        distance = np.abs(_ordered(f) - _ordered(e))[~np.isnan(f)]
        assert distance.max(initial=0) <= ulps, f"output {i} is {distance.max()} units from {engine}; {ulps} allowed"


def _ordered(x: np.ndarray) -> np.ndarray:
    """float32 as int64 so that neighbours differ by 1."""
    bits = np.ascontiguousarray(x).view(np.int32).astype(np.int64)
    return np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)


def same(engine: str, expected: Sequence[np.ndarray], found: Sequence[np.ndarray]) -> None:
    """Assert that the program's outputs are the engine's, in shape, type and every byte; all NaN are one."""
    assert len(found) == len(expected)
    for i, (e, f) in enumerate(zip(expected, found, strict=True)):
        assert (f.shape, f.dtype) == (e.shape, e.dtype), (
            f"output {i}: program {f.shape} {f.dtype}, {engine} {e.shape} {e.dtype}"
        )
        differ = np.flatnonzero(f.reshape(-1).view(np.uint8) != np.ascontiguousarray(e).reshape(-1).view(np.uint8))
        differ = np.unique(differ // f.itemsize)
        if f.dtype.kind in "fc":
            differ = differ[~(np.isnan(f.reshape(-1)[differ]) & np.isnan(e.reshape(-1)[differ]))]
        if differ.size:
            at = int(differ[0])
            raise AssertionError(
                f"output {i}: {differ.size} of {f.size} differ; first at {np.unravel_index(at, f.shape)}: "
                f"program {f.reshape(-1)[at]}, {engine} {e.reshape(-1)[at]}"
            )
