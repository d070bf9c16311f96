"""Products of 8-bit activations with weights of 8 bits or less: int32 sums, requantized in registers."""

from __future__ import annotations

import numpy as np

from int8rt.frozen import frozen
from int8rt.kernels import depthwise, dot
from int8rt.kernels.product import RowSegments
from int8rt.numerics.fixedpoint import (
    activation_range,
    quantize_multiplier,
    requantize_double,
    requantize_double_rounding,
    wrap_int32,
)
from int8rt.numerics.requantization import Filters, Rounding, row_sums
from int8rt.numerics.storage import stored_zero
from int8rt.ops._operands import (
    AsStored,
    Into,
    Meaning,
    Operands,
    centered,
    constant_bias,
    integer_bias,
    rounding_of,
    scales,
)
from int8rt.ops._window import Padded, Window
from int8rt.steps import Call


@frozen
class Bytes(AsStored):
    """8-bit activations."""

    w: np.ndarray  # int16 or int8 in the file's layout, less the zero point
    bias: np.ndarray  # int64 [channels]
    rounding: Rounding  # for stored outputs

    def dot(self, x: Padded, s: RowSegments, w: np.ndarray, channels: np.ndarray, into: Into) -> list[Call]:
        """See Product."""
        bias = self.bias[channels] - stored_zero(self.o.x) * row_sums(w)
        r = self.rounding
        named = {"multiplier": r.multiplier, "shift": r.shift, "scale": r.scale}
        r = r._replace(**{name: values[channels] for name, values in named.items() if values.size})
        return dot.call(x.tensor, s, Filters(w, bias, r), *into)

    def depthwise(self, g: Window) -> list[Call]:
        """See Product."""
        zero = stored_zero(self.o.x)
        bias = self.bias - zero * self.w.sum(axis=(0, 1, 2), dtype=np.int64)
        geometry = depthwise.Geometry(*g[:8])
        fast = depthwise.call(self.o.x, geometry, zero, self.w[0], bias, self.rounding, self.o.y)
        if fast is not None:
            return [fast]
        x = self.image(g)
        return [*x.calls, *depthwise.plain(x.tensor, geometry, self.w[0], bias, self.rounding, self.o.y)]


def product(o: Operands) -> Bytes:
    """Some converters write negative scales. The sign moves to weights and bias, which leaves every product as it is.

    But not where a sum is shifted to the left: what has become -2**31 by that is so for the negative sum, too.
    """
    real = np.broadcast_to(scales(o), o.channels)
    moves = real < 0
    if moves.any() and o.rounding != "double":
        moves &= quantize_multiplier(real)[1] <= 0
    rounding = rounding_of(o, np.where(moves, -real, real))
    assert o.w.data is not None
    weights = o.w.data if o.w.dtype == np.int8 and not o.w.zero_point else centered(o.w)
    bias = integer_bias(o, constant_bias(o))
    if moves.any():
        sign = np.where(moves, -1, 1)
        along = [-1 if i == o.axis else 1 for i in range(len(o.w.shape))]
        weights, bias = weights * sign.astype(np.int16).reshape(along), bias * sign
    return Bytes(o, weights, bias, rounding)


def meaning(o: Operands, x: np.ndarray, w: np.ndarray, b: np.ndarray | None) -> Meaning:
    """Exact integers, and sums that wrap as int32 do."""
    bias = integer_bias(o, b)
    weights = w.astype(np.int64) - o.w.zero_point
    return Meaning(x.astype(np.int64) - o.x.zero_point, weights, lambda acc: _requantized(o, acc + bias))


def _requantized(o: Operands, acc: np.ndarray) -> np.ndarray:
    """Accumulators [..., channels] to outputs."""
    acc = wrap_int32(acc)
    real = scales(o)
    lo, hi = activation_range(o.y, o.activation)
    if o.rounding == "double":
        q = requantize_double(acc, real).astype(np.int64)
    else:
        q = requantize_double_rounding(acc, *quantize_multiplier(real))
    return (q + o.y.zero_point).clip(lo, hi).astype(o.y.dtype)
