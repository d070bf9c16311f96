"""MIRROR_PAD: a tensor with its own mirror image around it, the outermost values repeated (SYMMETRIC) or not (REFLECT).

y[i] = x[left + offset - 1 - i]                 for i < left
y[left + size + i] = x[size - 1 - offset - i]   for i < right         offset: 0 SYMMETRIC, 1 REFLECT
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops._index import known
from int8rt.ops._move import copy, operand, same_scale, same_type, strides
from int8rt.ops._pad import Padding
from int8rt.steps import Step

operands = "x paddings[2] -> y"

OFFSETS = {0: 1, 1: 0}  # of the options' mode: REFLECT, SYMMETRIC


def shapes(node: Node) -> list[tuple[int, ...]] | None:
    axes = _axes(node)
    return None if axes is None else [tuple(axis.total for axis in axes)]


def reference(node: Node, x: np.ndarray, paddings: np.ndarray) -> np.ndarray:
    axes = _checked(node)
    edges = [(axis.left, axis.right) for axis in axes]
    return np.pad(x, edges, "reflect") if _offset(node) else np.pad(x, edges, "symmetric")


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    """Copy x into the middle, and each mirror image with steps that go backwards along the axes that it mirrors."""
    axes = _checked(node)
    x, (y,) = operand(node), node.outputs
    steps: list[Step] = []
    for parts in itertools.product(*(_parts(axis, _offset(node)) for axis in axes)):
        steps += copy(
            x, y, [part.size for part in parts],
            [s * part.step for s, part in zip(strides(x.shape), parts, strict=True)], strides(y.shape),
            sum(s * part.x for s, part in zip(strides(x.shape), parts, strict=True)),
            sum(s * part.y for s, part in zip(strides(y.shape), parts, strict=True)),
        )  # fmt: skip
    return steps


class Part(NamedTuple):
    """One stretch of y along an axis: y[y + i] = x[x + step * i] for i < size."""

    size: int
    step: int
    x: int
    y: int


def _parts(axis: Padding, offset: int) -> list[Part]:
    left, size, right = axis
    parts = [
        Part(left, -1, left + offset - 1, 0),
        Part(size, 1, 0, left),
        Part(right, -1, size - 1 - offset, left + size),
    ]
    return [part for part in parts if part.size]


def _offset(node: Node) -> int:
    if node.options.mode not in OFFSETS:
        raise ModelError(f"{node.label}: mode {node.options.mode}; 0 (REFLECT) or 1 (SYMMETRIC) was expected")
    return OFFSETS[node.options.mode]


def _axes(node: Node) -> list[Padding] | None:
    """The padding of each axis. Raises ModelError."""
    x, values = operand(node), known(node, 1, "paddings")
    if values is None:
        return None
    if operand(node, 1).shape != (len(x.shape), 2) or min(values, default=0) < 0:
        found = f"{values} of shape {list(operand(node, 1).shape)}"
        raise ModelError(f"{node.label}: paddings {found} for {list(x.shape)}; two per axis, 0 or more, were expected")
    axes = [Padding(left, n, right) for n, left, right in zip(x.shape, values[::2], values[1::2], strict=True)]
    _check_sizes(node, axes)
    return axes


def _check_sizes(node: Node, axes: Sequence[Padding]) -> None:
    """An image cannot be larger than what is mirrored; LiteRT reads other memory there."""
    for axis in axes:
        if max(axis.left, axis.right) > max(axis.size - _offset(node), 0):
            raise ModelError(f"{node.label}: paddings {axis.left} and {axis.right} of an axis of {axis.size}")


def _checked(node: Node) -> list[Padding]:
    x, (y,) = operand(node), node.outputs
    same_type(node, x, y)
    if x.type in ("int8", "uint8", "int16"):
        same_scale(node, x, y)
    axes = _axes(node)
    assert axes is not None
    return axes
