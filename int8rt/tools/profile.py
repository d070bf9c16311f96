"""Where the time of a run goes: each call of a program timed by itself, on one thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from int8rt.arguments import as_count, shown
from int8rt.errors import InputError
from int8rt.runtime.model import Model


class Row(NamedTuple):
    """One call: its operator, node and kernel, seconds per run (the least seen) and work in operations."""

    op: str
    node: int
    kernel: str
    seconds: float
    work: int


def profile(model: Model, inputs: Sequence[np.ndarray], repeat: int = 10) -> list[Row]:
    """Time every call of one run, in the order of execution, on inputs that fit the model.

    A call runs on what it finds in memory, many times in a row, so that its time is told from that of asking.
    """
    repeat = as_count(repeat, "repeat", 1, MAX_REPEAT)
    if not isinstance(model, Model):
        raise InputError(f"model is {shown(model)}, expected a Model")
    arrays, count = model.checked(inputs)
    if count != 1:
        raise InputError(f"a profile is of one run, and the inputs hold {count}")
    session = model.session([x.shape for x in arrays])
    session.run(arrays)
    return [Row(r.node.op, r.node.index, r.name, _time(r.run, repeat), r.work) for r in session.runners()]


def _time(run: Callable[[int], None], repeat: int) -> float:
    """Seconds that one of several runs in a row takes; the least that is seen."""
    times = 1
    while (once := _seconds(run, times)) < LONG_ENOUGH:
        times = min(times * 10, 1 + int(times * 1.5 * LONG_ENOUGH / max(once, 1e-9)))
    return min(_seconds(run, times) for _ in range(repeat)) / times


def _seconds(run: Callable[[int], None], times: int) -> float:
    start = time.perf_counter()
    run(times)
    return time.perf_counter() - start


LONG_ENOUGH = 1e-4  # seconds
MAX_REPEAT = 1_000_000
