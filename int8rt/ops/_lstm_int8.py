"""LSTM with 8-bit weights, inputs and outputs, 16-bit gates and cell state (TFLite's 8x8_16).

Products go to int16 gates in Q3.12 by rule A, one rounding for W x + b and one for R h. Sigmoid and tanh are gemmlowp's
16-bit fixed point, here tables of all 65,536 values. Layer normalization uses integers throughout.
Formulas: TFLite ``kernels/lstm_eval.cc``, ``internal/reference/portable_tensor_utils.cc``,
PopulateQuantizedLstmParams8x8_16.

Peephole products round half up in full blocks of 16 and by rule A in the rest, since LiteRT runs its NEON code on
x86 too; and they run over as many values as there are outputs, even where there are fewer outputs than cells.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.native.kernel import inline, kernel
from int8rt.numerics.fixedmath import inverse_sqrt
from int8rt.numerics.fixedpoint import (
    multiplier_of,
    requantize_double_rounding,
    requantize_half_up,
    shift_half_away,
    wrap_int32,
)
from int8rt.numerics.storage import INT8_OFFSET
from int8rt.ops import _fixed16
from int8rt.ops._lstm import FORGET, INPUT, OUTPUT, UPDATE, Cell, Steps, check_types, stack
from int8rt.ops._recurrent import dot_quantized
from int8rt.ops._sigmoid import log2_of
from int8rt.simd.memory import get, put
from int8rt.steps import Call, Flat, scratch

LIMIT = 32767
NEON_BLOCK = 16
GATE_SCALE = np.float32(2.0**-12)
NORM_SHIFT, NORM_ONE = 10, 1024  # normalized values have ten more fraction bits

# Columns of the table of multipliers, a row per gate
W, R, PEEPHOLE, NORM, GUARD = 0, 2, 4, 6, 8


class Parameters(NamedTuple):
    """What a cell says, as the formulas want it. Matrices hold zeros for a gate that is left out."""

    w: np.ndarray  # int8 [4, cells, inputs]
    r: np.ndarray  # int8 [4, cells, outputs]
    w_bias: np.ndarray  # int64 [4, cells]: bias and zero point times weights
    r_bias: np.ndarray
    multipliers: np.ndarray  # int64 [4, 9]: multiplier and shift of W, R, peephole and norm; variance guard
    peephole: np.ndarray  # int16 [4, cells], empty where there is none
    norm: np.ndarray  # int16 [4, cells], empty where there is none
    norm_bias: np.ndarray  # int64 [4, cells]
    projection: np.ndarray  # int8 [outputs, cells], empty where there is none
    projection_bias: np.ndarray  # int64 [outputs]
    tables: np.ndarray  # int16 [3, 65536]: sigmoid, tanh, tanh of the cell state
    is_cifg: bool
    update_shift: int
    cell_clip: int
    hidden: tuple[int, int, int]  # multiplier, shift, zero point
    output: tuple[int, int, int]  # of the projection
    projection_clip: int


def parameters(node: Node, cell: Cell, x: Tensor) -> Parameters:
    """Raises ModelError where types or scales are not those of this form."""
    _check(node, cell, x)
    cells, outputs, inputs = cell.cells, cell.outputs, x.shape[-1]
    has_norm = cell.norm[OUTPUT] is not None
    scales = [t.scale if has_norm else GATE_SCALE for t in node.intermediates[:4]]
    hidden = node.intermediates[4]
    w, r = stack(cell.w, (cells, inputs), np.int8), stack(cell.r, (cells, outputs), np.int8)
    bias = stack(cell.bias, (cells,), np.int64)
    multipliers = np.zeros((4, GUARD + 1), np.int64)
    cell_log2 = _cell_log2(node, cell)
    for gate in cell.gates:
        rows = [(cell.w[gate], x.scale), (cell.r[gate], cell.h.scale), (cell.peephole[gate], None)]
        for at, (t, s) in zip((W, R, PEEPHOLE), rows, strict=True):
            if t is not None:
                real = 2.0**cell_log2 * t.scale / np.float64(scales[gate]) if s is None else t.scale * s / scales[gate]
                multipliers[gate, at : at + 2] = multiplier_of(np.float32(real))
        norm = cell.norm[gate]
        if norm is not None:
            multipliers[gate, NORM : NORM + 2] = multiplier_of(norm.scale)
            multipliers[gate, GUARD] = max(1, int(np.float32(10000) * norm.scale))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        hidden_scale = np.float32(2.0**-15 / np.float64(hidden.scale) * 2.0**-15)
        projected = np.float32((1 if cell.projection is None else cell.projection.scale) * hidden.scale / cell.h.scale)
    no_norm = np.zeros((0, cells), np.int16)
    q, q_bias = _projection(cell, hidden.zero_point)
    return Parameters(
        w, r, (0 if has_norm else bias) - x.zero_point * _row_sums(w), -cell.h.zero_point * _row_sums(r), multipliers,
        stack(cell.peephole, (cells,), np.int16) if cell.peephole[OUTPUT] is not None else no_norm,
        stack(cell.norm, (cells,), np.int16) if has_norm else no_norm, bias, q, q_bias, tables(15 + cell_log2),
        cell.w[INPUT] is None, 30 + cell_log2, _clip(node.options.cell_clip, cell.c.scale, 32767),
        (*multiplier_of(hidden_scale), hidden.zero_point if cell.projection is None else -hidden.zero_point),
        (*multiplier_of(projected), cell.h.zero_point), _clip(node.options.proj_clip, node.outputs[0].scale, 127),
    )  # fmt: skip


def _check(node: Node, cell: Cell, x: Tensor) -> None:
    y = node.outputs[0]
    check_types(node, "weights", np.int8, (*cell.w, *cell.r, cell.projection))
    check_types(node, "inputs, outputs and output state", np.int8, (x, y, cell.h))
    check_types(node, "cell state, peephole and normalization weights", np.int16, (cell.c, *cell.peephole, *cell.norm))
    check_types(node, "biases", np.int32, (*cell.bias, cell.projection_bias))
    if len(node.intermediates) == 12:
        raise ops.refuse(node, "gates of 8 bits (twelve intermediate tensors) are not supported")
    if len(node.intermediates) != 5:
        raise ModelError(f"{node.label} has {len(node.intermediates)} intermediate tensors; 5 were expected")
    needed = node.intermediates if cell.norm[OUTPUT] is not None else node.intermediates[4:]
    for t in (x, cell.h, y, *(t for t in (*cell.w, *cell.r, cell.projection) if t is not None), *needed):
        if not 0 < t.scale < np.inf:
            raise ModelError(f"{node.label}: {t!r} has scale {t.scale:g}, expected a positive one")
    if cell.projection is not None and cell.outputs > cell.cells and cell.peephole[OUTPUT] is not None:
        raise ops.refuse(node, "LiteRT reads past the peephole weights where there are more outputs than cells")


def _cell_log2(node: Node, cell: Cell) -> int:
    """The exponent of the cell state's scale."""
    log2 = log2_of(cell.c.scale) if cell.c.scale > 0 else None
    if log2 is None or not -15 <= log2 <= -9 or cell.c.zero_point != 0:
        raise ModelError(
            f"{node.label}: the cell state is {cell.c!r}; a power of two from 2**-15 to 2**-9 was expected as its scale"
        )
    return log2


