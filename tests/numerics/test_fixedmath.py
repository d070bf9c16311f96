"""gemmlowp's functions against the real ones, and the C library's against double precision."""

from __future__ import annotations

import numpy as np
import pytest

from int8rt.native.kernel import kernel
from int8rt.numerics import libm
from int8rt.numerics.fixedmath import (
    bit_length,
    exp_on_negative,
    inverse_sqrt,
    log_q12,
    one_over_one_plus,
    saturating_shift,
)


def test_exp_on_negative():
    x = -np.concatenate([np.arange(3000), np.random.default_rng(0).integers(0, 1 << 31, 20_000), [1 << 31]])
    y = exp_on_negative(x)
    assert y[0] == (1 << 31) - 1
    np.testing.assert_allclose(y / 2**31, np.exp(x / 2**26), atol=3e-7)


def test_one_over_one_plus():
    x = np.append(np.random.default_rng(0).integers(0, 1 << 31, 20_000), [0, 1, (1 << 31) - 1])
    y = one_over_one_plus(x)
    np.testing.assert_allclose(y / 2**31, 1 / (1 + x / 2**31), atol=2e-9)
    assert y.max() < 1 << 31


@kernel
def _on_scalars(x, y):
    for i in range(x.size):
        y[i] = one_over_one_plus(x[i]) + saturating_shift(x[i], 3) + bit_length(x[i])


def test_scalars_and_arrays_agree():
    x = np.random.default_rng(1).integers(0, 1 << 31, 1000)
    y = np.empty_like(x)
    _on_scalars(x, y)
    lengths = np.array([int(v).bit_length() for v in x])
    np.testing.assert_array_equal(y, one_over_one_plus(x) + saturating_shift(x, 3) + lengths)


def test_libm_is_within_one_unit_of_the_last_place():
    x = np.linspace(-80, 80, 4002, dtype=np.float32).reshape(3, -1)[:, ::2]
    np.testing.assert_array_max_ulp(libm.exp(x), np.exp(x.astype(np.float64)).astype(np.float32), 1)
    np.testing.assert_array_max_ulp(libm.tanh(x), np.tanh(x.astype(np.float64)).astype(np.float32), 2)
    assert libm.exp(x).shape == x.shape


@pytest.mark.parametrize("x", [2, 3, 100, 12345, 2**27 - 1, 2**27, 2**29 - 1, 2**29, 2**31 + 7, 2**40 + 3])
def test_inverse_sqrt(x):
    multiplier, shift = inverse_sqrt(x)
    assert multiplier / 2**31 * 2.0**shift == pytest.approx(x**-0.5, rel=1e-5)  # five steps from a bad start


@pytest.mark.parametrize("x", [1.0, 1.0001, 1.5, 2.0, 10.0, 1000.0, 4095.9, 4096.0, 1e6])
def test_log_q12(x):
    assert log_q12(int(x * 2**19)) / 2**26 == pytest.approx(np.log(x), abs=3e-6)
