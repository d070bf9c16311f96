"""hybrid="weight_only": near the float model whose weights are the dequantized ones, and no float copy of them."""

from __future__ import annotations

import numpy as np
import pytest
from products import Product, cases, some
from writer import RELU, RELU6, SAME

from int8rt import reader, session, wide
from int8rt.numerics import numerics

F32 = np.float32
WEIGHT_ONLY = numerics("reference", "weight_only")
U = 2.0**-24
OPERATORS = ("CONV_2D", "GROUPED", "TRANSPOSE_CONV", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


# The truth in float64


def dequantized(t):
    """A constant's real values, float64."""
    q = t.quantization
    if t.dtype.kind == "f" or q is None:
        return np.asarray(t.data, np.float64)
    scale = q.scale.astype(np.float64)
    if q.block_size:
        return t.data * np.repeat(scale.reshape(len(t.data), -1), q.block_size, axis=1)
    return t.data * (
        scale if len(scale) == 1 else scale.reshape([-1 if i == q.axis else 1 for i in range(t.data.ndim)])
    )


def product(node, x, w):
    """Sums of products in float64, and how many there are at most to one of them."""
    o = node.options
    if node.op == "BATCH_MATMUL":
        x = np.swapaxes(x, -1, -2) if o.adj_x else x
        return x @ (np.swapaxes(w, -1, -2) if o.adj_y else w), x.shape[-1]
    if node.op == "FULLY_CONNECTED":
        return (x.reshape(-1, w.shape[1]) @ w.T).reshape(node.outputs[0].shape), w.shape[1]
    if node.op == "TRANSPOSE_CONV":
        return transposed(x, w, (o.stride_h, o.stride_w), o.padding, node.inputs[0].data), w[0].size
    stride, dilation = (o.stride_h, o.stride_w), (o.dilation_h_factor, o.dilation_w_factor)
    seen = windows(x, w.shape[1:3], stride, dilation, o.padding)
    if node.op == "DEPTHWISE_CONV_2D":
        return np.einsum("nijhwc,hwc->nijc", np.repeat(seen, w.shape[3] // x.shape[3], axis=5), w[0]), w[
            0, :, :, 0
        ].size
    groups = x.shape[3] // w.shape[3]
    parts = zip(np.split(seen, groups, axis=5), np.split(w, groups), strict=True)
    return np.concatenate([np.einsum("nijhwc,ohwc->nijo", *part) for part in parts], axis=3), w[0].size


def windows(x, size, stride, dilation, padding):
    """[n, out_h, out_w, height, width, c]."""
    where = []
    for n, k, s, d in zip(x.shape[1:3], size, stride, dilation, strict=True):
        reach = (k - 1) * d + 1
        out = -(-n // s) if padding == SAME else (n - reach) // s + 1
        before = max(0, (out - 1) * s + reach - n) // 2 if padding == SAME else 0
        where.append(np.arange(out)[:, None] * s - before + np.arange(k) * d)
    rows, cols = (i.clip(-1, n) for i, n in zip(where, x.shape[1:3], strict=True))
    x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return x[:, rows + 1][:, :, :, cols + 1].transpose(0, 1, 3, 2, 4, 5)


def transposed(x, w, stride, padding, shape):
    full = np.zeros(
        (x.shape[0], *((n - 1) * s + max(k, s) + k for n, s, k in zip(x.shape[1:3], stride, w.shape[1:3])), len(w))
    )
    before = []
    for out, n, s, k in zip(shape[1:3], x.shape[1:3], stride, w.shape[1:3], strict=True):
        before.append(max(0, (n - 1) * s + k - out) // 2 if padding == SAME else 0)
    for i in range(x.shape[1]):
        for j in range(x.shape[2]):
            rows, cols = (
                slice(i * stride[0], i * stride[0] + w.shape[1]),
                slice(j * stride[1], j * stride[1] + w.shape[2]),
            )
            full[:, rows, cols] += np.einsum("nc,ohwc->nhwo", x[:, i, j], w)
    full = np.pad(full, ((0, 0), (0, shape[1]), (0, shape[2]), (0, 0)))
    return full[:, before[0] : before[0] + shape[1], before[1] : before[1] + shape[2]]


LIMITS = {0: (-np.inf, np.inf), RELU: (0, np.inf), RELU6: (0, 6)}


def check(content, x):
    """The program's output; its error is within the bound that int8rt.weight_only states."""
    graph = reader.read(content).main
    running = session.Session(graph, WEIGHT_ONLY)
    running.prepare([x.shape])
    (y,) = running.run([x])
    (node,) = running.program.stretch.nodes
    first = 1 if node.op == "TRANSPOSE_CONV" else 0
    w = node.inputs[1]
    bias = [t for t in node.inputs[first + 2 :] if t is not None]
    b = dequantized(bias[0]) if bias else np.zeros(1)
    weights = dequantized(w)
    sums, count = product(node, x.astype(np.float64), weights)
    size, _ = product(node, np.abs(x.astype(np.float64)), np.abs(weights))
    lo, hi = LIMITS[getattr(node.options, "fused_activation_function", 0)]
    blocks = w.shape[-1] // w.quantization.block_size if w.quantization and w.quantization.block_size else 1
    roundings = (count + blocks) * (1 if wide.has_fused() else 2) + 2
    error = np.abs(y - np.clip(sums + b, lo, hi))
    bound = roundings * U * (size + np.abs(b)) * (1 + roundings * U) + roundings * 2.0**-149
    assert y.dtype == F32
    assert y.shape == sums.shape
    assert (error <= bound).all(), f"{(error / bound).max()} of the bound"
    return y


CASES = [
    *cases(*OPERATORS, bias=F32),
    *some(*OPERATORS, bias=F32, per_channel=False),
    *some(*OPERATORS, bias=F32, activation=RELU),
    *some(*OPERATORS, activation=RELU6, scale=1.0),
    *some("CONV_2D", "GROUPED", "FULLY_CONNECTED", bias=F32, weights="INT4"),
    *some("FULLY_CONNECTED", weights="INT2"),
    *(
        c
        for values in ("zeros", "tiny", "denormal", "positive", "ends")
        for c in some(*OPERATORS, step=5, values=values)
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.op} {c}")
def test_error_is_within_the_bound(case):
    content, (x,) = case.model()
    check(content, x)


@pytest.mark.parametrize("columns", [1, 15, 16, 17, 32, 33, 48, 64, 65, 127, 128, 129, 200])
@pytest.mark.parametrize("rows", [1, 7])
def test_every_tile(rows, columns):
    content, (x,) = Product("FULLY_CONNECTED", (rows, 37), (columns, 37), bias=F32).model()
    check(content, x)
