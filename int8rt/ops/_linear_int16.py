"""Products of int16 activations with weights of 8 bits or less: int64 sums, or int32 where the bias is.

Sums of int64 are requantized in one rounding of int64 accumulators, those of int32 by double rounding, in
FULLY_CONNECTED all in double precision. Source: the int16 overloads of TFLite's reference kernels.
"""

from __future__ import annotations

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.frozen import frozen
from int8rt.kernels import depthwise_float, int16_gemm
from int8rt.kernels.int16_gemm import DOUBLE_PRECISION, DOUBLE_ROUNDING, INT64, Int16Rounding, Rescaling
from int8rt.kernels.product import RowSegments
from int8rt.numerics.fixedpoint import activation_range, quantize_multiplier
from int8rt.ops._operands import (
    INT16,
    AsStored,
    Into,
    Meaning,
    Operands,
    centered,
    constant_bias,
    integer_bias,
    scales,
    window_taps,
)
from int8rt.ops._window import Padded, Window
from int8rt.steps import Call, scratch

BIAS_INT32, BIAS_INT64 = 2, 4  # values of the option quantized_bias_type


@frozen
class Int16(AsStored):
    """int16 activations."""

    w: np.ndarray  # int16
    rounding: Int16Rounding

    def dot(self, x: Padded, s: RowSegments, w: np.ndarray, channels: np.ndarray, into: Into) -> list[Call]:
        """See Product."""
        return [int16_gemm.call(x.tensor, s, w, self.rounding.part(channels), *into)]

    def depthwise(self, g: Window) -> list[Call]:
        """See Product."""
        x, y = self.image(g), self.o.y
        w = self.w[0].reshape(-1, self.o.channels)
        fits = np.abs(w.astype(np.int64)).sum(axis=0).max(initial=0) <= int16_gemm.MOST
        z = scratch(f"{y.name}/sums", y.shape, np.int32 if fits else np.int64)
        sums = depthwise_float.sums_call(x.tensor, window_taps(x, g), w.astype(z.dtype), z)
        requantize = int16_gemm.requantize_sums(self.rounding.kernel_rule(w.T), self.rounding.bits)
        return [*x.calls, sums, Call(requantize, z, *self.rounding.rescaling, y, writes=[y])]


def product(o: Operands) -> Int16:
    """Raises ModelError, UnsupportedError."""
    return Int16(o, centered(o.w), _rounding(o, integer_bias(o, constant_bias(o))))


def meaning(o: Operands, x: np.ndarray, w: np.ndarray, b: np.ndarray | None) -> Meaning:
    """Exact integers, and sums that wrap as the type of the bias does."""
    rounding = _rounding(o, integer_bias(o, b))
    return Meaning(x.astype(np.int64), w.astype(np.int64) - o.w.zero_point, rounding.apply)


def _rounding(o: Operands, bias: np.ndarray) -> Int16Rounding:
    """How sums become outputs; the type of the bias is that of the accumulator. Raises ModelError, UnsupportedError."""
    asked = getattr(o.node.options, "quantized_bias_type", 0)
    given = "none" if o.b is None else o.b.type
    wanted = {BIAS_INT32: "int32", BIAS_INT64: "int64"}.get(asked, given)
    if asked not in (0, BIAS_INT32, BIAS_INT64) or given not in ("none", wanted):
        raise ModelError(f"{o.node.label}: quantized_bias_type is {asked} and the bias is {given}")
    is_narrow = asked == BIAS_INT32 or given == "int32"
    real = np.broadcast_to(scales(o), o.channels)
    multiplier, shift = quantize_multiplier(real)
    rule = DOUBLE_PRECISION if o.rounding == "double" else DOUBLE_ROUNDING if is_narrow else INT64
    if o.w.dtype == INT16:
        rule, is_narrow = INT64, False
    if rule == INT64 and shift.max(initial=0) > 14:
        raise ops.refuse(o.node, f"s_x s_w / s_y is {real.max():.3g}; the rule of int64 accumulators ends at 2**14")
    lo, hi = activation_range(o.y, o.activation)
    bits = 32 if is_narrow else 64
    rescaling = Rescaling(bias=bias, multiplier=multiplier, shift=shift, scale=np.array(real), lo=lo, hi=hi)
    return Int16Rounding(rule, bits, rescaling)
