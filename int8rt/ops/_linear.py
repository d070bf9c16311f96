"""What the products with a filter share: CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, TRANSPOSE_CONV.

There are five kinds, by the types of activations and weights, and each has a class whose methods make the Calls:

* ``Bytes``: int8 or uint8, weights of the same type or of 4 or 2 bits: int32 sums by rule A or C;
* ``Int16``: int16 activations without zero point, weights of 8, 4 or 2 bits: rule I64, with an int32 bias rule A, in
  FULLY_CONNECTED always rule C;
* ``Float``: float32, each sum in the order of the filter, bias last, as LiteRT's reference kernels;
* ``Hybrid``: float32 activations and integer weights (see ``int8rt.hybrid``);
* ``WeightOnly``: the same where hybrid is ``weight_only``, and float32 weights that float16 holds exactly, as those
  that a file has in float16 behind DEQUANTIZE (see ``int8rt.weight_only``).

``product`` finds the class of a node, ``meaning`` the arithmetic for its reference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.frozen import frozen
from int8rt.graph import Node, Tensor
from int8rt.kernels import depthwise, depthwise_float, dot, float_gemm, hybrid, int16_gemm, weight_only
from int8rt.kernels.product import RowSegments
from int8rt.numerics.fixedpoint import (
    activation_range,
    quantize_multiplier,
    requantize_double,
    requantize_double_rounding,
    scale_double,
    scale_float_product,
    wrap_int32,
)
from int8rt.numerics.requantization import Filters, Rounding, double_precision, double_rounding, row_sums
from int8rt.numerics.storage import stored, stored_zero
from int8rt.ops._elementwise import clamp, limits
from int8rt.ops._window import Padded, Window, padded, padded_size
from int8rt.steps import Call, scratch

EIGHT_BITS = (np.dtype(np.int8), np.dtype(np.uint8))
INT16, FLOAT32 = np.dtype(np.int16), np.dtype(np.float32)
BIAS_INT32, BIAS_INT64 = 2, 4  # values of the option quantized_bias_type


class Operands(NamedTuple):
    """The tensors of a node and what its operator says about them."""

    node: Node
    x: Tensor
    w: Tensor
    b: Tensor | None
    y: Tensor
    axis: int  # of w: its output channels
    rule: str  # of 8 bits
    narrow: tuple[str, ...] = ()  # the types of weights below 8 bits that LiteRT computes
    shifted: bool = False  # whether int8 weights may have a zero point, for all channels the same
    wide: bool = False  # whether int16 activations may meet int16 weights
    int32_bias: bool = True  # whether int16 activations may have one
    symmetric: bool = False  # how float activations are quantized: see int8rt.hybrid
    weight_first: bool = False
    by_terms: bool = False
    keeps_infinities: bool = False  # of float results without an activation
    hybrid: str = "dynamic"  # see int8rt.numerics

    @property
    def channels(self) -> int:
        """How many output channels."""
        return int(self.w.shape[self.axis])

    @property
    def is_constant(self) -> bool:
        """Whether weights and bias are known before the first run."""
        return self.w.data is not None and (self.b is None or self.b.data is not None)


def scales_differ(w: Tensor) -> bool:
    """Whether the weights are quantized per channel in more than form; NaN differs from itself."""
    return w.quantization is not None and bool((w.quantization.scale[1:] != w.scale).any())


def has_infinite_scales(w: Tensor) -> bool:
    """Whether a scale is infinite or NaN."""
    return w.quantization is not None and not np.isfinite(w.quantization.scale).all()


# Kinds of products


def product(o: Operands) -> Product:
    """The kind of a node whose weights and bias are constants. Raises UnsupportedError and ModelError."""
    kind = kind_of(o)
    if not o.is_constant:
        raise ops.refuse(o.node, "weights and bias must be constants")
    makers: dict[str, Callable[[Operands], Product]] = {
        "bytes": _bytes,
        "int16": _int16,
        "float": _float,
        "hybrid": _weight_only if o.hybrid == "weight_only" else _hybrid,
    }
    return makers[kind](o)


def kind_of(o: Operands) -> str:
    """bytes, int16, float or hybrid; refuses what is none of them, and checks scales, zero points and bias."""
    node, x, w, y = o.node, o.x, o.w, o.y
    if y.dtype != x.dtype:
        raise ops.refuse(node, f"activations of one type are supported, not {y.type} outputs")
    is_narrow = w.type_name in o.narrow and x.dtype != np.uint8
    is_eight_bits = w.dtype == np.int8 and w.type_name in ("", "INT8")
    if x.dtype in EIGHT_BITS and (is_narrow or (w.dtype == x.dtype and w.type_name in ("", "INT8", "UINT8"))):
        kind, bias_types = "bytes", ["int32"]
    elif x.dtype == INT16 and (is_narrow or is_eight_bits or (o.wide and w.dtype == INT16)):
        kind, bias_types = "int16", ["int64", "int32"] if o.int32_bias else ["int64"]
    elif x.dtype == FLOAT32 and w.dtype == FLOAT32:
        kind, bias_types = "float", ["float32"]
    elif x.dtype == FLOAT32 and (is_narrow or is_eight_bits):
        kind, bias_types = "hybrid", ["float32"]
    else:
        raise ops.refuse(node, f"weights of type {w.type} with activations of type {x.type} are not supported")
    if kind == "hybrid" and o.hybrid == "weight_only" and not o.is_constant:
        raise ops.refuse(node, "weight_only needs constant weights and bias")
    if kind != "float":
        _check_scales(o)
    if o.b is not None and (o.b.size != o.channels or o.b.type not in bias_types):
        raise ModelError(f"{node.label}: the bias is {o.b!r}; {' or '.join(bias_types)}[{o.channels}] was expected")
    return kind


def _check_scales(o: Operands) -> None:
    node, q = o.node, o.w.quantization
    if q is not None and q.block_size:
        raise ops.refuse(node, "block-wise scales are supported for FULLY_CONNECTED only")
    if q is None or len(q.scale) not in (1, o.channels):
        raise ModelError(
            f"{node.label}: the weights have {0 if q is None else len(q.scale)} scales for {o.channels} channels"
        )
    if len(q.scale) > 1 and q.axis != o.axis:
        raise ModelError(f"{node.label}: the weights' scales run along axis {q.axis}; axis {o.axis} was expected")
    is_shifted = o.shifted and len(q.scale) == 1 and o.w.type == "int8" and o.x.dtype != FLOAT32
    if o.x.dtype != np.uint8 and q.zero_point.any() and not is_shifted:
        raise ModelError(f"{node.label}: {o.w.type} weights must have zero point 0")
    if has_infinite_scales(o.w):
        _check_infinite(o, q.scale)
    if o.x.dtype == INT16 and (o.x.zero_point or o.y.zero_point):
        raise ModelError(f"{node.label}: int16 activations must have zero point 0")


def _check_infinite(o: Operands, scale: np.ndarray) -> None:
    """Refuse scales that are infinite or NaN but where LiteRT runs them: see ``scales``, and float results.

    Of uint8 LiteRT demands that the bias' scale is that of the products.
    """
    given = f"weight scale {scale[~np.isfinite(scale)][0]}"
    if o.x.dtype == FLOAT32:
        if o.hybrid == "weight_only":
            raise ops.refuse(o.node, f"{given}; weight_only needs finite scales")
    elif o.x.dtype == np.uint8 and (o.b is not None or scale[0] != np.inf):
        raise ModelError(f"{o.node.label}: {given} of uint8 must be finite")


class Into(NamedTuple):
    """Where products go: column c of row m to y[first + m * stride + c], flattened; stride 0: as many as columns."""

    y: Tensor
    first: int = 0
    stride: int = 0


@frozen
class AsItIs:
    """Activations that are multiplied as they are stored."""

    o: Operands

    def image(self, g: Window) -> Padded:
        """x with what the window reaches around it."""
        return padded(self.o.node, self.o.x, g)

    def rows(self) -> Padded:
        """x as rows that need nothing around them."""
        return Padded(self.o.x, 0, 0, [])


@frozen
class Bytes(AsItIs):
    """8-bit activations."""

    w: np.ndarray  # int16 or int8 in the file's layout, less the zero point
    bias: np.ndarray  # int64 [channels]
    rounding: Rounding  # for stored outputs

    def dot(self, x: Padded, s: RowSegments, w: np.ndarray, channels: np.ndarray, into: Into) -> list[Call]:
        """Products of the rows of x with those of w, [columns, depth]; column c is of channels[c]."""
        bias = self.bias[channels] - stored_zero(self.o.x) * row_sums(w)
        r = self.rounding
        named = {"multiplier": r.multiplier, "shift": r.shift, "scale": r.scale}
        r = r._replace(**{name: values[channels] for name, values in named.items() if values.size})
        return dot.call(x.tensor, s, Filters(w, bias, r), *into)

    def depthwise(self, g: Window) -> list[Call]:
        """The output of a filter [1, h, w, c] over each channel."""
        zero = stored_zero(self.o.x)
        bias = self.bias - zero * self.w.sum(axis=(0, 1, 2), dtype=np.int64)
        geometry = depthwise.Geometry(*g[:8])
        fast = depthwise.call(self.o.x, geometry, zero, self.w[0], bias, self.rounding, self.o.y)
        if fast is not None:
            return [fast]
        x = self.image(g)
        return [*x.calls, *depthwise.plain(x.tensor, geometry, self.w[0], bias, self.rounding, self.o.y)]


def _bytes(o: Operands) -> Bytes:
    """Some converters write negative scales. Both rules are odd, so the sign moves to weights and bias."""
    real = np.broadcast_to(scales(o), o.channels)
    s = stored(o.y, o.node.options.fused_activation_function)
    rounding = (double_precision if o.rule == "double" else double_rounding)(np.abs(real), s.zero_point, s.lo, s.hi)
    assert o.w.data is not None
    weights, bias = o.w.data if o.w.dtype == np.int8 and not o.w.zero_point else centered(o.w), _bias(o)
    if (real < 0).any():
        sign = np.where(real < 0, -1, 1)
        weights, bias = weights * sign.astype(np.int16).reshape(_along(o)), bias * sign
    return Bytes(o, weights, bias, rounding)


@frozen
class Int16(AsItIs):
    """int16 activations."""

    w: np.ndarray  # int16
    rules: int16_gemm.Int16Rounding

    def dot(self, x: Padded, s: RowSegments, w: np.ndarray, channels: np.ndarray, into: Into) -> list[Call]:
        return [int16_gemm.call(x.tensor, s, w, self.rules.part(channels), *into)]

    def depthwise(self, g: Window) -> list[Call]:
        x = self.image(g)
        w = self.w[0].reshape(-1, self.o.channels)
        fits = np.abs(w.astype(np.int64)).sum(axis=0).max(initial=0) <= int16_gemm.MOST
        z = scratch(f"{self.o.y.name}/sums", self.o.y.shape, np.int32 if fits else np.int64)
        sums = depthwise_float.sums_call(x.tensor, _taps(x, g), w.astype(z.dtype), z)
        return [*x.calls, sums, Call(int16_gemm.requantize_sums, z, *self.rules, self.o.y, writes=[self.o.y])]


def _int16(o: Operands) -> Int16:
    return Int16(o, centered(o.w), _rules(o, _bias(o)))


def _rules(o: Operands, bias: np.ndarray) -> int16_gemm.Int16Rounding:
    """Source: the int16 overloads of TFLite's reference kernels; the type of the bias is that of the accumulator."""
    asked = getattr(o.node.options, "quantized_bias_type", 0)
    given = "none" if o.b is None else o.b.type
    if asked not in (0, BIAS_INT32, BIAS_INT64) or given not in ("none", {2: "int32", 4: "int64"}.get(asked, given)):
        raise ModelError(f"{o.node.label}: quantized_bias_type is {asked} and the bias is {given}")
    is_narrow = asked == BIAS_INT32 or given == "int32"
    real = np.broadcast_to(scales(o), o.channels)
    multiplier, shift = quantize_multiplier(real)
    rule = int16_gemm.DOUBLE_ROUNDING if is_narrow else int16_gemm.INT64
    rule = int16_gemm.DOUBLE_PRECISION if o.rule == "double" else rule
    if o.w.dtype == INT16:
        rule, is_narrow = int16_gemm.INT64, False
    if rule == int16_gemm.INT64 and shift.max(initial=0) > 14:
        raise ops.refuse(o.node, f"s_x s_w / s_y is {real.max():.3g}; the rule of int64 accumulators ends at 2**14")
    lo, hi = activation_range(o.y, o.node.options.fused_activation_function)
    return int16_gemm.Int16Rounding(rule, bias, multiplier, shift, np.array(real), 32 if is_narrow else 64, lo, hi)