def _row_sums(w: np.ndarray) -> np.ndarray:
    return np.asarray(w.sum(axis=-1, dtype=np.int64))


def _projection(cell: Cell, hidden_zero: int) -> tuple[np.ndarray, np.ndarray]:
    if cell.projection is None:
        return np.zeros((0, cell.cells), np.int8), np.zeros(cell.outputs, np.int64)
    q = np.asarray(cell.projection.data, np.int8)
    given = cell.projection_bias
    bias = np.zeros(cell.outputs, np.int64) if given is None else np.asarray(given.data, np.int64)
    return q, bias + hidden_zero * _row_sums(q)


def _clip(real: float, scale: np.float32, largest: int) -> int:
    return int(min(np.float32(real) / scale, np.float32(largest))) if real > 0 else 0


# Functions of 16-bit fixed point


def tables(cell_integer_bits: int) -> np.ndarray:
    """Sigmoid, tanh of an update and tanh of a cell state with so many integer bits: int16 [3, 65536]."""
    return np.stack([_fixed16.sigmoid(), _fixed16.tanh(3), _fixed16.tanh(cell_integer_bits)])


# Reference


def reference(p: Parameters, sequence: Steps, x: np.ndarray, h: np.ndarray, c: np.ndarray) -> np.ndarray:
    """The outputs [rows, outputs]; h and c change in place."""
    cells, outputs = p.r.shape[1:]
    rows = x.reshape(-1, x.shape[-1]).astype(np.int64)
    y = np.zeros((len(rows), outputs), np.int8)
    h_, c_ = h.reshape(-1, outputs), c.reshape(-1, cells)
    for group in range(sequence.groups):
        mine = slice(group * sequence.batch, (group + 1) * sequence.batch)
        for t in range(sequence.steps):
            first = (group * sequence.steps + t) * sequence.batch
            here = slice(first, first + sequence.batch)
            h_[mine], c_[mine] = _step(p, rows[here], h_[mine].astype(np.int64), c_[mine].astype(np.int64))
            y[here] = h_[mine]
    return y


