"""Well-known architectures at their real sizes, with random weights: int8, per channel, as a converter writes them.

Weights are drawn at random, then the network is calibrated as a converter does it: a random image runs through it in
float32; every layer's outputs are normalized per channel, as a folded batch normalization would, and the range of each
tensor gives its scale. Activations are therefore spread over their range in every layer, and time is that of a trained
network of the same shape. Seeds are fixed.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from writer import NONE, RELU, RELU6, SAME, VALID, Op, T, network

import benchmarks
from int8rt.native.cache import cache_folder

Size = tuple[int, int]
Range = tuple[float, float]


class Value(NamedTuple):
    """A tensor and the reals that it holds for the random image, [1, height, width, channels] or [1, units]."""

    tensor: T
    real: np.ndarray

    @property
    def channels(self) -> int:
        """How many channels or units."""
        return int(self.real.shape[-1])


class Builder:
    """Adds one layer after the other; ``file`` gives the bytes."""

    def __init__(self, *shape: int, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[Op] = []
        self.image = self.value(self.random.uniform(-1, 1, shape).astype(np.float32), (-1, 1))

    def file(self, *outputs: Value) -> bytes:
        """The model with these outputs."""
        return network(self.nodes, [self.image.tensor], [y.tensor for y in outputs], description="random weights")

    def value(self, real: np.ndarray, limits: Range | None = None) -> Value:
        """A tensor whose scale covers these limits, or the reals themselves."""
        low, high = limits or (float(real.min()), float(real.max()))
        low, high = min(low, 0.0), max(high, low + 1e-3, 0.0)
        scale = (high - low) / 255
        return Value(T(np.int8, real.shape, scale, round(-128 - low / scale)), real)

    def node(self, op: str, inputs: Sequence[Value | T], y: Value, **fields: object) -> Value:
        """Add a node that computes y."""
        tensors = [x.tensor if isinstance(x, Value) else x for x in inputs]
        self.nodes.append(Op(op, tensors, [y.tensor], **fields))
        return y

    # Layers with weights

    def conv(
        self, x: Value, channels: int, size: int | Size = 1, stride: int | Size = 1, activation: int = RELU6,
        limits: Range | None = None, offset: float = 0.0,
    ) -> Value:  # fmt: skip
        """CONV_2D with SAME padding."""
        (height, width), steps = _pair(size), _pair(stride)
        w = self.random.standard_normal((channels, height, width, x.channels), np.float32)
        windows = _windows(x.real, (height, width), steps)
        sums = (windows.reshape(-1, w[0].size) @ w.reshape(channels, -1).T).reshape(1, *windows.shape[1:3], channels)
        fields = {"padding": SAME, "stride_h": steps[0], "stride_w": steps[1]}
        return self._weighted("CONV_2D", x, w, 0, sums, activation, limits, offset, fields)

    def depthwise(self, x: Value, size: int = 3, stride: int | Size = 1, activation: int = RELU6) -> Value:
        """DEPTHWISE_CONV_2D with SAME padding."""
        steps = _pair(stride)
        w = self.random.standard_normal((1, size, size, x.channels), np.float32)
        windows = _windows(x.real, (size, size), steps)
        sums = sum(windows[..., i, j, :] * w[0, i, j] for i in range(size) for j in range(size))
        fields = {"padding": SAME, "stride_h": steps[0], "stride_w": steps[1], "depth_multiplier": 1}
        return self._weighted("DEPTHWISE_CONV_2D", x, w, 3, np.asarray(sums), activation, None, 0.0, fields)

    def dense(self, x: Value, units: int, activation: int = NONE) -> Value:
        """FULLY_CONNECTED, with one scale for all weights."""
        w = self.random.standard_normal((units, x.channels), np.float32)
        return self._weighted("FULLY_CONNECTED", x, w, None, x.real @ w.T, activation, None, 0.0, {})

    def _weighted(
        self, op: str, x: Value, w: np.ndarray, axis: int | None, sums: np.ndarray, activation: int,
        limits: Range | None, offset: float, fields: dict[str, int],
    ) -> Value:  # fmt: skip
        """Normalize the sums, per channel where there are enough of them, and quantize weights and bias."""
        rows = sums.reshape(-1, sums.shape[-1])
        over = 0 if len(rows) >= 16 and axis is not None else None
        mean, deviation = rows.mean(over, keepdims=True), rows.std(over, keepdims=True) + 1e-6
        real = _activated((sums - mean) / deviation + offset, activation)
        y = self.value(real.astype(np.float32), limits)
        bias = np.broadcast_to(offset - mean / deviation, (1, rows.shape[1]))[0]
        w = w / deviation.reshape([-1 if i == axis else 1 for i in range(w.ndim)])
        others = tuple(i for i in range(w.ndim) if i != axis)
        largest = np.abs(w).max(axis=others)
        scale = np.maximum(largest, 1e-9) / 127
        along = scale.reshape([-1 if i == axis else 1 for i in range(w.ndim)])
        product = np.float64(x.tensor.scale) * scale
        weights = T(np.int8, w.shape, scale, data=np.rint(w / along).astype(np.int8), axis=axis or 0)
        addend = np.rint(bias / product).clip(-(2**30), 2**30).astype(np.int32)
        return self.node(
            op, [x, weights, T(np.int32, bias.shape, product, data=addend)], y,
            fused_activation_function=activation, **fields,
        )  # fmt: skip

    # Layers without

    def add(self, a: Value, b: Value, activation: int = NONE) -> Value:
        """a + b"""
        y = self.value(_activated(a.real + b.real, activation))
        return self.node("ADD", [a, b], y, fused_activation_function=activation)

    def mul(self, a: Value, b: Value) -> Value:
        """a * b, broadcast"""
        return self.node("MUL", [a, b], self.value(a.real * b.real))

    def constant(self, number: float) -> Value:
        """A constant of one element."""
        scale = number / 127
        return Value(
            T(np.int8, (1, 1, 1, 1), scale, data=np.full((1, 1, 1, 1), 127, np.int8)),
            np.full((1, 1, 1, 1), number, np.float32),
        )

    def hard_swish(self, x: Value) -> Value:
        """x * relu6(x + 3) / 6"""
        return self.node("HARD_SWISH", [x], self.value(x.real * np.clip(x.real + 3, 0, 6) / 6))

    def mean(self, x: Value, keep_dims: bool = False) -> Value:
        """The mean over height and width."""
        real = x.real.mean((1, 2), keepdims=keep_dims)
        y = self.value(real, (1.5 * float(real.min()), 1.5 * float(real.max())))  # other images have other means
        return self.node("MEAN", [x, T(np.int32, (2,), data=[1, 2])], y, keep_dims=keep_dims)

    def pool(self, op: str, x: Value, size: int | Size, stride: int, padding: int = SAME) -> Value:
        """AVERAGE_POOL_2D or MAX_POOL_2D; the scale stays."""
        height, width = _pair(size)
        if padding == VALID:
            windows = np.lib.stride_tricks.sliding_window_view(x.real, (height, width), (1, 2))[:, ::stride, ::stride]
            windows = windows.transpose(0, 1, 2, 4, 5, 3)
        else:
            windows = _windows(x.real, (height, width), (stride, stride))
        real = windows.mean((3, 4)) if op == "AVERAGE_POOL_2D" else windows.max((3, 4))
        y = self._same_scale(x, real)
        return self.node(
            op, [x], y, padding=padding, stride_h=stride, stride_w=stride, filter_height=height, filter_width=width
        )

    def reshape(self, x: Value, *shape: int) -> Value:
        """The same values in another shape."""
        return self.node(
            "RESHAPE", [x, T(np.int32, (len(shape),), data=shape)], self._same_scale(x, x.real.reshape(shape))
        )

    def concatenation(self, values: Sequence[Value], axis: int) -> Value:
        """Values of one scale one after another."""
        y = self._same_scale(values[0], np.concatenate([v.real for v in values], axis))
        return self.node("CONCATENATION", values, y, axis=axis)

    def softmax(self, x: Value) -> Value:
        """Probabilities."""
        e = np.exp(x.real - x.real.max(-1, keepdims=True))
        y = Value(T(np.int8, x.real.shape, 1 / 256, -128), e / e.sum(-1, keepdims=True))
        return self.node("SOFTMAX", [x], y, beta=1.0)

    def logistic(self, x: Value) -> Value:
        """1 / (1 + exp(-x))"""
        y = Value(T(np.int8, x.real.shape, 1 / 256, -128), 1 / (1 + np.exp(-x.real)))
        return self.node("LOGISTIC", [x], y)

    def _same_scale(self, x: Value, real: np.ndarray) -> Value:
        return Value(T(np.int8, real.shape, x.tensor.scale, x.tensor.zero_point), real)

    # Blocks

    def inverted(self, x: Value, size: int, stride: int, expansion: int, channels: int) -> Value:
        """MobileNetV2's block: expand, depthwise, project, and add where shapes allow."""
        h = self.conv(x, x.channels * expansion) if expansion > 1 else x
        h = self.conv(self.depthwise(h, size, stride), channels, activation=NONE)
        return self.add(x, h) if stride == 1 and channels == x.channels else h

    def gated(self, x: Value) -> Value:
        """MobileNetV3's squeeze and excite: x * hard_sigmoid(conv(relu(conv(mean(x)))))."""
        squeezed = self.conv(self.mean(x, keep_dims=True), _divisible(x.channels / 4), activation=RELU)
        gate = self.conv(squeezed, x.channels, activation=RELU6, offset=3.0)
        return self.mul(x, self.mul(gate, self.constant(1 / 6)))


