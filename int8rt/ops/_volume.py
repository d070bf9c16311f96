"""The geometry of a window that slides over a volume, NDHWC, and what the operators with such windows share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.native.kernel import inline
from int8rt.ops._elementwise import limits
from int8rt.ops._window import SAME, VALID
from int8rt.simd.memory import get, put
from int8rt.steps import Flat


class Axis(NamedTuple):
    """One of depth, height and width; kernels take an array of three."""

    size: int  # of the filter
    stride: int
    dilation: int

    @property
    def reach(self) -> int:
        """How many positions lie between the filter's ends, both included."""
        return (self.size - 1) * self.dilation + 1

    def positions(self, length: int, padding: int) -> tuple[int, int]:
        """How many windows there are along an axis of that length, and how much lies before it."""
        if padding == VALID:
            return (length + self.stride - self.reach) // self.stride, 0
        count = (length + self.stride - 1) // self.stride
        return count, max(0, (count - 1) * self.stride + self.reach - length) // 2


def axes(node: Node, filter_: Tensor) -> list[Axis]:
    """The node's options along depth, height and width. Raises ModelError."""
    o = node.options
    if o.padding not in (SAME, VALID):
        raise ModelError(f"{node.label}: padding is {o.padding}; 0 (SAME) or 1 (VALID) was expected")
    strides = o.stride_d, o.stride_h, o.stride_w
    dilations = o.dilation_d_factor, o.dilation_h_factor, o.dilation_w_factor
    if min(*filter_.shape, *strides, *dilations) < 1:
        raise ModelError(f"{node.label}: filter {list(filter_.shape)}, {strides} and {dilations} must be positive")
    return [Axis(*axis) for axis in zip(filter_.shape[:3], strides, dilations, strict=True)]


def check_float32(node: Node, *tensors: Tensor | None) -> None:
    """Raise UnsupportedError unless all are float32, as in LiteRT."""
    if any(t is not None and t.type != "float32" for t in (*tensors, *node.outputs)):
        raise ops.refuse(node, "float32 is supported")


def paddings(geometry: Sequence[Axis], space: Sequence[int], padding: int) -> list[int]:
    """How much lies before a space of that depth, height and width."""
    return [a.positions(n, padding)[1] for a, n in zip(geometry, space, strict=True)]


def arguments(node: Node, w: Tensor, b: Tensor | None, outputs: int, space: Sequence[int]) -> tuple[Any, Any, Any]:
    """What kernels take: the biases, if any; the geometry as [3, 4], with the padding; the limits of the activation.

    Raises ModelError and UnsupportedError.
    """
    (y,) = node.outputs
    if b is not None and b.size != outputs:
        raise ModelError(f"{node.label}: {b.size} biases for {outputs} channels")
    geometry = axes(node, w)
    before = paddings(geometry, space, node.options.padding)
    places = np.array([(*a, p) for a, p in zip(geometry, before, strict=True)], np.int64)
    return np.zeros(0, np.float32) if b is None else Flat(b, b.dtype), places, limits(node, y)


def taps(axis: Axis, position: np.ndarray | int, before: int, tap: int) -> Any:
    """Where in x a tap lies for each window."""
    return position * axis.stride - before + tap * axis.dilation


@inline
def finish(y: Any, at: int, channels: int, bias: Any, limits: Any) -> None:
    """Add the bias, of none or all channels, and clamp."""
    lo, hi = get(limits, 0), get(limits, 1)
    for o in range(channels):
        value = get(y, at + o)
        if bias.shape[0] != 0:
            value += get(bias, o)
        value = lo if value < lo else value
        put(y, at + o, hi if hi < value else value)
