"""SVDF: a layer of rank-one filters in depth and time, with a memory.

    state[b, f] <- state[b, f] shifted by one, with W_feature[f] . x[b] at its end
    y[b, u]     = activation(bias[u] + sum over the unit's filters f of W_time[f] . state[b, f])

int8: state and W_time are int16; two requantizations by double rounding, with int32 sums between them. LiteRT demands
that the activation be RELU and applies none but the clamp to int8, which is one where the output's zero point is -128.
float32 and hybrid (int8 weights, inputs quantized row by row): sums in the order of ``_recurrent``; weight_only: inputs
as they are, products by ``simd.floats.dot_widened``.
Formulas: TFLite ``internal/reference/svdf.h``. The state is a variable tensor.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.native.kernel import Kernel, inline, kernel, kernel_factory
from int8rt.numerics.fixedpoint import Multiplier, multiplier_of, requantize_double_rounding, scale_double, wrap_int32
from int8rt.numerics.rules import Numerics
from int8rt.numerics.storage import INT8_OFFSET
from int8rt.ops._lstm import check_types
from int8rt.ops._recurrent import (
    IN_ORDER,
    LANES,
    PRODUCTS,
    RELU,
    ZERO,
    F,
    Matrices,
    Matrix,
    Vectors,
    activate,
    activated,
    added,
    check_activation,
    copy_floats,
    dot_lanes,
    dot_quantized,
    hybrid_product,
    interleaved_sums,
    matrices,
    vectors,
)
from int8rt.simd.floats import dot_widened
from int8rt.simd.memory import get, put
from int8rt.steps import Call, Flat, Step, scratch

operands = "x[2] feature[2] time[2] b? state[2] -> y"

BIAS, STATE = 3, 4


class Svdf(NamedTuple):
    """The tensors of a node, and its sizes."""

    x: Tensor  # [batch, depth]
    feature: Tensor  # [filters, depth]
    time: Tensor  # [filters, memory]
    bias: Tensor | None  # [units]
    state: Tensor  # [batch, filters * memory], variable
    rank: int

    @property
    def units(self) -> int:
        """How many outputs."""
        return int(self.feature.shape[0]) // self.rank


def shapes(node: Node) -> list[tuple[int, ...]]:
    s = _parts(node)
    return [(s.x.shape[0], s.units)]


def reference(node: Node, *arrays: np.ndarray) -> np.ndarray:
    s = _parts(node)
    filters, memory = s.time.shape
    state = arrays[STATE].reshape(-1, filters, memory)
    bias = None if s.bias is None else np.asarray(s.bias.data)
    if s.x.dtype == np.int8:
        return _int8(node, s, arrays[0], bias, state)
    _check_float(node, s)
    feature, time = np.asarray(s.feature.data), _time_weights(s)
    if feature.dtype == np.float32:
        latest = added(np.zeros((len(state), filters), np.float32), arrays[0][:, None] * feature)
    else:
        latest = hybrid_product(arrays[0], feature, s.feature.scale, _is_symmetric(node))
        latest *= arrays[0].any()
    _remember(state, latest)
    of_filters = interleaved_sums(state * time, LANES, LANES)
    y = interleaved_sums(of_filters.reshape(-1, s.units, s.rank), LANES, LANES)
    return activated(y if bias is None else y + bias, node.options.fused_activation_function)


def _int8(node: Node, s: Svdf, x: np.ndarray, bias: np.ndarray | None, state: np.ndarray) -> np.ndarray:
    first, second = _multipliers(node, s)
    acc = (x.astype(np.int64) - s.x.zero_point) @ np.asarray(s.feature.data, np.int64).T
    _remember(state, requantize_double_rounding(wrap_int32(acc), *first).clip(-32768, 32767))
    acc = (state.astype(np.int64) * np.asarray(s.time.data, np.int64)).sum(axis=-1)
    acc = acc.reshape(-1, s.units, s.rank).sum(axis=-1) + (0 if bias is None else bias.astype(np.int64))
    y = requantize_double_rounding(wrap_int32(acc), *second) + node.outputs[0].zero_point
    return y.clip(-128, 127).astype(np.int8)


def _remember(state: np.ndarray, latest: np.ndarray) -> None:
    """Shift every filter's memory by one and add the latest value at its end."""
    state[..., :-1] = state[..., 1:].copy()
    state[..., -1] = latest