def _pair(size: int | Size) -> Size:
    return size if isinstance(size, tuple) else (size, size)


def _divisible(channels: float) -> int:
    """The nearest multiple of 8, not below 90 % of what is asked for."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8


def _windows(x: np.ndarray, size: Size, stride: Size) -> np.ndarray:
    """What each output of a SAME window sees: [1, out height, out width, height, width, channels]."""
    around = [(0, 0), *(_same(n, k, s) for n, k, s in zip(x.shape[1:3], size, stride, strict=True)), (0, 0)]
    views = np.lib.stride_tricks.sliding_window_view(np.pad(x, around), size, (1, 2))
    return views[:, :: stride[0], :: stride[1]].transpose(0, 1, 2, 4, 5, 3)


def _same(length: int, size: int, stride: int) -> Size:
    total = max((-(-length // stride) - 1) * stride + size - length, 0)
    return total // 2, total - total // 2


def _activated(x: np.ndarray, activation: int) -> np.ndarray:
    if activation == NONE:
        return x
    return np.clip(x, 0, 6 if activation == RELU6 else None)


# Architectures


def mobilenet_v1() -> bytes:
    """MobileNetV1 1.0 224 (Howard et al. 2017), as TensorFlow's research models end it: pool, 1x1 convolution."""
    b = Builder(1, 224, 224, 3)
    x = b.conv(b.image, 32, 3, 2)
    for stride, channels in (
        (1, 64),
        (2, 128),
        (1, 128),
        (2, 256),
        (1, 256),
        (2, 512),
        *[(1, 512)] * 5,
        (2, 1024),
        (1, 1024),
    ):
        x = b.conv(b.depthwise(x, 3, stride), channels)
    x = b.conv(b.pool("AVERAGE_POOL_2D", x, 7, 2, VALID), 1001, activation=NONE)
    return b.file(b.softmax(b.reshape(x, 1, 1001)))


