"""LSTM with 8-bit weights, inputs and outputs, 16-bit gates and cell state (TFLite's 8x8_16).

Products go to int16 gates in Q3.12 by double rounding: W x + b by itself, and R h by itself. Sigmoid and tanh are
gemmlowp's 16-bit fixed point, here tables of all 65,536 values. Layer normalization uses integers throughout.
Formulas: TFLite ``kernels/lstm_eval.cc``, ``internal/reference/portable_tensor_utils.cc``,
PopulateQuantizedLstmParams8x8_16.

Peephole products round half up in full blocks of 16 and twice in the rest, since LiteRT runs its NEON code on
x86 too; and they run over as many values as there are outputs, even where there are fewer outputs than cells.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.native.kernel import inline, kernel, stage
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
NORM_ONE = 1024  # normalized values have ten more fraction bits
SIGMOID, TANH, TANH_OF_CELL = range(3)  # the tables, of all int16 values from the lowest


class Scaling(NamedTuple):
    """How the products of each gate are requantized: int64 [4] each."""

    w_multiplier: Any
    w_shift: Any
    r_multiplier: Any
    r_shift: Any
    peephole_multiplier: Any
    peephole_shift: Any
    norm_multiplier: Any
    norm_shift: Any
    variance_guard: Any  # what stands for a variance below 1


class Weights(NamedTuple):
    """What a cell multiplies by and adds, as formulas and kernel want it. Zeros for a gate that is left out."""

    w: Any  # int8 [4, cells, inputs]
    r: Any  # int8 [4, cells, outputs]
    w_bias: Any  # int64 [4, cells]: bias and zero point times weights
    r_bias: Any  # int64 [4, cells]
    peephole: Any  # int16 [4, cells], empty where there is none
    norm: Any  # int16 [4, cells], empty where there is none
    norm_bias: Any  # int64 [4, cells]
    projection: Any  # int8 [outputs, cells], empty where there is none
    projection_bias: Any  # int64 [outputs]


class Options(NamedTuple):
    """The numbers of a cell; a clip of 0 is none."""

    is_cifg: int
    update_shift: int
    cell_clip: int
    hidden_multiplier: int
    hidden_shift: int
    hidden_zero: int
    output_multiplier: int  # of the projection
    output_shift: int
    output_zero: int
    output_clip: int


class Sizes(NamedTuple):
    """How long a sequence is (see Steps), and how large a cell."""

    groups: int
    steps: int
    batch: int
    inputs: int
    cells: int
    outputs: int


class Parameters(NamedTuple):
    """What a cell says, as the formulas want it."""

    weights: Weights
    scaling: Scaling
    options: Options
    tables: np.ndarray  # int16 [3, 65536]: sigmoid, tanh, tanh of the cell state


def parameters(node: Node, cell: Cell, x: Tensor) -> Parameters:
    """What the formulas want of a cell for int8 inputs x. Raises ModelError, UnsupportedError."""
    _check(node, cell, x)
    cell_log2 = _cell_log2(node, cell)
    tables = np.stack([_fixed16.sigmoid(), _fixed16.tanh(3), _fixed16.tanh(15 + cell_log2)])
    return Parameters(
        _weights(node, cell, x), _scaling(node, cell, x, cell_log2), _options(node, cell, cell_log2), tables
    )


def _weights(node: Node, cell: Cell, x: Tensor) -> Weights:
    cells = cell.cells
    none = np.zeros((0, cells), np.int16)
    has_norm = cell.norm[OUTPUT] is not None
    w = stack(cell.w, (cells, x.shape[-1]), np.int8)
    r = stack(cell.r, (cells, cell.outputs), np.int8)
    bias = stack(cell.bias, (cells,), np.int64)
    projection, projection_bias = _projection(cell, node.intermediates[4].zero_point)
    return Weights(
        w=w,
        r=r,
        w_bias=(0 if has_norm else bias) - x.zero_point * _row_sums(w),
        r_bias=-cell.h.zero_point * _row_sums(r),
        peephole=none if cell.peephole[OUTPUT] is None else stack(cell.peephole, (cells,), np.int16),
        norm=stack(cell.norm, (cells,), np.int16) if has_norm else none,
        norm_bias=bias,
        projection=projection,
        projection_bias=projection_bias,
    )


def _scaling(node: Node, cell: Cell, x: Tensor, cell_log2: int) -> Scaling:
    has_norm = cell.norm[OUTPUT] is not None
    s = Scaling(*np.zeros((len(Scaling._fields), 4), np.int64))
    for gate in cell.gates:
        y_scale = node.intermediates[gate].scale if has_norm else GATE_SCALE
        w, r, peephole, norm = (four[gate] for four in (cell.w, cell.r, cell.peephole, cell.norm))
        if w is not None:
            s.w_multiplier[gate], s.w_shift[gate] = multiplier_of(np.float32(w.scale * x.scale / y_scale))
        if r is not None:
            s.r_multiplier[gate], s.r_shift[gate] = multiplier_of(np.float32(r.scale * cell.h.scale / y_scale))
        if peephole is not None:
            real = np.float32(2.0**cell_log2 * peephole.scale / np.float64(y_scale))
            s.peephole_multiplier[gate], s.peephole_shift[gate] = multiplier_of(real)
        if norm is not None:
            s.norm_multiplier[gate], s.norm_shift[gate] = multiplier_of(norm.scale)
            s.variance_guard[gate] = max(1, int(np.float32(10000) * norm.scale))
    return s


def _options(node: Node, cell: Cell, cell_log2: int) -> Options:
    hidden, h = node.intermediates[4], cell.h
    to_hidden = multiplier_of(np.float32(2.0**-15 / np.float64(hidden.scale) * 2.0**-15))
    projection_scale = 1 if cell.projection is None else cell.projection.scale
    to_output = multiplier_of(np.float32(projection_scale * hidden.scale / h.scale))
    return Options(
        is_cifg=cell.w[INPUT] is None,
        update_shift=30 + cell_log2,
        cell_clip=_clip(node.options.cell_clip, cell.c.scale, 32767),
        hidden_multiplier=to_hidden.multiplier,
        hidden_shift=to_hidden.shift,
        hidden_zero=hidden.zero_point if cell.projection is None else -hidden.zero_point,
        output_multiplier=to_output.multiplier,
        output_shift=to_output.shift,
        output_zero=h.zero_point,
        output_clip=_clip(node.options.proj_clip, node.outputs[0].scale, 127),
    )


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


# Reference


def reference(p: Parameters, sequence: Steps, x: np.ndarray, h: np.ndarray, c: np.ndarray) -> np.ndarray:
    """The outputs [rows, outputs] of x int8 [..., inputs]; h [batch, outputs] and c [batch, cells] change in place."""
    cells, outputs = p.weights.r.shape[1:]
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
    o = p.options
    forget, update = _gate(p, FORGET, x, h, c), _gate(p, UPDATE, x, h, c)
    write = LIMIT - forget if o.is_cifg else _gate(p, INPUT, x, h, c)
    c = _int16(_wrap16(shift_half_away(forget * c, 15)) + _wrap16(shift_half_away(write * update, o.update_shift)))
    if o.cell_clip > 0:
        c = c.clip(-o.cell_clip, o.cell_clip)
    hidden = _gate(p, OUTPUT, x, h, c) * p.tables[TANH_OF_CELL][c + 32768].astype(np.int64)
    hidden = requantize_double_rounding(hidden, o.hidden_multiplier, o.hidden_shift) + o.hidden_zero
    hidden = hidden.clip(-128, 127)
    if not p.weights.projection.size:
        return hidden, c
    acc = wrap_int32(hidden @ p.weights.projection.T.astype(np.int64) + p.weights.projection_bias)
    h = (requantize_double_rounding(acc, o.output_multiplier, o.output_shift) + o.output_zero).clip(-128, 127)
    return h.clip(-o.output_clip, o.output_clip) if o.output_clip > 0 else h, c


def _gate(p: Parameters, gate: int, x: np.ndarray, h: np.ndarray, c: np.ndarray) -> np.ndarray:
    weights, s = p.weights, p.scaling
    acc = wrap_int32(x @ weights.w[gate].T.astype(np.int64) + weights.w_bias[gate])
    value = _int16(requantize_double_rounding(acc, s.w_multiplier[gate], s.w_shift[gate]))
    acc = wrap_int32(h @ weights.r[gate].T.astype(np.int64) + weights.r_bias[gate])
    value = _int16(requantize_double_rounding(acc, s.r_multiplier[gate], s.r_shift[gate]) + value)
    if weights.peephole.size and gate != UPDATE:
        m, shift = s.peephole_multiplier[gate], s.peephole_shift[gate]
        value = _peephole(weights.peephole[gate], c, value, m, shift, h.shape[1])
    if weights.norm.size:
        value = _normalized(p, gate, value)
    return p.tables[TANH if gate == UPDATE else SIGMOID][value + 32768].astype(np.int64)


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
    count, s = value.shape[1], p.scaling
    mean = _truncated(value.sum(axis=1) * NORM_ONE, count)
    variance = (value**2).sum(axis=1) * ((1 << 20) // count) - mean**2
    variance = wrap_int32(_truncated(variance, 1 << 20))
    inverse = [inverse_sqrt(int(v) if v >= 1 else int(s.variance_guard[gate])) for v in variance]
    multiplier, shift = (np.array(column)[:, None] for column in zip(*inverse, strict=True))
    rescaled = requantize_double_rounding(wrap_int32(NORM_ONE * value - mean[:, None]), multiplier, shift)
    weighted = wrap_int32(rescaled * p.weights.norm[gate].astype(np.int64) + p.weights.norm_bias[gate])
    rounded = _truncated(weighted + np.where(weighted > 0, 512, -512), NORM_ONE)
    return _int16(requantize_double_rounding(rounded, s.norm_multiplier[gate], s.norm_shift[gate] + 12))


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
    w = p.weights
    stored = w._replace(w_bias=w.w_bias - INT8_OFFSET * _row_sums(w.w), r_bias=w.r_bias - INT8_OFFSET * _row_sums(w.r))
    sizes = Sizes(*sequence, inputs=w.w.shape[2], cells=cell.cells, outputs=cell.outputs)
    gates = scratch(f"{y.name}/gates", (4, sequence.batch, cell.cells), np.int16)
    eight, sixteen = np.dtype(np.uint8), np.dtype(np.int16)
    work = sequence.groups * sequence.steps * sequence.batch * (w.w.size + w.r.size)
    return Call(
        lstm_8x8_16, Flat(x, eight), *stored, *p.scaling, p.tables, *sizes, *p.options, gates, Flat(cell.c, sixteen),
        Flat(cell.h, eight), Flat(y, eight), writes=[y, cell.h, cell.c, gates], work=work,
    )  # fmt: skip


@kernel
def lstm_8x8_16(
    x: Any, weights: Weights, scaling: Scaling, tables: Any, sizes: Sizes, options: Options, gates: Any, c: Any, h: Any,
    y: Any,
) -> None:  # fmt: skip
    """x, y and h: stored int8, flat, h [batch, outputs] of all groups; c int16 [batch, cells]; gates [4, batch, cells].

    y: the output state after each step; c and h, the states of every row of the batch, change.
    """
    one = sizes.batch * sizes.cells  # values of a gate
    for group in range(sizes.groups):
        c_at, h_at = group * one, group * sizes.batch * sizes.outputs
        for step in range(sizes.steps):
            row = (group * sizes.steps + step) * sizes.batch
            for turn in range(4):
                gate = turn
                if gate == INPUT and options.is_cifg:
                    continue
                if gate == OUTPUT:  # which sees the cells as they become
                    update_cells(gates, one, options, c, c_at)
                sum_gate(gate, x, row * sizes.inputs, h, h_at, weights, scaling, sizes, gates)
                if weights.peephole.size > 0 and gate != UPDATE:
                    add_peephole(gate, weights.peephole, scaling, sizes, c, c_at, gates)
                if weights.norm.size > 0:
                    for b in range(sizes.batch):
                        normalize(gates, gate * one + b * sizes.cells, sizes.cells, weights, scaling, gate)
                look_up(gates, gate * one, one, tables, TANH if gate == UPDATE else SIGMOID)
            if weights.projection.size > 0:
                hide(gates, one, tables, options, c, c_at, gates, 0, 0)
                project(weights, gates, sizes, options, h, h_at)
            else:
                hide(gates, one, tables, options, c, c_at, h, h_at, INT8_OFFSET)
            for i in range(sizes.batch * sizes.outputs):
                put(y, row * sizes.outputs + i, get(h, h_at + i))


@stage
def update_cells(gates: Any, count: int, options: Options, c: Any, c_at: int) -> None:
    """c <- f . c + i . g, clipped, for the count cells from c[c_at]; gates [4, count]."""
    for i in range(count):
        forget, update = get(gates, FORGET * count + i), get(gates, UPDATE * count + i)
        write = LIMIT - forget if options.is_cifg else np.int64(get(gates, INPUT * count + i))
        kept = np.int16(shift_half_away(np.int64(forget) * get(c, c_at + i), 15))
        added = np.int16(shift_half_away(write * np.int64(update), options.update_shift))
        value = min(max(np.int64(kept) + added, -32768), LIMIT)
        if options.cell_clip > 0:
            value = min(max(value, -options.cell_clip), options.cell_clip)
        put(c, c_at + i, value)


@stage
def sum_gate(
    gate: int, x: Any, x_at: int, h: Any, h_at: int, weights: Weights, scaling: Scaling, sizes: Sizes, gates: Any
) -> None:  # fmt: skip
    """W x + R h + b of a gate, [batch, cells] in Q3.12, to its place in gates."""
    w_multiplier, w_shift = get(scaling.w_multiplier, gate), get(scaling.w_shift, gate)
    r_multiplier, r_shift = get(scaling.r_multiplier, gate), get(scaling.r_shift, gate)
    inputs, cells, outputs = sizes.inputs, sizes.cells, sizes.outputs
    for b in range(sizes.batch):
        for i in range(cells):
            k = gate * cells + i
            acc = dot_quantized(weights.w, k * inputs, x, x_at + b * inputs, inputs) + get(weights.w_bias, k)
            value = clamp16(requantize_double_rounding(wrap_int32(acc), w_multiplier, w_shift))
            acc = dot_quantized(weights.r, k * outputs, h, h_at + b * outputs, outputs) + get(weights.r_bias, k)
            value = clamp16(value + requantize_double_rounding(wrap_int32(acc), r_multiplier, r_shift))
            put(gates, (gate * sizes.batch + b) * cells + i, value)


@stage
def add_peephole(gate: int, peephole: Any, scaling: Scaling, sizes: Sizes, c: Any, c_at: int, gates: Any) -> None:
    """Add P . c to the sums of a gate; as many values as there are outputs, as in LiteRT."""
    multiplier, shift = get(scaling.peephole_multiplier, gate), get(scaling.peephole_shift, gate)
    first = gate * sizes.batch * sizes.cells
    blocks = sizes.outputs // NEON_BLOCK * NEON_BLOCK
    for i in range(sizes.batch * sizes.outputs):
        k = i % sizes.outputs
        product = np.int64(get(peephole, gate * sizes.cells + k)) * get(c, c_at + i)
        if k < blocks:
            product = requantize_half_up(product, multiplier, shift)
        else:
            product = requantize_double_rounding(product, multiplier, shift)
        put(gates, first + i, clamp16(product + get(gates, first + i)))


@stage
def look_up(x: Any, at: int, count: int, tables: Any, number: int) -> None:
    """Replace count values of x from x[at] by what a table has for them."""
    for i in range(at, at + count):
        put(x, i, get(tables, 65536 * number + 32768 + get(x, i)))


@stage
def hide(
    gates: Any, count: int, tables: Any, options: Options, c: Any, c_at: int, y: Any, y_at: int, offset: int
) -> None:  # fmt: skip
    """o . tanh(c) of count cells, requantized to int8, plus offset, to y from y[y_at]."""
    for i in range(count):
        tanh = get(tables, TANH_OF_CELL * 65536 + 32768 + get(c, c_at + i))
        value = np.int64(get(gates, OUTPUT * count + i)) * tanh
        value = requantize_double_rounding(value, options.hidden_multiplier, options.hidden_shift)
        put(y, y_at + i, min(max(value + options.hidden_zero, -128), 127) + offset)


@stage
def project(weights: Weights, hidden: Any, sizes: Sizes, options: Options, h: Any, h_at: int) -> None:
    """The projection of hidden [batch, cells], clipped, to the stored state h [batch, outputs] from h[h_at]."""
    cells, outputs, clip = sizes.cells, sizes.outputs, options.output_clip
    for b in range(sizes.batch):
        for i in range(outputs):
            acc = dot_quantized(weights.projection, i * cells, hidden, b * cells, cells)
            acc = wrap_int32(acc + get(weights.projection_bias, i))
            value = requantize_double_rounding(acc, options.output_multiplier, options.output_shift)
            value = min(max(value + options.output_zero, -128), 127)
            if clip > 0:
                value = min(max(value, -clip), clip)
            put(h, h_at + b * outputs + i, value + INT8_OFFSET)


@inline
def clamp16(x: int) -> int:
    """To int16."""
    return min(max(x, -32768), 32767)


@stage
def normalize(gates: Any, at: int, count: int, weights: Weights, scaling: Scaling, gate: int) -> None:
    """Layer normalization of one gate of one row, count values from gates[at], in place."""
    total, squares = 0, 0
    for i in range(at, at + count):
        value = np.int64(get(gates, i))
        total += value
        squares += value * value
    mean = truncated(total * NORM_ONE, count)
    variance = wrap_int32(truncated(squares * ((1 << 20) // count) - mean * mean, 1 << 20))
    if variance < 1:
        variance = get(scaling.variance_guard, gate)
    multiplier, shift = inverse_sqrt(variance)
    norm_multiplier, norm_shift = get(scaling.norm_multiplier, gate), get(scaling.norm_shift, gate) + 12
    for i in range(count):
        k = gate * count + i
        value = wrap_int32(NORM_ONE * np.int64(get(gates, at + i)) - mean)
        value = requantize_double_rounding(value, multiplier, shift) * np.int64(get(weights.norm, k))
        value = wrap_int32(value + get(weights.norm_bias, k))
        value = truncated(value + (512 if value > 0 else -512), NORM_ONE)
        put(gates, at + i, clamp16(requantize_double_rounding(value, norm_multiplier, norm_shift)))


@inline
def truncated(a: int, b: int) -> int:
    """a / b rounded toward zero, b > 0."""
    return -(-a // b) if a < 0 else a // b
