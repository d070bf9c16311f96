"""DEPTHWISE_CONV_2D: slide a filter over each channel of an NHWC image by itself.

    y[c] = z_y + rule(s_x s_w[c] / s_y, b[c] + sum over h, w of (x[c // m] - z_x) (w[0, h, w, c] - z_w))

m is the channel multiplier: the number of output channels per input channel. Taps outside the image count as x = z_x.
Rounding: double rounding under ``reference``. ``_linear`` says what other types than 8 bits do.
"""

from __future__ import annotations

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.numerics.rules import NUMERICS, Numerics
from int8rt.ops._linear import meaning, product
from int8rt.ops._operands import FLOAT32, HybridRules, Operands, Types, kind_of, optional
from int8rt.ops._window import reaching, window, windows
from int8rt.steps import Step

operands = "x[4] w[4] b? -> y"


def shapes(node: Node) -> list[tuple[int, ...]]:
    x, w = _inputs(node)
    g = window(node, x, *w.shape[1:3])
    return [(x.shape[0], g.out_h, g.out_w, w.shape[3])]


def reference(node: Node, x: np.ndarray, w: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
    x_, _ = _inputs(node)
    (y,) = node.outputs
    m = meaning(_operands(node, NUMERICS["reference"]), x, w, b)
    g, rows, cols = reaching(window(node, x_, *w.shape[1:3]), x_)
    seen, _ = windows(m.x, g, fill=0)
    taps = m.w[0, rows, cols]
    acc = np.zeros(y.shape, m.x.dtype)
    for row in range(g.height):
        for col in range(g.width):
            acc += np.repeat(seen[:, :, :, row, col], y.shape[3] // x.shape[3], axis=-1) * taps[row, col]
    return m.finish(acc)


def prepare(node: Node, numerics: Numerics) -> Step | list[Step]:
    x, w = _inputs(node)
    operands = _operands(node, numerics)
    if not operands.is_constant:
        kind_of(operands)
        return ops.by_reference(node, reference)
    f = product(operands)
    g = window(node, x, *w.shape[1:3])
    return [*f.depthwise(g)]


def _operands(node: Node, numerics: Numerics) -> Operands:
    """Of weights below 8 bits LiteRT has int4, for int8 activations. Float activations need a scale per channel.

    For int16 activations LiteRT takes packed int4 and int2 for weights of 8 bits; here they are unpacked.
    """
    x, w = _inputs(node)
    narrow = ("INT4",) if x.dtype == np.int8 else ("INT4", "INT2") if x.dtype == np.int16 else ()
    if (
        x.dtype == FLOAT32
        and w.dtype == np.int8
        and numerics.hybrid == "dynamic"
        and w.quantization is not None
        and len(w.quantization.scale) != w.shape[3]
    ):
        raise ops.refuse(node, "float activations need a weight scale per channel, as in LiteRT")
    return Operands(
        node=node,
        x=x,
        w=w,
        b=optional(node, 2),
        y=node.outputs[0],
        axis=3,
        rounding=numerics.convolution,
        hybrid=HybridRules(numerics.hybrid, keeps_float16=False),  # such filters are too small to matter
        types=Types(narrow=narrow, int32_bias=False),
    )


def _inputs(node: Node) -> tuple[Tensor, Tensor]:
    x, w = node.given[:2]
    if w.shape[0] != 1 or x.shape[3] < 1 or w.shape[3] < 1 or w.shape[3] % x.shape[3]:
        raise ModelError(f"{node.label}: a filter {list(w.shape)} does not fit the channels of {list(x.shape)}")
    return x, w
