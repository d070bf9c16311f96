"""LSTM with float32 activations; its weights are float32 or int8 (hybrid).

Hybrid, dynamic: input and output state are quantized per row as they come, products are integers, and everything else
is float32; normalization and peephole products as well. See ``_recurrent`` for the order of the sums.

Hybrid, weight_only: as with float32 weights, whose products are the sums of ``floats.dot_widened`` times the scale.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from int8rt import ops, steps
from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.native.kernel import Kernel, inline, kernel_factory
from int8rt.ops._lstm import FORGET, INPUT, OUTPUT, UPDATE, Cell, Four, Steps, check_types, stack
from int8rt.ops._recurrent import (
    ONE,
    ZERO,
    F,
    activate,
    activated,
    check_activation,
    dot,
    dot_quantized,
    hybrid_product,
    is_zero,
    product,
    quantize_row,
    sigmoid,
    sigmoid_all,
    vectors_in_fours,
)
from int8rt.simd.floats import dot_widened
from int8rt.simd.memory import get, put
from int8rt.steps import Call, Flat

NORM_EPSILON = F(1e-8)

OF_INPUT, OF_AUX, OF_OUTPUT, PROJECTION = range(4)  # the matrices, by what they multiply
START, DEPTH, ROWS, SUM_START, IN_FOURS = range(5)  # what the kernel's table says of each


class Matrix(NamedTuple):
    """Weights of up to four gates that multiply one vector."""

    w: np.ndarray  # float32 or int8 [gates, rows, depth]; empty where there is none
    scale: np.ndarray  # float32 [gates]
    sums: np.ndarray  # int64 [gates, rows]: sums of int8 weights
    in_fours: int  # of the vectors that it multiplies


class Parameters(NamedTuple):
    """What a cell says, as the formulas want it; zeros for a gate that is left out."""

    w: Matrix
    r: Matrix
    aux: Matrix
    projection: Matrix
    projection_bias: np.ndarray  # float32 [outputs]
    bias: np.ndarray  # float32 [4, cells]
    peephole: np.ndarray  # float32 [4, cells], empty where there is none
    norm: np.ndarray  # float32 [4, cells], empty where there is none
    activation: int
    is_cifg: bool
    is_hybrid: bool
    is_symmetric: bool
    cell_clip: np.float32
    projection_clip: np.float32
    offsets: tuple[int, ...]  # where LiteRT's gates begin, in values


class Place(NamedTuple):
    """Which way a sequence runs, and which columns of the output are its own."""

    is_backward: bool = False
    stride: int = 0  # columns of the output
    column: int = 0  # the first


FORWARD = Place()


def parameters(node: Node, cell: Cell, sequence: Steps, x: Tensor, aux: Tensor | None = None) -> Parameters:
    """Raises ModelError, UnsupportedError."""
    _check(node, cell, x, aux)
    cells, outputs, inputs = cell.cells, cell.outputs, x.shape[-1]
    batch = sequence.batch
    is_hybrid = _first(cell.w).dtype == np.int8
    none = np.zeros((0, cells), np.float32)
    peephole = none
    if cell.peephole[OUTPUT] is not None:
        scales = [F(1) if t is None or not is_hybrid else t.scale for t in cell.peephole]
        peephole = stack(cell.peephole, (cells,), np.float32) * np.array(scales, np.float32)[:, None]
    has_projection = cell.projection is not None
    q = (cell.projection, None, None, None)
    return Parameters(
        _matrix(cell.w, (cells, inputs), is_hybrid, batch), _matrix(cell.r, (cells, outputs), is_hybrid, batch),
        _matrix(cell.aux, (cells, aux.shape[-1] if aux is not None else 0), is_hybrid, batch),
        _matrix(q, (outputs, cells) if has_projection else (0, 0), is_hybrid, batch),
        np.zeros(outputs, np.float32) if cell.projection_bias is None
        else np.asarray(cell.projection_bias.data, np.float32),
        stack(cell.bias, (cells,), np.float32), peephole,
        stack(cell.norm, (cells,), np.float32) if cell.norm[OUTPUT] is not None else none,
        check_activation(node.options.fused_activation_function), cell.w[INPUT] is None, is_hybrid,
        not getattr(node.options, "asymmetric_quantize_inputs", False),
        F(node.options.cell_clip), F(node.options.proj_clip), _offsets(cell, sequence),
    )  # fmt: skip


def _matrix(four: Four, shape: tuple[int, int], is_hybrid: bool, batch: int) -> Matrix:
    if not any(t is not None for t in four):
        shape = (0, 0)
    w = stack(four, shape, np.int8 if is_hybrid else np.float32)
    scale = np.array([1 if t is None else t.scale for t in four], np.float32)
    sums = w.sum(axis=-1, dtype=np.int64) if is_hybrid else np.zeros((4, 0), np.int64)
    return Matrix(w, scale, sums, vectors_in_fours(shape[1], shape[0], batch))


def _offsets(cell: Cell, sequence: Steps) -> tuple[int, ...]:
    """LiteRT keeps the gates in the order input, update, forget, output, and leaves a missing input gate out."""
    one = sequence.groups * sequence.batch * cell.cells
    order = [g for g in (INPUT, UPDATE, FORGET, OUTPUT) if g in cell.gates]
    return tuple(order.index(g) * one if g in order else 0 for g in (INPUT, FORGET, UPDATE, OUTPUT))


def _first(four: Four) -> Tensor:
    t = four[OUTPUT]
    assert t is not None
    return t


def _check(node: Node, cell: Cell, x: Tensor, aux: Tensor | None) -> None:
    weights = _first(cell.w).dtype
    matrices = (*cell.w, *cell.r, *cell.aux, *cell.peephole, cell.projection)
    if weights not in (np.float32, np.int8) or any(t is not None and t.sparsity is not None for t in matrices):
        raise ops.refuse(node, "weights must be float32 or int8 (and dense) where inputs are float32")
    check_types(node, "weights", weights.type, matrices)
    check_types(
        node, "inputs, states, outputs, biases and normalization coefficients", np.float32,
        (x, aux, cell.h, cell.c, *node.outputs, *cell.bias, *cell.norm, cell.projection_bias),
    )  # fmt: skip
    for t in matrices:
        if weights == np.int8 and t is not None and (t.quantization is None or len(t.quantization.scale) != 1):
            raise ModelError(f"{node.label}: the weights {t!r} must have one scale")


# Reference


def reference(
    p: Parameters, sequence: Steps, x: np.ndarray, aux: np.ndarray | None, h: np.ndarray, c: np.ndarray, y: np.ndarray,
    place: Place,
) -> None:  # fmt: skip
    """Fill some columns of y [rows, columns]; h and c change in place."""
    cells, outputs = p.bias.shape[1], p.r.w.shape[2]
    x = x.reshape(-1, x.shape[-1])
    aux = None if aux is None else aux.reshape(-1, aux.shape[-1])
    h_, c_ = h.reshape(-1, outputs), c.reshape(-1, cells)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        for group in range(sequence.groups):
            mine = slice(group * sequence.batch, (group + 1) * sequence.batch)
            for t in range(sequence.steps):
                t_rel = sequence.steps - 1 - t if place.is_backward else t
                first = (group * sequence.steps + t_rel) * sequence.batch
                rows = slice(first, first + sequence.batch)
                beside = None if aux is None else aux[rows]
                h_[mine], c_[mine] = _step(p, x[rows], beside, h_[mine], c_[mine], group * cells)
                y[rows, place.column : place.column + outputs] = h_[mine]


def _step(
    p: Parameters, x: np.ndarray, aux: np.ndarray | None, h: np.ndarray, c: np.ndarray, at: int
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    forget, update = _gate(p, FORGET, x, aux, h, c, at), _gate(p, UPDATE, x, aux, h, c, at)
    write = ONE - forget if p.is_cifg else _gate(p, INPUT, x, aux, h, c, at)
    c = forget * c + update * write
    if p.cell_clip > 0:
        c = c.clip(-p.cell_clip, p.cell_clip)
    hidden = _gate(p, OUTPUT, x, aux, h, c, at) * activated(c, p.activation)
    if not p.projection.w.size:
        return hidden, c
    h = np.broadcast_to(p.projection_bias, h.shape)
    if hidden.any() or not p.is_hybrid:
        h = h + _product(p, p.projection, 0, hidden)
    return (h.clip(-p.projection_clip, p.projection_clip) if p.projection_clip > 0 else h), c


def _gate(
    p: Parameters, gate: int, x: np.ndarray, aux: np.ndarray | None, h: np.ndarray, c: np.ndarray, at: int
) -> np.ndarray:  # fmt: skip
    value = np.broadcast_to(ZERO if p.norm.size else p.bias[gate], c.shape)
    if x.any():
        value = value + _product(p, p.w, gate, x)
    if aux is not None and p.aux.w.size and aux.any():
        value = value + _product(p, p.aux, gate, aux)
    if h.any() or not p.is_hybrid:
        value = value + _product(p, p.r, gate, h)
    if p.peephole.size and gate != UPDATE:
        value = value + p.peephole[gate] * c
    if p.norm.size:
        value = _normalized(value) * p.norm[gate] + p.bias[gate]
    if gate == UPDATE:
        return activated(value, p.activation)
    return sigmoid(value.reshape(-1), p.offsets[gate] + at).reshape(c.shape)


def _product(p: Parameters, m: Matrix, gate: int, x: np.ndarray) -> np.ndarray:
    if p.is_hybrid:
        return hybrid_product(x, m.w[gate], m.scale[gate], p.is_symmetric)
    return product(x, m.w[gate], m.in_fours)


def _normalized(x: np.ndarray) -> np.ndarray:
    count = F(x.shape[1])
    mean = np.add.accumulate(x, axis=1, dtype=np.float32)[:, -1:] / count
    difference = x - mean
    variance = np.add.accumulate(difference * difference, axis=1, dtype=np.float32)[:, -1:] / count
    return difference * (ONE / np.sqrt(variance + NORM_EPSILON))


# Program


def call(
    cell: Cell, sequence: Steps, p: Parameters, x: Tensor, y: Tensor, aux: Tensor | None = None, place: Place = FORWARD,
    hybrid: str = "dynamic",
) -> Call:  # fmt: skip
    """The Call that runs a whole sequence; hybrid: see ``int8rt.numerics``."""
    cells, outputs, batch = cell.cells, cell.outputs, sequence.batch
    matrices = (p.w, p.aux, p.r, p.projection._replace(w=p.projection.w[:1], sums=p.projection.sums[:1]))
    table = np.zeros((len(matrices), 5), np.int64)
    starts, sum_starts = (
        np.cumsum([0, *sizes]) for sizes in zip(*((m.w.size, m.sums.size) for m in matrices), strict=True)
    )
    for number, m in enumerate(matrices):
        table[number] = starts[number], m.w.shape[2], m.w.shape[1], sum_starts[number], m.in_fours
    weights, scales, sums = (
        np.concatenate([m.w.reshape(-1) for m in matrices]), np.stack([m.scale for m in matrices]),
        np.concatenate([m.sums.reshape(-1) for m in matrices]),
    )  # fmt: skip
    name, deep = f"{y.name}/{place.column}", batch * int(table[:, DEPTH].max())
    scratch = (
        steps.scratch(f"{name}/v", (4 * deep,), np.float32), steps.scratch(f"{name}/q", (4 * deep,), np.int16),
        steps.scratch(f"{name}/scale", (4 * batch,), np.float32), steps.scratch(f"{name}/zero", (4 * batch,), np.int64),
        steps.scratch(f"{name}/gates", (4, batch, cells), np.float32),
    )  # fmt: skip
    sizes = np.array([*sequence, cells, outputs, deep])
    flags = np.array([
        p.is_cifg, p.peephole.size > 0, p.norm.size > 0, p.projection.w.size > 0, p.activation, p.is_symmetric,
        place.is_backward, place.stride or outputs, place.column, *p.offsets,
    ], np.int64)  # fmt: skip
    f = np.dtype(np.float32)
    return Call(
        lstm_kernel(hybrid if p.is_hybrid else "float"), Flat(x, f), Flat(x if aux is None else aux, f), weights,
        table, scales, sums, p.projection_bias, p.bias, p.peephole, p.norm, np.array([p.cell_clip, p.projection_clip],
        np.float32), sizes, flags, *scratch, Flat(cell.c, f), Flat(cell.h, f), Flat(y, f), writes=[y, cell.h, cell.c,
        *scratch], work=sequence.groups * sequence.steps * batch * weights.size,
    )  # fmt: skip


@inline
def _add_float(
    value: Any, weights: Any, table: Any, scales: Any, sums: Any, m: int, gate: int, row: int, b: int, batch: int,
    v: Any, q: Any, deep: int, scale: Any, zero: Any,
) -> Any:  # fmt: skip
    """value + a row of a gate's matrix m times vector b of those that it multiplies."""
    depth, rows = table[m, DEPTH], table[m, ROWS]
    at = table[m, START] + (gate * rows + row) * depth
    return value + dot(weights, at, v, m * deep + b * depth, depth, row, rows, b, table[m, IN_FOURS])


