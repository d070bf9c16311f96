"""FULLY_CONNECTED: y = x @ w.T + b over the last axis of w.

    y[o] = z_y + rule(s_x s_w[o] / s_y, b[o] + sum over k of (x[k] - z_x) (w[o, k] - z_w))

Rounding: in double precision under ``reference``, unlike the convolutions (LiteRT since April 2025). ``_linear`` says
what other types than 8 bits do. Weights of 4 bits may have a scale per block of a row; then float activations are
quantized asymmetrically (``hybrid.Blocks``). LiteRT's optimized kernel defines that: its reference kernel gives the
bias alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.kernels import float_gemm, hybrid, weight_only
from int8rt.kernels.product import RowSegments
from int8rt.native.kernel import kernel
from int8rt.numerics.fixedpoint import activation_range, requantize_double, requantize_double_rounding, wrap_int32
from int8rt.numerics.requantization import Rounding
from int8rt.numerics.rules import NUMERICS, Numerics
from int8rt.numerics.storage import stored_zero
from int8rt.ops._elementwise import clamp, limits
from int8rt.ops._linear import meaning, product
from int8rt.ops._operands import HybridRules, Into, Operands, Types, kind_of, optional, rounding_of, scales
from int8rt.simd.memory import get, put
from int8rt.steps import Call, Step, scratch

operands = "x w[2] b? -> y"


def shapes(node: Node) -> list[tuple[int, ...]]:
    x, w = _inputs(node)
    if node.options.keep_num_dims:
        if not x.shape or x.shape[-1] != w.shape[1]:
            raise ModelError(
                f"{node.label}: the last axis of {list(x.shape)} is not {w.shape[1]} long, as the weights expect"
            )
        return [(*x.shape[:-1], w.shape[0])]
    return [(x.size // w.shape[1], w.shape[0])]


def reference(node: Node, x: np.ndarray, w: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
    (y,) = node.outputs
    blocks = _blocks(node)
    if blocks is not None:
        bias = np.zeros(len(w), np.float32) if b is None else b.reshape(-1)
        rows = hybrid.quantized_rows(x.reshape(-1, w.shape[1]), symmetric=False)
        weights = w.astype(np.int64)
        return np.stack([blocks.apply(hybrid.Quantized(*row), weights, bias) for row in zip(*rows)]).reshape(y.shape)
    operands = _operands(node, NUMERICS["reference"])
    m = meaning(operands, x.reshape(-1, w.shape[1]), w, b)
    acc = np.zeros((len(m.x), w.shape[0]), m.x.dtype)
    m.add(acc, m.x, m.w)
    result = m.finish(acc)
    if operands.has_infinite_scales:
        result = _with_infinite_scales(node, x, b, result)
    return result.reshape(y.shape)


def _with_infinite_scales(node: Node, x: np.ndarray, b: np.ndarray | None, result: np.ndarray) -> np.ndarray:
    """What scales that are infinite or NaN make of a result.

    Integers: the float64 product is infinite or NaN, and x86-64 casts it to -2^31, to which the zero point is added.
    Floats: LiteRT copies the bias where all of x is zero, and its vectors give an activation's lower bound for NaN.
    """
    (y,) = node.outputs
    if y.dtype != np.float32:
        lo, hi = activation_range(y, node.options.fused_activation_function)
        q = np.clip(wrap_int32(np.int64(y.zero_point) - 2**31), lo, hi)
        quantization = _inputs(node)[1].quantization
        assert quantization is not None
        return np.where(np.isfinite(quantization.scale), result, y.dtype.type(q))
    bounds = limits(node, y)
    if not x.any():
        result = np.broadcast_to(np.float32(0) if b is None else clamp(b.reshape(-1), bounds), result.shape)
    return np.where(np.isnan(result), bounds[0], result) if node.options.fused_activation_function else result


def prepare(node: Node, numerics: Numerics) -> Step | list[Step]:
    x, w = _inputs(node)
    (y,) = node.outputs
    operands = _operands(node, numerics)
    blocks = _blocks(node)
    if blocks is not None:
        return _by_blocks(operands, blocks)
    offsets = np.arange(x.size // w.shape[1], dtype=np.int32) * np.int32(w.shape[1])
    segments = RowSegments(offsets, np.zeros(1, np.int64), w.shape[1])
    if not operands.is_constant or w.dtype == np.int16:
        return _at_run_time(operands, segments)
    f = product(operands)
    if operands.has_infinite_scales:
        return ops.by_reference(node, reference)
    rows = f.rows()
    return [*rows.calls, *f.dot(rows, segments, f.w, np.arange(w.shape[0]), Into(y))]


def _operands(node: Node, numerics: Numerics) -> Operands:
    x, w = _inputs(node)
    if getattr(node.options, "weights_format", 0) != 0:
        raise ops.refuse(node, "shuffled weights are not supported")
    is_asymmetric = bool(getattr(node.options, "asymmetric_quantize_inputs", False))
    is_dynamic = x.dtype == np.float32 and w.dtype == np.int8 and numerics.hybrid == "dynamic"
    if w.sparsity is not None and is_dynamic and is_asymmetric:
        raise ops.refuse(node, "LiteRT rounds otherwise where sparse weights meet asymmetrically quantized inputs")
    return Operands(
        node=node,
        x=x,
        w=w,
        b=optional(node, 2),
        y=node.outputs[0],
        axis=0,
        rounding=numerics.fully_connected,
        hybrid=HybridRules(numerics.hybrid, symmetric=not is_asymmetric, keeps_infinities=True),
        types=Types(narrow=("INT4", "INT2"), shifted=True, int16_weights=True),
    )


def _blocks(node: Node) -> hybrid.Blocks | None:
    """The scales of block-wise quantized weights; None where they have other scales."""
    x, w = _inputs(node)
    q = w.quantization
    if q is None or q.block_size == 0:
        return None
    if x.dtype != np.float32 or w.type_name != "INT4" or node.options.fused_activation_function:
        raise ops.refuse(node, "block-wise scales are those of int4 weights, for float32 without a fused activation")
    if q.zero_point.any():
        raise ModelError(f"{node.label}: int4 weights must have zero point 0")
    return hybrid.Blocks(q.scale.reshape(w.shape[0], -1), q.block_size)


def _by_blocks(o: Operands, blocks: hybrid.Blocks) -> Step | list[Step]:
    """The steps for block-wise quantized weights."""
    if o.b is not None and (o.b.size != o.channels or o.b.dtype != np.float32):
        raise ModelError(f"{o.node.label}: the bias is {o.b!r}; float32[{o.channels}] was expected")
    is_dynamic = o.hybrid.mode == "dynamic"
    if not o.is_constant:
        if not is_dynamic:
            raise ops.refuse(o.node, "weight_only needs constant weights and bias")
        return ops.by_reference(o.node, reference)
    depth = o.w.shape[1]
    rows = o.x.size // depth
    bias = np.zeros(o.channels, np.float32) if o.b is None else np.asarray(o.b.data, np.float32).reshape(-1)
    if not is_dynamic:
        starts = np.arange(blocks.scale.shape[1], dtype=np.int64) * blocks.size
        segments = RowSegments((np.arange(rows) * depth).astype(np.int32), starts, blocks.size)
        return [*weight_only.call(o.x, segments, np.asarray(o.w.data), blocks.scale, bias, limits(o.node, o.y), o.y)]
    z = scratch(f"{o.y.name}/quantized", (rows, 1, 1, depth), np.uint8)
    known, calls = hybrid.quantize_calls(o.x, rows, False, z, (1, 1, depth))
    return [*calls, hybrid.blocks_call(z, known, np.asarray(o.w.data, np.int64), blocks, bias, o.y)]


def _at_run_time(o: Operands, segments: RowSegments) -> Step | list[Step]:
    """Weights or a bias that are computed: float32 is packed anew each time, bytes are multiplied as they lie there.

    What is rare, such as weights of 16 bits, runs by the reference.
    """
    kind = kind_of(o)
    none = np.zeros(o.channels, np.float32 if kind == "float" else np.int32)
    bias = none if o.b is None else o.b
    if kind == "float":
        return list(float_gemm.call(o.x, segments, o.w, bias, limits(o.node, o.y), o.y))
    if kind != "bytes" or o.w.dtype != o.x.dtype or o.w.is_constant:
        return ops.by_reference(o.node, reference)
    r = rounding_of(o, np.broadcast_to(scales(o), o.channels))
    zeros = stored_zero(o.x), stored_zero(o.w)
    return Call(multiply, o.x, o.w, *zeros, bias, *r, o.y, writes=[o.y], work=o.x.size * o.channels)


def _inputs(node: Node) -> tuple[Tensor, Tensor]:
    x, w = node.given[:2]
    if w.shape[1] < 1 or x.size % w.shape[1]:
        found = [list(x.shape), list(w.shape)]
        raise ModelError(
            f"{node.label}: inputs of shapes {found}; weights [units, depth] and a multiple of depth were expected"
        )
    return x, w


@kernel
def multiply(
    thread: int, threads: int, x: Any, w: Any, x_zero: int, w_zero: int, bias: Any, r: Rounding, y: Any
) -> None:  # fmt: skip
    """y [rows, columns] = requantize((x - x_zero) @ (w - w_zero).T + bias) for bytes in any memory, w [columns, depth].

    bias: int32 [columns]. Threads share the elements of y.
    """
    columns, depth = w.shape
    rows = y.size // columns
    from_x, from_w = np.int32(x_zero), np.int32(w_zero)
    for item in range(rows * columns * thread // threads, rows * columns * (thread + 1) // threads):
        row = item // columns
        c = item - row * columns
        acc = np.int32(get(bias, c))
        for k in range(depth):
            product = (np.int32(get(x, row * depth + k)) - from_x) * (np.int32(get(w, c * depth + k)) - from_w)
            acc = np.int32(acc + product)
        if r.scale.size:
            q = np.int64(requantize_double(np.int64(acc), r.scale[c]))
        else:
            q = requantize_double_rounding(np.int64(acc), r.multiplier[c], r.shift[c])
        put(y, item, min(max(q + r.zero_point, r.lo), r.hi))
