"""What REDUCE_WINDOW and STABLEHLO_REDUCE_WINDOW share: a window that slides over a tensor, each place of it reduced.

    y[i] = f(... f(f(init, x[i * stride + 0 * dilation]), x[i * stride + 1 * dilation]) ...)

along every axis, the last one fastest. Stored values are reduced, whatever their quantization; integers wrap around.

Source: TFLite's stablehlo_reduce_window.cc.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.ops._interior import check
from int8rt.ops._move import operand

TYPES = ("bool", "int8", "uint8", "int16", "int32", "int64", "float32", "float64")

Formula = Callable[[np.ndarray, np.ndarray], np.ndarray]

FORMULAS: dict[str, Formula] = {
    "ADD": np.add,
    "MUL": np.multiply,
    "MINIMUM": lambda a, b: np.where(a <= b, a, b),  # the second where one is NaN
    "MAXIMUM": lambda a, b: np.where(a >= b, a, b),
    "ALL": np.logical_and,
    "ANY": np.logical_or,
}


class Axis(NamedTuple):
    """The window along one axis of x."""

    size: int
    window: int
    stride: int
    dilation: int

    @property
    def places(self) -> int:
        """In how many places the window lies wholly inside x."""
        spare = self.size - (self.window - 1) * self.dilation - 1
        return spare // self.stride + 1 if spare >= 0 else 0

    def seen(self, i: int) -> slice:
        """What the window's element number i meets, place by place."""
        first = i * self.dilation
        return slice(first, first + (self.places - 1) * self.stride + 1, self.stride)


def axes(node: Node, shape: Sequence[int], *values: Sequence[int]) -> list[Axis]:
    """The axes of windows with these sizes, strides and dilations. Raises ModelError."""
    if not shape or any(len(v) != len(shape) or min(v) < 1 for v in values):
        found = ", ".join(str([int(n) for n in v]) for v in values)
        raise ModelError(f"{node.label}: windows, strides and dilations {found} do not fit {list(shape)}")
    return [Axis(*map(int, a)) for a in zip(shape, *values, strict=True)]


def checked(node: Node) -> None:
    """Refuse types that LiteRT has not. Raises ModelError and UnsupportedError."""
    check(node, 1)
    if operand(node).type not in TYPES:
        raise ops.refuse(node, f"supported are {', '.join(TYPES)}")


def reduced(x: np.ndarray, init: np.ndarray, over: Sequence[Axis], formula: Formula) -> np.ndarray:
    """y."""
    y = np.full([a.places for a in over], init.reshape(()), x.dtype)
    if y.size:
        for window in itertools.product(*(range(a.window) for a in over)):
            seen = x[tuple(a.seen(i) for a, i in zip(over, window, strict=True))]
            y = np.asarray(formula(y, seen), x.dtype)
    return y
