"""BATCH_MATMUL: y = x1 @ x2 over the last two axes; the others are broadcast. adj_x and adj_y transpose an operand.

    y = z_y + rule(s1 s2 / s_y, sum over k of (x1[i, k] - z1) (x2[k, j] - z2))

The product of scales is rounded to float32. int8: double rounding of an int32 sum, which wraps; int16, and int16 with
int8: int64 rounding of an int64 sum. int8 into int32 is the plain product of the stored values. float32: each sum in
the order of k, from 0.

float32 with int8: each row of x1 is quantized (see ``int8rt.hybrid``), symmetrically unless asked otherwise, and

    y = (s_row s2[j]) (sum - z_row sum over k of x2[k, j])

or, where hybrid is weight_only, multiplied as it is with constant matrices (see ``int8rt.weight_only``).

Bytes, floats, and int16 with int8 meet a constant matrix in the kernels of FULLY_CONNECTED. In all other cases a row
of y is kept as sums over which four rows of x2 pass at a time.

Sources: TFLite's batch_matmul.cc, reference/batch_matmul.h.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.kernels import dot, float_gemm, hybrid, int16_gemm, weight_only
from int8rt.kernels.product import RowSegments
from int8rt.native.kernel import Inline, Kernel, inline, kernel_factory
from int8rt.numerics import storage
from int8rt.numerics.fixedpoint import (
    multiplier_of,
    requantize_double_rounding,
    requantize_int64,
    scale_float_product,
    wrap_int32,
)
from int8rt.numerics.requantization import Filters, double_rounding
from int8rt.numerics.rules import Numerics
from int8rt.numerics.storage import INT8_OFFSET, storage_dtype, stored_zero, to_storage
from int8rt.ops._move import copy, operand, strides
from int8rt.ops._reduce import check_scales
from int8rt.simd.memory import as_type_of, fill_within, get, put
from int8rt.steps import Call, Step, scratch, scratch_per_thread

operands = "x[2+] w[2+] -> y"

KINDS = {
    ("int8", "int8", "int8"): "bytes",
    ("int8", "int8", "int32"): "stored",
    ("int16", "int16", "int16"): "int16",
    ("int16", "int8", "int16"): "int16",
    ("float32", "float32", "float32"): "float",
    ("float32", "int8", "float32"): "hybrid",
}
SUMS = {"bytes": np.int32, "stored": np.int32, "int16": np.int64, "float": np.float32}


class Sizes(NamedTuple):
    """y[b] = x1[b] @ x2[b] for every b, an index of ``batch``: [rows, depth] and [depth, columns]."""

    batch: tuple[int, ...]
    rows: int
    depth: int
    columns: int


def shapes(node: Node) -> list[tuple[int, ...]]:
    s = _sizes(node)
    return [(*s.batch, s.rows, s.columns)]


def reference(node: Node, x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
    (a, b), (y,) = _operands(node), node.outputs
    kind = _kind(node)
    x1 = np.swapaxes(x1, -1, -2) if node.options.adj_x else x1
    x2 = np.swapaxes(x2, -1, -2) if node.options.adj_y else x2
    if kind == "hybrid":
        return _hybrid(node, x1, x2)
    if kind == "float":
        acc = np.zeros(y.shape, np.float32)
        for k in range(x1.shape[-1]):
            acc = acc + x1[..., :, k, None] * x2[..., None, k, :]
        return acc
    if kind == "stored":
        return np.asarray(wrap_int32(x1.astype(np.int64) @ x2.astype(np.int64)))
    sums = (x1.astype(np.int64) - a.zero_point) @ (x2.astype(np.int64) - b.zero_point)
    info = np.iinfo(y.dtype)
    if kind == "bytes":
        q = requantize_double_rounding(wrap_int32(sums), *_multiplier(node))
    else:
        q = requantize_int64(sums, *_multiplier(node))
    return (q + y.zero_point).clip(info.min, info.max)


def _hybrid(node: Node, x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
    """float32 [..., rows, columns]."""
    s_w = np.asarray(operand(node, 1).quantization.scale, np.float32)  # type: ignore[union-attr]
    symmetric = not getattr(node.options, "asymmetric_quantize_inputs", False)
    rows = hybrid.quantized_rows(x1.reshape(-1, x1.shape[-1]), symmetric)
    s_row, z_row = (v.astype(np.float32).reshape(*x1.shape[:-1], 1) for v in (rows.scale, rows.zero_point))
    sums = (rows.q.reshape(x1.shape) @ x2.astype(np.int64)).astype(np.float32)
    over_depth = x2.sum(axis=-2, keepdims=True, dtype=np.int64).astype(np.float32)
    total = (sums - over_depth * z_row).astype(np.int32).astype(np.float32)
    return np.asarray((s_row * s_w) * total)


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    kind, s = _kind(node), _sizes(node)
    (x, w), (y,) = _operands(node), node.outputs
    if kind == "hybrid" and numerics.hybrid == "dynamic":
        return [ops.by_reference(node, reference)]
    if y.size == 0:
        return []
    steps, rows = _untransposed(node, x, bool(node.options.adj_x), "rows")
    if kind == "hybrid":
        return [*steps, *_weight_only(node, s, rows, w)]
    is_fast = kind in ("bytes", "float") or (kind == "int16" and w.dtype == np.int8)
    if w.data is not None and math.prod(w.shape[:-2]) == 1 and is_fast and s.depth:
        return [*steps, *_with_matrix(node, kind, s, rows, w)]
    more: list[Step] = []
    matrix: Tensor | np.ndarray
    if w.data is None:
        more, matrix = _untransposed(node, w, bool(node.options.adj_y), "columns")
    else:
        matrix = to_storage(np.ascontiguousarray(_columns_last(node, w.data)))
    return [*steps, *more, _with_any(node, kind, s, rows, matrix)]


def _sizes(node: Node) -> Sizes:
    x, w = _operands(node)
    rows, depth = x.shape[-2:][::-1] if node.options.adj_x else x.shape[-2:]
    also_depth, columns = w.shape[-2:][::-1] if node.options.adj_y else w.shape[-2:]
    try:
        batch = np.broadcast_shapes(x.shape[:-2], w.shape[:-2])
    except ValueError:
        batch = None
    if batch is None or depth != also_depth:
        adjoint = f"adj_x {bool(node.options.adj_x)}, adj_y {bool(node.options.adj_y)}"
        raise ModelError(f"{node.label}: {list(x.shape)} and {list(w.shape)} cannot be multiplied with {adjoint}")
    return Sizes(tuple(map(int, batch)), int(rows), int(depth), int(columns))


def _kind(node: Node) -> str:
    (x, w), (y,) = _operands(node), node.outputs
    kind = KINDS.get((x.type, w.type, y.type))
    if kind is None:
        known = ", ".join(f"{a} @ {b} -> {c}" for a, b, c in KINDS)
        raise ops.refuse(node, f"-> {y.type} is not supported; supported are {known}")
    if kind in ("bytes", "int16"):
        check_scales(node, x, w, y)
    q = w.quantization
    if kind == "hybrid":
        if q is None or len(q.scale) not in (1, w.shape[-1]) or (len(q.scale) > 1 and q.axis != len(w.shape) - 1):
            raise ops.refuse(node, "one scale of the second operand, or one per column, is supported")
        if len(q.scale) > 1 and node.options.adj_y:
            raise ops.refuse(node, "scales per column of a transposed operand are not supported")
    elif any(t.quantization is not None and len(t.quantization.scale) > 1 for t in (x, w, y)):
        raise ops.refuse(node, "one scale per tensor is supported")
    if kind == "int16" and any(t.zero_point for t in (x, w, y)):
        raise ModelError(f"{node.label}: int16 tensors must have zero point 0")
    return kind


def _multiplier(node: Node) -> Any:
    (x, w), (y,) = _operands(node), node.outputs
    real = scale_float_product(x.scale, w.scale, y.scale)
    if not np.isfinite(real):
        raise ops.refuse(node, f"the scales give a multiplier of {real}")
    m = multiplier_of(real)
    if y.type == "int16" and m.shift > 14:
        raise ops.refuse(node, f"s1 s2 / s_y is {real:.3g}; the rule of int64 accumulators ends at 2^14")
    return m


# Operands


def _operands(node: Node) -> tuple[Tensor, Tensor]:
    return operand(node), operand(node, 1)


def _columns_last(node: Node, w: np.ndarray) -> np.ndarray:
    return np.swapaxes(w, -1, -2) if node.options.adj_y else w


def _untransposed(node: Node, t: Tensor, is_transposed: bool, name: str) -> tuple[list[Step], Tensor]:
    """The operand with its last two axes in the order of a product, and the steps that bring them into it."""
    if not is_transposed:
        return [], t
    shape = (*t.shape[:-2], t.shape[-1], t.shape[-2])
    moved = scratch(f"{node.outputs[0].name}/{name}", shape, storage_dtype(t.dtype))
    *outer, last, before = strides(t.shape)
    return copy(t, moved, shape, [*outer, before, last], strides(shape)), moved


def _starts(shape: Sequence[int], batch: Sequence[int]) -> np.ndarray:
    """Where each matrix of a batch begins in an operand."""
    count = math.prod(shape[:-2])
    first = np.arange(count, dtype=np.int64).reshape(shape[:-2]) * math.prod(shape[-2:])
    return np.ascontiguousarray(np.broadcast_to(first, batch).reshape(-1))


# One constant matrix


def _with_matrix(node: Node, kind: str, s: Sizes, rows: Tensor, w: Tensor) -> list[Call]:
    x, (y,) = operand(node), node.outputs
    matrix = _columns_last(node, np.asarray(w.data)).reshape(s.depth, s.columns).T
    count = math.prod(s.batch) * s.rows
    segments = RowSegments(np.arange(count, dtype=np.int32) * np.int32(s.depth), np.zeros(1, np.int64), s.depth)
    if kind == "float":
        unlimited = np.array([-np.inf, np.inf], np.float32)
        zeros = np.zeros(s.columns, np.float32)
        return float_gemm.call(rows, segments, np.ascontiguousarray(matrix), zeros, unlimited, y)
    out = storage.stored(y)
    m = _multiplier(node)
    if kind == "int16":
        multiplier, shift = (np.full(s.columns, n, np.int64) for n in m)
        no_bias, scale = np.zeros(s.columns, np.int64), multiplier * 2.0 ** (shift - 31)
        rescaling = int16_gemm.Rescaling(no_bias, multiplier, shift, scale, out.lo, out.hi)
        rounding = int16_gemm.Int16Rounding(int16_gemm.INT64, 64, rescaling)
        return [int16_gemm.call(rows, segments, matrix.astype(np.int16), rounding, y)]
    centered = matrix.astype(np.int16) - np.int16(w.zero_point)
    bias = -stored_zero(x) * centered.astype(np.int64).sum(axis=1)
    real = np.full(s.columns, scale_float_product(x.scale, w.scale, y.scale))
    return dot.call(rows, segments, Filters(centered, bias, double_rounding(real, out.zero_point, out.lo, out.hi)), y)


def _weight_only(node: Node, s: Sizes, rows: Tensor, w: Tensor) -> list[Call]:
    """A Call for each matrix of the batch."""
    if w.data is None:
        raise ops.refuse(node, "hybrid='weight_only' needs a constant second operand")
    assert w.quantization is not None
    (y,) = node.outputs
    matrices = np.swapaxes(_columns_last(node, w.data), -1, -2).reshape(-1, s.columns, s.depth)
    scale = np.array(np.broadcast_to(np.asarray(w.quantization.scale, np.float32), s.columns))
    tables = scale, np.zeros(s.columns, np.float32), np.array([-np.inf, np.inf], np.float32)
    calls = []
    for b, (start, which) in enumerate(zip(_starts(rows.shape, s.batch), _starts(w.shape, s.batch), strict=True)):
        offsets = (start + np.arange(s.rows) * s.depth).astype(np.int32)
        segments = RowSegments(offsets, np.zeros(1, np.int64), s.depth)
        matrix = matrices[which // (s.depth * s.columns)]
        calls += weight_only.call(rows, segments, matrix, *tables, y, b * s.rows * s.columns, s.columns)
    return calls


# Any two operands


def _with_any(node: Node, kind: str, s: Sizes, rows: Tensor, matrix: Tensor | np.ndarray) -> Call:
    (x, w), (y,) = _operands(node), node.outputs
    zeros, out = (0, 0), (0, 0, 0, 0, 0)
    finish = {"bytes": as_bytes, "stored": as_they_are, "int16": as_int16, "float": as_they_are}[kind]
    if kind == "stored":
        zeros = (INT8_OFFSET, INT8_OFFSET)
    elif kind != "float":
        stored = storage.stored(y)
        zeros = (stored_zero(x), stored_zero(w))
        out = (*_multiplier(node), stored.zero_point, stored.lo, stored.hi)
    sums = scratch_per_thread(f"{y.name}/sums", s.columns, SUMS[kind])
    starts = _starts(rows.shape, s.batch), _starts(matrix.shape, s.batch)
    args = (rows, starts[0], matrix, starts[1], s.rows, s.depth, s.columns, *zeros, *out, sums, y)
    return Call(multiply(finish), *args, writes=[y, sums], work=y.size * s.depth)


@inline
def as_bytes(total: Any, multiplier: int, shift: int, zero_point: int, lo: int, hi: int) -> Any:
    """Double rounding."""
    q = requantize_double_rounding(np.int64(np.int32(total)), multiplier, shift) + zero_point
    return min(max(q, lo), hi)


@inline
def as_int16(total: Any, multiplier: int, shift: int, zero_point: int, lo: int, hi: int) -> Any:
    """Rule I64."""
    return min(max(requantize_int64(total, multiplier, shift), lo), hi)


@inline
def as_they_are(total: Any, multiplier: int, shift: int, zero_point: int, lo: int, hi: int) -> Any:
    """The sum."""
    return total


@kernel_factory
def multiply(finish: Inline) -> Kernel:
    """The kernel whose sums become outputs by ``finish``; threads share the rows of y."""

    def matmul(
        thread: int, threads: int, x: Any, x_starts: Any, w: Any, w_starts: Any, rows: int, depth: int, columns: int,
        x_zero: int, w_zero: int, multiplier: int, shift: int, zero_point: int, lo: int, hi: int, sums: Any, y: Any,
    ) -> None:  # fmt: skip
        mine = thread * columns
        zero = as_type_of(get(sums, mine), 0)
        x0, w0 = as_type_of(zero, x_zero), as_type_of(zero, w_zero)
        total = x_starts.size * rows
        for row in range(total * thread // threads, total * (thread + 1) // threads):
            b = row // rows
            at = x_starts[b] + (row - b * rows) * depth
            from_w = w_starts[b]
            fill_within(sums, mine, columns, zero)
            for k in range(0, depth - 3, 4):
                a = as_type_of(zero, get(x, at + k)) - x0
                b_ = as_type_of(zero, get(x, at + k + 1)) - x0
                c = as_type_of(zero, get(x, at + k + 2)) - x0
                d = as_type_of(zero, get(x, at + k + 3)) - x0
                w1 = from_w + k * columns
                for j in range(columns):
                    s = get(sums, mine + j)
                    s = as_type_of(zero, s + a * (as_type_of(zero, get(w, w1 + j)) - w0))
                    s = as_type_of(zero, s + b_ * (as_type_of(zero, get(w, w1 + columns + j)) - w0))
                    s = as_type_of(zero, s + c * (as_type_of(zero, get(w, w1 + 2 * columns + j)) - w0))
                    s = as_type_of(zero, s + d * (as_type_of(zero, get(w, w1 + 3 * columns + j)) - w0))
                    put(sums, mine + j, s)
            for k in range(depth // 4 * 4, depth):
                a = as_type_of(zero, get(x, at + k)) - x0
                for j in range(columns):
                    weight = as_type_of(zero, get(w, from_w + k * columns + j)) - w0
                    put(sums, mine + j, as_type_of(zero, get(sums, mine + j) + a * weight))
            for j in range(columns):
                put(y, row * columns + j, finish(get(sums, mine + j), multiplier, shift, zero_point, lo, hi))

    return Kernel(matmul)