@frozen
class Float(AsItIs):
    """float32 activations and weights."""

    w: np.ndarray
    bias: np.ndarray
    limits: np.ndarray

    def dot(self, x: Padded, s: RowSegments, w: np.ndarray, channels: np.ndarray, into: Into) -> list[Call]:
        return float_gemm.call(x.tensor, s, w, self.bias[channels], self.limits, *into)

    def depthwise(self, g: Window) -> list[Call]:
        x = self.image(g)
        y = self.o.y
        w = self.w[0].reshape(-1, self.o.channels)
        if x.tensor.shape[3] == self.o.channels:
            return [*x.calls, depthwise_float.call(x.tensor, _taps(x, g), w, self.bias, self.bias, self.limits, y)]
        sums = depthwise_float.sums_call(x.tensor, _taps(x, g), w, y)
        return [*x.calls, sums, Call(depthwise_float.add_bias, self.bias, self.limits, y, writes=[y])]


def _float(o: Operands) -> Float | WeightOnly:
    """Padding multiplies with zeros where LiteRT leaves taps out: the same sums, as long as the weights are finite."""
    w = np.asarray(o.w.data, FLOAT32)
    if not np.isfinite(w).all():
        raise ops.refuse(o.node, "weights that are infinite or not a number are not supported")
    if o.hybrid == "weight_only" and o.node.op != "DEPTHWISE_CONV_2D":  # whose filters are too small to matter
        with np.errstate(over="ignore"):
            half = w.astype(np.float16)
        if np.array_equal(half, w):
            return WeightOnly(o, half, np.ones(o.channels, FLOAT32), _float_bias(o), limits(o.node, o.y))
    return Float(o, w, _float_bias(o), limits(o.node, o.y))


