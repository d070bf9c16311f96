"""Reductions over axes: what MEAN shares with SUM, REDUCE_MAX and their like.

    y[kept indices] = combine(... combine(combine(start, x_0), x_1) ..., x_n)        or, without a start,
    y[kept indices] = combine(... combine(x_0, x_1) ..., x_n)

x_0 ... x_n are the elements that differ in the reduced indices only, in the order in which x holds them; floats depend
on that order. ``reduction(combine)`` makes the kernel, ``plan`` reduces any rank and any axes to the loops that it
knows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.kernels import dot
from int8rt.native.kernel import Inline, Kernel, inline, kernel, kernel_factory
from int8rt.numerics.fixedpoint import Multiplier, requantize_double_rounding, wrap_int32
from int8rt.numerics.requantization import ROWS, Filters, Parameters, double_rounding_once, parameters
from int8rt.numerics.storage import INT8_OFFSET, storage_dtype, stored, stored_zero, to_storage
from int8rt.simd.lanes import lanes_dot, lanes_load, lanes_requantize, lanes_start
from int8rt.simd.memory import as_type_of, fill_within, get, put
from int8rt.steps import Call, Step, scratch

BLOCK = 256  # elements that are combined side by side
LANES = 64  # bytes that are summed side by side

QUANTIZED = ("int8", "uint8", "int16")


def input_and_axes(node: Node) -> tuple[Tensor, tuple[int, ...]]:
    """x and the axes to reduce, in ascending order. Raises ModelError and UnsupportedError."""
    x, given = node.given
    if given.data is None:
        raise ops.NotConstant(f"{node.label}: the axes {given.name!r} are not constant")
    rank = len(x.shape)
    if rank == 0:
        return x, ()
    axes = set(given.data.reshape(-1).tolist())  # there may be many, over and over again; np.unique imports numpy.ma
    outside = [axis for axis in axes if not -rank <= axis < rank]
    if outside:
        raise ModelError(f"{node.label}: the axes include {outside[0]}, which {list(x.shape)} does not have")
    return x, tuple(sorted({axis % rank for axis in axes}))


def output_shape(node: Node) -> tuple[int, ...]:
    """The shape that is left when the axes are gone, or 1 with keep_dims."""
    x, axes = input_and_axes(node)
    if node.options.keep_dims:
        return tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    return tuple(n for i, n in enumerate(x.shape) if i not in axes)


def count(node: Node) -> int:
    """How many elements of x meet in one of y."""
    x, axes = input_and_axes(node)
    return math.prod(x.shape[a] for a in axes)


def rows(node: Node, x: np.ndarray) -> np.ndarray:
    """x as [elements of y, elements that meet in it, in their order]. For references."""
    _, axes = input_and_axes(node)
    kept = [i for i in range(x.ndim) if i not in axes]
    outputs = math.prod(x.shape[i] for i in kept)
    return x.transpose(*kept, *axes).reshape(outputs, count(node))


def covers_all(node: Node) -> bool:
    """Whether every axis of x is reduced; LiteRT then begins with x's first element, if there is one."""
    x, axes = input_and_axes(node)
    return len(axes) == len(x.shape) and x.size > 0


def beginning(node: Node, value: Any) -> Any:
    """``start`` of a Call for a value of the output's type: none where x's first element is the beginning."""
    return None if covers_all(node) else to_storage(np.array(value, node.outputs[0].dtype)).item()


def checked(node: Node, types: Sequence[str]) -> tuple[Tensor, Tensor]:
    """x and y, of one of these types. Raises ModelError and UnsupportedError."""
    x, _ = input_and_axes(node)
    (y,) = node.outputs
    if y.type != x.type:
        raise ModelError(f"{node.label}: the output is {y.type}; {x.type} was expected as the input")
    if x.type not in types:
        raise ops.refuse(node, f"supported types are {', '.join(types)}")
    if x.type == "int16" and (x.zero_point or y.zero_point):
        raise ModelError(f"{node.label}: int16 tensors must have zero point 0")
    return x, y


def check_scales(node: Node, *tensors: Tensor) -> None:
    """Raise ModelError unless every tensor has a positive scale."""
    for t in tensors:
        if not 0 < t.scale < np.inf:
            raise ModelError(f"{node.label}: scale {t.scale} of {t.name!r} must be positive and finite")


def extreme(node: Node, x: np.ndarray, combine: np.ufunc, start: Any) -> np.ndarray:
    """The reference of REDUCE_MAX and REDUCE_MIN, whose ``combine`` prefers numbers to NaN."""
    values = rows(node, x)
    if not covers_all(node):
        values = np.c_[np.full((len(values), 1), start, x.dtype), values]
    y = values[:, 0]
    for value in values.T[1:]:
        y = np.where(combine(value, y), value, y)
    return np.asarray(y)


