"""A node with weights: its tensors, what its operator says about them, and the two things that are made of them.

An operator (CONV_2D, FULLY_CONNECTED, ...) makes ``Operands`` of a node. ``_linear.product`` makes a ``Product`` of
them, which gives the Calls that multiply, and ``_linear.meaning`` the arithmetic for the operator's reference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.frozen import frozen
from int8rt.graph import Node, Tensor
from int8rt.kernels.product import RowSegments
from int8rt.numerics.fixedpoint import scale_double, scale_float_product
from int8rt.numerics.requantization import Rounding, double_precision, double_rounding
from int8rt.numerics.storage import stored
from int8rt.ops._window import Padded, Window, padded
from int8rt.steps import Call

if TYPE_CHECKING:
    from int8rt.kernels.depthwise_float import Taps

EIGHT_BITS = (np.dtype(np.int8), np.dtype(np.uint8))
INT16, FLOAT32 = np.dtype(np.int16), np.dtype(np.float32)


class Types(NamedTuple):
    """What an operator computes beside weights of 8 bits and float32."""

    narrow: tuple[str, ...] = ()  # types of weights below 8 bits
    shifted: bool = False  # int8 weights with a zero point, for all channels the same
    int16_weights: bool = False  # with int16 activations
    int32_bias: bool = True  # with int16 activations


class HybridRules(NamedTuple):
    """How an operator multiplies float32 activations by integer weights: see ``kernels.hybrid``."""

    mode: str  # dynamic or weight_only: see Numerics.hybrid
    symmetric: bool = False  # how activations are quantized
    weight_first: bool = False  # which scale comes first
    by_terms: bool = False  # every product is scaled, not the sum
    keeps_infinities: bool = False  # of results without an activation
    keeps_float16: bool = True  # weight_only: whether float32 weights that float16 holds exactly are packed as such


class Operands(NamedTuple):
    """The tensors of a node and what its operator says about them."""

    node: Node
    x: Tensor
    w: Tensor
    b: Tensor | None
    y: Tensor
    axis: int  # of w: its output channels
    rounding: str  # of 8 bits: see Numerics
    hybrid: HybridRules
    types: Types = Types()

    @property
    def channels(self) -> int:
        """How many output channels."""
        return int(self.w.shape[self.axis])

    @property
    def activation(self) -> int:
        """The fused activation; 0 where the operator's options have none."""
        return int(getattr(self.node.options, "fused_activation_function", 0))

    @property
    def is_constant(self) -> bool:
        """Whether weights and bias are known before the first run."""
        return self.w.data is not None and (self.b is None or self.b.data is not None)

    @property
    def has_infinite_scales(self) -> bool:
        """Whether a scale of the weights is infinite or NaN."""
        return self.w.quantization is not None and not np.isfinite(self.w.quantization.scale).all()


class Into(NamedTuple):
    """Where products go: column c of row m to y[first + m * stride + c], flattened; stride 0: as many as columns."""

    y: Tensor
    first: int = 0
    stride: int = 0


class Product(Protocol):
    """One kind of arithmetic on a node's constant weights; its methods give the Calls."""

    @property
    def w(self) -> np.ndarray:
        """The weights that ``dot`` is given rows of, in the file's layout."""

    def image(self, g: Window) -> Padded:
        """x [n, h, w, c] with what the window reaches around it."""

    def rows(self) -> Padded:
        """x as rows that need nothing around them."""

    def dot(self, x: Padded, s: RowSegments, w: np.ndarray, channels: np.ndarray, into: Into) -> list[Call]:
        """Products of the rows of x with those of w, [columns, depth]; column c is of output channel channels[c]."""

    def depthwise(self, g: Window) -> list[Call]:
        """The output of a filter [1, h, w, c] over each channel."""


