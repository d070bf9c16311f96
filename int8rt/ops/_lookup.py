"""Unary functions. Of 8- and 16-bit integers each is a table: its reference applied to all 256 or 65,536 values.

So such an operator is a reference and one line of ``prepare``::

    def reference(node, x):
        return through_float(node, x, libm.tanh)

    def prepare(node, numerics):
        return table(node, reference)

Also here: what the references of unary operators have in common, and the 513-entry tables with which LiteRT
interpolates functions of int16.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.fixedpoint import round_half_away, round_half_away_float
from int8rt.graph import Node, Tensor
from int8rt.jit import Kernel, inline, kernel
from int8rt.ops import Call, Flat, Step, View
from int8rt.simd import get, put

Function = Callable[[np.ndarray], np.ndarray]

EIGHT_BITS = ("int8", "uint8")


# What is accepted


def unary(node: Node) -> tuple[Tensor, Tensor]:
    """The one input and the one output. Raises ModelError."""
    if len(node.inputs) != 1 or len(node.outputs) != 1 or node.inputs[0] is None:
        raise ModelError(
            f"{node.label}: {len(node.inputs)} inputs and {len(node.outputs)} outputs; one of each expected"
        )
    return node.inputs[0], node.outputs[0]


def shapes(node: Node) -> list[tuple[int, ...]]:
    """That of the input."""
    return [unary(node)[0].shape]


def check(node: Node, types: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Input and output, of one of these types, quantized if integers. Raises ModelError, UnsupportedError."""
    x, y = unary(node)
    if x.type not in types:
        raise ops.refuse(node, f"supported types are {', '.join(types)}")
    if y.type != x.type:
        raise ModelError(f"{node.label}: the output is {y.type}, expected {x.type} as the input")
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
    with np.errstate(all="ignore"):  # values that a model never meets may overflow
        values = ops.to_storage(np.asarray(reference(node, every), y.dtype))
    stored = ops.to_storage(every)
    if values.dtype == stored.dtype and np.array_equal(values, stored):
        return View(y, x)
    return elementwise(look_up, x, -int(stored[0]), values, y)


def elementwise(run: Kernel, x: Tensor, *args: Any) -> Call:
    """A Call of a kernel ``(thread, threads, x, ..., y)`` over flat arrays; y, the last, may take over x's memory."""
    *parameters, y = args
    return Call(run, flat(x), *parameters, flat(y), writes=[y], in_place=x)


def flat(t: Tensor) -> Flat:
    """A tensor as a kernel's argument in one dimension, in its storage type."""
    return Flat(t, ops.storage_dtype(t.dtype))


@kernel
def look_up(thread: int, threads: int, x: Any, offset: int, table: Any, y: Any) -> None:
    """y[i] = table[x[i] + offset]."""
    for i in range(x.size * thread // threads, x.size * (thread + 1) // threads):
        put(y, i, get(table, get(x, i) + offset))


# References


def centered(x: np.ndarray, t: Tensor) -> np.ndarray:
    """Stored values of t less its zero point: int64."""
    return x.astype(np.int64) - t.zero_point


def store(q: np.ndarray, t: Tensor) -> np.ndarray:
    """Integers plus the zero point of t, clamped to its type."""
    info = np.iinfo(t.dtype)
    return (q.astype(np.int64) + t.zero_point).clip(info.min, info.max).astype(t.dtype)


def through_float(node: Node, x: np.ndarray, function: Function) -> np.ndarray:
    """A float32 function of 8-bit values: LUTPopulateInt8. What would overflow an int32 there is clamped here."""
    x_, y_ = unary(node)
    real = np.float32(x_.scale) * centered(x, x_).astype(np.float32)
    with np.errstate(over="ignore"):
        scaled = function(real).astype(np.float32) * (np.float32(1) / np.float32(y_.scale))
        rounded = round_half_away_float(scaled) + np.float32(y_.zero_point)
    info = np.iinfo(y_.dtype)
    return np.clip(rounded, info.min, info.max).astype(y_.dtype)


# Functions of int16 by interpolation

CURVE_STEPS = 512


def curve(function: Function, s_in: float, z_in: int, s_out: float) -> np.ndarray:
    """int16 [513] of a function of int16 with zero point z_in, for ``interpolate``: LUTPopulateInt16 in float64.

    Each entry is lowered by half of what interpolation would give too much in the middle of its interval.
    """
    lo, hi = s_in * (-32768 - z_in), s_in * (32767 - z_in)
    factor = 65536 / (s_out * 32767 - s_out * -32768)
    step = (hi - lo) / CURVE_STEPS
    at = lo + np.arange(CURVE_STEPS + 1) * step
    values, middles = function(at) * factor, function(at[:-1] + step / 2) * factor
    rounded = round_half_away(values)
    excess = round_half_away((values[1:] + rounded[:-1]) / 2) - round_half_away(middles)
    last = round_half_away(function(np.float64(hi)) * factor)
    entries = np.append(rounded[:-1] - round_half_away(excess / 2), last)
    return entries.clip(-32768, 32767).astype(np.int16)


@inline
def interpolate(curve: Any, value: Any) -> Any:
    """A curve at int16 values, held in int64: LUTLookup."""
    at = 256 + (value >> 7)
    base = np.int64(curve[at])
    return base + (((np.int64(curve[at + 1]) - base) * (value & 127) + 64) >> 7)