class Plan(NamedTuple):
    """Element i of block o of y combines x[starts[o] + steps[s] + r * stride + i] for all s and all r < run, r faster.

    Kernels take the fields in this order.
    """

    starts: np.ndarray  # int64 [blocks of y]
    steps: np.ndarray  # int64
    run: int
    stride: int
    inner: int  # elements of a block


def plan(shape: Sequence[int], axes: Sequence[int]) -> Plan:
    """The loops that reduce those axes of an array."""
    groups: list[tuple[int, int, bool]] = []  # neighbouring axes of one kind: size, stride, whether they are reduced
    stride = math.prod(shape)
    for axis, size in enumerate(shape):
        stride //= max(size, 1)
        if groups and groups[-1][2] == (axis in axes):
            groups[-1] = groups[-1][0] * size, stride, groups[-1][2]
        elif size != 1:
            groups.append((size, stride, axis in axes))
    inner = groups.pop()[0] if groups and not groups[-1][2] else 1
    run, step, _ = groups.pop() if groups else (1, inner, True)
    return Plan(_offsets(groups, reduced=False), _offsets(groups, reduced=True), run, step, inner)


def _offsets(groups: Sequence[tuple[int, int, bool]], reduced: bool) -> np.ndarray:
    offsets = np.zeros(1, np.int64)
    for size, stride, kind in groups:
        if kind == reduced:
            offsets = (offsets[:, None] + np.arange(size) * stride).reshape(-1)
    return offsets


def call(node: Node, combine: Inline, y: Tensor, start: Any = None) -> Call:
    """The Call that reduces the node's input to y, in storage form, from ``start`` on; None: from the first element.

    y has the type in which to accumulate; integers wrap in it.
    """
    x, axes = input_and_axes(node)
    if start is None and count(node) == 0:
        raise ops.refuse(node, "there is no first element to begin with")
    initial = np.array([] if start is None else [start], storage_dtype(y.dtype))
    return Call(reduction(combine), x, *plan(x.shape, axes), initial, y, writes=[y], work=x.size)


def rescaled_sum(node: Node, multiplier: Multiplier) -> list[Step]:
    """y = z_y + R(multiplier, sum of x - count z_x): quantized integers, summed in int32, which wraps; double rounding.

    The sum of nothing is the stored value 0.
    """
    x, _ = input_and_axes(node)
    (y,) = node.outputs
    s, n = stored(y), count(node)
    f = _formula(node, multiplier)
    if f is not None:
        return [_sum_bytes_call(node, f)]
    zero_point = s.zero_point if n else (INT8_OFFSET if y.dtype == np.int8 else 0)
    sums = scratch(f"{y.name}/sums", y.shape, np.int32)
    args = (*(multiplier if n else Multiplier(0, 0)), n * stored_zero(x), zero_point, s.lo, s.hi)
    return [call(node, add, sums, start=0), Call(rescale_sums, sums, *args, y, writes=[y])]


FEWEST = 16  # neighbouring bytes that are worth a vector


def _formula(node: Node, multiplier: Multiplier) -> Parameters | None:
    """The formula from a sum of bytes to y; None where there is none, or vectors do not help."""
    x, axes = input_and_axes(node)
    (y,) = node.outputs
    n, s = count(node), stored(y)
    if s.dtype != np.uint8 or not 0 < n < 1 << 22 or plan(x.shape, axes).inner < FEWEST:
        return None
    rule = double_rounding_once(multiplier, s.zero_point, s.lo, s.hi)
    return parameters(Filters(np.ones((1, n), np.int16), np.array([-n * stored_zero(x)]), rule))


def _sum_bytes_call(node: Node, f: Parameters) -> Call:
    """The Call of ``sum_bytes``."""
    x, axes = input_and_axes(node)
    (y,) = node.outputs
    ones = np.arange(4) <= np.arange(4)[:, None]  # in the first row for one byte of four, in the last for all
    weights = np.repeat(ones[:, None], LANES, axis=1).astype(np.int8)
    f = dot.compensated(f, np.ones((1, count(node)), np.int8))
    s, p = stored(y), np.repeat(f.rows, LANES, axis=1)
    return Call(sum_bytes(f.kind), x, *plan(x.shape, axes), weights, p, s.lo, s.hi, y, writes=[y], work=x.size)


