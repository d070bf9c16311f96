"""RFFT2D: the discrete Fourier transform of the last two axes of float32, complex64 [..., height, width / 2 + 1].

Images are cut or filled with zeros to the wanted height and width, powers of two. Computed in float64 and rounded once,
by NumPy, in Python; LiteRT's differs where float64's last bits matter. Of width 1 LiteRT's result is not the
transform; here it is.
"""

from __future__ import annotations

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.steps import Step

operands = "x[2+] lengths[1] -> y"


def shapes(node: Node) -> list[tuple[int, ...]] | None:
    x, lengths = node.given
    (y,) = node.outputs
    if x.dtype != np.float32 or y.dtype != np.complex64 or lengths.dtype != np.int32:
        raise ops.refuse(node, f"to {y.type}: supported is float32 with lengths int32 to complex64")
    if lengths.shape != (2,):
        raise ModelError(f"{node.label}: the lengths are {lengths!r}; height and width were expected")
    if lengths.data is None:
        return None
    height, width = map(int, lengths.data)
    if not (_is_power_of_two(height) and _is_power_of_two(width)):
        raise ModelError(f"{node.label}: the lengths are {height} and {width}, expected powers of two")
    return [(*x.shape[:-2], height, width // 2 + 1)]


def _is_power_of_two(n: int) -> bool:
    return n > 0 and n & (n - 1) == 0


def reference(node: Node, x: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    return np.fft.rfft2(x.astype(np.float64), tuple(map(int, lengths)), axes=(-2, -1)).astype(np.complex64)


def prepare(node: Node, numerics: Numerics) -> Step:
    return ops.by_reference(node, reference)
