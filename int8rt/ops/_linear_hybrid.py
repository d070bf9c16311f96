"""Products of float32 activations with integer weights: activations are quantized as they come, bytes multiplied."""

from __future__ import annotations

import numpy as np

from int8rt.frozen import frozen
from int8rt.graph import Tensor
from int8rt.kernels import depthwise, depthwise_float, hybrid
from int8rt.kernels.product import RowSegments
from int8rt.ops._elementwise import clamp, limits
from int8rt.ops._operands import (
    FLOAT32,
    Into,
    Meaning,
    Operands,
    centered,
    constant_bias,
    float_bias,
    window_taps,
)
from int8rt.ops._window import Padded, Window, padded_size
from int8rt.steps import Call, scratch


@frozen
class Hybrid:
    """float32 activations and integer weights."""

    o: Operands
    w: np.ndarray  # int16
    scaling: hybrid.Scaling

    def image(self, g: Window) -> Padded:
        """x [n, h, w, c], quantized image by image, with its zero point around it as far as the window reaches."""
        n, image_h, image_w, channels = self.o.x.shape
        height, width = padded_size(self.o.node, self.o.x, g)
        z = self._quantized((n, height, width, channels))
        known, calls = hybrid.quantize_calls(
            self.o.x, n, self.o.hybrid.symmetric, z, (image_h, image_w, channels), g.pad_top, g.pad_left
        )
        return Padded(z, height, width, calls, known)

    def rows(self) -> Padded:
        """x as rows, each quantized by itself."""
        depth = self.w.shape[-1]
        count = self.o.x.size // depth
        z = self._quantized((count, 1, 1, depth))
        known, calls = hybrid.quantize_calls(self.o.x, count, self.o.hybrid.symmetric, z, (1, 1, depth))
        return Padded(z, 1, 1, calls, known)

    def _quantized(self, shape: tuple[int, int, int, int]) -> Tensor:
        return scratch(f"{self.o.y.name}/quantized", shape, np.uint8)

    def dot(self, x: Padded, s: RowSegments, w: np.ndarray, channels: np.ndarray, into: Into) -> list[Call]:
        """See Product."""
        if self.o.hybrid.by_terms:
            return [hybrid.terms_call(x.tensor, x.extra, s, w, self.scaling.part(channels), *into)]
        sums = w.sum(axis=1, dtype=np.int64).astype(np.int32)
        scaling = self.scaling.part(channels)._replace(weight_sums=sums)
        return [hybrid.dot_call(x.tensor, x.extra, s, w, scaling, *into)]

    def depthwise(self, g: Window) -> list[Call]:
        """See Product."""
        x, y = self.image(g), self.o.y
        z = scratch(f"{y.name}/sums", y.shape, np.int32)
        start = -128 * self.scaling.weight_sums
        if x.tensor.shape[3] == y.shape[3]:
            geometry = depthwise.Geometry(*g[:6], 0, 0)
            sums = [depthwise.sums_call(x.tensor, geometry, self.w[0], start, z)]
        else:
            w = self.w[0].reshape(-1, self.o.channels).astype(np.int32)
            products = depthwise_float.sums_call(x.tensor, window_taps(x, g), w, z)
            sums = [products, Call(hybrid.add_to_sums, start, z, writes=[z])]
        return [*x.calls, *sums, hybrid.scale_call(z, x.extra, self.scaling, y)]


def product(o: Operands) -> Hybrid:
    """Of constant weights."""
    return Hybrid(o, centered(o.w), _scaling(o, np.asarray(o.w.data), float_bias(o, constant_bias(o))))


def meaning(o: Operands, x: np.ndarray, w: np.ndarray, b: np.ndarray | None) -> Meaning:
    """x [images or rows, ...], quantized each by itself; sums scaled, or every product."""
    weights = w.astype(np.int64) - o.w.zero_point
    s = _scaling(o, w, float_bias(o, b))
    images = hybrid.quantized_rows(x.reshape(len(x), -1), o.hybrid.symmetric)
    numbers = (images.q - images.zero_point[:, None]).reshape(x.shape)
    x_scale = images.scale.reshape(-1, *[1] * (x.ndim - 1))
    if o.hybrid.by_terms:
        factors = s.weight_scale, x_scale
        numbers, weights = numbers.astype(FLOAT32), weights.astype(FLOAT32)
        return Meaning(numbers, weights, lambda acc: clamp(acc + s.bias, s.limits), factors)
    return Meaning(numbers, weights, lambda acc: clamp(hybrid.scaled(acc, x_scale, s), s.limits))


def _scaling(o: Operands, w: np.ndarray, bias: np.ndarray) -> hybrid.Scaling:
    """From sums to outputs, for the weights w in the file's layout and a bias, float32 [channels]."""
    assert o.w.quantization is not None
    scale = np.broadcast_to(np.asarray(o.w.quantization.scale, FLOAT32), o.channels)
    others = tuple(i for i in range(len(o.w.shape)) if i != o.axis)
    sums = w.sum(axis=others, dtype=np.int64).astype(np.int32)
    bounds = limits(o.node, o.y)
    if o.hybrid.keeps_infinities:
        bounds = np.where(np.abs(bounds) == np.finfo(FLOAT32).max, np.copysign(np.float32(np.inf), bounds), bounds)
    return hybrid.Scaling(np.array(scale), sums, bias, int(o.hybrid.weight_first), bounds)
