"""storage: values in the form in which kernels hold them, and back."""

import numpy as np
import pytest

from int8rt.numerics.storage import from_storage, storage_dtype, to_storage


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int32, np.bool_, np.float32])
@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 0), (4, 5)])
def test_there_and_back(dtype, shape):
    """A scalar was one of rank 1 afterwards."""
    x = np.random.default_rng(0).integers(-100, 100, shape).astype(dtype)
    stored = to_storage(x)
    back = from_storage(stored, x.dtype)
    assert isinstance(stored, np.ndarray)
    assert isinstance(back, np.ndarray)
    assert (stored.shape, stored.dtype) == (shape, storage_dtype(x.dtype))
    assert (back.shape, back.dtype) == (shape, x.dtype)
    assert (back == x).all()
    assert not np.shares_memory(stored, x)
    assert not np.shares_memory(back, stored)


def test_int8_is_stored_as_uint8_128_higher():
    assert to_storage(np.array([-128, 0, 127], np.int8)).tolist() == [0, 128, 255]


def test_any_order_of_axes():
    x = np.arange(6, dtype=np.int8).reshape(2, 3).T
    assert (from_storage(to_storage(x), x.dtype) == x).all()
    assert to_storage(x).flags.c_contiguous
