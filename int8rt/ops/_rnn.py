"""What RNN, UNIDIRECTIONAL_SEQUENCE_RNN and BIDIRECTIONAL_SEQUENCE_RNN share: h <- activation(W x + A aux + R h + b).

Weights are float32, or int8 (hybrid): inputs and state are then quantized row by row as they come, or, weight_only,
multiplied as they are by ``simd.floats.dot_widened``. The state h is a variable tensor.

Formulas: TFLite ``internal/kernel_utils.cc``, RnnBatchStep; see ``_recurrent`` for the order of sums.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.native.kernel import Kernel, inline, kernel_factory
from int8rt.numerics.rules import Numerics
from int8rt.ops._lstm import Steps, check_types
from int8rt.ops._lstm_float import Place
from int8rt.ops._recurrent import (
    F,
    activate,
    activated,
    add_lanes,
    added,
    check_activation,
    dot_quantized,
    hybrid_product,
    is_zero,
    quantize_row,
)
from int8rt.simd.floats import dot_widened
from int8rt.simd.memory import get, put
from int8rt.steps import Call, Flat, scratch


class Rnn(NamedTuple):
    """One direction: its tensors and how it runs."""

    x: Tensor  # [..., inputs]
    aux: Tensor | None  # [..., auxiliary inputs]
    w: Tensor  # [units, inputs]
    r: Tensor  # [units, units]
    a: Tensor | None  # [units, auxiliary inputs]
    bias: Tensor  # [units]
    h: Tensor  # [batch, units], variable
    y: Tensor  # [..., columns]
    sequence: Steps
    place: Place = Place()
    passes: int = 1  # how often the whole sequence runs, the state going on

    @property
    def units(self) -> int:
        """How many units, which are the outputs."""
        return int(self.w.shape[0])


def check(node: Node, rnn: Rnn) -> None:
    """Make sure that shapes and types fit each other. Raises ModelError, UnsupportedError."""
    if len(rnn.w.shape) != 2:
        raise ModelError(f"{node.label}: the weights are {rnn.w!r}; a matrix was expected")
    units, batch = rnn.units, rnn.sequence.groups * rnn.sequence.batch
    wanted: list[tuple[str, Tensor, tuple[int, ...]]] = [
        ("input weights", rnn.w, (units, rnn.x.shape[-1])),
        ("recurrent weights", rnn.r, (units, units)),
        ("bias", rnn.bias, (units,)),
    ]
    if rnn.a is not None and rnn.aux is not None:
        wanted.append(("auxiliary weights", rnn.a, (units, rnn.aux.shape[-1])))
    for what, t, shape in wanted:
        if t.shape != shape:
            raise ModelError(f"{node.label}: the {what} are {t!r}; expected {'x'.join(map(str, shape))}")
        if t.data is None:
            raise ops.refuse(node, f"the {what} must be constant")
    if not rnn.h.is_variable or rnn.h.shape != (batch, units):
        raise ModelError(f"{node.label}: the state is {rnn.h!r}; a variable tensor {batch}x{units} was expected")


def check_all_types(node: Node, rnn: Rnn) -> None:
    """Make sure that the types are supported. Raises ModelError, UnsupportedError."""
    if rnn.w.dtype not in (np.float32, np.int8):
        raise ops.refuse(node, "weights must be float32 or int8")
    check_types(node, "weights", rnn.w.dtype.type, (rnn.w, rnn.r, rnn.a))
    check_types(node, "inputs, bias, state and outputs", np.float32, (rnn.x, rnn.aux, rnn.bias, rnn.h, rnn.y))
    for t in (rnn.w, rnn.r, rnn.a):
        if t is not None and t.dtype == np.int8 and (t.quantization is None or len(t.quantization.scale) != 1):
            raise ModelError(f"{node.label}: the weights {t!r} must have one scale")
    check_activation(node.options.fused_activation_function, allow_none=True)


def tensor(node: Node, position: int) -> Tensor:
    """An input that must be there. Raises ModelError."""
    t = node.inputs[position] if position < len(node.inputs) else None
    if t is None:
        raise ModelError(f"{node.label}: input {position} is left out")
    return t


# Reference


def reference(node: Node, rnn: Rnn, x: np.ndarray, aux: np.ndarray | None, h: np.ndarray, y: np.ndarray) -> None:
    """Fill some columns of y [rows, columns]; h changes in place."""
    check_all_types(node, rnn)
    groups, steps, batch = rnn.sequence
    x = x.reshape(-1, x.shape[-1])
    aux = None if aux is None or rnn.a is None else aux.reshape(-1, aux.shape[-1])
    activation = node.options.fused_activation_function
    is_symmetric = not getattr(node.options, "asymmetric_quantize_inputs", False)

    def plus(value: np.ndarray, v: np.ndarray, t: Tensor) -> np.ndarray:
        w = np.asarray(t.data)
        if w.dtype == np.int8:
            return value + hybrid_product(v, w, t.scale, is_symmetric) if v.any() else value
        return added(value, v[:, None] * w)

    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        for group in range(groups):
            mine = slice(group * batch, (group + 1) * batch)
            for turn in range(rnn.passes * steps):
                t = steps - 1 - turn % steps if rnn.place.is_backward else turn % steps
                rows = slice((group * steps + t) * batch, (group * steps + t + 1) * batch)
                value = plus(np.asarray(rnn.bias.data, np.float32), x[rows], rnn.w)
                if aux is not None and rnn.a is not None:
                    value = plus(value, aux[rows], rnn.a)
                h[mine] = activated(plus(value, h[mine], rnn.r), activation)
                y[rows, rnn.place.column : rnn.place.column + rnn.units] = h[mine]


# Program


def call(node: Node, rnn: Rnn, numerics: Numerics) -> Call:
    """The Call that runs a whole sequence."""
    check_all_types(node, rnn)
    units, inputs = rnn.units, rnn.x.shape[-1]
    is_hybrid = rnn.w.dtype == np.int8
    a = np.zeros((0, 0), rnn.w.dtype) if rnn.a is None else np.asarray(rnn.a.data)
    weights = [np.asarray(rnn.w.data), a, np.asarray(rnn.r.data)]
    scales = np.array([rnn.w.scale, 1 if rnn.a is None else rnn.a.scale, rnn.r.scale], np.float32)
    sums = np.zeros((3, units), np.int64)
    if is_hybrid:
        sums = np.stack([w.sum(axis=1, dtype=np.int64) if w.size else np.zeros(units, np.int64) for w in weights])
    widest = max(inputs, a.shape[1], units)
    batch = rnn.sequence.batch
    name = f"{rnn.y.name}/{rnn.place.column}"
    q = scratch(f"{name}/q", (3, batch, widest), np.int16)
    scale = scratch(f"{name}/scale", (3, batch), np.float32)
    zero = scratch(f"{name}/zero", (3, batch), np.int64)
    value = scratch(f"{name}/value", (batch, units), np.float32)
    sizes = np.array([
        *rnn.sequence, rnn.passes, inputs, a.shape[1], units, widest, node.options.fused_activation_function,
        not getattr(node.options, "asymmetric_quantize_inputs", False), rnn.place.is_backward,
        rnn.place.stride or units, rnn.place.column,
    ], np.int64)  # fmt: skip
    f = np.dtype(np.float32)
    aux = rnn.x if rnn.aux is None else rnn.aux
    return Call(
        rnn_kernel(numerics.hybrid if is_hybrid else "float"), Flat(rnn.x, f), Flat(aux, f), *weights, scales, sums,
        rnn.bias, sizes, q, scale, zero, value, Flat(rnn.h, f), Flat(rnn.y, f),
        writes=[rnn.y, rnn.h, q, scale, zero, value],
        work=rnn.sequence.groups * rnn.sequence.steps * batch * sum(w.size for w in weights),
    )  # fmt: skip


@inline
def _add_float(
    value: Any, w: Any, w_at: int, x: Any, x_at: int, depth: int, scales: Any, sums: Any, k: int, matrix: int, q: Any,
    q_at: int, scale: Any, zero: Any, slot: int,
) -> Any:  # fmt: skip
    """value plus a row of a matrix times x."""
    return add_lanes(value, w, w_at, x, x_at, depth)


@inline
def _add_hybrid(
    value: Any, w: Any, w_at: int, x: Any, x_at: int, depth: int, scales: Any, sums: Any, k: int, matrix: int, q: Any,
    q_at: int, scale: Any, zero: Any, slot: int,
) -> Any:  # fmt: skip
    """value plus a row of a matrix times the quantized x, number ``slot``; k: the row's place in sums."""
    acc = dot_quantized(w, w_at, q, q_at, depth) - get(zero, slot) * get(sums, k)
    return value + F(acc) * (get(scale, slot) * get(scales, matrix))