@frozen
class AsStored:
    """The activations of a Product that multiplies them as they are stored."""

    o: Operands

    def image(self, g: Window) -> Padded:
        """x [n, h, w, c] with what the window reaches around it."""
        return padded(self.o.node, self.o.x, g)

    def rows(self) -> Padded:
        """x as rows that need nothing around them."""
        return Padded(self.o.x, 0, 0, [])


class Meaning(NamedTuple):
    """The arithmetic of a node on numbers without zero points: padding is 0."""

    x: np.ndarray  # int64, or float32
    w: np.ndarray
    finish: Callable[[np.ndarray], np.ndarray]  # sums [..., channels] to outputs
    term_scale: Any = None  # (of each channel, of each image): factors, in this order, of every product

    def add(self, acc: np.ndarray, x: np.ndarray, w: np.ndarray) -> None:
        """acc += x @ w.T; float32 products are added one after another, from the first to the last."""
        if acc.dtype != FLOAT32:
            acc += x @ w.T
            return
        for k in range(x.shape[-1]):
            product = x[..., k, None] * w[:, k]
            for factor in self.term_scale or ():
                product *= factor
            acc += product


# Checks


def kind_of(o: Operands) -> str:
    """bytes, int16, float or hybrid; refuses what is none of them, and checks scales, zero points and bias."""
    node, x, w, y = o.node, o.x, o.w, o.y
    if y.dtype != x.dtype:
        raise ops.refuse(node, f"activations of one type are supported, not {y.type} outputs")
    is_narrow = w.type_name in o.types.narrow and x.dtype != np.uint8
    is_eight_bits = w.dtype == np.int8 and w.type_name in ("", "INT8")
    if x.dtype in EIGHT_BITS and (is_narrow or (w.dtype == x.dtype and w.type_name in ("", "INT8", "UINT8"))):
        kind, bias_types = "bytes", ["int32"]
    elif x.dtype == INT16 and (is_narrow or is_eight_bits or (o.types.int16_weights and w.dtype == INT16)):
        kind, bias_types = "int16", ["int64", "int32"] if o.types.int32_bias else ["int64"]
    elif x.dtype == FLOAT32 and w.dtype == FLOAT32:
        kind, bias_types = "float", ["float32"]
    elif x.dtype == FLOAT32 and (is_narrow or is_eight_bits):
        kind, bias_types = "hybrid", ["float32"]
    else:
        raise ops.refuse(node, f"weights of type {w.type} with activations of type {x.type} are not supported")
    if kind == "hybrid" and o.hybrid.mode == "weight_only" and not o.is_constant:
        raise ops.refuse(node, "weight_only needs constant weights and bias")
    if kind != "float":
        _check_scales(o)
    if o.b is not None and (o.b.size != o.channels or o.b.type not in bias_types):
        raise ModelError(f"{node.label}: the bias is {o.b!r}; {' or '.join(bias_types)}[{o.channels}] was expected")
    return kind


def _check_scales(o: Operands) -> None:
    """Refuse scales and zero points of the weights, and zero points of activations, that have no meaning."""
    node, q = o.node, o.w.quantization
    if q is not None and q.block_size:
        raise ops.refuse(node, "block-wise scales are supported for FULLY_CONNECTED only")
    if q is None or len(q.scale) not in (1, o.channels):
        raise ModelError(
            f"{node.label}: the weights have {0 if q is None else len(q.scale)} scales for {o.channels} channels"
        )
    if len(q.scale) > 1 and q.axis != o.axis:
        raise ModelError(f"{node.label}: the weights' scales run along axis {q.axis}; axis {o.axis} was expected")
    is_shifted = o.types.shifted and len(q.scale) == 1 and o.w.type == "int8" and o.x.dtype != FLOAT32
    if o.x.dtype != np.uint8 and q.zero_point.any() and not is_shifted:
        raise ModelError(f"{node.label}: {o.w.type} weights must have zero point 0")
    if o.has_infinite_scales:
        _check_infinite(o, q.scale)
    if o.x.dtype == INT16 and (o.x.zero_point or o.y.zero_point):
        raise ModelError(f"{node.label}: int16 activations must have zero point 0")