MOBILENET_V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def mobilenet_v2() -> bytes:
    """MobileNetV2 1.0 224 (Sandler et al. 2018)."""
    b = Builder(1, 224, 224, 3)
    x = b.conv(b.image, 32, 3, 2)
    for expansion, channels, count, stride in MOBILENET_V2:
        for i in range(count):
            x = b.inverted(x, 3, stride if i == 0 else 1, expansion, channels)
    return b.file(b.softmax(b.dense(b.mean(b.conv(x, 1280)), 1000)))


def mobilenet_v3_small() -> bytes:
    """MobileNetV3-Small 1.0 224 (Howard et al. 2019), with HARD_SWISH and squeeze-excite."""
    b = Builder(1, 224, 224, 3)

    def activated(x: Value, swish: bool) -> Value:
        return b.hard_swish(x) if swish else x

    x = b.hard_swish(b.conv(b.image, 16, 3, 2, NONE))
    for size, wide, channels, gate, swish, stride in (
        (3, 16, 16, True, False, 2), (3, 72, 24, False, False, 2), (3, 88, 24, False, False, 1),
        (5, 96, 40, True, True, 2), (5, 240, 40, True, True, 1), (5, 240, 40, True, True, 1),
        (5, 120, 48, True, True, 1), (5, 144, 48, True, True, 1),
        (5, 288, 96, True, True, 2), (5, 576, 96, True, True, 1), (5, 576, 96, True, True, 1),
    ):  # fmt: skip
        form = NONE if swish else RELU
        h = activated(b.conv(x, wide, activation=form), swish) if wide != x.channels else x
        h = activated(b.depthwise(h, size, stride, form), swish)
        h = b.conv(b.gated(h) if gate else h, channels, activation=NONE)
        x = b.add(x, h) if stride == 1 and channels == x.channels else h
    x = b.mean(b.hard_swish(b.conv(x, 576, activation=NONE)), keep_dims=True)
    x = b.conv(b.hard_swish(b.conv(x, 1024, activation=NONE)), 1000, activation=NONE)
    return b.file(b.softmax(b.reshape(x, 1, 1000)))


