"""LOCAL_RESPONSE_NORMALIZATION along the channels of an NHWC image, float32.

    y[c] = x[c] * (bias + alpha * sum of x[i]^2 for c - radius <= i < c + radius) ^ -beta

The window leaves c + radius out, as LiteRT's does. Squares are summed in float32, the rest up to the power is float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from int8rt.graph import Node
from int8rt.native.kernel import kernel
from int8rt.numerics.rules import Numerics
from int8rt.ops import _lookup
from int8rt.ops._lookup import check_types, flat, unary
from int8rt.simd.memory import get, put
from int8rt.steps import Call, Step

operands = "x[4] -> y"


shapes = _lookup.shapes


def reference(node: Node, x: np.ndarray) -> np.ndarray:
    o = node.options
    channels = np.arange(x.shape[-1])
    total = np.zeros_like(x)
    for offset in range(-_radius(node), _radius(node)):
        inside = (channels + offset >= 0) & (channels + offset < len(channels))
        near = x[..., (channels + offset).clip(0, max(len(channels) - 1, 0))]
        total = np.where(inside, total + near * near, total)
    base = np.float64(o.bias) + np.float64(o.alpha) * total.astype(np.float64)
    return x * (base ** np.float64(-o.beta)).astype(np.float32)


def _radius(node: Node) -> int:
    """The option, which beyond the channels makes no difference."""
    x, _ = unary(node)
    return max(0, min(int(node.options.radius), x.shape[-1]))


def prepare(node: Node, numerics: Numerics) -> Step:
    x, y = check_types(node, ["float32"])
    o, depth, radius = node.options, x.shape[-1], _radius(node)
    parameters = depth, radius, float(o.bias), float(o.alpha), -float(o.beta)
    return Call(normalize, flat(x), *parameters, flat(y), writes=[y], work=x.size * (2 * radius + 32))


@kernel
def normalize(
    thread: int, threads: int, x: Any, depth: int, radius: int, bias: float, alpha: float, exponent: float, y: Any
) -> None:  # fmt: skip
    """Rows of ``depth`` channels; y must not be x."""
    rows = x.size // max(depth, 1)
    for row in range(rows * thread // threads, rows * (thread + 1) // threads):
        first, last = row * depth, (row + 1) * depth
        for i in range(first, last):
            total = np.float32(0)
            for near in range(max(i - radius, first), min(i + radius, last)):
                total += get(x, near) * get(x, near)
            put(y, i, get(x, i) * np.float32((bias + alpha * np.float64(total)) ** exponent))
