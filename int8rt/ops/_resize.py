"""What RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR share: an NHWC image and the size that it is to get."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from int8rt import limits, ops
from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor

PER_PIXEL = 96  # bytes that the places of one row or column take while they are computed
TYPES = ("int8", "uint8", "int16", "float32")


class Axis(NamedTuple):
    """Height or width, before and after."""

    size: int
    out_size: int
    align_corners: bool
    half_pixel_centers: bool

    @property
    def scale(self) -> np.float32:
        """The distance between neighbouring output pixels, in pixels of the input: one float32 division."""
        return np.float32(self.size - self._corner) / np.float32(self.out_size - self._corner)

    @property
    def scale_10(self) -> int:
        """``scale`` with ten bits after the point, rounded half up."""
        size, out_size = self.size - self._corner, self.out_size - self._corner
        return (1024 * size + out_size // 2) // out_size

    @property
    def _corner(self) -> int:
        return int(self.align_corners and self.out_size > 1)


def axes(node: Node) -> tuple[Tensor, Axis, Axis]:
    """x, its height and its width. Raises ModelError and UnsupportedError."""
    x, size = node.given
    if size.shape != (2,):
        raise ModelError(f"{node.label}: the size is {size!r}; height and width were expected")
    if size.data is None:
        raise ops.NotConstant(f"{node.label}: the size {size.name!r} is not a constant")
    wanted = [int(n) for n in size.data]
    if min(wanted) < 1 or min(x.shape[1:3]) < 1:
        raise ModelError(f"{node.label}: cannot resize {list(x.shape)} to height and width {wanted}")
    limits.need(PER_PIXEL * sum(wanted))
    options = bool(node.options.align_corners), bool(node.options.half_pixel_centers)
    height, width = (Axis(n, m, *options) for n, m in zip(x.shape[1:3], wanted, strict=True))
    return x, height, width


def output_shape(node: Node) -> tuple[int, ...]:
    """The shape of the resized image."""
    x, height, width = axes(node)
    return (x.shape[0], height.out_size, width.out_size, x.shape[3])


def check(node: Node, types: Sequence[str] = TYPES) -> None:
    """Refuse what the kernels do not do."""
    x, _, _ = axes(node)
    (y,) = node.outputs
    if x.type not in types or y.type != x.type:
        raise ops.refuse(
            node, f"one type of {', '.join(types)} is supported for input and output, not {y.type} outputs"
        )
