"""STABLEHLO_GATHER and STABLEHLO_SCATTER: program, reference and LiteRT's BUILTIN_REF give the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from engines import check, run_program
from writer import Graph, Op, T, Table, model, network

from int8rt.errors import Error, ModelError, UnsupportedError
from int8rt.format import reader

INTEGERS = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]
TYPES = [np.bool_, *INTEGERS, np.float16, np.float32, np.float64]
COMPUTATIONS = (None, "STABLEHLO_ADD", "STABLEHLO_MULTIPLY", "STABLEHLO_MAXIMUM", "STABLEHLO_MINIMUM")

# Slices [1, 2, 2] of [3, 4, 2], at places on the axes 1 and 0
SLICES = {
    "offset_dims": [2, 3], "collapsed_slice_dims": [0], "start_index_map": [1, 0], "index_vector_dim": 2,
    "slice_sizes": [1, 2, 2],
}  # fmt: skip
PLACES = np.array([[[0, 0], [1, 0], [2, 1]], [[0, 1], [1, 1], [0, 2]]], np.int32)
ROWS = {"offset_dims": [1], "collapsed_slice_dims": [0], "start_index_map": [0], "index_vector_dim": 1}


def gather(dtype: Any, shape: Sequence[int], indices: np.ndarray, rank: int, **fields: Any) -> bytes:
    inputs = [T(dtype, shape), T(indices.dtype, indices.shape)]
    return model("STABLEHLO_GATHER", inputs, [T(dtype, [1] * rank)], "StablehloGatherOptions", **fields)


def counted(dtype: Any, shape: Sequence[int]) -> np.ndarray:
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def scatter(
    dtype: Any, shape: Sequence[int], indices: np.ndarray, updates: Sequence[int], op: str | None, **fields: Any
) -> bytes:
    a, b, c = (T(dtype, ()) for _ in range(3))
    inner = Graph([Op(op, [a, b], [c], options=None)] if op else [], [a, b], [c if op else b])
    x, i, u, y = T(dtype, shape), T(indices.dtype, indices.shape), T(dtype, updates), T(dtype, shape)
    options = Table("StablehloScatterOptions", update_computation_subgraph_index=1, **fields)
    return network([Op("STABLEHLO_SCATTER", [x, i, u], [y], options)], [x, i, u], [y], subgraphs=[inner])


# One row of two values at a time, to [4, 2]
UPDATES = {
    "update_window_dims": [1], "inserted_window_dims": [0], "scatter_dims_to_operand_dims": [0], "index_vector_dim": 1,
}  # fmt: skip


@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("dtype", TYPES)
def test_gather_types(dtype: Any, index: Any) -> None:
    places = PLACES.astype(index)
    check(gather(dtype, (3, 4, 2), places, 4, **SLICES), counted(dtype, (3, 4, 2)), places)


@pytest.mark.parametrize("low", [-(2**31), -3, 2, 2**31 - 100])
def test_gather_moves_slices_inside(low: int) -> None:
    places = (PLACES.astype(np.int64) + low).astype(np.int32)
    check(gather(np.int32, (3, 4, 2), places, 4, **SLICES), counted(np.int32, (3, 4, 2)), places)


@pytest.mark.parametrize(
    ("indices", "rank", "fields"),
    [
        ([[1], [3], [0]], 2, {"slice_sizes": [1, 2]}),
        ([[1, 3, 0]], 2, {"slice_sizes": [1, 2], "index_vector_dim": 0}),
        ([[1], [3], [0]], 2, {"slice_sizes": [1, 2], "offset_dims": [0]}),
        ([[1], [3], [0]], 3, {"slice_sizes": [2, 1], "offset_dims": [0, 2], "collapsed_slice_dims": []}),
        ([[1, 1], [4, 0]], 1, {
            "slice_sizes": [1, 1], "offset_dims": [], "collapsed_slice_dims": [0, 1], "start_index_map": [0, 1],
        }),
    ],
)  # fmt: skip
def test_gather_shapes(indices: list[Any], rank: int, fields: dict[str, Any]) -> None:
    places = np.array(indices, np.int32)
    check(gather(np.int8, (5, 2), places, rank, **{**ROWS, **fields}), counted(np.int8, (5, 2)), places)


def test_gather_of_single_indices() -> None:
    """LiteRT, given index vectors along an axis behind the last, as the specification allows, ends its process."""
    places, x = np.array([1, 3, 0], np.int32), counted(np.int8, (5, 2))
    check(gather(np.int8, (5, 2), places, 2, **ROWS, slice_sizes=[1, 2]), x, places, litert=[x[places]])


@pytest.mark.parametrize("op", COMPUTATIONS)
@pytest.mark.parametrize("dtype", TYPES)
def test_scatter_types(dtype: Any, op: str | None) -> None:
    places = np.array([[1], [3], [1]], np.int32)
    inputs = counted(dtype, (4, 2)), places, counted(dtype, (3, 2)) + np.array(1, dtype)
    check(scatter(dtype, (4, 2), places, (3, 2), op, **UPDATES), *inputs)


@pytest.mark.parametrize("op", COMPUTATIONS[1:])
def test_scatter_of_extremes(op: str) -> None:
    """Sums wrap around; numbers that cannot be compared, and zeros, leave what is there."""
    places = np.zeros((3, 1), np.int32)
    for x, updates in [
        (np.array([[127, -128]], np.int8), np.array([[127, -128], [2, 3], [100, -1]], np.int8)),
        (np.array([[np.inf, -0.0]], np.float32), np.array([[1, 0], [3e38, -0.0], [3e38, 1e-40]], np.float32)),
    ]:
        check(scatter(x.dtype, (1, 2), places, (3, 2), op, **UPDATES), x, places, updates)
    if op.endswith("IMUM"):
        x, updates = np.array([[np.nan, 1]], np.float32), np.array([[1, np.nan], [2, 2], [3, 0]], np.float32)
        check(scatter(np.float32, (1, 2), places, (3, 2), op, **UPDATES), x, places, updates)


@pytest.mark.parametrize(
    ("shape", "indices", "updates", "fields"),
    [
        ((4, 2), [1, 3, 1], (3, 2), {}),
        ((4, 2), [[1], [4], [9]], (3, 2), {}),
        ((4, 2), [[1], [-1], [0]], (3, 2), {}),
        ((4, 2), [[1], [3], [1]], (2, 3), {"update_window_dims": [0]}),
        ((4, 2), [[1, 3, 1]], (3, 2), {"index_vector_dim": 0}),
        ((4, 2, 3), [[1, 0], [3, 2]], (2, 2), {
            "inserted_window_dims": [0, 2], "scatter_dims_to_operand_dims": [0, 2],
        }),
        ((4, 3), [[1, 1], [3, 2]], (2, 2, 2), {
            "update_window_dims": [1, 2], "inserted_window_dims": [], "scatter_dims_to_operand_dims": [0, 1],
        }),
        ((4, 3), [[1, 1], [3, 2]], (2,), {
            "update_window_dims": [], "inserted_window_dims": [0, 1], "scatter_dims_to_operand_dims": [1, 0],
        }),
    ],
)  # fmt: skip
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_scatter_shapes(
    shape: tuple[int, ...], indices: list[Any], updates: tuple[int, ...], fields: dict[str, Any], index: Any
) -> None:
    places = np.array(indices, index)
    content = scatter(np.int32, shape, places, updates, "STABLEHLO_ADD", **{**UPDATES, **fields})
    check(content, counted(np.int32, shape), places, counted(np.int32, updates) + 1)


PAIR = np.zeros((3, 1), np.int32)
SIZES = {"slice_sizes": [1, 2]}


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (gather(np.int8, (5, 2), PAIR, 2, **ROWS, slice_sizes=[1, 3]), ModelError),
        (gather(np.int8, (5, 2), PAIR, 2, **ROWS, slice_sizes=[1]), ModelError),
        (gather(np.int8, (5, 2), PAIR, 2, **ROWS, slice_sizes=[2, 2]), ModelError),
        (gather(np.int8, (5, 2), PAIR, 2, **{**ROWS, **SIZES, "offset_dims": [2]}), ModelError),
        (gather(np.int8, (5, 2), PAIR, 2, **{**ROWS, **SIZES, "offset_dims": [0, 1]}), ModelError),
        (gather(np.int8, (5, 2), PAIR, 2, **{**ROWS, **SIZES, "collapsed_slice_dims": [7]}), ModelError),
        (gather(np.int8, (5, 2), PAIR, 2, **{**ROWS, **SIZES, "start_index_map": [0, 1]}), ModelError),
        (gather(np.int8, (5, 2), PAIR, 2, **{**ROWS, **SIZES, "start_index_map": [-1]}), ModelError),
        (gather(np.int8, (5, 2), PAIR, 2, **{**ROWS, **SIZES, "index_vector_dim": 3}), ModelError),
        (gather(np.int8, (5, 2), PAIR.astype(np.int16), 2, **ROWS, **SIZES), ModelError),
        (scatter(np.int8, (4, 2), PAIR, (2, 2), None, **UPDATES), ModelError),
        (scatter(np.int8, (4, 2), PAIR, (3, 2), None, **{**UPDATES, "update_window_dims": [2]}), ModelError),
        (scatter(np.int8, (4, 2), PAIR, (3, 2), None, **{**UPDATES, "inserted_window_dims": []}), ModelError),
        (scatter(np.int8, (4, 2), PAIR, (3, 2), None, **{**UPDATES, "scatter_dims_to_operand_dims": [4]}), ModelError),
        (scatter(np.int8, (4, 2), PAIR, (3, 2), "ADD", **UPDATES), UnsupportedError),
        (scatter(np.complex64, (4, 2), PAIR, (3, 2), None, **UPDATES), UnsupportedError),
    ],
)
def test_refused(content: bytes, error: type[Error]) -> None:
    with pytest.raises(error, match=r"STABLEHLO_\w+"):
        run_program(content, *[np.ones(t.shape, t.dtype) for t in reader.read(content).main.inputs])
