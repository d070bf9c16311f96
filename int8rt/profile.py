"""Where the time of a run goes: each call of a program timed by itself, on one thread."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from int8rt.model import Model
from int8rt.program import Instance


class Row(NamedTuple):
    """One call: its operator, node and kernel, seconds per run (the least seen) and work in operations."""

    op: str
    node: int
    kernel: str
    seconds: float
    work: int


def profile(model: Model, inputs: Sequence[np.ndarray], repeat: int = 30) -> list[Row]:
    """Time every call of the model's program, in the order of execution, on inputs of the declared shapes."""
    instance = Instance(model.program)
    instance.run(inputs)
    runners = instance.runners()
    best = [float("inf")] * len(runners)
    for _ in range(repeat):
        for i, (_, _, run) in enumerate(runners):
            start = time.perf_counter()
            run()
            best[i] = min(best[i], time.perf_counter() - start)
    return [
        Row(node.op, node.index, step.name, seconds, step.work)
        for (node, step, _), seconds in zip(runners, best, strict=True)
    ]
