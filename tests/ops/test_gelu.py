"""GELU, exact and approximate, in every type, against its reference and LiteRT."""

from __future__ import annotations

import numpy as np
import pytest
import unary
from engines import check, run_litert, run_program
from unary import Case

from int8rt.errors import ModelError, UnsupportedError

SCALES = [(0.05, 0.05), (0.03, 0.02), (3e-4, 3e-4), (1.0, 1.0), (2.0**-31, 2.0**-31), (0.5, 1e-3), (0.02, 4.0)]
BOTH = pytest.mark.parametrize("approximate", [False, True])


@BOTH
@pytest.mark.parametrize("scales", SCALES, ids=str)
@pytest.mark.parametrize(("dtype", "z_x", "z_y"), [(np.int8, -20, -110), (np.uint8, 128, 7), (np.uint8, 0, 255)])
def test_eight_bits(dtype, z_x, z_y, scales, approximate):
    unary.check_every("GELU", Case(dtype, scales[0], z_x, scales[1], z_y), approximate=approximate)


@BOTH
@pytest.mark.parametrize("scales", SCALES, ids=str)
def test_int16(scales, approximate):
    unary.check_every("GELU", Case(np.int16, scales[0], 0, scales[1], 0), approximate=approximate)


NUMBERS = np.concatenate(
    [
        np.linspace(-13, 13, 5001),
        np.geomspace(1e-30, 1, 500),
        -np.geomspace(1e-30, 1, 500),
        [0.0, -0.0, 1e10, -1e10, np.inf, np.nan],
    ]
).astype(np.float32)


def test_float():
    check(unary.float_node("GELU", NUMBERS.shape, approximate=False), NUMBERS, ulps=16)


def test_float_approximate():
    content = unary.float_node("GELU", NUMBERS.shape, approximate=True)
    (expected,) = run_litert(content, NUMBERS)
    (y,) = check(content, NUMBERS, litert=run_program(content, NUMBERS))
    finite = np.isfinite(NUMBERS)
    np.testing.assert_array_equal(y[~finite], expected[~finite])
    assert (np.abs(y[finite] - expected[finite]) <= 2 * np.spacing(np.abs(NUMBERS[finite]))).all()


@BOTH
def test_shapes(approximate):
    for shape in unary.SHAPES:
        unary.check_shape("GELU", shape, approximate=approximate)


def test_threads():
    unary.check_threads("GELU")
    unary.check_threads("GELU", approximate=True)


def test_refused():
    unary.refused(unary.node("GELU", Case(np.int32, 0.1, 0, 0.1, 0), (4,)), UnsupportedError, "supported types")
    unary.refused(unary.node("GELU", Case(np.int8, 0.1, 0, 0.0, 0), (4,)), ModelError, "scale 0")
    unary.refused(unary.node("GELU", Case(np.int16, 0.1, 0, 0.1, 3), (4,)), ModelError, "zero point 3")
