"""LSTM with float32 activations; its weights are float32 or int8 (hybrid).

Hybrid, dynamic: input and output state are quantized per row as they come, products are integers, and everything else
is float32; normalization and peephole products as well. See ``_recurrent`` for the order of the sums.

Hybrid, weight_only: as with float32 weights, whose products are the sums of ``floats.dot_widened`` times the scale.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.native.kernel import Kernel, kernel_factory, stage
from int8rt.ops._lstm import (
    FORGET,
    FORWARD,
    INPUT,
    OUTPUT,
    UPDATE,
    Cell,
    Direction,
    Four,
    Steps,
    check_types,
    stack,
)
from int8rt.ops._recurrent import (
    OF_STATE,
    ONE,
    ZERO,
    F,
    Matrices,
    Matrix,
    Vectors,
    activate,
    activated,
    add_product,
    add_quantized,
    add_widened,
    check_activation,
    copy_floats,
    hybrid_product,
    is_zero,
    matrices,
    product,
    quantize_vectors,
    sigmoid,
    sigmoid_all,
    take_vectors,
    vectors,
    vectors_in_fours,
)
from int8rt.simd.memory import get, put
from int8rt.steps import Call, Flat, scratch

NORM_EPSILON = F(1e-8)

PROJECTION = OF_STATE + 1  # the number of a fourth matrix


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


def parameters(node: Node, cell: Cell, sequence: Steps, x: Tensor, aux: Tensor | None = None) -> Parameters:
    """What the formulas want of a cell for inputs x [..., inputs] and aux. Raises ModelError, UnsupportedError."""
    _check(node, cell, x, aux)
    cells, outputs, batch = cell.cells, cell.outputs, sequence.batch
    is_hybrid = _first(cell.w).dtype == np.int8
    none = np.zeros((0, cells), np.float32)
    projection = (cell.projection, None, None, None)
    given = cell.projection_bias
    return Parameters(
        w=_matrix(cell.w, (cells, x.shape[-1]), is_hybrid, batch),
        r=_matrix(cell.r, (cells, outputs), is_hybrid, batch),
        aux=_matrix(cell.aux, (cells, 0 if aux is None else aux.shape[-1]), is_hybrid, batch),
        projection=_matrix(projection, (outputs, cells), is_hybrid, batch),
        projection_bias=np.zeros(outputs, np.float32) if given is None else np.asarray(given.data, np.float32),
        bias=stack(cell.bias, (cells,), np.float32),
        peephole=none if cell.peephole[OUTPUT] is None else _peephole(cell, is_hybrid),
        norm=none if cell.norm[OUTPUT] is None else stack(cell.norm, (cells,), np.float32),
        activation=check_activation(node.options.fused_activation_function),
        is_cifg=cell.w[INPUT] is None,
        is_hybrid=is_hybrid,
        is_symmetric=not getattr(node.options, "asymmetric_quantize_inputs", False),
        cell_clip=F(node.options.cell_clip),
        projection_clip=F(node.options.proj_clip),
        offsets=_offsets(cell, sequence),
    )


def _matrix(four: Four, shape: tuple[int, int], is_hybrid: bool, batch: int) -> Matrix:
    """The weights of each gate, [rows, depth] of that shape; zeros where one is left out, none where all are."""
    if not any(t is not None for t in four):
        shape = (0, 0)
    w = stack(four, shape, np.int8 if is_hybrid else np.float32)
    scale = np.array([1 if t is None else t.scale for t in four], np.float32)
    return Matrix(w, scale, vectors_in_fours(shape[1], shape[0], batch))


def _peephole(cell: Cell, is_hybrid: bool) -> np.ndarray:
    """The peephole weights as float32 [4, cells]."""
    scales = [F(1) if t is None or not is_hybrid else t.scale for t in cell.peephole]
    return np.asarray(stack(cell.peephole, (cell.cells,), np.float32) * np.array(scales, np.float32)[:, None])


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
    direction: Direction,
) -> None:  # fmt: skip
    """Fill some columns of y [rows, columns]; h and c change in direction."""
    cells, outputs = p.bias.shape[1], p.r.w.shape[2]
    x = x.reshape(-1, x.shape[-1])
    aux = None if aux is None else aux.reshape(-1, aux.shape[-1])
    h_, c_ = h.reshape(-1, outputs), c.reshape(-1, cells)
    for group in range(sequence.groups):
        mine = slice(group * sequence.batch, (group + 1) * sequence.batch)
        for t in range(sequence.steps):
            t_rel = sequence.steps - 1 - t if direction.is_backward else t
            first = (group * sequence.steps + t_rel) * sequence.batch
            rows = slice(first, first + sequence.batch)
            beside = None if aux is None else aux[rows]
            h_[mine], c_[mine] = _step(p, x[rows], beside, h_[mine], c_[mine], group * cells)
            y[rows, direction.column : direction.column + outputs] = h_[mine]


def _step(
    p: Parameters, x: np.ndarray, aux: np.ndarray | None, h: np.ndarray, c: np.ndarray, at: int
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    forget, update = _gate(p, FORGET, x, aux, h, c, at), _gate(p, UPDATE, x, aux, h, c, at)
    write = ONE - forget if p.is_cifg else _gate(p, INPUT, x, aux, h, c, at)
    c = forget * c + update * write
    if p.cell_clip > 0:
        c = _clipped(c, p.cell_clip)
    hidden = _gate(p, OUTPUT, x, aux, h, c, at) * activated(c, p.activation)
    if not p.projection.w.size:
        return hidden, c
    h = np.broadcast_to(p.projection_bias, h.shape)
    if hidden.any() or not p.is_hybrid:
        h = h + _product(p, p.projection, 0, hidden)
    return (_clipped(h, p.projection_clip) if p.projection_clip > 0 else h), c


def _clipped(x: np.ndarray, clip: np.float32) -> np.ndarray:
    """Within -clip and clip, where NaN becomes clip."""
    return np.maximum(np.where(x < clip, x, clip), -clip)


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


class Tensors(NamedTuple):
    """What changes from run to run, as the kernel takes it: float32, flat but for gates."""

    x: Any  # [rows * inputs]
    aux: Any  # [rows * auxiliary inputs]
    gates: Any  # [4, batch, cells], scratch
    c: Any  # [groups * batch * cells]
    h: Any  # [groups * batch * outputs]
    y: Any  # [rows * stride]


class Coefficients(NamedTuple):
    """What every cell or output has of its coefficients, as the kernel takes it; see Parameters."""

    bias: Any  # float32 [4, cells]
    peephole: Any  # float32 [4, cells] or empty
    norm: Any  # float32 [4, cells] or empty
    projection_bias: Any  # float32 [outputs]


class Sizes(NamedTuple):
    """How long a sequence is (see Steps), and how large a cell."""

    groups: int
    steps: int
    batch: int
    cells: int
    outputs: int


class Options(NamedTuple):
    """How a cell computes, and where its outputs go; see Parameters and Direction."""

    activation: int
    is_cifg: int
    is_symmetric: int
    cell_clip: np.float32
    projection_clip: np.float32
    offsets: Any  # int64 [4]
    is_backward: int
    stride: int
    column: int


def call(
    cell: Cell, sequence: Steps, p: Parameters, x: Tensor, y: Tensor, aux: Tensor | None = None,
    direction: Direction = FORWARD, hybrid: str = "dynamic",
) -> Call:  # fmt: skip
    """The Call that runs a whole sequence; hybrid: see ``int8rt.numerics``."""
    m = matrices((p.w, p.aux, p.r, p.projection._replace(w=p.projection.w[:1])))
    name = f"{y.name}/{direction.column}"
    v = vectors(name, m, sequence.batch)
    gates = scratch(f"{name}/gates", (4, sequence.batch, cell.cells), np.float32)
    options = Options(
        activation=p.activation,
        is_cifg=p.is_cifg,
        is_symmetric=p.is_symmetric,
        cell_clip=p.cell_clip,
        projection_clip=p.projection_clip,
        offsets=np.array(p.offsets),
        is_backward=direction.is_backward,
        stride=direction.stride or cell.outputs,
        column=direction.column,
    )
    tensors = Tensors(x=x, aux=x if aux is None else aux, gates=gates, c=cell.c, h=cell.h, y=y)
    tensors = Tensors(*(t if t is gates else Flat(t, np.dtype(np.float32)) for t in tensors))
    return Call(
        lstm_kernel(hybrid if p.is_hybrid else "float"), *tensors, *m, *v,
        *Coefficients(bias=p.bias, peephole=p.peephole, norm=p.norm, projection_bias=p.projection_bias),
        *Sizes(*sequence, cells=cell.cells, outputs=cell.outputs), *options,
        writes=[y, cell.h, cell.c, v.values, v.quantized, v.scale, v.zero_point, gates],
        work=sequence.groups * sequence.steps * sequence.batch * m.weights.size,
    )  # fmt: skip


@stage
def _matter(v: Vectors, n: int, depth: int, is_symmetric: int) -> int:
    """Whether the vectors of float32 matrix n are multiplied: LiteRT leaves out an input that is 0, never a state."""
    return 0 if n < OF_STATE and is_zero(v.values, n * v.distance, v.batch * depth) else 1


PRODUCTS = {  # see _recurrent
    "float": (add_product, _matter),
    "dynamic": (add_quantized, quantize_vectors),
    "weight_only": (add_widened, _matter),
}


@kernel_factory
def lstm_kernel(kind: str) -> Kernel:
    """The kernel for float32 weights (float) or for int8 weights in one of the ways of ``int8rt.numerics``."""
    add, ready = PRODUCTS[kind]

    def lstm(
        t: Tensors, m: Matrices, v: Vectors, coefficients: Coefficients, sizes: Sizes, options: Options
    ) -> None:  # fmt: skip
        """y of all steps; c and h, the states of all groups, change."""
        one = sizes.batch * sizes.cells
        for group in range(sizes.groups):
            c_at, h_at = group * one, group * sizes.batch * sizes.outputs
            for turn in range(sizes.steps):
                step = sizes.steps - 1 - turn if options.is_backward else turn
                row = (group * sizes.steps + step) * sizes.batch
                used = take_vectors(ready, t.x, t.aux, row, t.h, h_at, m, v, options.is_symmetric)
                for gate in range(4):
                    if gate == INPUT and options.is_cifg:
                        continue
                    if gate == OUTPUT:  # which sees the cells as they become
                        update_cells(t.gates, one, options, t.c, c_at)
                    sum_gate(add, used, m, v, coefficients, gate, t.gates, t.c, c_at)
                    if gate == UPDATE:
                        activate_all(t.gates, gate * one, one, options.activation)
                    else:
                        sigmoid_all(t.gates, gate * one, one, get(options.offsets, gate) + group * sizes.cells)
                hidden = PROJECTION * v.distance
                for i in range(one):
                    value = activate(get(t.c, c_at + i), options.activation)
                    put(v.values, hidden + i, get(t.gates, OUTPUT * one + i) * value)
                if get(m.rows, PROJECTION) > 0:
                    is_used = ready(v, PROJECTION, sizes.cells, options.is_symmetric)
                    project(add, is_used, m, v, coefficients.projection_bias, options.projection_clip, t.h, h_at)
                else:
                    copy_floats(v.values, hidden, one, t.h, h_at)
                for b in range(sizes.batch):
                    to = (row + b) * options.stride + options.column
                    copy_floats(t.h, h_at + b * sizes.outputs, sizes.outputs, t.y, to)

    return Kernel(lstm)


@stage
def sum_gate(
    add: Any, used: int, m: Matrices, v: Vectors, coefficients: Coefficients, gate: int, gates: Any, c: Any, c_at: int
) -> None:  # fmt: skip
    """What the function of a gate is taken of, [batch, cells], to its place in gates; a bit of used per matrix."""
    cells, has_norm = gates.shape[2], coefficients.norm.size > 0
    for b in range(v.batch):
        at = (gate * v.batch + b) * cells
        for i in range(cells):
            k = gate * cells + i
            value = ZERO if has_norm else get(coefficients.bias, k)
            for n in range(PROJECTION):
                if (used >> n) & 1:
                    value = add(value, m, v, n, gate, i, b)
            if coefficients.peephole.size > 0 and gate != UPDATE:
                value = value + get(coefficients.peephole, k) * get(c, c_at + b * cells + i)
            put(gates, at + i, value)
        if has_norm:
            normalize(gates, at, cells, coefficients.norm, coefficients.bias, gate * cells)


@stage
def update_cells(gates: Any, count: int, options: Options, c: Any, c_at: int) -> None:
    """c <- f . c + g . i, clipped, for the count cells from c[c_at]; gates [4, count]."""
    for i in range(count):
        forget = get(gates, FORGET * count + i)
        write = ONE - forget if options.is_cifg else get(gates, INPUT * count + i)
        value = forget * get(c, c_at + i) + get(gates, UPDATE * count + i) * write
        put(c, c_at + i, clipped(value, options.cell_clip))


@stage
def project(add: Any, is_used: int, m: Matrices, v: Vectors, bias: Any, clip: Any, h: Any, h_at: int) -> None:
    """h [batch, outputs] from h_at: the projection of the hidden values, which v has; without them only the bias."""
    outputs = get(m.rows, PROJECTION)
    for b in range(v.batch):
        for i in range(outputs):
            value = get(bias, i)
            if is_used:
                value = add(value, m, v, PROJECTION, 0, i, b)
            put(h, h_at + b * outputs + i, clipped(value, clip))


@stage
def clipped(value: Any, clip: Any) -> Any:
    """The value within -clip and clip, NaN as clip; as it is where clip is 0."""
    if not clip > ZERO:
        return value
    return max(value, -clip) if value < clip else clip


@stage
def activate_all(x: Any, at: int, count: int, activation: int) -> None:
    """``activate`` of count values from x[at], in place."""
    for i in range(at, at + count):
        put(x, i, activate(get(x, i), activation))


@stage
def normalize(x: Any, at: int, count: int, norm: Any, bias: Any, k: int) -> None:
    """Layer normalization of one gate of one row, in direction."""
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