def _check_infinite(o: Operands, scale: np.ndarray) -> None:
    """Refuse scales that are infinite or NaN but where LiteRT runs them: see ``scales``, and float results.

    Of uint8 LiteRT demands that the bias' scale is that of the products.
    """
    given = f"weight scale {scale[~np.isfinite(scale)][0]}"
    if o.x.dtype == FLOAT32:
        if o.hybrid.mode == "weight_only":
            raise ops.refuse(o.node, f"{given}; weight_only needs finite scales")
    elif o.x.dtype == np.uint8 and (o.b is not None or scale[0] != np.inf):
        raise ModelError(f"{o.node.label}: {given} of uint8 must be finite")


# What kinds have in common


def optional(node: Node, position: int) -> Tensor | None:
    """An input that may be left out, by a shorter list or by -1."""
    return node.inputs[position] if len(node.inputs) > position else None


def scales_differ(w: Tensor) -> bool:
    """Whether the weights are quantized per channel in more than form; NaN differs from itself."""
    return w.quantization is not None and bool((w.quantization.scale[1:] != w.scale).any())


def scales(o: Operands) -> np.ndarray:
    """The real multiplier of each output channel, float64, in the precision in which TFLite computes it for a rule.

    One that is infinite or NaN counts as 0: frexp leaves it as it is, with exponent 0, and the cast to int64 of
    QuantizeMultiplier gives -2**63 on x86-64, of which int32 keeps nothing.
    """
    node, x, y = o.node, o.x, o.y
    if not (0 < x.scale < np.inf and 0 < y.scale < np.inf):
        raise ModelError(f"{node.label}: input scale {x.scale} and output scale {y.scale} must be positive and finite")
    assert o.w.quantization is not None
    by_tensor = len(o.w.quantization.scale) == 1
    is_product = (o.rounding != "double" and x.dtype == np.uint8) or (o.w.dtype == INT16 and by_tensor)
    joined = scale_float_product if is_product else scale_double
    real = np.asarray(joined(x.scale, o.w.quantization.scale, y.scale), np.float64)
    return np.where(np.isfinite(real), real, 0)


def rounding_of(o: Operands, real: np.ndarray) -> Rounding:
    """What requantizes 8-bit sums to stored outputs by real multipliers, float64 [channels]."""
    s = stored(o.y, o.activation)
    made = double_precision if o.rounding == "double" else double_rounding
    return made(real, s.zero_point, s.lo, s.hi)


def centered(w: Tensor) -> np.ndarray:
    """Constant weights less their zero point: int16."""
    return np.asarray(w.data, np.int16) - np.int16(w.zero_point)


def integer_bias(o: Operands, b: np.ndarray | None) -> np.ndarray:
    """A bias as int64 [channels]; zeros where there is none."""
    return np.zeros(o.channels, np.int64) if b is None else np.asarray(b, np.int64).reshape(-1)


def float_bias(o: Operands, b: np.ndarray | None) -> np.ndarray:
    """A bias as float32 [channels]; zeros where there is none."""
    return np.zeros(o.channels, FLOAT32) if b is None else np.asarray(b, FLOAT32).reshape(-1)


def constant_bias(o: Operands) -> np.ndarray | None:
    """The values of the bias, if there is one."""
    return None if o.b is None else o.b.data


def window_taps(x: Padded, g: Window) -> Taps:
    """Where in a padded image a window's taps lie, for depthwise kernels."""
    from int8rt.kernels.depthwise_float import Taps  # which models of bytes do not need

    channels = x.tensor.shape[3]
    rows = np.arange(g.height) * g.dilation_h * x.width * channels
    taps = (rows[:, None] + np.arange(g.width) * g.dilation_w * channels).reshape(-1)
    return Taps(taps, g.stride_h * x.width * channels, g.stride_w * channels)
