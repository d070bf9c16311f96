"""What the operators share whose parameters or indices may arrive at run time: checks before the run and within it.

A parameter that decides a shape gives None where it is not known yet; the runtime asks again during the run. Indices
that only say where values come from or go to are checked by the kernel, which reports the first one that is out of
range to a ``Fault`` and leaves its values out; the run then raises InputError.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from int8rt.errors import InputError, ModelError
from int8rt.graph import Node, Tensor
from int8rt.native.kernel import inline, kernel
from int8rt.numerics.storage import storage_dtype
from int8rt.ops._move import UNITS, integers, operand
from int8rt.simd.memory import copy_within, get, put
from int8rt.steps import Call, Flat, fault, scratch


def known(node: Node, position: int, name: str) -> list[int] | None:
    """The values of an integer input, or None where they are not known yet. Raises ModelError."""
    return None if operand(node, position).data is None else integers(node, position, name)


def known_shape(node: Node, position: int) -> tuple[int, ...] | None:
    """A shape that an input holds, or None where it is not known yet. Raises ModelError."""
    sizes = known(node, position, "shape")
    if sizes is None:
        return None
    if len(operand(node, position).shape) != 1 or min(sizes, default=0) < 0:
        raise ModelError(f"{node.label}: {sizes} of rank {len(operand(node, position).shape)} is no shape")
    return tuple(sizes)


def fault_of(node: Node, indices: Tensor, what: str, lowest: Any, highest: Any) -> Tensor:
    """Where the node's kernel reports indices that are not between these two.

    Raises ModelError where they are constants and some are not.
    """
    if indices.data is None:
        return fault(f"{node.label}: {what} {{}} is not within {lowest} ... {highest}")
    try:
        check(node, what, indices.data, lowest, highest)
    except InputError as error:
        raise ModelError(str(error)) from None
    return scratch("fault", (2,), np.int64)  # which nothing will be reported to


def check(node: Node, what: str, values: np.ndarray, lowest: Any, highest: Any) -> None:
    """Raise InputError unless all values are between the bounds, which are broadcast to them."""
    outside = (values < lowest) | (values > highest)
    if outside.any():
        at = np.unravel_index(int(np.argmax(outside)), values.shape)
        low, high = (int(np.broadcast_to(bound, values.shape)[at]) for bound in (lowest, highest))
        raise InputError(f"{node.label}: {what} {int(values[at])} is not within {low} ... {high}")


@inline
def report(fault: Any, value: int) -> None:
    """Say that a value is out of range; threads may overwrite one another's."""
    put(fault, 1, value)
    put(fault, 0, 1)


# Rows by index


def in_units(t: Tensor) -> Flat:
    """A tensor whose items are only moved, so that one kernel serves all types of a size."""
    return Flat(t, UNITS[storage_dtype(t.dtype).itemsize])


def gather(node: Node, x: Tensor, indices: Tensor, y: Tensor, shape: tuple[int, int, int, int, int]) -> Call:
    """y[b, o, i, :] = x[b, o, indices[b, i], :]; shape is (b, o, x's size along the axis, i, items in a row)."""
    where = fault_of(node, indices, "index", 0, shape[2] - 1)
    flat = Flat(indices, indices.dtype)
    return Call(rows, in_units(x), flat, in_units(y), *shape, where, writes=[y, where], work=y.size)


@kernel
def rows(
    thread: int, threads: int, x: Any, indices: Any, y: Any, batches: int, outer: int, size: int, count: int,
    inner: int, where: Any,
) -> None:  # fmt: skip
    """The rows of x that the indices name; threads share the indices of each batch."""
    first, last = count * thread // threads, count * (thread + 1) // threads
    for batch in range(batches):
        for block in range(batch * outer, (batch + 1) * outer):
            for i in range(first, last):
                index = int(get(indices, batch * count + i))
                if index < 0 or index >= size:
                    report(where, index)
                elif inner == 1:
                    put(y, block * count + i, get(x, block * size + index))
                else:
                    copy_within(x, (block * size + index) * inner, y, (block * count + i) * inner, inner)