def _float_bias(o: Operands) -> np.ndarray:
    """The constant bias as float32 [channels]; zeros where there is none."""
    return np.zeros(o.channels, FLOAT32) if o.b is None else np.asarray(o.b.data, FLOAT32).reshape(-1)


@frozen
class Hybrid:
    """float32 activations and integer weights."""

    o: Operands
    w: np.ndarray  # int16
    scaling: hybrid.Scaling

    def image(self, g: Window) -> Padded:
        height, width = padded_size(self.o.node, self.o.x, g)
        return self._quantized(self.o.x.shape[0], self.o.x.shape[1:], height, width, g.pad_top, g.pad_left)

    def rows(self) -> Padded:
        depth = self.w.shape[-1]
        return self._quantized(self.o.x.size // depth, (1, 1, depth), 1, 1, 0, 0)

    def _quantized(self, images: int, shape: Any, height: int, width: int, top: int, left: int) -> Padded:
        z = scratch(f"{self.o.y.name}/quantized", (images, height, width, shape[2]), np.uint8)
        known, calls = hybrid.quantize_calls(self.o.x, images, self.o.symmetric, z, shape, top, left)
        return Padded(z, height, width, calls, known)

    def dot(self, x: Padded, s: RowSegments, w: np.ndarray, channels: np.ndarray, into: Into) -> list[Call]:
        if self.o.by_terms:
            return [hybrid.terms_call(x.tensor, x.extra, s, w, self.scaling.part(channels), *into)]
        sums = w.sum(axis=1, dtype=np.int64).astype(np.int32)
        scaling = self.scaling.part(channels)._replace(weight_sums=sums)
        return [hybrid.dot_call(x.tensor, x.extra, s, w, scaling, *into)]

    def depthwise(self, g: Window) -> list[Call]:
        x = self.image(g)
        y = self.o.y
        z = scratch(f"{y.name}/sums", y.shape, np.int32)
        start = -128 * self.scaling.weight_sums
        if x.tensor.shape[3] == y.shape[3]:
            geometry = depthwise.Geometry(*g[:6], 0, 0)
            sums = [depthwise.sums_call(x.tensor, geometry, self.w[0], start, z)]
        else:
            w = self.w[0].reshape(-1, self.o.channels).astype(np.int32)
            sums = [
                depthwise_float.sums_call(x.tensor, _taps(x, g), w, z),
                Call(hybrid.add_to_sums, start, z, writes=[z]),
            ]
        return [*x.calls, *sums, hybrid.scale_call(z, x.extra, self.scaling, y)]


def _hybrid(o: Operands) -> Hybrid:
    return Hybrid(o, centered(o.w), _scaling(o, np.asarray(o.w.data), _float_bias(o)))


def _scaling(o: Operands, w: np.ndarray, bias: np.ndarray) -> hybrid.Scaling:
    assert o.w.quantization is not None
    scale = np.broadcast_to(np.asarray(o.w.quantization.scale, FLOAT32), o.channels)
    others = tuple(i for i in range(len(o.w.shape)) if i != o.axis)
    sums = w.sum(axis=others, dtype=np.int64).astype(np.int32)
    bounds = limits(o.node, o.y)
    if o.keeps_infinities:
        bounds = np.where(np.abs(bounds) == np.finfo(FLOAT32).max, np.copysign(np.float32(np.inf), bounds), bounds)
    return hybrid.Scaling(np.array(scale), sums, bias, int(o.weight_first), bounds)


@frozen
class WeightOnly(AsItIs):
    """float32 activations and weights that become float32 in registers."""

    w: np.ndarray  # int8 or float16
    scale: np.ndarray  # float32 [channels]
    bias: np.ndarray
    limits: np.ndarray

    def dot(self, x: Padded, s: RowSegments, w: np.ndarray, channels: np.ndarray, into: Into) -> list[Call]:
        return weight_only.call(x.tensor, s, w, self.scale[channels], self.bias[channels], self.limits, *into)

    def depthwise(self, g: Window) -> list[Call]:
        x = self.image(g)
        w = self.w[0].reshape(-1, self.o.channels)
        call = weight_only.depthwise_call(x.tensor, _taps(x, g), w, self.scale, self.bias, self.limits, self.o.y)
        return [*x.calls, call]


def _weight_only(o: Operands) -> WeightOnly:
    assert o.w.quantization is not None
    scale = np.array(np.broadcast_to(np.asarray(o.w.quantization.scale, FLOAT32), o.channels))
    return WeightOnly(o, np.asarray(o.w.data), scale, _float_bias(o), limits(o.node, o.y))


Product: TypeAlias = Bytes | Int16 | Float | Hybrid | WeightOnly


def _along(o: Operands) -> list[int]:
    return [-1 if i == o.axis else 1 for i in range(len(o.w.shape))]


def _taps(x: Padded, g: Window) -> depthwise_float.Taps:
    channels = x.tensor.shape[3]
    rows = np.arange(g.height) * g.dilation_h * x.width * channels
    taps = (rows[:, None] + np.arange(g.width) * g.dilation_w * channels).reshape(-1)
    return depthwise_float.Taps(taps, g.stride_h * x.width * channels, g.stride_w * channels)


# References


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
        with np.errstate(over="ignore", invalid="ignore"):
            for k in range(x.shape[-1]):
                product = x[..., k, None] * w[:, k]
                for factor in self.term_scale or ():
                    product *= factor
                acc += product


def meaning(o: Operands, x: np.ndarray, w: np.ndarray, b: np.ndarray | None) -> Meaning:
    """What a node's reference computes with; the first axis of x counts images (or rows) that hybrid nodes quantize."""
    kind = kind_of(o)
    if kind == "float":
        bias = np.zeros(o.channels, FLOAT32) if b is None else b.reshape(-1)
        return Meaning(x, w, lambda acc: clamp(acc + bias, limits(o.node, o.y)))
    weights = w.astype(np.int64) - o.w.zero_point
    if kind == "hybrid":
        s = _scaling(o, w, np.zeros(o.channels, FLOAT32) if b is None else b.reshape(-1))
        images = [hybrid.quantized(image, o.symmetric) for image in x]
        numbers = np.stack([image.q - image.zero_point for image in images])
        x_scale = np.array([i.scale for i in images], FLOAT32).reshape(-1, *[1] * (x.ndim - 1))
        if o.by_terms:
            factors = s.weight_scale, x_scale
            numbers, weights = numbers.astype(FLOAT32), weights.astype(FLOAT32)
            return Meaning(numbers, weights, lambda acc: clamp(acc + s.bias, s.limits), factors)
        return Meaning(numbers, weights, lambda acc: clamp(hybrid.scaled(acc, x_scale, s), s.limits))
    bias = np.zeros(o.channels, np.int64) if b is None else b.astype(np.int64).reshape(-1)
    if kind == "int16":
        rules = _rules(o, bias)
        return Meaning(x.astype(np.int64), weights, rules.apply)
    return Meaning(x.astype(np.int64) - o.x.zero_point, weights, lambda acc: _requantized(o, acc + bias))


def _requantized(o: Operands, acc: np.ndarray) -> np.ndarray:
    """Accumulators of bytes [..., channels], which wrap as int32 do, to outputs."""
    acc = wrap_int32(acc)
    real = scales(o)
    lo, hi = activation_range(o.y, o.node.options.fused_activation_function)
    if o.rule == "double":
        q = requantize_double(acc, real).astype(np.int64)
    else:
        q = requantize_double_rounding(acc, *quantize_multiplier(real))
    return (q + o.y.zero_point).clip(lo, hi).astype(o.y.dtype)


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
    is_product = (o.rule != "double" and x.dtype == np.uint8) or (o.w.dtype == INT16 and by_tensor)
    joined = scale_float_product if is_product else scale_double
    with np.errstate(over="ignore"):
        real = np.asarray(joined(x.scale, o.w.quantization.scale, y.scale), np.float64)
    return np.where(np.isfinite(real), real, 0)


def centered(w: Tensor) -> np.ndarray:
    """Constant weights less their zero point: int16."""
    return np.asarray(w.data, np.int16) - np.int16(w.zero_point)


def _bias(o: Operands) -> np.ndarray:
    """The constant bias as int64 [channels]; zeros where there is none."""
    return np.zeros(o.channels, np.int64) if o.b is None else np.asarray(o.b.data, np.int64).reshape(-1)


def optional(node: Node, position: int) -> Tensor | None:
    """An input that may be left out, by a shorter list or by -1."""
    return node.inputs[position] if len(node.inputs) > position else None
