"""What QUANTIZE and DEQUANTIZE share: real = scale * (q - zero_point), with one scale or one per index of an axis."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from int8rt import ops
from int8rt.graph import Node, Tensor
from int8rt.numerics.storage import INT8_OFFSET

LINE = 4096  # values that are worked on at a time where all have one scale


class Lines(NamedTuple):
    """A tensor as lines of ``inner`` values, line i with scale number ``i % len(scale)``; the last may be shorter."""

    scale: np.ndarray  # float32
    zero_point: np.ndarray  # int32, in storage form
    inner: int


def lines(t: Tensor) -> Lines:
    """The lines of a quantized tensor."""
    scale, zero_point = parameters(t)
    inner = LINE if len(scale) == 1 else int(np.prod(t.shape[_axis(t) + 1 :], dtype=np.int64))
    offset = INT8_OFFSET if t.dtype == np.int8 else 0
    return Lines(scale, (zero_point + offset).astype(np.int32), max(inner, 1))


def parameters(t: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Scales, float32, and zero points, int64, one each per channel; 0 and 0 where the tensor is not quantized."""
    if t.quantization is None:
        return np.zeros(1, np.float32), np.zeros(1, np.int64)
    return t.quantization.scale, t.quantization.zero_point


def along(values: np.ndarray, t: Tensor, x: np.ndarray) -> np.ndarray:
    """Values per channel, shaped so that they broadcast against x, an array of t's shape."""
    if len(values) == 1:
        return values.reshape(())
    return values.reshape([-1 if i == _axis(t) else 1 for i in range(x.ndim)])


def check(node: Node, t: Tensor) -> None:
    """Refuse scales per block. Raises UnsupportedError."""
    if t.quantization is not None and t.quantization.block_size:
        raise ops.refuse(node, f"{t!r} has scales for blocks of {t.quantization.block_size} values")


def _axis(t: Tensor) -> int:
    return 0 if t.quantization is None else t.quantization.axis