def _multipliers(node: Node, s: Svdf) -> tuple[Multiplier, Multiplier]:
    """From products to state and from state to outputs. Raises ModelError."""
    y = node.outputs[0]
    check_types(node, "input, feature weights and output", np.int8, (s.x, s.feature, y))
    check_types(node, "time weights and state", np.int16, (s.time, s.state))
    check_types(node, "bias", np.int32, (s.bias,))
    if node.options.fused_activation_function != RELU:
        raise ops.refuse(node, "the activation of an int8 SVDF must be RELU")
    for t in (s.x, s.feature, s.time, s.state, y):
        if not 0 < t.scale < np.inf:
            raise ModelError(f"{node.label}: {t!r} has scale {t.scale:g}, expected a positive one")
    first, second = (s.x, s.feature, s.state), (s.state, s.time, y)
    return tuple(multiplier_of(scale_double(*(t.scale for t in three))) for three in (first, second))  # type: ignore[return-value]


def _check_float(node: Node, s: Svdf) -> None:
    if s.x.dtype != np.float32 or s.feature.dtype not in (np.float32, np.int8):
        raise ops.refuse(node, "inputs must be int8 or float32, weights of float32 inputs int8 or float32")
    check_types(node, "weights", s.feature.dtype.type, (s.feature, s.time))
    check_types(node, "inputs, bias, state and outputs", np.float32, (s.x, s.bias, s.state, node.outputs[0]))
    for t in (s.feature, s.time):
        if t.dtype == np.int8 and (t.quantization is None or len(t.quantization.scale) != 1):
            raise ModelError(f"{node.label}: the weights {t!r} must have one scale")
    check_activation(node.options.fused_activation_function, allow_none=True)


def _time_weights(s: Svdf) -> np.ndarray:
    """As float32."""
    time = np.asarray(s.time.data, np.float32)
    return time if s.time.dtype == np.float32 else time * F(s.time.scale)


def _is_symmetric(node: Node) -> bool:
    return not getattr(node.options, "asymmetric_quantize_inputs", False)


