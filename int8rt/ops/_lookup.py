"""Unary functions. Of 8- and 16-bit integers each is a table: its reference applied to all 256 or 65,536 values.

So such an operator is a reference and one line of ``prepare``::

    def reference(node, x):
        return through_float(node, x, libm.tanh)

    def prepare(node, numerics):
        return table(node, reference)

Of other types each is a loop in which the formula is a parameter (``each``). Also here: what the references of unary
operators have in common, and the 513-entry tables with which LiteRT interpolates functions of int16.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.native.kernel import Inline, Kernel, inline, kernel, kernel_factory
from int8rt.numerics.fixedpoint import round_half_away, round_half_away_float
from int8rt.numerics.storage import storage_dtype, to_storage
from int8rt.simd.lookup import look_up_within
from int8rt.simd.memory import get, put
from int8rt.steps import Call, Flat, Step, View

Function = Callable[[np.ndarray], np.ndarray]

EIGHT_BITS = ("int8", "uint8")


# What is accepted


def unary(node: Node) -> tuple[Tensor, Tensor]:
    """The one input and the one output."""
    return node.given[0], node.outputs[0]


def shapes(node: Node) -> list[tuple[int, ...]]:
    """That of the input."""
    return [unary(node)[0].shape]


def check_types(node: Node, types: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Input and output, both of one of these types. Raises ModelError, UnsupportedError."""
    x, y = unary(node)
    if x.type not in types:
        raise ops.refuse(node, f"supported types are {', '.join(types)}")
    if y.type != x.type:
        raise ModelError(f"{node.label}: the output is {y.type}, expected {x.type} as the input")
    return x, y