@inline
def _add_hybrid(
    value: Any, weights: Any, table: Any, scales: Any, sums: Any, m: int, gate: int, row: int, b: int, batch: int,
    v: Any, q: Any, deep: int, scale: Any, zero: Any,
) -> Any:  # fmt: skip
    """As _add_float with the vectors as they are quantized."""
    depth, k = table[m, DEPTH], gate * table[m, ROWS] + row
    acc = dot_quantized(weights, table[m, START] + k * depth, q, m * deep + b * depth, depth)
    acc -= get(zero, m * batch + b) * get(sums, table[m, SUM_START] + k)
    return value + F(acc) * (get(scale, m * batch + b) * scales[m, gate])


@inline
def _add_weight_only(
    value: Any, weights: Any, table: Any, scales: Any, sums: Any, m: int, gate: int, row: int, b: int, batch: int,
    v: Any, q: Any, deep: int, scale: Any, zero: Any,
) -> Any:  # fmt: skip
    """As _add_float with int8 weights."""
    depth = table[m, DEPTH]
    at = table[m, START] + (gate * table[m, ROWS] + row) * depth
    return value + dot_widened(weights, at, v, m * deep + b * depth, depth) * scales[m, gate]


ADD = {"float": _add_float, "dynamic": _add_hybrid, "weight_only": _add_weight_only}


