"""Products of float32: each sum in the order of the filter, then the bias and the activation."""

from __future__ import annotations

import numpy as np

from int8rt import ops
from int8rt.frozen import frozen
from int8rt.kernels import depthwise_float, float_gemm
from int8rt.kernels.product import RowSegments
from int8rt.ops import _linear_weight_only
from int8rt.ops._elementwise import clamp, limits
from int8rt.ops._operands import (
    FLOAT32,
    AsStored,
    Into,
    Meaning,
    Operands,
    Product,
    constant_bias,
    float_bias,
    window_taps,
)
from int8rt.ops._window import Padded, Window
from int8rt.steps import Call


@frozen
class Float(AsStored):
    """float32 activations and weights."""

    w: np.ndarray
    bias: np.ndarray  # float32 [channels]
    limits: np.ndarray  # float32 [2]

    def dot(self, x: Padded, s: RowSegments, w: np.ndarray, channels: np.ndarray, into: Into) -> list[Call]:
        """See Product."""
        return float_gemm.call(x.tensor, s, w, self.bias[channels], self.limits, *into)

    def depthwise(self, g: Window) -> list[Call]:
        """See Product."""
        x, y = self.image(g), self.o.y
        w = self.w[0].reshape(-1, self.o.channels)
        if x.tensor.shape[3] == self.o.channels:
            taps = window_taps(x, g)
            return [*x.calls, depthwise_float.call(x.tensor, taps, w, self.bias, self.bias, self.limits, y)]
        sums = depthwise_float.sums_call(x.tensor, window_taps(x, g), w, y)
        return [*x.calls, sums, Call(depthwise_float.add_bias, self.bias, self.limits, y, writes=[y])]


def product(o: Operands) -> Product:
    """Padding multiplies with zeros where LiteRT leaves taps out: the same sums, as long as the weights are finite."""
    w = np.asarray(o.w.data, FLOAT32)
    if not np.isfinite(w).all():
        raise ops.refuse(o.node, "weights that are infinite or not a number are not supported")
    if o.hybrid.mode == "weight_only" and o.hybrid.keeps_float16:
        half = w.astype(np.float16)
        if np.array_equal(half, w):
            return _linear_weight_only.scaled(o, half, np.ones(o.channels, FLOAT32))
    return Float(o, w, float_bias(o, constant_bias(o)), limits(o.node, o.y))


def meaning(o: Operands, x: np.ndarray, w: np.ndarray, b: np.ndarray | None) -> Meaning:
    """float32, as it is."""
    bias = float_bias(o, b)
    return Meaning(x, w, lambda acc: clamp(acc + bias, limits(o.node, o.y)))
