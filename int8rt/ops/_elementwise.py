"""What operators on two tensors share: broadcasting, checks, and one loop in which the formula is a parameter.

    y[i] = f(x1[i], x2[i], p)        with both operands broadcast to the shape of y

``walk`` merges neighbouring axes that are broadcast alike; what is left are **runs** along the last merged axis, in
which each operand either advances or stands still. ``loop(f)`` is the kernel for a formula ``f(a, b, p)``, an
``inline`` function of one element of each operand (as stored) and a tuple of PARAMETERS numbers; ``call`` makes the
Call.

A run first copies its first operand into y and then works on y: loads and stores through one pointer need no proof
that they do not overlap, so the loop becomes vectors also where y has taken over the memory of the first operand.
Hence y has that operand's type. ``call_into`` is for results of another type, and for formulas with tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from int8rt import ops, steps
from int8rt.errors import InputError, ModelError
from int8rt.graph import Node, Tensor
from int8rt.native.kernel import Inline, Kernel, inline, kernel_factory
from int8rt.numerics.fixedpoint import ACTIVATIONS, Multiplier, multiplier_of
from int8rt.numerics.storage import storage_dtype, to_storage
from int8rt.simd.memory import copy_within, fill_within, get, put
from int8rt.steps import Call, Flat, Step

EIGHT_BITS = ("int8", "uint8")
PLAIN = ("int32", "int64", "float32")  # computed on as they are, whatever their quantization

PARAMETERS = 16
CHUNK = 2048  # elements of a run that are worked on at a time: what stays in the first-level cache
WORK = 16  # of one element, in multiply-adds of a convolution


# Checks


def shape(node: Node) -> tuple[int, ...]:
    """The shape to which both inputs are broadcast. Raises ModelError."""
    x1, x2 = node.given
    try:
        return tuple(map(int, np.broadcast_shapes(x1.shape, x2.shape)))
    except ValueError:
        raise ModelError(
            f"{node.label}: {list(x1.shape)} and {list(x2.shape)} cannot be broadcast to one another"
        ) from None


def checked(node: Node, supported: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs and output, which are of one type, one of those supported. Raises ModelError and UnsupportedError."""
    x1, x2 = node.given
    (y,) = node.outputs
    if not x1.type == x2.type == y.type:
        raise ModelError(f"{node.label} makes {y.type} of {x1.type} and {x2.type}; one type was expected")
    if y.type not in supported:
        raise ops.refuse(node, f"supported are {', '.join(supported)}")
    return x1, x2, y


def check_scales(node: Node, *tensors: Tensor) -> None:
    """Raise ModelError unless every tensor has one positive scale."""
    for t in tensors:
        if t.quantization is None or len(t.quantization.scale) != 1 or not 0 < t.scale < np.inf:
            raise ModelError(f"{node.label}: {t!r} was expected to have one scale, positive and finite")


def multiplier_for(node: Node, real: Any) -> Multiplier:
    """The fixed-point form of the real multiplier of a product, for double rounding. Raises UnsupportedError.

    LiteRT's shift to the left by 32 or more is undefined. Of 8-bit operands every product but 0 is then out of range,
    which a shift by 14 says without overflow.
    """
    if not np.isfinite(real):
        raise ops.refuse(node, f"the scales give a multiplier of {real}")
    m = multiplier_of(real)
    if m.shift < 32:
        return m
    if node.outputs[0].type not in EIGHT_BITS:
        raise ops.refuse(node, f"the scales give a multiplier of {real:g}; less than 2^32 is supported")
    return m._replace(shift=14)


def is_quantized(t: Tensor) -> bool:
    """Whether the tensor has a scale."""
    return t.quantization is not None and len(t.quantization.scale) > 0


def full_first(x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor]:
    """The operands of a commutative operator, first one whose memory the result can take over if there is any."""
    swap = (x2.size, not x2.is_constant) > (x1.size, not x1.is_constant)
    return (x2, x1) if swap else (x1, x2)


# Fused activations of types that are not quantized


def activation(node: Node) -> int:
    """The fused activation. Raises UnsupportedError."""
    number = int(getattr(node.options, "fused_activation_function", 0))
    if number not in ACTIVATIONS:
        raise ops.refuse(node, f"fused activation {number}; supported are NONE, RELU, RELU_N1_TO_1 and RELU6")
    return number


