"""ADD_N: the sum of two or more tensors of one shape, from the first to the last.

int32 wraps; each sum of floats is clamped to finite numbers.

Source: TFLite's add_n.cc.
"""

from __future__ import annotations

import functools

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor
from int8rt.numerics.rules import Numerics
from int8rt.ops._elementwise import call, clamp, limits
from int8rt.ops._sum import plain_sum
from int8rt.steps import Step, scratch

TYPES = ("int32", "float32")


operands = "x1 x2 more* -> y"
by_value = True


def shapes(node: Node) -> list[tuple[int, ...]]:
    return [_terms(node)[0].shape]


def reference(node: Node, *terms: np.ndarray) -> np.ndarray:
    _check(node)
    bounds = limits(node, node.outputs[0])
    return functools.reduce(lambda so_far, term: clamp(np.asarray(so_far + term), bounds), terms)


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    _check(node)
    total, *rest = _terms(node)
    (y,) = node.outputs
    steps: list[Step] = []
    for i, term in enumerate(rest):
        so_far, last = total, i == len(rest) - 1
        total = y if last else scratch(f"{y.name}/sum{i}", y.shape, y.dtype)
        steps.append(call(plain_sum, limits(node, y), so_far, term, total))
    return steps


def _terms(node: Node) -> tuple[Tensor, ...]:
    terms = node.given
    if any(t.shape != terms[0].shape for t in terms):
        raise ModelError(f"{node.label}: shapes {[list(t.shape) for t in terms]} differ")
    return terms


def _check(node: Node) -> None:
    types = {t.type for t in (*_terms(node), *node.outputs)}
    if len(types) > 1:
        raise ModelError(f"{node.label}: types {', '.join(sorted(types))}; one type was expected")
    if not types <= {*TYPES}:
        raise ops.refuse(node, f"supported are {', '.join(TYPES)}")
