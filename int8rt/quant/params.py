"""From ranges to scales and zero points: which parameters every tensor of a graph gets, and where they have to change.

A range belongs to a tensor; what becomes of it is a matter of the operators around it (``rules``). Operators with one
scale for all pass parameters on: from their input where it is the only one, else from their output back to where its
parts come from. Where two of them want different parameters of a tensor, one is converted (QUANTIZE).

But for ranges that would clip what others need, this is what TensorFlow's converter does, in its order
(``quantization_utils.cc``, ``RemoveRedundantStatsOps``; ``tfl_quantization_driver.cc``,
``PropagateParamsAndReturnIfChanged``; float scales are those of its "legacy" mode).
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import field
from typing import NamedTuple, TypeAlias

import numpy as np

from int8rt.frozen import frozen
from int8rt.graph import Node, Quantization, Subgraph, Tensor
from int8rt.numerics.fixedpoint import round_half_away
from int8rt.quant.rules import PER_TENSOR, RULES, rule_of

Range: TypeAlias = tuple[float, float]
Use: TypeAlias = tuple[int, int]  # a node's number and the position among its inputs
Value: TypeAlias = "int | Use"  # a tensor's number; a use, of a constant that has parameters of its own there

LEAST_WIDTH = 1e-6  # of a range: a narrower one is widened by as much at each end
LEAST_SCALE = float(np.finfo(np.float32).tiny)  # the inverse of which is a float32
MAX_BIAS = (2**31 - 1) // 2  # steps, which leaves the accumulator room
FLOAT32 = np.dtype(np.float32)


class Params(NamedTuple):
    """Scales and zero points of a quantized tensor, as values that can be compared."""

    dtype: str
    scales: tuple[float, ...]  # of float32
    zero_points: tuple[int, ...]
    axis: int = 0
    lowest: int = -128  # of int8: weights leave it out, so that their range is symmetric

    @property
    def quantization(self) -> Quantization:
        """The same, as a tensor has it."""
        scale, zero_point = np.array(self.scales, np.float32), np.array(self.zero_points, np.int64)
        scale.flags.writeable = zero_point.flags.writeable = False
        return Quantization(scale, zero_point, self.axis)

    def __repr__(self) -> str:
        return f"{self.dtype} {self.quantization!r}"


def of_range(lo: float, hi: float) -> Params:
    """The parameters of an activation: int8 in [-128, 127], which represents 0 exactly."""
    lo, hi = min(lo, 0.0), max(hi, 0.0)
    if hi - lo < LEAST_WIDTH:
        lo, hi = lo - LEAST_WIDTH, hi + LEAST_WIDTH
    with np.errstate(over="ignore"):
        width = np.float64(np.float32(hi) - np.float32(lo))
    scale = np.float32((width if np.isfinite(width) else hi - lo) / 255)
    zero_point = round_half_away(np.float64(np.float32(-128 - np.float64(lo) / np.float64(scale))))
    return Params("int8", (float(scale),), (int(np.clip(zero_point, -128, 127)),))


def of_weights(w: np.ndarray, axis: int) -> Params:
    """The parameters of weights: int8 in [-127, 127], zero point 0; along an axis, or PER_TENSOR."""
    others = None if axis == PER_TENSOR else tuple(a for a in range(w.ndim) if a != axis)
    largest = np.maximum(np.abs(w).max(axis=others, initial=0).astype(np.float64), LEAST_WIDTH / 2)
    scales = np.atleast_1d((largest / 127).astype(np.float32))
    return Params("int8", tuple(map(float, scales)), (0,) * len(scales), max(axis, 0), lowest=-127)


def of_bias(x: Params, w: Params, axis: int = 0) -> Params:
    """The parameters of a bias: int32 with the steps of the accumulator."""
    scales = x.scales[0] * np.array(w.scales, np.float64)
    return Params("int32", tuple(map(float, scales.astype(np.float32))), (0,) * len(scales), axis)


def quantized(values: np.ndarray, params: Params) -> np.ndarray:
    """A constant's values in steps: one float32 product for each, rounded half away from zero."""
    bounds = np.iinfo(params.dtype)
    shape = [1] * values.ndim
    if len(params.scales) > 1:
        shape[params.axis] = len(params.scales)
    scales = np.array(params.scales, np.float64).reshape(shape)
    with np.errstate(over="ignore"):  # what is out of reach is clipped
        steps = np.float64(values * (1 / scales).astype(np.float32))
    lowest = max(params.lowest, bounds.min) if params.dtype == "int8" else bounds.min
    zero_points = np.array(params.zero_points, np.float64).reshape(shape)
    return np.asarray(np.clip(round_half_away(steps) + zero_points, lowest, bounds.max), params.dtype)