def limits(node: Node, y: Tensor) -> np.ndarray:
    """[lowest, highest] result, float32 or int64. Without an activation they are the type's, which cuts infinities too.

    Source: CalculateActivationRange of TFLite's kernel_util.h.
    """
    info = np.finfo(np.float32) if y.dtype == np.float32 else np.iinfo(y.dtype)
    lo, hi = ACTIVATIONS[activation(node)]
    bounds = [info.min if np.isinf(lo) else int(lo), info.max if np.isinf(hi) else int(hi)]
    if y.dtype == np.float32:
        return np.array(bounds, np.float32)
    return np.array(bounds, np.int64).astype(y.dtype).astype(np.int64)  # -1 is the largest uint32, as in C++


def clamp(x: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """x between the bounds, as C++ compares: NaN stays NaN, the sign of a zero stays."""
    lo, hi = bounds.astype(x.dtype)
    x = np.where(x < lo, lo, x)
    return np.where(hi < x, hi, x)


# Values that an operand must not have


def guard(node: Node, x: Tensor, stored: int, is_bad: Inline, what: str) -> list[Step]:
    """The step that looks through an operand for bad values: ``is_bad(value, stored)``; the run then raises InputError.

    A constant is looked through at once. Raises ModelError.
    """
    if x.data is not None:
        if any(is_bad(v, stored) for v in to_storage(x.data).reshape(-1)):
            raise ModelError(f"{node.label}: {x.name!r} {what}")
        return []
    fault = steps.fault(f"{node.label}: {x.name!r} {what}")
    return [Call(look_for(is_bad), Flat(x, storage_dtype(x.dtype)), stored, fault, writes=[fault])]


@kernel_factory
def look_for(is_bad: Inline) -> Kernel:
    """The kernel of ``guard``."""

    def look(x: Any, stored: int, fault: Any) -> None:
        bad = 0
        for i in range(x.size):
            bad |= is_bad(get(x, i), stored)
        if bad:
            put(fault, 0, 1)

    return Kernel(look)


@inline
def is_equal(value: Any, stored: Any) -> Any:
    """Whether a value is the bad one."""
    return value == stored


def nonzero(node: Node, x: Tensor, zero: int) -> list[Step]:
    """The step that makes sure that divisors are not the stored ``zero``. Raises ModelError."""
    return guard(node, x, zero, is_equal, "has zeros, by which it cannot divide")


def check_nonzero(node: Node, x: np.ndarray, zero: int) -> None:
    """The same in a reference. Raises InputError."""
    if (x == zero).any():
        raise InputError(f"{node.label}: the second operand has zeros, by which it cannot divide")


# Broadcasting


class Walk(NamedTuple):
    """How elements of two operands meet; kernels take the fields in this order. Run r holds y[r * length :][: length].

    In a run an operand advances by 0 or 1. Where it begins follows from r, written as digits over the extents of the
    other merged axes: digits times steps.
    """

    runs: int
    length: int
    advance1: int
    advance2: int
    extents: np.ndarray  # int64 [outer axes]
    steps1: np.ndarray  # int64 [outer axes], 0 where the operand is broadcast
    steps2: np.ndarray


def walk(shape1: Sequence[int], shape2: Sequence[int]) -> Walk:
    """The walk over two shapes that can be broadcast to one another."""
    extents, (steps1, steps2) = merged(shape1, shape2)
    length = extents[-1]
    runs = int(np.prod(extents[:-1], dtype=np.int64)) if length else 0
    outer = [np.array(values[:-1], np.int64) for values in (extents, steps1, steps2)]
    return Walk(runs, length, steps1[-1], steps2[-1], *outer)


def merged(*shapes: Sequence[int]) -> tuple[list[int], list[list[int]]]:
    """Extents of the merged axes of shapes that can be broadcast to one another, and the steps along them of each."""
    whole = np.broadcast_shapes(*map(tuple, shapes))
    axes: list[tuple[int, ...]] = []
    for d, *own in zip(whole, *(_padded(shape, whole) for shape in shapes), strict=True):
        if d == 1:
            continue
        kind = tuple(int(o == d) for o in own)
        extent = axes.pop()[0] if axes and axes[-1][1:] == kind else 1
        axes.append((extent * d, *kind))
    axes = axes or [(1,) * (1 + len(shapes))]
    extents = [a[0] for a in axes]
    return extents, [_steps(extents, [a[1 + operand] for a in axes]) for operand in range(len(shapes))]


def _padded(shape: Sequence[int], whole: Sequence[int]) -> list[int]:
    return [1] * (len(whole) - len(shape)) + list(shape)


def _steps(extents: list[int], advances: list[int]) -> list[int]:
    """By how many elements each index moves in an operand; 0 along axes in which it is broadcast."""
    steps: list[int] = []
    size = 1
    for extent, moves in zip(reversed(extents), reversed(advances), strict=True):
        steps.insert(0, size if moves else 0)
        size *= extent if moves else 1
    return steps


@inline
def start_of(run: int, extents: Any, steps: Any) -> int:
    """Where an operand's part in a run begins."""
    at = 0
    for axis in range(extents.size - 1, -1, -1):
        rest = run // extents[axis]
        at += (run - rest * extents[axis]) * steps[axis]
        run = rest
    return at


# The loop


def call(f: Inline, p: Sequence[Any] | np.ndarray, x1: Tensor, x2: Tensor, y: Tensor) -> Call:
    """y = f(x1, x2, p); p are at most PARAMETERS numbers, all float32 or all int64."""
    values = np.asarray(p, None if isinstance(p, np.ndarray) else np.int64)
    padded = np.concatenate([values, np.zeros(PARAMETERS - len(values), values.dtype)])
    flat = [Flat(t, storage_dtype(t.dtype)) for t in (x1, x2, y)]
    in_place = x1 if x1.size == y.size and not x1.is_constant else None
    w = walk(x1.shape, x2.shape)
    return Call(loop(f), *w, padded, *flat, writes=[y], in_place=in_place, work=WORK * y.size)


@inline
def unpacked(p: Any) -> Any:
    """The parameters as a tuple, so that they are in registers before the loop begins."""
    return p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8], p[9], p[10], p[11], p[12], p[13], p[14], p[15]


