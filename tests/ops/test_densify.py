"""DENSIFY: sparse constants of every layout, against LiteRT."""

from __future__ import annotations

import numpy as np
import pytest
import unary
import writer
from engines import check, run_reference
from sparse import encode
from writer import Op, T

from int8rt.errors import ModelError, UnsupportedError

TYPES = [np.int8, np.float16, np.float32]


def random(shape, dtype, density=0.3):
    rng = np.random.default_rng(shape)
    return (rng.integers(-100, 100, shape) * (rng.random(shape) < density)).astype(dtype)


def sparse_tensor(dense, order, sparse_levels, blocks=()):
    values, sparsity = encode(dense, order, sparse_levels, blocks)
    return T(dense.dtype, dense.shape, 0.1 if dense.dtype == np.int8 else None, data=values, sparsity=sparsity)


LAYOUTS = [
    ((4, 6), (0, 1), {1}, {}),
    ((4, 6), (1, 0), {0}, {}),
    ((4, 6), (0, 1), {0, 1}, {}),
    ((7,), (0,), {0}, {}),
    ((4, 6), (0, 1), set(), {}),
    ((8, 16), (0, 1, 2), {1}, {1: 4}),
    ((8, 16), (0, 1, 2, 3), {1}, {0: 4, 1: 4}),
    ((8, 16), (1, 0, 3, 2), {0}, {0: 2, 1: 8}),
    ((3, 2, 4, 8), (0, 1, 2, 3), {3}, {}),
    ((8, 1, 1, 16), (0, 1, 2, 3, 4, 5), {3}, {0: 4, 3: 4}),
    ((3, 2, 4, 8), (3, 0, 2, 1), {0, 1}, {}),
]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_layouts(layout, dtype):
    shape, order, sparse_levels, blocks = layout
    dense = random(shape, dtype)
    x = sparse_tensor(dense, order, sparse_levels, blocks)
    (y,) = check(writer.model("DENSIFY", [x], [T(dtype, shape, x.scale)]))
    np.testing.assert_array_equal(y, dense)


def test_nothing_stored():
    dense = np.zeros((3, 4), np.float32)
    values, sparsity = encode(dense, (0, 1), {1})
    assert values.size == 0
    x = T(np.float32, (3, 4), data=values, sparsity=sparsity)
    unary.refused(writer.model("DENSIFY", [x], [T(np.float32, (3, 4))]), ModelError, "no constant values")


def test_half_precision_weights_become_dense_and_real():
    """The chain of real models: sparse float16 -> dense float16 -> float32 -> an operator."""
    dense = random((4, 6), np.float16)
    sparse, half, real = sparse_tensor(dense, (0, 1), {1}), T(np.float16, (4, 6)), T(np.float32, (4, 6))
    x, y = T(np.float32, (4, 6)), T(np.float32, (4, 6))
    nodes = [Op("DENSIFY", [sparse], [half]), Op("DEQUANTIZE", [half], [real]), Op("ADD", [x, real], [y])]
    content = writer.network(nodes, [x], [y])
    value = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    (found,) = run_reference(content, value)
    np.testing.assert_array_equal(found, value + dense.astype(np.float32))
    check(content, value)


def test_refused():
    dense = random((4, 6), np.int16)
    x = sparse_tensor(dense, (0, 1), {1})
    unary.refused(writer.model("DENSIFY", [x], [T(np.int16, (4, 6))]), UnsupportedError, "supported types")
    unary.refused(writer.model("DENSIFY", [T(np.int8, (4,))], [T(np.int8, (4,))]), ModelError, "not a sparse constant")
    x = sparse_tensor(random((4, 6), np.int8), (0, 1), {1})
    unary.refused(writer.model("DENSIFY", [x], [T(np.float32, (4, 6))]), ModelError, "expected int8")
