"""y = clamp(x @ w.T + b) in float32 (GEMM): every output is its own sum in the order of the row segments.

``x * w`` is rounded and then added, so that y has the bits of a loop over one output. Vectors run along the columns.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from int8rt.graph import Tensor
from int8rt.kernels.packing import matrix_panels
from int8rt.kernels.product import Epilogue, RowSegments, Step, products, widest
from int8rt.native.kernel import Kernel, kernel, kernel_factory, stage
from int8rt.simd.floats import wide_tile
from int8rt.simd.llvm import LANES
from int8rt.simd.memory import get, put
from int8rt.steps import Call


class Clamping(NamedTuple):
    """The arguments of the epilogue: y[first + m * stride + c] = clamp(sum + bias[c])."""

    bias: Any  # float32 [panel, lane]
    limits: Any  # float32 [2]
    columns: int
    y: Any
    first: int
    stride: int


@kernel_factory
def float_dot(rows: int, vectors: int) -> Kernel:
    """The kernel for tiles of rows x 16 vectors; w: float32 [panel, depth, 16 vectors]; then ``Clamping``."""
    tile = wide_tile("float32", rows, vectors)
    t_start, t_finish = tile.start, tile.finish
    width = LANES * vectors

    @stage
    def start(a: Any, panel: int, m: int) -> Any:
        return t_start()

    @stage
    def finish(acc: Any, a: Any, panel: int, m: int, thread: int) -> None:
        c = panel * width
        t_finish(acc, a.bias, c, a.limits, a.y, a.first + m * a.stride + c, a.stride, a.columns - c)

    step = Step(tile.rows, tile.dot, 1, width)
    return products("float_dot", rows, step, Epilogue(Clamping, start, finish))


def call(
    x: Tensor, segments: RowSegments, w: np.ndarray | Tensor, bias: np.ndarray | Tensor, limits: np.ndarray, y: Tensor,
    first: int = 0, stride: int = 0,
) -> list[Call]:  # fmt: skip
    """The Calls for y[first + m * stride + c] = clamp(x[m] @ w[c] + bias[c]); w: float32 [columns, whole depth].

    Where w or bias is computed at run time it is packed each time.
    """
    columns, depth = w.shape
    rows, vectors = widest(len(segments.offsets), columns)
    packed, packing = _packed(w, depth, vectors * LANES, f"{y.name}/panels")
    biases, copying = _packed(bias, 1, vectors * LANES, f"{y.name}/bias")
    given = Clamping(biases, limits, columns, y, first, stride or columns)
    work = len(segments.offsets) * columns * depth
    product = Call(float_dot(rows, vectors), x, *segments, packed, *given, writes=[y], work=work)
    return [*packing, *copying, product]


def _packed(w: np.ndarray | Tensor, depth: int, width: int, name: str) -> tuple[np.ndarray | Tensor, list[Call]]:
    """float32 [columns, depth] -> [panel, depth, lane], and what packs it at run time."""
    if isinstance(w, Tensor):
        packed = Tensor(name, (-(-w.size // (depth * width)), depth, width), np.dtype(np.float32))
        return packed, [Call(pack_floats, w, depth, packed, writes=[packed])]
    return matrix_panels(np.asarray(w, np.float32).reshape(-1, depth), width), []


@kernel
def pack_floats(thread: int, threads: int, w: Any, depth: int, y: Any) -> None:
    """[columns, depth] of any shape -> [panel, depth, lane]; lanes beyond the last column repeat it."""
    columns, width = w.size // depth, y.shape[2]
    total = y.shape[0] * width
    for column in range(total * thread // threads, total * (thread + 1) // threads):
        panel = column // width
        to = panel * depth * width + column - panel * width
        start = min(column, columns - 1) * depth
        for k in range(depth):
            put(y, to + k * width, get(w, start + k))