@kernel_factory
def sum_bytes(kind: str) -> Kernel:
    """The kernel for rescaled sums of bytes, 64 neighbours at a time.

    weights: int8 [4, 64, 4], row i with ones in its first i + 1 of four; p: int32 [ROWS, 64], the formula's rows.
    """
    requantize = lanes_requantize[kind]

    def sum_bytes(
        thread: int, threads: int, x: Any, starts: Any, steps: Any, run: int, stride: int, inner: int, weights: Any,
        p: Any, lo: int, hi: int, y: Any,
    ) -> None:  # fmt: skip
        """y[o, i] = requantize(sum over steps and run of x[starts[o] + step + r * stride + i]), i below ``inner``.

        x, y: uint8; o counts the outputs of the outer axes.
        """
        blocks = (inner + LANES - 1) // LANES
        total = starts.size * blocks
        for item in range(total * thread // threads, total * (thread + 1) // threads):
            o = item // blocks
            block = (item - o * blocks) * LANES
            acc = lanes_start(p, (ROWS - 1) * LANES)
            for s in range(steps.size):
                at = starts[o] + steps[s] + block
                for _ in range(run // 4):
                    four = lanes_load(x, at, at + stride, at + 2 * stride, at + 3 * stride)
                    acc = lanes_dot(acc, four, weights, 12 * LANES)
                    at += 4 * stride
                left = run & 3
                if left:
                    some = lanes_load(x, at, at + (left > 1) * stride, at + (left > 2) * 2 * stride, at)
                    acc = lanes_dot(acc, some, weights, (left - 1) * 4 * LANES)
            requantize(acc, p, 0, LANES, lo, hi, y, o * inner + block, inner - block)

    return Kernel(sum_bytes)


def rescaled_sum_reference(node: Node, x: np.ndarray, multiplier: Multiplier) -> np.ndarray:
    """The same in NumPy."""
    x_, _ = input_and_axes(node)
    (y,) = node.outputs
    if count(node) == 0:
        return np.zeros(y.shape, y.dtype)
    info = np.iinfo(y.dtype)
    total = rows(node, x).sum(axis=1, dtype=np.int64)
    centered = wrap_int32(wrap_int32(total) - count(node) * x_.zero_point)
    return (requantize_double_rounding(centered, *multiplier) + y.zero_point).clip(info.min, info.max)


@kernel
def rescale_sums(
    thread: int, threads: int, sums: Any, multiplier: int, shift: int, zero: int, zero_point: int, lo: int, hi: int,
    y: Any,
) -> None:  # fmt: skip
    """``zero`` is what as many zeros sum up to."""
    for i in range(y.size * thread // threads, y.size * (thread + 1) // threads):
        q = requantize_double_rounding(wrap_int32(get(sums, i) - zero), multiplier, shift)
        put(y, i, min(max(q + zero_point, lo), hi))


@inline
def add(a: Any, b: Any) -> Any:
    """The sum."""
    return as_type_of(a, a + b)


@inline
def multiply(a: Any, b: Any) -> Any:
    """The product."""
    return as_type_of(a, a * b)


@inline
def larger(a: Any, b: Any) -> Any:
    """The larger one; a where one is NaN."""
    return b if b > a else a


@inline
def smaller(a: Any, b: Any) -> Any:
    """The smaller one; a where one is NaN."""
    return b if b < a else a


@kernel_factory
def reduction(combine: Inline) -> Kernel:
    """The kernel that reduces by ``combine(so far, next)``."""

    def reduce(
        thread: int, threads: int, x: Any, starts: Any, steps: Any, run: int, stride: int, inner: int, start: Any,
        y: Any,
    ) -> None:  # fmt: skip
        """y[o, i] = combine over steps and run of x[starts[o] + step + r * stride + i].

        start: [1], what the combination begins with; empty: the first element.
        """
        blocks = (inner + BLOCK - 1) // BLOCK
        total = starts.size * blocks
        for item in range(total * thread // threads, total * (thread + 1) // threads):
            o = item // blocks
            block = (item - o * blocks) * BLOCK
            some = min(BLOCK, inner - block)
            to = o * inner + block
            if start.size:
                fill_within(y, to, some, start[0])
            else:
                for i in range(some):
                    put(y, to + i, get(x, starts[o] + block + i))
            for s in range(steps.size):
                at = starts[o] + steps[s] + block
                done = 1 if s == 0 and start.size == 0 else 0
                if inner == 1:
                    so_far = get(y, to)
                    for r in range(done, run):
                        so_far = combine(so_far, get(x, at + r * stride))
                    put(y, to, so_far)
                else:
                    for r in range(done, run):
                        for i in range(some):
                            put(y, to + i, combine(get(y, to + i), get(x, at + r * stride + i)))

    return Kernel(reduce)
