"""What pooling operators share: which nodes are accepted, to what outputs are clamped, and means of float32 values."""

from __future__ import annotations

from typing import Any

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.native.kernel import Inline, Kernel, inline, kernel_factory
from int8rt.numerics.fixedpoint import ACTIVATIONS, activation_range
from int8rt.numerics.storage import to_storage
from int8rt.ops._window import Window, reaching, window, windows
from int8rt.simd.memory import fill_within, get, put
from int8rt.steps import Call, scratch_per_thread

EIGHT_BITS = ("int8", "uint8")
TYPES = (*EIGHT_BITS, "int16", "float32")
BLOCK = 256  # channels that are summed at a time


def pool(node: Node) -> tuple[Tensor, Window]:
    """The image and the window that slides over it, without what is outside wherever it is. Raises ModelError."""
    (x,) = node.given
    g = window(node, x, node.options.filter_height, node.options.filter_width)
    return x, reaching(g, x)[0]


def check(node: Node) -> None:
    """Refuse what the kernels do not do. Raises UnsupportedError and ModelError."""
    x, _ = pool(node)
    (y,) = node.outputs
    if x.type not in TYPES or y.type != x.type:
        raise ops.refuse(
            node, f"one type of {', '.join(TYPES)} is supported for input and output, not {y.type} outputs"
        )
    if node.options.fused_activation_function not in ACTIVATIONS:
        raise ops.refuse(node, f"fused activation {node.options.fused_activation_function} is not supported")
    if node.options.fused_activation_function and x.dtype != np.float32 and y.scale <= 0:
        raise ModelError(f"{node.label}: output scale {y.scale} must be positive where an activation is fused")


def limits(node: Node) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Smallest value of the output's type, and the ends of the fused activation, in the output's own type."""
    (y,) = node.outputs
    if y.dtype == np.float32:
        least, most = np.finfo(np.float32).min, np.finfo(np.float32).max
        lo, hi = (np.float32(np.clip(v, least, most)) for v in ACTIVATIONS[node.options.fused_activation_function])
        return np.float32(least), lo, hi
    lo, hi = activation_range(y, node.options.fused_activation_function)
    return y.dtype.type(np.iinfo(y.dtype).min), y.dtype.type(lo), y.dtype.type(hi)


def stored_limits(node: Node) -> np.ndarray:
    """``limits`` in storage form, one array of three."""
    return to_storage(np.array(limits(node), node.outputs[0].dtype))


def clamp(node: Node, y: np.ndarray) -> np.ndarray:
    """y within the fused activation, in the order of C++'s min(max(y, lo), hi): NaN stays, and so does -0."""
    _, lo, hi = limits(node)
    y = np.where(y < lo, lo, y)
    return np.where(hi < y, hi, y).astype(node.outputs[0].dtype)


# Means of float32 values


def float_mean(node: Node, x: np.ndarray) -> np.ndarray:
    """The mean under every window, [n, out_h, out_w, c], summed row by row in float32. For references."""
    _, g = pool(node)
    seen, inside = windows(x, g, fill=0)
    total = np.zeros(node.outputs[0].shape, np.float32)
    for row in range(g.height):
        for col in range(g.width):
            total = total + seen[:, :, :, row, col]
    return np.asarray(total / inside.sum(axis=(2, 3))[None, ..., None].astype(np.float32))


def mean_of_floats(node: Node, term: Inline, finish: Inline) -> Call:
    """The Call for ``finish(mean of term(x))`` under every window, clamped."""
    x, g = pool(node)
    (y,) = node.outputs
    sums = scratch_per_thread(f"{y.name}/sums", min(BLOCK, x.shape[3]), np.float32)
    work = y.size * g.height * g.width
    return Call(mean_pool(term, finish), x, *g, stored_limits(node), sums, y, writes=[y, sums], work=work)


@inline
def unchanged(v: float) -> float:
    """v."""
    return v


@kernel_factory
def mean_pool(term: Inline, finish: Inline) -> Kernel:
    """The kernel for float32 NHWC images; taps outside do not count. Dilations are 1, limits end with the clamp's."""

    def mean_pool(thread: int, threads: int, x: Any, g: Window, limits: Any, sums: Any, y: Any) -> None:
        """x [n, h, w, c] to y [n, out_h, out_w, c]; sums: float32 [threads, channels]; the last two limits clamp."""
        batch, in_h, in_w, channels = x.shape
        lo, hi = limits[1], limits[2]
        size = sums.shape[1]
        mine = thread * size
        for line in range(batch * g.out_h * thread // threads, batch * g.out_h * (thread + 1) // threads):
            n = line // g.out_h
            top = (line - n * g.out_h) * g.stride_h - g.pad_top
            first, last = max(top, 0), min(top + g.height, in_h)
            for out_col in range(g.out_w):
                left = out_col * g.stride_w - g.pad_left
                start, end = max(left, 0), min(left + g.width, in_w)
                count = np.float32((last - first) * (end - start))
                for block in range(0, channels, size):
                    some = min(size, channels - block)
                    fill_within(sums, mine, some, np.float32(0))
                    for row in range(first, last):
                        for col in range(start, end):
                            at = ((n * in_h + row) * in_w + col) * channels + block
                            for c in range(some):
                                put(sums, mine + c, get(sums, mine + c) + term(get(x, at + c)))
                    to = (line * g.out_w + out_col) * channels + block
                    for c in range(some):
                        mean = finish(get(sums, mine + c) / count)
                        mean = lo if mean < lo else mean
                        put(y, to + c, hi if hi < mean else mean)

    return Kernel(mean_pool)
