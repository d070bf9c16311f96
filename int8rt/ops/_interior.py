"""What DILATE and STABLEHLO_PAD share: one value before, after and between the elements of a tensor.

    y[low + i * (interior + 1)] = x[i]        along every axis; y is the value elsewhere

Source: TFLite's dilate.cc and stablehlo_pad.cc.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.ops._move import operand, same_type


class Axis(NamedTuple):
    """How many values there are, and how many come before, after (less than 0: are cut off) and between them."""

    size: int
    low: int
    high: int
    interior: int

    @property
    def total(self) -> int:
        """The size of y along the axis."""
        return max(0, max(0, (self.size - 1) * (self.interior + 1) + 1) + self.low + self.high)

    @property
    def places(self) -> np.ndarray:
        """Where each value of x comes in y; outside of y where it is cut off."""
        return self.low + np.arange(self.size) * (self.interior + 1)


def check(node: Node, value: int) -> None:
    """Raise ModelError unless input number ``value`` is one value of x's type, and y has that type."""
    x, (y,) = operand(node), node.outputs
    for t in (operand(node, value), y):
        same_type(node, x, t)
    if operand(node, value).size != 1:
        raise ModelError(f"{node.label}: the padding value has {operand(node, value).size} values; one was expected")


def padded(x: np.ndarray, value: np.ndarray, axes: Sequence[Axis]) -> np.ndarray:
    """y."""
    y = np.full([a.total for a in axes], value.reshape(()), x.dtype)
    kept = [(a.places >= 0) & (a.places < a.total) for a in axes]
    y[np.ix_(*(a.places[k] for a, k in zip(axes, kept, strict=True)))] = x[np.ix_(*kept)]
    return y
