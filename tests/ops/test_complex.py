"""COMPLEX_ABS, REAL, IMAG and RFFT2D against their references and LiteRT."""

from __future__ import annotations

import numpy as np
import pytest
import unary
import writer
from engines import check, run_litert, run_program, run_reference, same
from writer import Op, T

from int8rt.errors import ModelError, UnsupportedError

PARTS = ["COMPLEX_ABS", "REAL", "IMAG"]
REAL_TYPES = {np.complex64: np.float32, np.complex128: np.float64}


def node(op, shape, dtype=np.complex64):
    return writer.model(op, [T(dtype, shape)], [T(REAL_TYPES.get(dtype, np.float32), shape)])


@pytest.mark.parametrize("shape", unary.SHAPES, ids=str)
@pytest.mark.parametrize("op", PARTS)
def test_shapes(op, shape):
    rng = np.random.default_rng(0)
    x = (rng.normal(size=shape, scale=9) + 1j * rng.normal(size=shape, scale=9)).astype(np.complex64)
    check(node(op, shape), x)


@pytest.mark.parametrize("dtype", REAL_TYPES)
@pytest.mark.parametrize("op", PARTS)
def test_values(op, dtype):
    ends = [0.0, -0.0, 1.0, -3.0, 4.0, 1e-30, 1e20, 3e38, 1e-45, np.inf, -np.inf]
    x = np.array([complex(a, b) for a in ends for b in ends]).astype(dtype)
    check(node(op, x.shape, dtype), x)


@pytest.mark.parametrize("op", PARTS)
def test_threads(op):
    x = np.random.default_rng(0).normal(size=300_000).astype(np.float32).view(np.complex64)
    np.testing.assert_array_equal(*(run_program(node(op, x.shape), x, threads=n) for n in (1, 3)))


@pytest.mark.parametrize("op", PARTS)
def test_refused(op):
    unary.refused(node(op, (4,), np.float32), UnsupportedError, "supported types are complex64")
    wrong = writer.model(op, [T(np.complex64, (4,))], [T(np.float64, (4,))])
    unary.refused(wrong, ModelError, "expected float32")


# RFFT2D


def transform(shape, lengths, data=True, dtype=np.float32):
    fed = np.array(lengths, np.int32)
    out = (*shape[:-2], int(lengths[0]), int(lengths[1]) // 2 + 1)
    return writer.model(
        "RFFT2D", [T(dtype, shape), T(np.int32, fed.shape, data=fed if data else None)], [T(np.complex64, out)]
    )


@pytest.mark.parametrize("lengths", [(1, 2), (1, 8), (1, 512), (2, 2), (4, 2), (4, 8), (8, 4), (16, 64)], ids=str)
@pytest.mark.parametrize("shape", [(4, 8), (1, 1), (3, 5), (20, 70), (2, 3, 1, 512)], ids=str)
def test_transform(shape, lengths):
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    content = transform(shape, lengths)
    found, expected = run_program(content, x)[0], run_litert(content, x)[0]
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-7 * np.abs(expected).max())
    check(content, x, litert=[found])


def test_transform_of_width_one_is_a_transform():
    """LiteRT's library needs a width of 2."""
    x = np.arange(16, dtype=np.float32).reshape(4, 4)
    expected = np.fft.fft(x[:, 0].astype(np.float64)).astype(np.complex64).reshape(4, 1)
    check(transform((4, 4), (4, 1)), x, litert=[expected])


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_transform_of_what_is_not_finite(value):
    """No output is finite; which are infinite follows from the order of the sums, which is NumPy's, not LiteRT's."""
    x = np.arange(16, dtype=np.float32).reshape(4, 4)
    x[1, 2] = value
    content = transform((4, 4), (4, 4))
    (found,) = run_program(content, x)
    same("evaluator", [found], run_reference(content, x))
    assert not np.isfinite(found).any()
    assert not np.isfinite(run_litert(content, x)[0]).any()


def test_spectrogram():
    """What models do: transform, and magnitude."""
    x, lengths = T(np.float32, (1, 10, 1, 64)), T(np.int32, (2,), data=np.int32([1, 64]))
    z, y = T(np.complex64, (1, 10, 1, 33)), T(np.float32, (1, 10, 1, 33))
    content = writer.network([Op("RFFT2D", [x, lengths], [z]), Op("COMPLEX_ABS", [z], [y])], [x], [y])
    signal = np.random.default_rng(0).normal(size=x.shape).astype(np.float32)
    (found,), (expected,) = run_program(content, signal), run_litert(content, signal)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_transform_refused():
    unary.refused(transform((4, 4), (3, 4)), ModelError, "powers of two")
    unary.refused(transform((4, 4), (0, 4)), ModelError, "powers of two")
    unary.refused(transform((4, 4), (4, 4, 4)), ModelError, "were expected")
    unary.refused(transform((4, 4), (4, 4), dtype=np.float64), UnsupportedError, "supported is float32")