def _step(p: Parameters, x: np.ndarray, h: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    forget, update = _gate(p, FORGET, x, h, c), _gate(p, UPDATE, x, h, c)
    write = LIMIT - forget if p.is_cifg else _gate(p, INPUT, x, h, c)
    c = _int16(_wrap16(shift_half_away(forget * c, 15)) + _wrap16(shift_half_away(write * update, p.update_shift)))
    if p.cell_clip > 0:
        c = c.clip(-p.cell_clip, p.cell_clip)
    *scale, zero_point = p.hidden
    hidden = _gate(p, OUTPUT, x, h, c) * p.tables[2][c + 32768].astype(np.int64)
    hidden = (requantize_double_rounding(hidden, *scale) + zero_point).clip(-128, 127)
    if not p.projection.size:
        return hidden, c
    *scale, zero_point = p.output
    acc = wrap_int32(hidden @ p.projection.T.astype(np.int64) + p.projection_bias)
    h = (requantize_double_rounding(acc, *scale) + zero_point).clip(-128, 127)
    return h.clip(-p.projection_clip, p.projection_clip) if p.projection_clip > 0 else h, c


def _gate(p: Parameters, gate: int, x: np.ndarray, h: np.ndarray, c: np.ndarray) -> np.ndarray:
    m = p.multipliers[gate]
    acc = wrap_int32(x @ p.w[gate].T.astype(np.int64) + p.w_bias[gate])
    value = _int16(requantize_double_rounding(acc, m[W], m[W + 1]))
    acc = wrap_int32(h @ p.r[gate].T.astype(np.int64) + p.r_bias[gate])
    value = _int16(requantize_double_rounding(acc, m[R], m[R + 1]) + value)
    if p.peephole.size and gate != UPDATE:
        value = _peephole(p.peephole[gate], c, value, m[PEEPHOLE], m[PEEPHOLE + 1], h.shape[1])
    if p.norm.size:
        value = _normalized(p, gate, value)
    return p.tables[int(gate == UPDATE)][value + 32768].astype(np.int64)


def _peephole(
    weights: np.ndarray, c: np.ndarray, value: np.ndarray, multiplier: int, shift: int, outputs: int
) -> np.ndarray:  # fmt: skip
    count = len(c) * outputs
    at = np.arange(count) % outputs
    product = weights[at].astype(np.int64) * c.reshape(-1)[:count]
    blocks = at < outputs // NEON_BLOCK * NEON_BLOCK
    in_block, rest = (rule(product, multiplier, shift) for rule in (requantize_half_up, requantize_double_rounding))
    value = value.copy()
    flat = value.reshape(-1)
    flat[:count] = _int16(np.where(blocks, in_block, rest) + flat[:count])
    return value


def _normalized(p: Parameters, gate: int, value: np.ndarray) -> np.ndarray:
    count, m = value.shape[1], p.multipliers[gate]
    mean = _truncated(value.sum(axis=1) * NORM_ONE, count)
    variance = (value**2).sum(axis=1) * ((1 << 20) // count) - mean**2
    variance = wrap_int32(_truncated(variance, 1 << 20))
    inverse = [inverse_sqrt(int(v) if v >= 1 else int(m[GUARD])) for v in variance]
    multiplier, shift = (np.array(column)[:, None] for column in zip(*inverse, strict=True))
    rescaled = requantize_double_rounding(wrap_int32(NORM_ONE * value - mean[:, None]), multiplier, shift)
    weighted = wrap_int32(rescaled * p.norm[gate].astype(np.int64) + p.norm_bias[gate])
    rounded = _truncated(weighted + np.where(weighted > 0, 512, -512), NORM_ONE)
    return _int16(requantize_double_rounding(rounded, m[NORM], m[NORM + 1] + 12))


def _truncated(a: np.ndarray, b: int) -> np.ndarray:
    """a / b rounded toward zero, b > 0."""
    return np.where(a < 0, -(-a // b), a // b)


def _int16(x: np.ndarray) -> np.ndarray:
    return x.clip(-32768, LIMIT)


def _wrap16(x: np.ndarray) -> np.ndarray:
    return ((x + 32768) & 65535) - 32768


# Program


def call(cell: Cell, sequence: Steps, p: Parameters, x: Tensor, y: Tensor) -> Call:
    """The Call that runs a whole sequence."""
    stored = [b - INT8_OFFSET * _row_sums(m) for b, m in ((p.w_bias, p.w), (p.r_bias, p.r))]
    sizes = [*sequence, p.w.shape[2], cell.cells, cell.outputs]
    scalars = [
        int(p.is_cifg), int(p.peephole.size > 0), int(p.norm.size > 0), int(p.projection.size > 0), p.update_shift,
        p.cell_clip, *p.hidden, *p.output, p.projection_clip,
    ]  # fmt: skip
    gates = scratch(f"{y.name}/gates", (4, sequence.batch, cell.cells), np.int16)
    eight, sixteen = np.dtype(np.uint8), np.dtype(np.int16)
    work = sequence.groups * sequence.steps * sequence.batch * (p.w.size + p.r.size)
    return Call(
        lstm_8x8_16, Flat(x, eight), p.w, p.r, *stored, p.multipliers, p.peephole, p.norm, p.norm_bias, p.projection,
        p.projection_bias, p.tables, np.array(sizes), np.array(scalars), gates, Flat(cell.c, sixteen),
        Flat(cell.h, eight), Flat(y, eight), writes=[y, cell.h, cell.c, gates], work=work,
    )  # fmt: skip


@kernel
def lstm_8x8_16(
    x: Any, w: Any, r: Any, w_bias: Any, r_bias: Any, multipliers: Any, peephole: Any, norm: Any, norm_bias: Any,
    projection: Any, projection_bias: Any, tables: Any, sizes: Any, scalars: Any, gates: Any, c: Any, h: Any, y: Any,
) -> None:  # fmt: skip
    """y: the output state after each step; c and h, the states of every row of the batch, change."""
    groups, steps, batch = sizes[0], sizes[1], sizes[2]
    inputs, cells, outputs = sizes[3], sizes[4], sizes[5]
    is_cifg, has_peephole, has_norm, has_projection = scalars[0], scalars[1], scalars[2], scalars[3]
    update_shift, cell_clip = scalars[4], scalars[5]
    hidden_multiplier, hidden_shift, hidden_zero = scalars[6], scalars[7], scalars[8]
    multiplier, shift, zero_point, projection_clip = scalars[9], scalars[10], scalars[11], scalars[12]
    one = batch * cells  # values of a gate
    for group in range(groups):
        c_at, h_at = group * one, group * batch * outputs
        for step in range(steps):
            row = (group * steps + step) * batch
            for turn in range(4):
                gate = turn
                if gate == INPUT and is_cifg:
                    continue
                if gate == OUTPUT:  # which sees the cells as they become
                    for i in range(one):
                        forget, update = get(gates, FORGET * one + i), get(gates, UPDATE * one + i)
                        write = LIMIT - forget if is_cifg else np.int64(get(gates, INPUT * one + i))
                        kept = np.int16(shift_half_away(np.int64(forget) * get(c, c_at + i), 15))
                        added = np.int16(shift_half_away(write * np.int64(update), update_shift))
                        value = min(max(np.int64(kept) + added, -32768), LIMIT)
                        if cell_clip > 0:
                            value = min(max(value, -cell_clip), cell_clip)
                        put(c, c_at + i, value)
                for b in range(batch):
                    for i in range(cells):
                        k = gate * cells + i
                        acc = dot_quantized(w, k * inputs, x, (row + b) * inputs, inputs) + get(w_bias, k)
                        m, s = multipliers[gate, W], multipliers[gate, W + 1]
                        value = clamp16(requantize_double_rounding(wrap_int32(acc), m, s))
                        acc = dot_quantized(r, k * outputs, h, h_at + b * outputs, outputs) + get(r_bias, k)
                        m, s = multipliers[gate, R], multipliers[gate, R + 1]
                        value = clamp16(value + requantize_double_rounding(wrap_int32(acc), m, s))
                        put(gates, gate * one + b * cells + i, value)
                if has_peephole and gate != UPDATE:
                    m, s = multipliers[gate, PEEPHOLE], multipliers[gate, PEEPHOLE + 1]
                    blocks = outputs // NEON_BLOCK * NEON_BLOCK
                    for i in range(batch * outputs):
                        k = i % outputs
                        product = np.int64(get(peephole, gate * cells + k)) * get(c, c_at + i)
                        if k < blocks:
                            product = requantize_half_up(product, m, s)
                        else:
                            product = requantize_double_rounding(product, m, s)
                        put(gates, gate * one + i, clamp16(product + get(gates, gate * one + i)))
                if has_norm:
                    for b in range(batch):
                        normalize(
                            gates, gate * one + b * cells, cells, norm, norm_bias, gate * cells, multipliers, gate
                        )
                table = 65536 * (gate == UPDATE) + 32768
                for i in range(gate * one, (gate + 1) * one):
                    put(gates, i, get(tables, table + get(gates, i)))
            for i in range(one):
                value = np.int64(get(gates, OUTPUT * one + i)) * get(tables, 2 * 65536 + 32768 + get(c, c_at + i))
                value = requantize_double_rounding(value, hidden_multiplier, hidden_shift) + hidden_zero
                value = min(max(value, -128), 127)
                if has_projection:
                    put(gates, i, value)
                else:
                    put(h, h_at + i, value + INT8_OFFSET)
            if has_projection:
                for b in range(batch):
                    for i in range(outputs):
                        acc = dot_quantized(projection, i * cells, gates, b * cells, cells) + get(projection_bias, i)
                        value = requantize_double_rounding(wrap_int32(acc), multiplier, shift) + zero_point
                        value = min(max(value, -128), 127)
                        if projection_clip > 0:
                            value = min(max(value, -projection_clip), projection_clip)
                        put(h, h_at + b * outputs + i, value + INT8_OFFSET)
            for i in range(batch * outputs):
                put(y, row * outputs + i, get(h, h_at + i))


@inline
def clamp16(x: int) -> int:
    """To int16."""
    return min(max(x, -32768), 32767)


@inline
def normalize(
    gates: Any, at: int, count: int, norm: Any, norm_bias: Any, norm_at: int, multipliers: Any, gate: int
) -> None:  # fmt: skip
    """Layer normalization of one gate of one row, in place."""
    total, squares = 0, 0
    for i in range(at, at + count):
        value = np.int64(get(gates, i))
        total += value
        squares += value * value
    mean = truncated(total * NORM_ONE, count)
    variance = wrap_int32(truncated(squares * ((1 << 20) // count) - mean * mean, 1 << 20))
    if variance < 1:
        variance = multipliers[gate, GUARD]
    multiplier, shift = inverse_sqrt(variance)
    for i in range(count):
        value = wrap_int32(NORM_ONE * np.int64(get(gates, at + i)) - mean)
        value = requantize_double_rounding(value, multiplier, shift) * np.int64(get(norm, norm_at + i))
        value = wrap_int32(value + get(norm_bias, norm_at + i))
        value = truncated(value + (512 if value > 0 else -512), NORM_ONE)
        value = requantize_double_rounding(value, multipliers[gate, NORM], multipliers[gate, NORM + 1] + 12)
        put(gates, at + i, clamp16(value))


@inline
def truncated(a: int, b: int) -> int:
    """a / b rounded toward zero, b > 0."""
    return -(-a // b) if a < 0 else a // b
