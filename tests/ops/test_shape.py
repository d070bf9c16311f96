from __future__ import annotations

import numpy as np
import pytest
from engines import check, run_program
from moves import TYPES, calls, refused, tensor, values
from writer import T, model

from int8rt.errors import ModelError, UnsupportedError


def shape(x: T, out_type: object = np.int32, y: object = None) -> bytes:
    return model("SHAPE", [x], [T(y or out_type, (7,))], out_type=out_type)


@pytest.mark.parametrize("out_type", [np.int32, np.int64])
@pytest.mark.parametrize(
    "given", [(1,), (0,), (5,), (2, 3), (3, 0), (1, 224, 224, 3), (2, 3, 4, 5, 6), (1, 2, 1, 2, 1, 2), (1,) * 8]
)
def test_shapes(given: tuple[int, ...], out_type: type) -> None:
    content = shape(tensor(np.int8, given), out_type)
    check(content, values(np.int8, given))
    assert calls(content) == []


@pytest.mark.parametrize("dtype", TYPES)
def test_types(dtype: type) -> None:
    check(shape(tensor(dtype, (2, 3))), values(dtype, (2, 3)))


def test_of_a_scalar() -> None:
    """LiteRT computes it, but its Python interface cannot read an empty tensor that lives for ever."""
    check(shape(tensor(np.int8, ())), values(np.int8, ()), litert=[np.zeros(0, np.int32)])


@pytest.mark.parametrize("out_type", [np.int32, np.int64])
def test_of_a_constant(out_type: type) -> None:
    check(shape(tensor(np.int8, (2, 3), data=values(np.int8, (2, 3))), out_type))


def test_the_shape_that_is_given_counts() -> None:
    (y,) = run_program(shape(tensor(np.int8, (1, 3), shape_signature=(-1, 3))), values(np.int8, (4, 3)))
    assert y.tolist() == [4, 3]


def test_malformed() -> None:
    x = tensor(np.int8, (2, 3))
    refused(UnsupportedError, "out_type", shape(x, np.float32))
    refused(UnsupportedError, "out_type", model("SHAPE", [x], [T(np.int32, (1,))]))
    refused(ModelError, "is int64", shape(x, np.int32, np.int64))
    refused(ModelError, "input 0", model("SHAPE", [], [T(np.int32, (1,))], out_type=np.int32))