def _parts(node: Node) -> Svdf:
    (x, feature, time), state, bias = node.given[:3], node.given[-1], node.inputs[BIAS]
    if feature.data is None or time.data is None or (bias is not None and bias.data is None):
        raise ops.refuse(node, "weights and bias must be constants")
    rank = node.options.rank
    filters, depth = feature.shape
    memory = time.shape[1]
    if rank < 1 or filters % rank or time.shape != (filters, memory) or memory < 1 or x.shape[1] != depth:
        raise ModelError(f"{node.label}: input {x!r}, weights {feature!r} and {time!r} do not fit rank {rank}")
    if bias is not None and bias.shape != (filters // rank,):
        raise ModelError(f"{node.label}: the bias is {bias!r}; {filters // rank} values were expected")
    if not state.is_variable or state.shape != (x.shape[0], filters * memory):
        raise ModelError(
            f"{node.label}: the state is {state!r}; a variable tensor {x.shape[0]}x{filters * memory} was expected"
        )
    return Svdf(x, feature, time, bias, state, rank)


# Program


class Tensors(NamedTuple):
    """What changes from run to run, as the kernels take it, flat."""

    x: Any  # float32 or stored int8 [batch * depth]
    state: Any  # float32 or int16 [batch * filters * memory]
    y: Any  # float32 or stored int8 [batch * units]


class Memory(NamedTuple):
    """What float32 and hybrid layers make of the state."""

    time: Any  # float32 or int8 [filters, memory]
    time_scale: np.float32  # of int8
    bias: Any  # float32 [units] or empty
    rank: int
    activation: int


class Scaling(NamedTuple):
    """How int8 layers requantize."""

    state_multiplier: int
    state_shift: int
    output_multiplier: int
    output_shift: int
    output_zero: int  # of stored outputs


def prepare(node: Node, numerics: Numerics) -> Step:
    s = _parts(node)
    return _int8_call(node, s) if s.x.dtype == np.int8 else _float_call(node, s, numerics)


def _work(s: Svdf) -> int:
    return s.x.shape[0] * (s.feature.size + s.time.size)


def _int8_call(node: Node, s: Svdf) -> Call:
    y = node.outputs[0]
    to_state, to_output = _multipliers(node, s)
    feature, time = np.asarray(s.feature.data), np.asarray(s.time.data)
    offset = -(s.x.zero_point + INT8_OFFSET) * feature.sum(axis=1, dtype=np.int64)
    bias = np.zeros(s.units, np.int64) if s.bias is None else np.asarray(s.bias.data, np.int64)
    eight, sixteen = np.dtype(np.uint8), np.dtype(np.int16)
    tensors = Tensors(x=Flat(s.x, eight), state=Flat(s.state, sixteen), y=Flat(y, eight))
    scaling = Scaling(*to_state, *to_output, output_zero=y.zero_point + INT8_OFFSET)
    args = *tensors, feature, offset, time, bias, s.rank, *scaling
    return Call(svdf_int8, *args, writes=[y, s.state], work=_work(s))


def _float_call(node: Node, s: Svdf, numerics: Numerics) -> Call:
    _check_float(node, s)
    y = node.outputs[0]
    kind = numerics.hybrid if s.feature.dtype == np.int8 else "float"
    is_widened = kind == "weight_only"
    m = matrices([Matrix(np.asarray(s.feature.data)[None], np.array([s.feature.scale], np.float32))])
    v = vectors(y.name, m, s.x.shape[0])
    of_filters = scratch(f"{y.name}/filters", (s.time.shape[0],), np.float32)
    memory = Memory(
        time=np.asarray(s.time.data) if is_widened else _time_weights(s),
        time_scale=np.float32(s.time.scale if is_widened else 1),
        bias=np.zeros(0, np.float32) if s.bias is None else np.asarray(s.bias.data, np.float32),
        rank=s.rank,
        activation=node.options.fused_activation_function,
    )
    f = np.dtype(np.float32)
    tensors = Tensors(x=Flat(s.x, f), state=Flat(s.state, f), y=Flat(y, f))
    return Call(
        svdf_kernel(kind), *tensors, *m, *v, *memory, int(_is_symmetric(node)), of_filters,
        writes=[y, s.state, v.values, v.quantized, v.scale, v.zero_point, of_filters], work=_work(s),
    )  # fmt: skip


@inline
def shift(state: Any, at: int, count: int) -> None:
    """Move count values by one to the front; the first is lost, the last stays as it is."""
    for i in range(at, at + count - 1):
        put(state, i, get(state, i + 1))


@kernel
def svdf_int8(t: Tensors, feature: Any, offset: Any, time: Any, bias: Any, rank: int, s: Scaling) -> None:
    """y of x; the state changes. feature int8 [filters, depth], offset int64 [filters]: what zero points add."""
    filters, depth, memory = feature.shape[0], feature.shape[1], time.shape[1]
    units = filters // rank
    for b in range(t.x.size // depth):
        for u in range(units):
            total = get(bias, u)
            for f in range(u * rank, (u + 1) * rank):
                acc = dot_quantized(feature, f * depth, t.x, b * depth, depth) + get(offset, f)
                value = requantize_double_rounding(wrap_int32(acc), s.state_multiplier, s.state_shift)
                at = (b * filters + f) * memory
                shift(t.state, at, memory)
                put(t.state, at + memory - 1, min(max(value, -32768), 32767))
                total += dot_quantized(time, f * memory, t.state, at, memory)
            value = requantize_double_rounding(wrap_int32(total), s.output_multiplier, s.output_shift)
            put(t.y, b * units + u, min(max(value + s.output_zero, 0), 255))


NOTHING = F(-0.0)  # what changes no number by being added to it, not even the sign of 0


@kernel_factory
def svdf_kernel(kind: str) -> Kernel:
    """The kernel for float32 weights (float) or for int8 weights in one of the ways of ``int8rt.numerics``."""
    add, ready = PRODUCTS[kind]
    remembered = _remembered_weight_only if kind == "weight_only" else _remembered

    def svdf(t: Tensors, m: Matrices, v: Vectors, memory: Memory, is_symmetric: int, of_filters: Any) -> None:
        """y of x, which the one matrix multiplies; the state changes. of_filters: float32 [filters], scratch."""
        filters, length = memory.time.shape
        units, depth = filters // memory.rank, get(m.depth, 0)
        copy_floats(t.x, 0, v.batch * depth, v.values, 0)
        has_x = ready(v, 0, depth, is_symmetric)
        for b in range(v.batch):
            for f in range(filters):
                at = (b * filters + f) * length
                shift(t.state, at, length)
                put(t.state, at + length - 1, add(NOTHING, m, v, 0, 0, f, b) if has_x else ZERO)
                put(of_filters, f, remembered(memory.time, f * length, t.state, at, length, memory.time_scale))
            for u in range(units):
                value = sum_lanes(of_filters, u * memory.rank, memory.rank)
                if memory.bias.size > 0:
                    value += get(memory.bias, u)
                put(t.y, b * units + u, activate(value, memory.activation))

    return Kernel(svdf)


@inline
def _remembered(time: Any, w_at: int, state: Any, at: int, memory: int, scale: Any) -> Any:
    """A filter's memory times its time weights."""
    return dot_lanes(time, w_at, state, at, memory, IN_ORDER)


@inline
def _remembered_weight_only(time: Any, w_at: int, state: Any, at: int, memory: int, scale: Any) -> Any:
    """The same with int8 weights."""
    return dot_widened(time, w_at, state, at, memory) * F(scale)


@inline
def sum_lanes(x: Any, at: int, count: int) -> Any:
    """The sum of count values by lanes."""
    a, b, c, d = ZERO, ZERO, ZERO, ZERO
    full = count // LANES * LANES
    for k in range(at, at + full, LANES):
        a += get(x, k)
        b += get(x, k + 1)
        c += get(x, k + 2)
        d += get(x, k + 3)
    total = ((a + b) + c) + d
    for k in range(at + full, at + count):
        total += get(x, k)
    return total