@frozen
class Assignment:
    """Which parameters the tensors of a subgraph get; printed, a line for each."""

    values: Mapping[Value, Params]
    inputs: Mapping[Use, Params] = field(default_factory=dict)  # uses that want others than their tensor has
    outputs: Mapping[int, Params] = field(default_factory=dict)  # tensors whose node gives others than they have

    def of_input(self, node: Node, position: int) -> Params | None:
        """What a node finds at an input; None for a float, and where the input is left out."""
        t, use = node.inputs[position], (node.index, position)
        return None if t is None else self.inputs.get(use) or self.values.get(use) or self.values.get(t.index)

    def __str__(self) -> str:
        lines = [f"tensor {t}: {p!r}" for t, p in sorted((t, p) for t, p in self.values.items() if isinstance(t, int))]
        lines += [f"node {n}, input {i}: {p!r}" for (n, i), p in sorted(self.inputs.items())]
        return "\n".join([*lines, *(f"the node that gives tensor {t}: {p!r}" for t, p in sorted(self.outputs.items()))])


def assign(graph: Subgraph, ranges: Mapping[int, Range], like: str | None = None) -> Assignment:
    """The parameters of a subgraph whose float tensors have these ranges, by number.

    like: "tf" for those of TensorFlow where it passes on a range that clips other uses of the tensor.
    """
    return _Driver(graph, ranges, like == "tf").run()


def is_float(t: Tensor | None) -> bool:
    """Whether a tensor holds what is quantized."""
    return t is not None and t.dtype == FLOAT32 and not t.type_name