@inline
def _add_weight_only(
    value: Any, w: Any, w_at: int, x: Any, x_at: int, depth: int, scales: Any, sums: Any, k: int, matrix: int, q: Any,
    q_at: int, scale: Any, zero: Any, slot: int,
) -> Any:  # fmt: skip
    """value plus a row of a matrix of int8 times x."""
    return value + dot_widened(w, w_at, x, x_at, depth) * get(scales, matrix)


ADD = {"float": _add_float, "dynamic": _add_hybrid, "weight_only": _add_weight_only}


@kernel_factory
def rnn_kernel(kind: str) -> Kernel:
    """The kernel for float32 weights (float) or for int8 weights in one of the ways of ``int8rt.numerics``."""
    add, is_hybrid = ADD[kind], kind == "dynamic"

    def rnn(
        x: Any, aux: Any, w: Any, a: Any, r: Any, scales: Any, sums: Any, bias: Any, sizes: Any, q: Any, scale: Any,
        zero: Any, values: Any, h: Any, y: Any,
    ) -> None:  # fmt: skip
        groups, steps, batch, passes = sizes[0], sizes[1], sizes[2], sizes[3]
        inputs, aux_inputs, units, widest = sizes[4], sizes[5], sizes[6], sizes[7]
        activation, is_symmetric, is_backward, stride, column = sizes[8], sizes[9], sizes[10], sizes[11], sizes[12]
        deep = batch * widest
        for group in range(groups):
            h_at = group * batch * units
            for turn in range(passes * steps):
                t = turn % steps
                row = (group * steps + (steps - 1 - t if is_backward else t)) * batch
                has_x = not is_hybrid or not is_zero(x, row * inputs, batch * inputs)
                has_aux = aux_inputs > 0 and (not is_hybrid or not is_zero(aux, row * aux_inputs, batch * aux_inputs))
                has_h = not is_hybrid or not is_zero(h, h_at, batch * units)
                for b in range(batch):
                    x_at, aux_at, at = (row + b) * inputs, (row + b) * aux_inputs, b * widest
                    if is_hybrid and has_x:
                        quantize_row(x, x_at, inputs, is_symmetric, q, at, scale, zero, b)
                    if is_hybrid and has_aux:
                        quantize_row(aux, aux_at, aux_inputs, is_symmetric, q, deep + at, scale, zero, batch + b)
                    if is_hybrid and has_h:
                        quantize_row(
                            h, h_at + b * units, units, is_symmetric, q, 2 * deep + at, scale, zero, 2 * batch + b
                        )  # fmt: skip
                    for i in range(units):
                        value = get(bias, i)
                        if has_x:
                            value = add(
                                value, w, i * inputs, x, x_at, inputs, scales, sums, i, 0, q, at, scale, zero, b
                            )
                        if has_aux:
                            value = add(
                                value, a, i * aux_inputs, aux, aux_at, aux_inputs, scales, sums, units + i, 1, q,
                                deep + at, scale, zero, batch + b,
                            )  # fmt: skip
                        if has_h:
                            value = add(
                                value, r, i * units, h, h_at + b * units, units, scales, sums, 2 * units + i, 2, q,
                                2 * deep + at, scale, zero, 2 * batch + b,
                            )  # fmt: skip
                        put(values, b * units + i, activate(value, activation))
                for b in range(batch):
                    for i in range(units):
                        put(h, h_at + b * units + i, get(values, b * units + i))
                        put(y, (row + b) * stride + column + i, get(values, b * units + i))

    return Kernel(rnn)