@kernel_factory
def loop(f: Inline) -> Kernel:
    """The kernel for a formula; the types of the operands and of p follow from the Call."""

    def elementwise(
        thread: int, threads: int, runs: int, length: int, advance1: int, advance2: int, extents: Any, steps1: Any,
        steps2: Any, p: Any, x1: Any, x2: Any, y: Any,
    ) -> None:  # fmt: skip
        """As ``elementwise_into`` with x1 copied to y first, so that f works on one array in place."""
        parameters = unpacked(p)
        chunks = (length + CHUNK - 1) // CHUNK
        total = runs * chunks
        for item in range(total * thread // threads, total * (thread + 1) // threads):
            run = item // chunks
            first = (item - run * chunks) * CHUNK
            count = min(CHUNK, length - first)
            at = run * length + first
            at1 = start_of(run, extents, steps1) + first * advance1
            at2 = start_of(run, extents, steps2) + first * advance2
            if advance1:
                copy_within(x1, at1, y, at, count)
            else:
                fill_within(y, at, count, get(x1, at1))
            if advance2:
                for i in range(count):
                    put(y, at + i, f(get(y, at + i), get(x2, at2 + i), parameters))
            else:
                b = get(x2, at2)
                for i in range(count):
                    put(y, at + i, f(get(y, at + i), b, parameters))

    return Kernel(elementwise)


def call_into(f: Inline, p: np.ndarray, x1: Tensor, x2: Tensor, y: Tensor) -> Call:
    """y = f(x1, x2, p) where y may have another type than x1; f gets the array p as it is."""
    flat = [Flat(t, storage_dtype(t.dtype)) for t in (x1, x2, y)]
    return Call(loop_into(f), *walk(x1.shape, x2.shape), p, *flat, writes=[y], work=WORK * y.size)


@kernel_factory
def loop_into(f: Inline) -> Kernel:
    """The kernel of ``call_into``."""

    def elementwise_into(
        thread: int, threads: int, runs: int, length: int, advance1: int, advance2: int, extents: Any, steps1: Any,
        steps2: Any, p: Any, x1: Any, x2: Any, y: Any,
    ) -> None:  # fmt: skip
        """y = f(x1, x2, p), in ``runs`` of ``length`` elements along the last axes that nobody broadcasts over.

        advance1 and advance2: 1, or 0 where an operand is the same for all of a run; extents, steps1 and steps2,
        int64: the outer axes, and how far they move each operand.
        """
        chunks = (length + CHUNK - 1) // CHUNK
        total = runs * chunks
        for item in range(total * thread // threads, total * (thread + 1) // threads):
            run = item // chunks
            first = (item - run * chunks) * CHUNK
            count = min(CHUNK, length - first)
            at = run * length + first
            at1 = start_of(run, extents, steps1) + first * advance1
            at2 = start_of(run, extents, steps2) + first * advance2
            if advance1 and advance2:
                for i in range(count):
                    put(y, at + i, f(get(x1, at1 + i), get(x2, at2 + i), p))
            elif advance1:
                b = get(x2, at2)
                for i in range(count):
                    put(y, at + i, f(get(x1, at1 + i), b, p))
            else:
                a = get(x1, at1)
                for i in range(count):
                    put(y, at + i, f(a, get(x2, at2 + i), p))

    return Kernel(elementwise_into)