def check(node: Node, types: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Input and output, both of one of these types, quantized if integers. Raises ModelError, UnsupportedError."""
    x, y = check_types(node, types)
    if x.dtype.kind in "iu":
        check_scales(node, x, y)
    if x.dtype == np.int16:
        check_symmetric(node, x, y)
    return x, y


def check_scales(node: Node, *tensors: Tensor) -> None:
    """Make sure that tensors have one positive scale each. Raises ModelError, UnsupportedError."""
    for t in tensors:
        if t.quantization is not None and len(t.quantization.scale) > 1:
            raise ops.refuse(node, f"{t!r} is quantized per channel, expected one scale")
        if not 0 < t.scale < np.inf:
            raise ModelError(f"{node.label}: {t!r} has scale {t.scale:g}, expected a positive one")


def check_symmetric(node: Node, *tensors: Tensor) -> None:
    """Make sure that zero points are 0, as LiteRT demands of most int16 tensors. Raises ModelError."""
    for t in tensors:
        if t.zero_point != 0:
            raise ModelError(f"{node.label}: {t!r} has zero point {t.zero_point}, expected 0")


# Steps


def table(node: Node, reference: Callable[..., Any]) -> Step:
    """The step that maps an 8- or 16-bit integer input by the node's reference, which must work value by value."""
    x, y = unary(node)
    info = np.iinfo(x.dtype)
    every = np.arange(info.min, info.max + 1).astype(x.dtype)
    values = to_storage(np.asarray(reference(node, every), y.dtype))
    stored = to_storage(every)
    if values.dtype == stored.dtype and np.array_equal(values, stored):
        return View(y, x)
    if values.dtype == stored.dtype == np.uint8:
        return elementwise(look_up_bytes, x, values, y)
    return elementwise(look_up, x, -int(stored[0]), values, y)


def elementwise(run: Kernel, x: Tensor, *args: Any) -> Call:
    """A Call of a kernel ``(thread, threads, x, ..., y)`` over flat arrays; y, the last, may take over x's memory."""
    *parameters, y = args
    return Call(run, flat(x), *parameters, flat(y), writes=[y], in_place=x)


def each(f: Inline, x: Tensor, y: Tensor) -> Call:
    """y[i] = f(x[i]) of values as they are stored."""
    return elementwise(mapping(f), x, y)


def reals(node: Node, f: Inline, reference: Callable[..., Any]) -> Step:
    """The step for a formula of float32; float16, which kernels do not have, goes through the reference."""
    x, y = check_types(node, ("float16", "float32"))
    return ops.by_reference(node, reference) if x.dtype == np.float16 else each(f, x, y)


@kernel_factory
def mapping(f: Inline) -> Kernel:
    """The kernel for a formula of one value; the types follow from the Call."""

    def map_values(thread: int, threads: int, x: Any, y: Any) -> None:
        for i in range(x.size * thread // threads, x.size * (thread + 1) // threads):
            put(y, i, f(get(x, i)))

    return Kernel(map_values)


def flat(t: Tensor) -> Flat:
    """A tensor as a kernel's argument in one dimension, in its storage type."""
    return Flat(t, storage_dtype(t.dtype))


@kernel
def look_up(thread: int, threads: int, x: Any, offset: int, table: Any, y: Any) -> None:
    """y[i] = table[x[i] + offset]."""
    for i in range(x.size * thread // threads, x.size * (thread + 1) // threads):
        put(y, i, get(table, get(x, i) + offset))


@kernel
def look_up_bytes(thread: int, threads: int, x: Any, table: Any, y: Any) -> None:
    """y[i] = table[x[i]] of bytes."""
    first, last = x.size * thread // threads, x.size * (thread + 1) // threads
    look_up_within(table, x, first, y, first, last - first)


# References


def centered(x: np.ndarray, t: Tensor) -> np.ndarray:
    """Stored values of t less its zero point: int64."""
    if x.dtype.kind not in "iu":
        raise TypeError(f"{t!r} does not hold integers")
    return x.astype(np.int64) - t.zero_point


def store(q: np.ndarray, t: Tensor) -> np.ndarray:
    """Integers plus the zero point of t, clamped to its type."""
    info = np.iinfo(t.dtype)
    return (q.astype(np.int64) + t.zero_point).clip(info.min, info.max).astype(t.dtype)


def through_float(node: Node, x: np.ndarray, function: Function) -> np.ndarray:
    """A float32 function of 8-bit values: LUTPopulateInt8. What would overflow an int32 there is clamped here."""
    x_, y_ = unary(node)
    real = np.float32(x_.scale) * centered(x, x_).astype(np.float32)
    scaled = function(real).astype(np.float32) * (np.float32(1) / np.float32(y_.scale))
    rounded = round_half_away_float(scaled) + np.float32(y_.zero_point)
    info = np.iinfo(y_.dtype)
    return np.clip(rounded, info.min, info.max).astype(y_.dtype)


# Functions of int16 by interpolation

CURVE_STEPS = 512


def curve(function: Function, s_in: float, z_in: int, s_out: float, dtype: Any = np.float64) -> np.ndarray:
    """int16 [513] of a function of int16 with zero point z_in, for ``interpolate``: LUTPopulateInt16 in float64 or 32.

    Each entry is lowered by half of what interpolation would give too much in the middle of its interval. Where the
    function overflows there is no such half, and the entry is 0: what CPUs make of NaN.
    """
    round_ = round_half_away if dtype == np.float64 else round_half_away_float
    lo, hi = (dtype(s_in) * dtype(q - z_in) for q in (-32768, 32767))
    bottom, top = (dtype(s_out) * dtype(q) for q in (-32768, 32767))
    factor = dtype(65536) / (top - bottom)
    step = (hi - lo) / dtype(CURVE_STEPS)
    at = lo + np.arange(CURVE_STEPS + 1).astype(dtype) * step
    values, middles = function(at) * factor, function(at[:-1] + step / dtype(2)) * factor
    rounded = round_(values)
    excess = round_((values[1:] + rounded[:-1]) / dtype(2)) - round_(middles)
    last = round_(function(np.array([hi])) * factor)
    entries = np.append(rounded[:-1] - round_(excess / dtype(2)), last)
    return np.nan_to_num(entries.clip(-32768, 32767), nan=0.0).astype(np.int16)


def function_of(node: Node, x: np.ndarray, function: Function) -> np.ndarray:
    """The reference of a float32 function: of float32 itself, of 8 bits ``through_float``, of int16 interpolated."""
    if x.dtype == np.float32:
        return function(x)
    if x.dtype != np.int16:
        return through_float(node, x, function)
    x_, y_ = unary(node)
    table = curve(function, float(x_.scale), x_.zero_point, float(y_.scale), np.float32)
    at = 256 + (x.astype(np.int64) >> 7)
    slope = (table[at + 1] - table[at]).astype(np.int64)  # an int16, which wraps where entries are far apart
    return (table[at] + ((slope * (x.astype(np.int64) & 127) + 64) >> 7)).astype(np.int16)


@inline
def interpolate(curve: Any, value: Any) -> Any:
    """A curve at int16 values, held in int64: LUTLookup."""
    at = 256 + (value >> 7)
    base = np.int64(curve[at])
    return base + (((np.int64(curve[at + 1]) - base) * (value & 127) + 64) >> 7)