def efficientnet_lite0() -> bytes:
    """EfficientNet-Lite0 224."""
    b = Builder(1, 224, 224, 3)
    x = b.conv(b.image, 32, 3, 2)
    for size, stride, expansion, channels, count in (
        (3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3), (5, 2, 6, 192, 4),
        (3, 1, 6, 320, 1),
    ):  # fmt: skip
        for i in range(count):
            x = b.inverted(x, size, stride if i == 0 else 1, expansion, channels)
    x = b.pool("AVERAGE_POOL_2D", b.conv(x, 1280), 7, 1, VALID)
    return b.file(b.softmax(b.dense(b.reshape(x, 1, 1280), 1000)))


def resnet_50() -> bytes:
    """ResNet-50 v1.5 224: the stride is that of the 3x3 convolution."""
    b = Builder(1, 224, 224, 3)
    x = b.pool("MAX_POOL_2D", b.conv(b.image, 64, 7, 2, RELU), 3, 2)
    for stage, count in enumerate((3, 4, 6, 3)):
        width = 64 << stage
        for i in range(count):
            stride = 2 if stage and i == 0 else 1
            h = b.conv(b.conv(x, width, activation=RELU), width, 3, stride, RELU)
            h = b.conv(h, 4 * width, activation=NONE)
            x = b.add(b.conv(x, 4 * width, 1, stride, NONE) if i == 0 else x, h, RELU)
    return b.file(b.softmax(b.dense(b.mean(x), 1000)))


def ssdlite_mobilenet_v2() -> bytes:
    """SSDLite 300 on MobileNetV2, 91 classes, up to the boxes and scores that a custom operator would sort."""
    b = Builder(1, 300, 300, 3)
    x = b.conv(b.image, 32, 3, 2)
    features: list[Value] = []
    for expansion, channels, count, stride in MOBILENET_V2:
        for i in range(count):
            step = stride if i == 0 else 1
            if (channels, i) == (160, 0):  # the first feature map is this block's expansion
                h = b.conv(x, x.channels * expansion)
                features.append(h)
                x = b.conv(b.depthwise(h, 3, step), channels, activation=NONE)
            else:
                x = b.inverted(x, 3, step, expansion, channels)
    features.append(b.conv(x, 1280))
    for channels in (512, 256, 256, 128):
        h = b.depthwise(b.conv(features[-1], channels // 2), 3, 2)
        features.append(b.conv(h, channels))
    ends: list[Value] = []
    for values in (4, 91):
        parts = []
        for i, x in enumerate(features):
            anchors = 3 if i == 0 else 6
            y = b.conv(b.depthwise(x), anchors * values, activation=NONE, limits=(-6, 6))
            parts.append(b.reshape(y, 1, y.real.size // values, values))
        ends.append(b.concatenation(parts, 1))
    return b.file(ends[0], b.logistic(ends[1]))


def ds_cnn_l() -> bytes:
    """The large keyword spotter DS-CNN of "Hello Edge" (Zhang et al. 2017), on 49 x 10 MFCC features."""
    b = Builder(1, 49, 10, 1)
    x = b.conv(b.image, 276, (10, 4), (2, 1), RELU)
    for stride in ((2, 2), 1, 1, 1, 1):
        x = b.conv(b.depthwise(x, 3, stride, RELU), 276, activation=RELU)
    x = b.pool("AVERAGE_POOL_2D", x, (x.real.shape[1], x.real.shape[2]), 1, VALID)
    return b.file(b.softmax(b.dense(b.reshape(x, 1, 276), 12)))


NETWORKS: dict[str, Callable[[], bytes]] = {
    "random_mobilenet_v1_1.0_224": mobilenet_v1,
    "random_mobilenet_v2_1.0_224": mobilenet_v2,
    "random_mobilenet_v3_small_224": mobilenet_v3_small,
    "random_efficientnet_lite0_224": efficientnet_lite0,
    "random_resnet_50_224": resnet_50,
    "random_ssdlite_mobilenet_v2_300": ssdlite_mobilenet_v2,
    "random_ds_cnn_l_kws": ds_cnn_l,
}


def path(name: str) -> Path:
    """The file of a network, made where it is not in the cache folder."""
    source = Path(__file__).read_bytes() + (benchmarks.ROOT / "tests" / "cases" / "writer.py").read_bytes()
    folder = cache_folder().parent / f"networks-{hashlib.sha256(source).hexdigest()[:12]}"
    file = folder / f"{name}.tflite"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=folder)
        with os.fdopen(handle, "wb") as stream:
            stream.write(NETWORKS[name]())
        os.replace(temporary, file)
    return file
