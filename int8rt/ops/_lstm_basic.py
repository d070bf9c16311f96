"""The basic kernel of LSTM, which TensorFlow 1 converters wrote: one matrix for [x, h], no options.

    i, m, f, o = W [x, h] + b
    c <- sigmoid(i) . tanh(m) + sigmoid(f) . c,    h <- sigmoid(o) . tanh(c)

float32 in the order of ``_recurrent``. uint8: x and h in units of 1/128 around 128, products requantized to int16 in
Q3.12, c in Q4.11, all else gemmlowp's 16-bit fixed point. LiteRT has no reference kernel for it, so products are
rounded half up, as its optimized ones are. Outputs are h, c, the concatenated inputs and the products. Formulas:
TFLite ``internal/reference/lstm_cell.h``, ``kernels/lstm.cc`` (basic).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.native.kernel import inline, kernel
from int8rt.numerics.fixedpoint import Multiplier, multiplier_of, requantize_half_up, shift_half_away, wrap_int32
from int8rt.ops import _fixed16
from int8rt.ops._lstm import check_types
from int8rt.ops._recurrent import (
    TANH,
    activate,
    dot,
    dot_quantized,
    product,
    sigmoid,
    sigmoid_all,
    tanh,
    vectors_in_fours,
)
from int8rt.ops._sigmoid import log2_of
from int8rt.simd.memory import get, put
from int8rt.steps import Call, Flat, scratch

INPUTS, OUTPUTS = 5, 4
INPUT, UPDATE, FORGET, OUTPUT = range(4)
STATE_INTEGER_BITS = 4
ZERO_POINT = 128  # that the formulas have for x and h


class Basic(NamedTuple):
    """The tensors of a node."""

    x: Tensor  # [batch, inputs]
    h: Tensor  # [batch, units], variable
    w: Tensor  # [4 units, inputs + units]
    bias: Tensor  # [4 units]
    c: Tensor  # [batch, units], variable

    @property
    def units(self) -> int:
        """How many units."""
        return int(self.h.shape[1])


def shapes(node: Node) -> list[tuple[int, ...]]:
    b = _parts(node)
    batch = b.x.shape[0]
    return [(batch, b.units), (batch, b.units), (batch, b.w.shape[1]), (batch, 4 * b.units)]


def reference(
    node: Node, x: np.ndarray, h: np.ndarray, w: np.ndarray, bias: np.ndarray, c: np.ndarray
) -> tuple[Any, ...]:
    b = _parts(node)
    _check_types(node, b)
    together = np.concatenate([x, h], axis=1)
    if x.dtype == np.float32:
        products = product(together, w, vectors_in_fours(w.shape[1], w.shape[0], len(x))) + bias
        h[...], c[...] = _float(products, c)
    else:
        acc = (together.astype(np.int64) - ZERO_POINT) @ (w.astype(np.int64) - b.w.zero_point).T + bias
        products = requantize_half_up(wrap_int32(acc), *_multiplier(b)).clip(-32768, 32767).astype(np.int16)
        h[...], c[...] = _uint8(products, c.astype(np.int64))
    return h.copy(), c.copy(), together, products


def _float(products: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    units = c.shape[1]

    def gate(number: int) -> np.ndarray:
        values = products[:, number * units : (number + 1) * units]
        return np.stack([sigmoid(row, i * units) for i, row in enumerate(values)])

    c = gate(INPUT) * tanh(products[:, UPDATE * units : (UPDATE + 1) * units]) + gate(FORGET) * c
    return gate(OUTPUT) * tanh(c), c


def _uint8(products: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    i, m, f, o = np.split(products.astype(np.int64) + 32768, 4, axis=1)
    sigmoids = _fixed16.sigmoid().astype(np.int64)
    added = shift_half_away(_product16(sigmoids[i], _fixed16.tanh(3)[m]), STATE_INTEGER_BITS)
    c = (added + _product16(sigmoids[f], c)).clip(-32768, 32767)
    h = shift_half_away(_product16(sigmoids[o], _fixed16.tanh(STATE_INTEGER_BITS)[c + 32768]), 8)
    return h.clip(-128, 127) + ZERO_POINT, c


def _multiplier(b: Basic) -> Multiplier:
    return multiplier_of(np.float32(4096) * b.bias.scale)


@inline
def _product16(a: Any, b: Any) -> Any:
    """``a * b / 2**15`` rounded half up; never of two lowest values."""
    return (a * b + (1 << 14)) >> 15


def _check_types(node: Node, b: Basic) -> None:
    h, c, together, products = node.outputs
    if b.x.dtype == np.float32:
        check_types(node, "inputs, weights and outputs", np.float32, (*b, *node.outputs))
        return
    if b.x.dtype != np.uint8:
        raise ops.refuse(node, "the basic kernel has float32 and uint8")
    check_types(node, "inputs, weights, outputs and output state", np.uint8, (b.x, b.h, b.w, h, together))
    check_types(node, "cell state and products", np.int16, (b.c, c, products))
    check_types(node, "bias", np.int32, (b.bias,))
    if not c.scale > 0 or log2_of(c.scale) != STATE_INTEGER_BITS - 15:
        raise ModelError(f"{node.label}: the cell state {c!r} must have scale 2**{STATE_INTEGER_BITS - 15}")
    if not b.bias.scale > 0:
        raise ModelError(f"{node.label}: the bias {b.bias!r} must have a positive scale")


def _parts(node: Node) -> Basic:
    if len(node.inputs) != INPUTS or len(node.outputs) != OUTPUTS or any(t is None for t in node.inputs):
        raise ModelError(
            f"{node.label}: {len(node.inputs)} inputs and {len(node.outputs)} outputs; the basic kernel has {INPUTS} "
            f"and {OUTPUTS}"
        )
    b = Basic(*node.inputs)  # type: ignore[arg-type]
    if b.w.data is None or b.bias.data is None:
        raise ops.refuse(node, "weights and bias must be constants")
    if len(b.h.shape) != 2:
        raise ModelError(f"{node.label}: the output state {b.h!r} must be [batch, depth]")
    batch, inputs = b.x.shape
    rows = 4 * b.units
    wanted = ("output state", b.h, (batch, b.units)), ("cell state", b.c, (batch, b.units)), (
        "weights", b.w, (rows, inputs + b.units)), ("bias", b.bias, (rows,))  # fmt: skip
    for what, t, shape in wanted:
        if t.shape != shape:
            raise ModelError(f"{node.label}: the {what} is {t!r}; expected {'x'.join(map(str, shape))}")
    for what, t in (("output state", b.h), ("cell state", b.c)):
        if not t.is_variable:
            raise ModelError(f"{node.label}: the {what} is {t!r}; a variable tensor was expected")
    return b


# Program


def prepare(node: Node) -> Call:
    """The Call that runs one step."""
    b = _parts(node)
    _check_types(node, b)
    h, c, together, products = node.outputs
    w, bias = np.asarray(b.w.data), np.asarray(b.bias.data)
    writes = [h, c, together, products, b.h, b.c]
    batch = b.x.shape[0]
    if b.x.dtype == np.float32:
        in_fours = vectors_in_fours(w.shape[1], w.shape[0], batch)
        tensors = Tensors(x=b.x, h=b.h, c=b.c, h_out=h, c_out=c, together=together, products=products)
        gates = scratch(f"{h.name}/gates", (4, b.units), np.float32)
        return Call(lstm_basic_float, w, bias, in_fours, *tensors, gates, writes=[*writes, gates], work=batch * w.size)
    centered = w.astype(np.int16) - np.int16(b.w.zero_point)
    offset = bias.astype(np.int64) - ZERO_POINT * centered.sum(axis=1, dtype=np.int64)
    tables = np.stack([_fixed16.sigmoid(), _fixed16.tanh(3), _fixed16.tanh(STATE_INTEGER_BITS)])
    eight, sixteen = np.dtype(np.uint8), np.dtype(np.int16)
    tensors = Tensors(
        x=b.x,
        h=Flat(b.h, eight),
        c=Flat(b.c, sixteen),
        h_out=Flat(h, eight),
        c_out=Flat(c, sixteen),
        together=together,
        products=Flat(products, sixteen),
    )
    args = centered, offset, *_multiplier(b), tables, *tensors
    return Call(lstm_basic_uint8, *args, writes=writes, work=batch * w.size)


class Tensors(NamedTuple):
    """What changes from run to run, as the kernels take it: the inputs, the states and the outputs."""

    x: Any  # [batch, inputs]
    h: Any  # [batch, units]
    c: Any  # [batch, units]
    h_out: Any  # [batch, units]
    c_out: Any  # [batch, units]
    together: Any  # [batch, inputs + units]
    products: Any  # [batch, 4 units]


@inline
def join(x: Any, h: Any, together: Any, b: int, inputs: int, units: int) -> None:
    """Row b of x and of h, one behind the other."""
    at = b * (inputs + units)
    for i in range(inputs):
        put(together, at + i, get(x, b * inputs + i))
    for i in range(units):
        put(together, at + inputs + i, get(h, b * units + i))


@kernel
def lstm_basic_float(w: Any, bias: Any, in_fours: int, t: Tensors, gates: Any) -> None:
    """One step of every row; w float32 [4 units, inputs + units], bias [4 units], gates [4, units]."""
    rows, depth = w.shape[0], w.shape[1]
    units, inputs = rows // 4, depth - rows // 4
    for b in range(t.x.size // inputs):
        join(t.x, t.h, t.together, b, inputs, units)
        for k in range(rows):
            value = dot(w, k * depth, t.together, b * depth, depth, k, rows, b, in_fours) + get(bias, k)
            put(t.products, b * rows + k, value)
            put(gates, k, value)
        for gate in range(4):
            if gate != UPDATE:
                sigmoid_all(gates, gate * units, units, b * units)
        for i in range(units):
            update = activate(get(gates, UPDATE * units + i), TANH)
            at = b * units + i
            value = get(gates, INPUT * units + i) * update + get(gates, FORGET * units + i) * get(t.c, at)
            put(t.c, at, value)
            put(t.c_out, at, value)
            value = get(gates, OUTPUT * units + i) * activate(value, TANH)
            put(t.h, at, value)
            put(t.h_out, at, value)


@kernel
def lstm_basic_uint8(w: Any, offset: Any, multiplier: int, shift: int, tables: Any, t: Tensors) -> None:
    """One step of every row; w int16 [4 units, inputs + units], offset int64 [4 units], tables int16 [3, 65536]."""
    rows, depth = w.shape[0], w.shape[1]
    units, inputs = rows // 4, depth - rows // 4
    for b in range(t.x.size // inputs):
        join(t.x, t.h, t.together, b, inputs, units)
        for k in range(rows):
            acc = dot_quantized(w, k * depth, t.together, b * depth, depth) + get(offset, k)
            value = requantize_half_up(wrap_int32(acc), multiplier, shift)
            put(t.products, b * rows + k, min(max(value, -32768), 32767))
        for i in range(units):
            first = b * rows + i
            write = np.int64(get(tables, 32768 + get(t.products, first + INPUT * units)))
            update = np.int64(get(tables, 65536 + 32768 + get(t.products, first + UPDATE * units)))
            forget = np.int64(get(tables, 32768 + get(t.products, first + FORGET * units)))
            read = np.int64(get(tables, 32768 + get(t.products, first + OUTPUT * units)))
            at = b * units + i
            value = shift_half_away(_product16(write, update), STATE_INTEGER_BITS) + _product16(forget, get(t.c, at))
            value = min(max(value, -32768), 32767)
            put(t.c, at, value)
            put(t.c_out, at, value)
            value = _product16(read, np.int64(get(tables, 2 * 65536 + 32768 + value)))
            value = min(max(shift_half_away(value, 8), -128), 127) + ZERO_POINT
            put(t.h, at, value)
            put(t.h_out, at, value)
