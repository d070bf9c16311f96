"""DEQUANTIZE of every type, against its reference and LiteRT."""

from __future__ import annotations

import numpy as np
import pytest
import unary
import writer
from engines import check, run_program, run_reference
from unary import SHAPES
from writer import T

from int8rt.errors import ModelError, UnsupportedError


def node(x, dtype=np.float32):
    return writer.model("DEQUANTIZE", [x], [T(dtype, x.shape)])


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("zero", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("scale", [0.37, 1 / 256, 1e-6, 3.3e4, 2.0**-31, 1e-41, 2e36])
def test_eight_bits(dtype, zero, scale):
    x = unary.every(dtype)
    check(node(T(dtype, x.shape, scale, round(x[0] + zero * 255))), x)


@pytest.mark.parametrize("scale", [1 / 32768, 3e-4, 0.71, 1e-30])
def test_int16(scale):
    x = unary.every(np.int16)
    check(node(T(np.int16, x.shape, scale, 0)), x)


def test_int16_with_a_zero_point():
    """LiteRT 2.3.0 refuses it, later versions do not."""
    x = unary.every(np.int16)
    expected = (np.float64(np.float32(0.3)) * (x.astype(np.int64) + 1234)).astype(np.float32)
    check(node(T(np.int16, x.shape, 0.3, -1234)), x, litert=[expected])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_shapes(shape):
    x = np.random.default_rng(0).integers(-128, 128, shape).astype(np.int8)
    check(node(T(np.int8, shape, 0.3, 5)), x)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("axis", [0, 1, 2, 3])
def test_per_channel(dtype, axis):
    shape = (3, 4, 1, 5)
    rng = np.random.default_rng(axis)
    scales, zeros = rng.uniform(0.01, 10, shape[axis]), rng.integers(0, 100, shape[axis])
    x = rng.integers(0, 256, shape).astype(np.uint8).view(dtype)
    check(node(T(dtype, shape, scales, zeros, axis=axis)), x)


def test_not_quantized():
    """A scale that the file leaves out is 0."""
    check(node(T(np.int8, (3,))), np.array([-1, 0, 1], np.int8))


def test_threads():
    x = np.random.default_rng(1).integers(-128, 128, (7, 30_011)).astype(np.int8)
    (one,), (three,) = (run_program(node(T(np.int8, x.shape, 0.3, 5)), x, threads=t) for t in (1, 3))
    np.testing.assert_array_equal(one, three)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16])
def test_constants(dtype):
    values = unary.every(dtype)[::37]
    check(writer.model("DEQUANTIZE", [T(dtype, values.shape, 0.2, 0, data=values)], [T(np.float32, values.shape)]))


def test_constants_per_channel():
    values = np.arange(-12, 12, dtype=np.int8).reshape(2, 3, 4)
    constant = T(np.int8, values.shape, [0.1, 0.2, 0.3], 0, data=values, axis=1)
    check(writer.model("DEQUANTIZE", [constant], [T(np.float32, values.shape)]))


def test_float16():
    """All 65,536 but for NaN, whose bits nobody promises."""
    values = np.arange(65536).astype(np.uint16).view(np.float16)
    values = values[~np.isnan(values)]
    check(node(T(np.float16, values.shape)), values)
    check(writer.model("DEQUANTIZE", [T(np.float16, values.shape, data=values)], [T(np.float32, values.shape)]))


@pytest.mark.parametrize("type_name", ["INT4", "INT2"])
@pytest.mark.parametrize("scale", [0.25, [0.1, 0.2, 0.3]])
def test_packed_constants(type_name, scale):
    bits = {"INT4": 4, "INT2": 2}[type_name]
    values = (np.arange(15).reshape(3, 5) % 2**bits - 2 ** (bits - 1)).astype(np.int8)
    constant = T(np.int8, values.shape, scale, 0, data=values, type_name=type_name)
    content = writer.model("DEQUANTIZE", [constant], [T(np.float32, values.shape)])
    expected = (values * np.float32(scale).reshape(-1, 1)).astype(np.float32)
    check(content, litert=[expected])
    np.testing.assert_array_equal(run_reference(content)[0], expected)


def test_refused():
    shape = (4,)
    unary.refused(node(T(np.int8, shape, 0.1), np.int8), ModelError, "float32 was expected")
    unary.refused(node(T(np.int32, shape, 0.1)), UnsupportedError, "supported are")
    unary.refused(node(T(np.int8, shape, 0.1, type_name="INT4")), UnsupportedError, "of constants int4")
