"""What each operator asks of its quantized tensors: one line for each that has an integer form in TFLite.

A rule says which operands are weights and along which axis their scales run, which operand is a bias, whether inputs
and outputs share one scale, which scale an output always has, and which version of the operator takes int8. It is the
table of TensorFlow's converter (``tensorflow/compiler/mlir/lite/ir/tfl_ops.td`` and
``quantization_lib/quantization_utils.cc``; versions: ``tensorflow/lite/tools/versioning/op_version.cc``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from int8rt.frozen import frozen
from int8rt.graph import Node

PER_TENSOR = -1  # in place of an axis: one scale for all weights


@frozen
class Rule:
    """What an operator asks of its tensors. Operands that are not float32 are left as they are."""

    version: int = 1  # that takes int8; ``version_of`` has what depends on more
    weights: Mapping[int, int] = field(default_factory=dict)  # operand -> axis of its scales
    bias: int | None = None  # an operand with the scale of the input times that of the weights
    product: tuple[int, int] = (0, 1)  # the operands whose scales make the bias's: input and weights
    same_scale: bool = False  # all inputs and outputs have one scale and zero point
    output: tuple[float, int] | None = None  # scale and zero point that an output always has


def _same(version: int) -> Rule:
    return Rule(version, same_scale=True)


RULES: Mapping[str, Rule] = {
    # Products with weights
    "CONV_2D": Rule(3, {1: 0}, bias=2),
    "DEPTHWISE_CONV_2D": Rule(3, {1: 3}, bias=2),
    "FULLY_CONNECTED": Rule(4, {1: 0}, bias=2),
    "TRANSPOSE_CONV": Rule(2, {1: 0}, bias=3, product=(2, 1)),
    "PRELU": Rule(1, {1: PER_TENSOR}),
    "BATCH_MATMUL": Rule(2),
    # One scale for all
    "AVERAGE_POOL_2D": _same(2),
    "BATCH_TO_SPACE_ND": _same(2),
    "BROADCAST_TO": _same(2),
    "CONCATENATION": _same(2),
    "DEPTH_TO_SPACE": _same(1),
    "DYNAMIC_UPDATE_SLICE": _same(1),
    "EXPAND_DIMS": _same(1),
    "FILL": _same(3),
    "GATHER": _same(2),
    "GATHER_ND": _same(1),
    "MAXIMUM": _same(2),
    "MAX_POOL_2D": _same(2),
    "MINIMUM": _same(2),
    "MIRROR_PAD": _same(2),
    "PACK": _same(2),
    "PAD": _same(2),
    "PADV2": _same(2),
    "REDUCE_MAX": _same(2),
    "REDUCE_MIN": _same(2),
    "RESHAPE": _same(1),
    "RESIZE_BILINEAR": _same(2),
    "RESIZE_NEAREST_NEIGHBOR": _same(2),
    "REVERSE_V2": _same(2),
    "SCATTER_ND": _same(1),
    "SELECT": _same(2),
    "SELECT_V2": _same(1),
    "SLICE": _same(2),
    "SPACE_TO_BATCH_ND": _same(2),
    "SPACE_TO_DEPTH": _same(2),
    "SPLIT": _same(2),
    "SPLIT_V": _same(2),
    "SQUEEZE": _same(1),
    "STRIDED_SLICE": _same(2),
    "TILE": _same(2),  # TensorFlow says 3, which LiteRT's reference kernels do not have
    "TOPK_V2": _same(2),
    "TRANSPOSE": _same(2),
    "UNPACK": _same(2),
    # Outputs in a range that the function has
    "L2_NORMALIZATION": Rule(2, output=(1 / 128, 0)),
    "LOGISTIC": Rule(2, output=(1 / 256, -128)),
    "LOG_SOFTMAX": Rule(2, output=(16 / 256, 127)),
    "SOFTMAX": Rule(2, output=(1 / 256, -128)),
    "TANH": Rule(2, output=(1 / 128, 0)),
    # Scales of their own
    "ABS": Rule(2),
    "ADD": Rule(2),
    "DIV": Rule(2),
    "EXP": Rule(2),
    "GELU": Rule(2),
    "HARD_SWISH": Rule(1),
    "LEAKY_RELU": Rule(1),
    "LOG": Rule(2),
    "MEAN": Rule(2),
    "MUL": Rule(2),
    "REDUCE_PROD": Rule(2),
    "RELU": Rule(2),
    "RELU6": Rule(2),
    "RELU_N1_TO_1": Rule(1),
    "RSQRT": Rule(2),
    "SQRT": Rule(2),
    "SQUARED_DIFFERENCE": Rule(2),
    "SUB": Rule(2),
    # Not SUM: LiteRT reads int8 as uint8 there, and what it gives is wrong (docs/numerics.md).
    # Outputs that are no reals
    "ARG_MAX": Rule(2),
    "ARG_MIN": Rule(2),
    "EQUAL": Rule(2),
    "GREATER": Rule(2),
    "GREATER_EQUAL": Rule(2),
    "LESS": Rule(2),
    "LESS_EQUAL": Rule(2),
    "NOT_EQUAL": Rule(2),
    "SHAPE": Rule(1),
}


def rule_of(node: Node) -> Rule | None:
    """The rule of a node's operator; None where it has no integer form."""
    return None if node.is_custom else RULES.get(node.op)


def version_of(node: Node) -> int:
    """The version of an operator on int8, at least that of the float one."""
    rule = RULES[node.op]
    version = rule.version
    if node.op == "FULLY_CONNECTED":
        version = 6 if len(node.inputs) == 2 else 5 if node.options.keep_num_dims else version
    elif node.op == "TRANSPOSE_CONV" and len(node.inputs) > 3 and node.inputs[3] is not None:
        version = 3
    return max(version, node.version)