class _Driver:
    """Parameters on their way through a graph. A value that is ``fixed`` keeps those of its range."""

    def __init__(self, graph: Subgraph, ranges: Mapping[int, Range], is_exact: bool) -> None:
        self.graph, self.is_exact = graph, is_exact
        self.makers = {t.index: node for node in graph.nodes for t in node.outputs}
        self.users: dict[int, list[Use]] = defaultdict(list)
        for node in graph.nodes:
            for position, t in enumerate(node.inputs):
                if t is not None:
                    self.users[t.index].append((node.index, position))
        self.values: dict[Value, Params] = {t: of_range(*ranges[t]) for t in self._kept(ranges)}
        self.fixed = set(self.values)
        self.inputs: dict[Use, Params] = {}
        self.outputs: dict[int, Params] = {}
        self.found = Assignment(self.values, self.inputs, self.outputs)  # as it grows

    # Ranges that stand

    def _kept(self, ranges: Mapping[int, Range]) -> list[int]:
        """The tensors whose ranges stand; those of the others follow from operators with one scale, or are known."""
        dropped: set[int] = set()
        stack = list(ranges)
        while stack:  # forward, through operators with one float input
            t = stack.pop()
            maker = self.makers.get(t)
            rule = None if maker is None else rule_of(maker)
            if rule is not None and rule.output is not None:
                dropped.add(t)
            for user, _ in self.users[t]:
                node = self.graph.nodes[user]
                if _is_same_scale(node) and _float_inputs(node) == 1:
                    new = [y.index for y in node.outputs if y.index in ranges and y.index not in dropped]
                    dropped.update(new)
                    stack += new
        stack = [t for t in ranges if t not in dropped]
        passed: set[int] = set()
        while stack:  # backward, from what is left of the others' outputs
            maker = self.makers.get(stack.pop())
            if maker is not None and _is_same_scale(maker):
                inputs = [x for x in maker.given if x.index in ranges and x.index not in passed]
                new = [x.index for x in inputs if self.is_exact or self._is_for(x, maker)]
                dropped.update(new)
                passed.update(new)
                stack += new
        return [t for t in ranges if t not in dropped]

    def _is_for(self, x: Tensor, maker: Node) -> bool:
        """Whether nothing of a node's input counts but what its output shows.

        Where something does, the output's range may clip what others need of it: TensorFlow lets that happen.
        """
        is_alone = all(user == maker.index for user, _ in self.users[x.index]) and x not in self.graph.outputs
        return is_alone and len(maker.outputs) == 1

    # Parameters that spread

    def run(self) -> Assignment:
        """All of them."""
        self._constants()
        pending = deque(node for node in self.graph.nodes if rule_of(node) is not None)
        done: set[int] = set()
        while pending:  # forward, so that a tensor is what its node gives before somebody else asks for it
            node = pending.pop() if self.is_exact else pending.popleft()
            if node.index not in done and self._visit(node, pending):
                done.add(node.index)
        for node in self.graph.nodes:
            if rule_of(node) is not None:
                self._bias(node)
        return self.found

    def _constants(self) -> None:
        """Weights, and constants of operators that take any scale."""
        for node in self.graph.nodes:
            rule = rule_of(node)
            if rule is None or rule.same_scale:
                continue
            for position, t in enumerate(node.inputs):
                if t is None or not is_float(t) or t.data is None or position == rule.bias:
                    continue
                if not np.isfinite(t.data).all():  # no scale reaches them: the node stays float
                    continue
                if position in rule.weights:
                    self.values[node.index, position] = of_weights(t.data, rule.weights[position])
                elif t.data.size:
                    self.values[node.index, position] = of_range(float(t.data.min()), float(t.data.max()))

    def _visit(self, node: Node, pending: deque[Node]) -> bool:
        """Let a node spread what it asks for; False where nothing is known yet."""
        rule = RULES[node.op]
        if rule.same_scale and (_float_inputs(node) or any(map(is_float, node.outputs))):
            params = self._shared(node)
            if params is None:
                return False
            for position, t in enumerate(node.inputs):
                if t is not None and is_float(t):
                    self._set_input(node, position, t, params, pending)
            for t in node.outputs:
                if is_float(t):
                    self._set_output(t, params, pending)
        if rule.output is not None:
            scale, zero_point = rule.output
            for t in node.outputs:
                self._set_output(t, Params("int8", (scale,), (zero_point,)), pending)
        return True

    def _shared(self, node: Node) -> Params | None:
        """The parameters of an operator with one scale for all; None where no tensor of it has any."""
        inputs = [t.index for t in node.given if is_float(t) and t.data is None and t.index in self.values]
        outputs = [t.index for t in node.outputs if is_float(t) and t.index in self.values]
        fixed_inputs, fixed_outputs = ([t for t in some if t in self.fixed] for some in (inputs, outputs))
        if len(node.inputs) == 1 and fixed_inputs:
            return self.values[fixed_inputs[0]]
        if len(node.outputs) == 1 and fixed_outputs:
            return self.values[fixed_outputs[0]]
        if found := [*fixed_inputs, *fixed_outputs]:
            return self.values[found[0]]
        if len(node.inputs) == 1 and inputs:
            return self.values[inputs[0]]
        if len(node.outputs) == 1 and outputs:
            return self.values[outputs[0]]
        found = [*inputs, *outputs]
        return self.values[found[0]] if found else None

    def _set_input(self, node: Node, position: int, t: Tensor, params: Params, pending: deque[Node]) -> None:
        use = node.index, position
        if t.data is not None:
            if not np.isnan(t.data).any():
                self.values[use] = params
        elif t.index not in self.values:
            self.values[t.index] = params
            if (maker := self.makers.get(t.index)) is not None and rule_of(maker) is not None:
                pending.append(maker)
        elif self.values[t.index] != params:
            self.inputs[use] = params

    def _set_output(self, t: Tensor, params: Params, pending: deque[Node]) -> None:
        if t.index not in self.values:
            self.values[t.index] = params
            users = (self.graph.nodes[user] for user, _ in reversed(self.users[t.index]))
            pending.extend(node for node in users if rule_of(node) is not None)
        elif self.values[t.index] != params:
            self.outputs[t.index] = params

    # Biases

    def _bias(self, node: Node) -> None:
        """The parameters of a node's bias; where it is too large for them, coarser ones for the channel's weights."""
        rule = RULES[node.op]
        if rule.bias is None or rule.bias >= len(node.inputs) or (b := node.inputs[rule.bias]) is None:
            return
        of_x, of_w = rule.product
        x, w = (self.found.of_input(node, position) for position in (of_x, of_w))
        if x is None or w is None or b.data is None or not np.isfinite(b.data).all():
            return
        params = of_bias(x, w)
        largest = np.abs(b.data.reshape(-1)).astype(np.float64)
        if len(params.scales) == 1:
            largest = largest.max(keepdims=True)
        scales = np.array(params.scales)
        if len(largest) != len(scales) or not (np.isfinite(scales) & (scales >= LEAST_SCALE)).all():
            return
        is_large = largest / scales > MAX_BIAS
        if is_large.any():
            scales = np.where(is_large, largest / MAX_BIAS, scales)
            weights = np.where(is_large, scales / x.scales[0], w.scales)
            if not (weights >= LEAST_SCALE).all():
                return
            params = params._replace(scales=tuple(map(float, scales.astype(np.float32))))
            self.values[node.index, of_w] = w._replace(scales=tuple(map(float, weights.astype(np.float32))))
        self.values[node.index, rule.bias] = params


def _is_same_scale(node: Node) -> bool:
    rule = rule_of(node)
    return rule is not None and rule.same_scale


def _float_inputs(node: Node) -> int:
    """How many float inputs, constants included."""
    return sum(map(is_float, node.inputs))
