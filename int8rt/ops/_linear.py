"""What the products with a constant filter share: CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, TRANSPOSE_CONV."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.fixedpoint import (
    activation_range,
    quantize_multiplier,
    requantize_double,
    requantize_double_rounding,
    scale_double,
    scale_float_product,
    wrap_int32,
)
from int8rt.graph import Node, Tensor
from int8rt.requantization import Rounding, rule_a, rule_c

EIGHT_BITS = (np.dtype(np.int8), np.dtype(np.uint8))


class Filter(NamedTuple):
    """A filter as the primitives want it, its output channels first or last as in the file."""

    w: np.ndarray  # int16, less its zero point
    bias: np.ndarray  # int64 [channels], as in the file
    rounding: Rounding  # for stored outputs


def scales(node: Node, x: Tensor, w: Tensor, y: Tensor, rule: str) -> np.ndarray:
    """The real multiplier of each output channel, float64, in the precision in which TFLite computes it for a rule."""
    s_w = w.quantization.scale if w.quantization is not None else np.zeros(1, np.float32)
    if not (0 < x.scale < np.inf and 0 < y.scale < np.inf):
        raise ModelError(f"{node.label}: input scale {x.scale} and output scale {y.scale} must be positive and finite")
    if not np.isfinite(s_w).all():
        raise ModelError(f"{node.label}: weight scales from {s_w.min()} to {s_w.max()} must be finite")
    joined = scale_float_product if rule != "double" and x.dtype == np.uint8 else scale_double
    return np.asarray(joined(x.scale, s_w, y.scale), np.float64)


def fold(node: Node, x: Tensor, w: Tensor, b: Tensor | None, y: Tensor, axis: int, rule: str) -> Filter:
    """The filter of a node whose output channels are that axis of w. Raises UnsupportedError and ModelError.

    Some converters write negative scales. Every rule is odd in its product, so the sign moves to weights and bias.
    """
    check(node, x, w, b, y, axis)
    channels = w.shape[axis]
    real = np.broadcast_to(scales(node, x, w, y, rule), channels)
    s = ops.stored(y, node.options.fused_activation_function)
    rounding = (rule_c if rule == "double" else rule_a)(np.abs(real), s.zero_point, s.lo, s.hi)
    sign = np.where(real < 0, -1, 1)
    along = [-1 if i == axis else 1 for i in range(len(w.shape))]
    weights = centered(w) * sign.astype(np.int16).reshape(along)
    return Filter(weights, bias_of(b, channels) * sign, rounding)


def centered(w: Tensor) -> np.ndarray:
    """Constant weights less their zero point: int16."""
    return np.asarray(w.data, np.int16) - np.int16(w.zero_point)


def bias_of(b: Tensor | None, channels: int) -> np.ndarray:
    """The bias as int64 [channels]; zeros where there is none."""
    return np.zeros(channels, np.int64) if b is None else np.asarray(b.data, np.int64).reshape(-1)


def check(node: Node, x: Tensor, w: Tensor, b: Tensor | None, y: Tensor, axis: int) -> None:
    """Refuse what the 8-bit kernels do not do."""
    if (
        x.dtype not in EIGHT_BITS
        or w.dtype != x.dtype
        or y.dtype != x.dtype
        or w.type_name not in ("", "INT8", "UINT8")
    ):
        raise ops.refuse(
            node, f"activations and weights of one type, int8 or uint8, are supported, not {y.type} outputs"
        )
    if w.data is None or (b is not None and b.data is None):
        raise ops.refuse(node, "weights and bias must be constants")
    channels = w.shape[axis]
    q = w.quantization
    if q is None or len(q.scale) not in (1, channels):
        raise ModelError(
            f"{node.label}: the weights have {0 if q is None else len(q.scale)} scales for {channels} channels"
        )
    if b is not None and (b.size != channels or b.dtype != np.int32):
        raise ModelError(f"{node.label}: the bias is {b!r}; int32[{channels}] was expected")
    if len(q.scale) > 1 and q.axis != axis:
        raise ModelError(f"{node.label}: the weights' scales run along axis {q.axis}; axis {axis} was expected")
    if x.dtype == np.int8 and q.zero_point.any():
        raise ModelError(f"{node.label}: int8 weights must have zero point 0")


def reference_output(node: Node, x: Tensor, w: Tensor, y: Tensor, acc: np.ndarray, rule: str) -> np.ndarray:
    """Accumulators [..., channels], which wrap as int32 do, to outputs by the rule of that name."""
    acc = wrap_int32(acc)
    real = scales(node, x, w, y, rule)
    lo, hi = activation_range(y, node.options.fused_activation_function)
    if rule == "double":
        q = requantize_double(acc, real).astype(np.int64)
    else:
        q = requantize_double_rounding(acc, *quantize_multiplier(real))
    return (q + y.zero_point).clip(lo, hi).astype(y.dtype)


def optional(node: Node, position: int) -> Tensor | None:
    """An input that may be left out, by a shorter list or by -1."""
    return node.inputs[position] if len(node.inputs) > position else None
