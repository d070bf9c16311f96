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
from int8rt.native.kernel import Kernel, kernel_factory
from int8rt.numerics.rules import Numerics
from int8rt.ops._lstm import Direction, Steps, check_types
from int8rt.ops._recurrent import (
    PRODUCTS,
    Matrices,
    Matrix,
    Vectors,
    activate,
    activated,
    added,
    check_activation,
    copy_floats,
    hybrid_product,
    matrices,
    take_vectors,
    vectors,
)
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
    direction: Direction = Direction()
    passes: int = 1  # how often the whole sequence runs, the state going on

    @property
    def units(self) -> int:
        """How many units, which are the outputs."""
        return int(self.w.shape[0])


def check(node: Node, rnn: Rnn) -> None:
    """Make sure that shapes and types fit each other. Raises ModelError, UnsupportedError."""
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

    for group in range(groups):
        mine = slice(group * batch, (group + 1) * batch)
        for turn in range(rnn.passes * steps):
            t = steps - 1 - turn % steps if rnn.direction.is_backward else turn % steps
            rows = slice((group * steps + t) * batch, (group * steps + t + 1) * batch)
            value = plus(np.asarray(rnn.bias.data, np.float32), x[rows], rnn.w)
            if aux is not None and rnn.a is not None:
                value = plus(value, aux[rows], rnn.a)
            h[mine] = activated(plus(value, h[mine], rnn.r), activation)
            y[rows, rnn.direction.column : rnn.direction.column + rnn.units] = h[mine]


# Program


class Sizes(NamedTuple):
    """How long a sequence is (see Steps), and how large its vectors."""

    groups: int
    steps: int
    batch: int
    passes: int  # see Rnn
    units: int


class Options(NamedTuple):
    """How sums become outputs, and where they go; see Direction."""

    activation: int
    is_symmetric: int
    is_backward: int
    stride: int
    column: int


def call(node: Node, rnn: Rnn, numerics: Numerics) -> Call:
    """The Call that runs a whole sequence. Raises ModelError, UnsupportedError."""
    check_all_types(node, rnn)
    is_hybrid = rnn.w.dtype == np.int8
    m = matrices([_matrix(rnn, t) for t in (rnn.w, rnn.a, rnn.r)])
    name = f"{rnn.y.name}/{rnn.direction.column}"
    v = vectors(name, m, rnn.sequence.batch)
    values = scratch(f"{name}/value", (rnn.sequence.batch, rnn.units), np.float32)
    options = Options(
        activation=node.options.fused_activation_function,
        is_symmetric=not getattr(node.options, "asymmetric_quantize_inputs", False),
        is_backward=rnn.direction.is_backward,
        stride=rnn.direction.stride or rnn.units,
        column=rnn.direction.column,
    )
    f = np.dtype(np.float32)
    return Call(
        rnn_kernel(numerics.hybrid if is_hybrid else "float"), Flat(rnn.x, f),
        Flat(rnn.x if rnn.aux is None else rnn.aux, f), *m, *v, rnn.bias,
        *Sizes(*rnn.sequence, passes=rnn.passes, units=rnn.units), *options, values, Flat(rnn.h, f), Flat(rnn.y, f),
        writes=[rnn.y, rnn.h, v.values, v.quantized, v.scale, v.zero_point, values],
        work=rnn.sequence.groups * rnn.sequence.steps * rnn.sequence.batch * m.weights.size,
    )  # fmt: skip


def _matrix(rnn: Rnn, t: Tensor | None) -> Matrix:
    """Constant weights as a matrix of one gate, empty where there are none."""
    if t is None:
        return Matrix(np.zeros((1, 0, 0), rnn.w.dtype), np.ones(1, np.float32))
    return Matrix(np.asarray(t.data)[None], np.array([t.scale], np.float32))


@kernel_factory
def rnn_kernel(kind: str) -> Kernel:
    """The kernel for float32 weights (float) or for int8 weights in one of the ways of ``int8rt.numerics``."""
    add, ready = PRODUCTS[kind]

    def rnn(
        x: Any, aux: Any, m: Matrices, v: Vectors, bias: Any, sizes: Sizes, options: Options, values: Any, h: Any,
        y: Any,
    ) -> None:  # fmt: skip
        """x, aux, h and y: float32, flat; values [batch, units]; h, the states of all groups, changes."""
        batch, units = sizes.batch, sizes.units
        for group in range(sizes.groups):
            h_at = group * batch * units
            for turn in range(sizes.passes * sizes.steps):
                t = turn % sizes.steps
                row = (group * sizes.steps + (sizes.steps - 1 - t if options.is_backward else t)) * batch
                used = take_vectors(ready, x, aux, row, h, h_at, m, v, options.is_symmetric)
                for b in range(batch):
                    for i in range(units):
                        value = get(bias, i)
                        for n in range(3):
                            if (used >> n) & 1:
                                value = add(value, m, v, n, 0, i, b)
                        put(values, b * units + i, activate(value, options.activation))
                copy_floats(values, 0, batch * units, h, h_at)
                for b in range(batch):
                    copy_floats(values, b * units, units, y, (row + b) * options.stride + options.column)

    return Kernel(rnn)
