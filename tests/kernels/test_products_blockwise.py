"""FULLY_CONNECTED with int4 weights that have a scale per block of a row.

LiteRT's reference kernel gives the bias alone for them, and its optimized kernel wants depth >= 32, even, and 4 units.
"""

from __future__ import annotations

import numpy as np
import pytest
from engines import check, run_program, run_reference, same
from products import blockwise
from writer import RELU, T, model

from int8rt.errors import ModelError, UnsupportedError

F32 = np.float32


@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("units", [4, 5, 16, 17, 70])
@pytest.mark.parametrize("rows", [1, 2, 7])
def test_blockwise(rows, units, size):
    for depth, bias in ((64, True), (192, False), (320, True)):
        content, x = blockwise(rows, depth, units, size, bias)
        check(content, x, resolver="builtin")


@pytest.mark.parametrize("values", [0.0, 1e-41, 1e-37, 1e30])
def test_extreme_values(values):
    content, x = blockwise(3, 64, 8, 32, values=values)
    check(content, x, resolver="builtin")


@pytest.mark.parametrize(("depth", "size"), [(6, 3), (5, 5), (32, 1), (40, 10)])
def test_small_blocks(depth, size):
    """LiteRT has no kernel for some of them: the program against its reference."""
    content, x = blockwise(3, depth, 5, size)
    same("reference", run_reference(content, x), run_program(content, x))


def test_threads():
    content, x = blockwise(40, 128, 200, 32)
    same("one thread", run_program(content, x), run_program(content, x, threads=2))


def test_refused():
    content, x = blockwise(2, 64, 8, 32, fused_activation_function=RELU)
    with pytest.raises(UnsupportedError, match="block-wise"):
        run_program(content, x)
    w = T(np.int8, (8, 64), T(np.float16, (8, 2), data=np.ones((8, 2))), data=np.ones((8, 64)), type_name="INT4",
          block_size=32)  # fmt: skip
    b = T(F32, (3,), data=np.ones(3, F32))
    content = model("FULLY_CONNECTED", [T(F32, (2, 64)), w, b], [T(F32, (2, 8))])
    with pytest.raises(ModelError, match="bias"):
        run_program(content, x)
