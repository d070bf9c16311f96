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
from int8rt.jit import inline
from int8rt.ops import Fault, fault
from int8rt.ops._move import integers, operand
from int8rt.simd import put


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


def integer_type(node: Node, t: Tensor, *supported: Any) -> None:
    """Raise ModelError unless the tensor has one of the types; int32 and int64 where none are named."""
    if t.dtype not in (supported or (np.int32, np.int64)):
        raise ModelError(f"{node.label}: {t.name!r} has type {t.type}; an index was expected")


def fault_of(node: Node, what: str, lowest: int, highest: int) -> Fault:
    """Where the node's kernel reports values that are not between these two."""
    return fault(f"{node.label}: {what} {{}} is not within {lowest} ... {highest}")


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
