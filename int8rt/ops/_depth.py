"""What SPACE_TO_DEPTH and DEPTH_TO_SPACE share: blocks of pixels on one side are channels of one pixel on the other.

depth[n, h, w, (dy b + dx) c + k] = space[n, h b + dy, w b + dx, k]
"""

from __future__ import annotations

from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.ops._move import copy, operand, same_type
from int8rt.steps import Step


def block_size(node: Node) -> int:
    """The edge of a block in pixels. Raises ModelError."""
    b = int(node.options.block_size)
    if b < 1:
        raise ModelError(f"{node.label}: block size {b}; at least 1 was expected")
    return b


def check(node: Node) -> None:
    """Raise ModelError unless input and output have one type."""
    same_type(node, operand(node), *node.outputs)


def prepare(node: Node, to_depth: bool) -> list[Step]:
    """One copy over [n, h, w, dy, dx, k]."""
    check(node)
    x, (y,), b = operand(node), node.outputs, block_size(node)
    n, h, w, channels = y.shape if to_depth else x.shape
    c = channels // (b * b)
    shape = n, h, w, b, b, c
    depth = h * w * channels, w * channels, channels, b * c, c, 1
    space = h * w * channels, b * w * b * c, b * c, w * b * c, c, 1
    return copy(x, y, shape, space, depth) if to_depth else copy(x, y, shape, depth, space)
