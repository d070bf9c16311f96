"""What SELECT and SELECT_V2 share: y[i] = x1[i] if condition[i] else x2[i], of values of any type.

All three operands are broadcast, by the walk of _elementwise. Values move as integers of their size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from int8rt.graph import Node, Tensor
from int8rt.native.kernel import kernel
from int8rt.numerics.storage import storage_dtype
from int8rt.ops._elementwise import CHUNK, merged, start_of
from int8rt.ops._move import UNITS, same_type
from int8rt.simd.memory import copy_within, fill_within, get, put
from int8rt.steps import Call, Flat


def is_single(node: Node) -> bool:
    """Whether inputs and output all have one element; the output then keeps the shape that the file gives it."""
    return all(math.prod(t.shape) == 1 for t in (*node.given, *node.outputs))


def check(node: Node) -> tuple[Tensor, Tensor, Tensor]:
    """The operands, of the right types. Raises ModelError and UnsupportedError."""
    condition, x1, x2 = node.given
    same_type(node, x1, x2, node.outputs[0])
    return condition, x1, x2


def call(node: Node, condition_shape: Sequence[int]) -> Call:
    """The Call that selects, with the condition seen in a shape that can be broadcast to the output's."""
    condition, x1, x2 = check(node)
    (y,) = node.outputs
    extents, steps = merged(condition_shape, x1.shape, x2.shape)
    length = extents[-1]
    runs = int(np.prod(extents[:-1], dtype=np.int64)) if length else 0
    outer = [np.array(values[:-1], np.int64) for values in (extents, *steps)]
    unit = UNITS[storage_dtype(y.dtype).itemsize]
    flat = [Flat(condition, np.dtype(np.uint8)), *(Flat(t, unit) for t in (x1, x2, y))]
    return Call(select, runs, length, *(s[-1] for s in steps), *outer, *flat, writes=[y], work=4 * y.size)


@kernel
def select(
    thread: int, threads: int, runs: int, length: int, advance: int, advance1: int, advance2: int, extents: Any,
    steps: Any, steps1: Any, steps2: Any, condition: Any, x1: Any, x2: Any, y: Any,
) -> None:  # fmt: skip
    """Walk over three operands; threads share the chunks of the runs."""
    chunks = (length + CHUNK - 1) // CHUNK
    total = runs * chunks
    for item in range(total * thread // threads, total * (thread + 1) // threads):
        run = item // chunks
        first = (item - run * chunks) * CHUNK
        count = min(CHUNK, length - first)
        to = run * length + first
        at = start_of(run, extents, steps) + first * advance
        at1 = start_of(run, extents, steps1) + first * advance1
        at2 = start_of(run, extents, steps2) + first * advance2
        if advance:
            for i in range(count):
                a, b = get(x1, at1 + i * advance1), get(x2, at2 + i * advance2)
                put(y, to + i, a if get(condition, at + i) else b)
        elif get(condition, at):
            if advance1:
                copy_within(x1, at1, y, to, count)
            else:
                fill_within(y, to, count, get(x1, at1))
        elif advance2:
            copy_within(x2, at2, y, to, count)
        else:
            fill_within(y, to, count, get(x2, at2))
