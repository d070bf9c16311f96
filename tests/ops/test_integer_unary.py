"""Functions of one integer, quantized or not: every value of 8 and 16 bits, against reference and LiteRT."""

from __future__ import annotations

import numpy as np
import pytest
import unary
import writer
from engines import check
from unary import Case
from writer import T

from int8rt.errors import ModelError, UnsupportedError

SCALES = [
    (0.05, 0.05), (0.01, 0.003), (0.0003, 0.0003), (0.02, 0.11), (2.0**-7, 2.0**-8), (1.0, 1.0), (3.0, 0.5),
    (0.0471, 0.0235), (1e-4, 2.0), (40.0, 1e-3), (2.0**-31, 2.0**-20), (0.1, 1e4),
]  # fmt: skip
ZEROS = [(0, 0), (-128, -128), (-128, 127), (127, -128), (-77, 5)]
FUNCTIONS = ["EXP", "LOG", "SQRT", "RSQRT", "ABS"]
DEFINED_FROM_ZERO = "SQRT", "RSQRT"  # below LiteRT fails


def domain(op, c):
    """All values, of which the operator is defined."""
    x = unary.every(c.dtype)
    return x[x.astype(int) >= c.z_x] if op in DEFINED_FROM_ZERO else x


def check_domain(op, c, **fields):
    x = domain(op, c)
    return check(unary.node(op, c, x.shape, **fields), x)


@pytest.mark.parametrize("op", FUNCTIONS)
@pytest.mark.parametrize("zeros", ZEROS, ids=str)
def test_int8_zero_points(op, zeros):
    for s_x, s_y in SCALES[:5]:
        check_domain(op, Case(np.int8, s_x, zeros[0], s_y, zeros[1]))


@pytest.mark.parametrize("op", FUNCTIONS)
@pytest.mark.parametrize("scales", SCALES, ids=str)
def test_int8_scales(op, scales):
    check_domain(op, Case(np.int8, scales[0], -5, scales[1], 3))


@pytest.mark.parametrize("op", FUNCTIONS)
@pytest.mark.parametrize("scales", SCALES, ids=str)
def test_int16_scales(op, scales):
    check_domain(op, Case(np.int16, scales[0], 0, scales[1], 0))


@pytest.mark.parametrize("op", DEFINED_FROM_ZERO)
@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_below_zero(op, dtype):
    """LiteRT fails; here SQRT goes on with 0 and RSQRT with the largest value."""
    x = np.array([-128, -100, -1], dtype)
    c = Case(dtype, 0.1, 0, 0.1, 0)
    expected = np.full(x.shape, 0 if op == "SQRT" else np.iinfo(dtype).max, dtype)
    check(unary.node(op, c, x.shape), x, litert=[expected])


@pytest.mark.parametrize("op", [*FUNCTIONS, "NEG"])
@pytest.mark.parametrize("shape", unary.SHAPES, ids=str)
def test_shapes(op, shape):
    x = np.random.default_rng(len(shape)).integers(1, 128, shape).astype(np.int8)
    check(unary.node(op, Case(np.int8, 0.05, 0, 0.05, 0), shape), x)


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_negated_as_stored(dtype):
    unary.check_every("NEG", Case(dtype, 0.1, 0, 0.1, 0))
    x = unary.every(dtype)
    check(writer.model("NEG", [T(dtype, x.shape)], [T(dtype, x.shape)]), x)


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
@pytest.mark.parametrize("scales", [(0.1, 0.1), (0.1, 0.2), (0.5, 0.003)], ids=str)
@pytest.mark.parametrize("zeros", [(0, 0), (3, 3), (3, -3), (-128, 127)], ids=str)
def test_negation_does_not_look_at_quantization(dtype, scales, zeros):
    y = unary.check_every("NEG", Case(dtype, scales[0], zeros[0], scales[1], zeros[1]))
    np.testing.assert_array_equal(y, -unary.every(dtype))


@pytest.mark.parametrize(("op", "dtype"), [("NEG", np.int32), ("NEG", np.int64), ("ABS", np.int32), ("SIGN", np.int32)])
def test_plain_integers(op, dtype):
    info = np.iinfo(dtype)
    x = np.array([info.min, info.min + 1, -7, -1, 0, 1, 12345, info.max], dtype).reshape(2, 4)
    check(writer.model(op, [T(dtype, x.shape)], [T(dtype, x.shape)]), x)


def test_magnitude_of_int16_without_quantization():
    x = unary.every(np.int16)
    check(writer.model("ABS", [T(np.int16, x.shape)], [T(np.int16, x.shape)]), x)


def test_sign_of_float64():
    x = np.array([0.0, -0.0, 1e-320, -1e-320, np.inf, -np.inf, 5.0, -5.0])
    check(writer.model("SIGN", [T(np.float64, x.shape)], [T(np.float64, x.shape)]), x)


@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (2, 3, 4, 5)], ids=str)
def test_not(shape):
    x = np.random.default_rng(0).integers(0, 2, shape).astype(bool)
    check(writer.model("LOGICAL_NOT", [T(np.bool_, shape)], [T(np.bool_, shape)]), x)


@pytest.mark.parametrize("op", FUNCTIONS)
def test_refused(op):
    unary.refused(unary.node(op, Case(np.uint8, 0.1, 0, 0.1, 0), (4,)), UnsupportedError, "supported types are int8")
    unary.refused(unary.node(op, Case(np.int8, 0.0, 0, 0.1, 0), (4,)), ModelError, "scale 0")
    unary.refused(unary.node(op, Case(np.int16, 0.1, 0, 0.1, 3), (4,)), ModelError, "zero point 3")


def test_types_that_differ():
    content = writer.model("NEG", [T(np.int32, (4,))], [T(np.int64, (4,))])
    unary.refused(content, ModelError, "the output is int64, expected int32")