@kernel_factory
def lstm_kernel(kind: str) -> Kernel:
    """The kernel for float32 weights (float) or for int8 weights in one of the ways of ``int8rt.numerics``.

    v holds the vectors that the four matrices multiply, one behind another, q the same quantized. A row of ``table``
    says of a matrix where it begins, its depth and rows, where its sums begin, and ``in_fours``.
    """
    add, is_hybrid = ADD[kind], kind == "dynamic"

    def lstm(
        x: Any, aux: Any, weights: Any, table: Any, scales: Any, sums: Any, projection_bias: Any, bias: Any,
        peephole: Any, norm: Any, clips: Any, sizes: Any, flags: Any, v: Any, q: Any, scale: Any, zero: Any, gates: Any,
        c: Any, h: Any, y: Any,
    ) -> None:  # fmt: skip
        groups, steps, batch, cells, outputs, deep = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
        is_cifg, has_peephole, has_norm, has_projection = flags[0], flags[1], flags[2], flags[3]
        activation, is_symmetric, is_backward, stride, column = flags[4], flags[5], flags[6], flags[7], flags[8]
        one = batch * cells
        for group in range(groups):
            c_at, h_at = group * one, group * batch * outputs
            for turn in range(steps):
                row = (group * steps + (steps - 1 - turn if is_backward else turn)) * batch
                used = 0  # a bit per matrix whose vectors are not all zero
                for m in range(PROJECTION):
                    depth = table[m, DEPTH]
                    count = batch * depth
                    source = x if m == OF_INPUT else aux if m == OF_AUX else h
                    copy_floats(source, h_at if m == OF_OUTPUT else row * depth, count, v, m * deep)
                    if (m == OF_OUTPUT and not is_hybrid) or not is_zero(v, m * deep, count):
                        used |= 1 << m
                        if is_hybrid:
                            quantize_rows(v, m, deep, batch, depth, is_symmetric, q, scale, zero)
                for gate in range(4):
                    if gate == INPUT and is_cifg:
                        continue
                    if gate == OUTPUT:  # which sees the cells as they become
                        for i in range(one):
                            forget = get(gates, FORGET * one + i)
                            write = ONE - forget if is_cifg else get(gates, INPUT * one + i)
                            value = forget * get(c, c_at + i) + get(gates, UPDATE * one + i) * write
                            if clips[0] > ZERO:
                                value = max(min(clips[0], value), -clips[0])
                            put(c, c_at + i, value)
                    for b in range(batch):
                        for i in range(cells):
                            k = gate * cells + i
                            value = ZERO if has_norm else get(bias, k)
                            for m in range(PROJECTION):
                                if (used >> m) & 1:
                                    value = add(
                                        value, weights, table, scales, sums, m, gate, i, b, batch, v, q, deep, scale,
                                        zero,
                                    )  # fmt: skip
                            if has_peephole and gate != UPDATE:
                                value = value + get(peephole, k) * get(c, c_at + b * cells + i)
                            put(gates, gate * one + b * cells + i, value)
                        if has_norm:
                            normalize(gates, gate * one + b * cells, cells, norm, bias, gate * cells)
                    if gate == UPDATE:
                        for i in range(gate * one, (gate + 1) * one):
                            put(gates, i, activate(get(gates, i), activation))
                    else:
                        sigmoid_all(gates, gate * one, one, flags[9 + gate] + group * cells)
                at = PROJECTION * deep
                for i in range(one):
                    put(v, at + i, get(gates, OUTPUT * one + i) * activate(get(c, c_at + i), activation))
                if has_projection:
                    has_hidden = not is_hybrid or not is_zero(v, at, one)
                    if is_hybrid and has_hidden:
                        quantize_rows(v, PROJECTION, deep, batch, cells, is_symmetric, q, scale, zero)
                    for b in range(batch):
                        for i in range(outputs):
                            value = get(projection_bias, i)
                            if has_hidden:
                                value = add(
                                    value, weights, table, scales, sums, PROJECTION, 0, i, b, batch, v, q, deep, scale,
                                    zero,
                                )  # fmt: skip
                            if clips[1] > ZERO:
                                value = max(min(clips[1], value), -clips[1])
                            put(h, h_at + b * outputs + i, value)
                else:
                    copy_floats(v, at, one, h, h_at)
                for b in range(batch):
                    copy_floats(h, h_at + b * outputs, outputs, y, (row + b) * stride + column)

    return Kernel(lstm)


@inline
def copy_floats(x: Any, at: int, count: int, y: Any, to: int) -> None:
    """count values from x[at] to y[to]."""
    for i in range(count):
        put(y, to + i, get(x, at + i))


@inline
def quantize_rows(
    v: Any, m: int, deep: int, batch: int, depth: int, is_symmetric: int, q: Any, scale: Any, zero: Any
) -> None:  # fmt: skip
    """The vectors that matrix m multiplies."""
    for b in range(batch):
        at = m * deep + b * depth
        quantize_row(v, at, depth, is_symmetric, q, at, scale, zero, m * batch + b)


@inline
def normalize(x: Any, at: int, count: int, norm: Any, bias: Any, k: int) -> None:
    """Layer normalization of one gate of one row, in place."""
    total = ZERO
    for i in range(at, at + count):
        total += get(x, i)
    mean = total / F(count)
    squares = ZERO
    for i in range(at, at + count):
        difference = get(x, i) - mean
        squares += difference * difference
    inverse = ONE / np.sqrt(squares / F(count) + NORM_EPSILON)
    for i in range(count):
        put(x, at + i, (get(x, at + i) - mean) * inverse * get(norm, k + i) + get(bias, k + i))
