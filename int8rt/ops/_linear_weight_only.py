"""Products of float32 activations with integer or float16 weights, which become float32 in registers."""

from __future__ import annotations

import numpy as np

from int8rt.frozen import frozen
from int8rt.kernels import weight_only
from int8rt.kernels.product import RowSegments
from int8rt.ops._elementwise import limits
from int8rt.ops._operands import FLOAT32, AsStored, Into, Operands, constant_bias, float_bias, window_taps
from int8rt.ops._window import Padded, Window
from int8rt.steps import Call


@frozen
class WeightOnly(AsStored):
    """float32 activations and weights that become float32 in registers."""

    w: np.ndarray  # int8 or float16
    scale: np.ndarray  # float32 [channels]
    bias: np.ndarray  # float32 [channels]
    limits: np.ndarray  # float32 [2]

    def dot(self, x: Padded, s: RowSegments, w: np.ndarray, channels: np.ndarray, into: Into) -> list[Call]:
        """See Product."""
        return weight_only.call(x.tensor, s, w, self.scale[channels], self.bias[channels], self.limits, *into)

    def depthwise(self, g: Window) -> list[Call]:
        """See Product."""
        x = self.image(g)
        w = self.w[0].reshape(-1, self.o.channels)
        call = weight_only.depthwise_call(x.tensor, window_taps(x, g), w, self.scale, self.bias, self.limits, self.o.y)
        return [*x.calls, call]


def product(o: Operands) -> WeightOnly:
    """Of integer weights."""
    assert o.w.quantization is not None
    scale = np.array(np.broadcast_to(np.asarray(o.w.quantization.scale, FLOAT32), o.channels))
    return scaled(o, np.asarray(o.w.data), scale)


def scaled(o: Operands, w: np.ndarray, scale: np.ndarray) -> WeightOnly:
    """Of int8 or float16 weights w in the file's layout, with a scale, float32, per channel."""
    return WeightOnly(o, w, scale, float_bias(o, constant_bias(o)), limits(o.node, o.y))
