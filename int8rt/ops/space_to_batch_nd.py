"""SPACE_TO_BATCH_ND: positions within blocks of the space become batches; see ``_batches``.

The space is padded with zeros first, that is with the output's zero point where it is quantized.
"""

from __future__ import annotations

import numpy as np

from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.numerics.storage import storage_dtype
from int8rt.ops import _batches
from int8rt.ops._move import filled, operand
from int8rt.steps import Step

operands = "x block[1] paddings[2] -> y"


def shapes(node: Node) -> list[tuple[int, ...]] | None:
    b, x = _batches.blocks(node), operand(node)
    if b is None:
        return None
    space = [n + before + after for n, before, after in zip(x.shape[1:], b.before, b.after, strict=False)]
    if any(n % size for n, size in zip(space, b.sizes, strict=True)):
        raise ModelError(f"{node.label}: padded space {space} is not a whole number of blocks {b.sizes}")
    positions = [n // size for n, size in zip(space, b.sizes, strict=True)]
    return [(x.shape[0] * b.number, *positions, *x.shape[1 + len(space) :])]


def reference(node: Node, x: np.ndarray, block: np.ndarray, paddings: np.ndarray) -> np.ndarray:
    b = _batches.checked(node)
    edges = zip(b.before, b.after, strict=True)
    rest = x.shape[1 + len(b.sizes) :]
    padded = np.pad(x, [(0, 0), *edges, *[(0, 0)] * len(rest)], constant_values=_zero(node))
    split = [n for size, total in zip(b.sizes, padded.shape[1:], strict=False) for n in (total // size, size)]
    dims = range(len(b.sizes))
    order = [2 + 2 * i for i in dims], [0], [1 + 2 * i for i in dims]
    axes = [axis for group in order for axis in group]
    y = padded.reshape(x.shape[0], *split, *rest).transpose(*axes, *range(len(axes), len(axes) + len(rest)))
    return y.reshape(x.shape[0] * b.number, *split[::2], *rest)


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    b = _batches.checked(node)
    x, (y,) = operand(node), node.outputs
    padding = filled(y, _zero(node)) if any([*b.before, *b.after]) else []
    return padding + _batches.copies(b, x, y, to_batches=True)


def _zero(node: Node) -> int:
    (y,) = node.outputs
    return y.zero_point if storage_dtype(y.dtype) in (np.uint8, np.int16) else 0
