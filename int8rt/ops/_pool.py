"""What AVERAGE_POOL_2D and MAX_POOL_2D share: which nodes are accepted, and to what their outputs are clamped."""

from __future__ import annotations

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.fixedpoint import ACTIVATIONS, activation_range
from int8rt.graph import Node, Tensor
from int8rt.ops._window import Window, window

TYPES = ("int8", "uint8", "int16", "float32")


def pool(node: Node) -> tuple[Tensor, Window]:
    """The image and the window that slides over it. Raises ModelError."""
    (x,) = node.inputs
    if x is None:
        raise ModelError(f"{node.label}: the input is missing")
    return x, window(node, x, node.options.filter_height, node.options.filter_width)


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
    return ops.to_storage(np.array(limits(node), node.outputs[0].dtype))


def clamp(node: Node, y: np.ndarray) -> np.ndarray:
    """y within the fused activation, in the order of C++'s min(max(y, lo), hi): NaN stays, and so does -0."""
    _, lo, hi = limits(node)
    y = np.where(y < lo, lo, y)
    return np.where(hi < y, hi, y).astype(node.outputs[0].dtype)
