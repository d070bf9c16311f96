from __future__ import annotations

import numpy as np
import pytest
from engines import check
from moves import TYPES, indices, refused, tensor, values
from writer import T, model

from int8rt.errors import ModelError, UnsupportedError

PADDINGS = [
    ((4,), [[3, 1]]),
    ((2, 3), [[0, 1], [2, 0]]),
    ((1, 5, 4, 3), [[0, 0], [1, 2], [2, 1], [0, 0]]),
    ((2, 3, 2, 2), [[1, 0], [0, 1], [1, 1], [2, 0]]),
    ((2, 1, 3, 1, 2), [[1, 0], [0, 1], [0, 0], [2, 0], [1, 1]]),
]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("shape", "paddings"), PADDINGS[1::2])
@pytest.mark.parametrize("is_constant", [True, False])
def test_types(dtype: type, shape: tuple[int, ...], paddings: list[list[int]], is_constant: bool) -> None:
    fill = values(dtype, (1,), seed=5)
    value = tensor(dtype, (1,), data=fill if is_constant else None)
    content = model("PADV2", [tensor(dtype, shape), indices(paddings), value], [tensor(dtype)])
    check(content, values(dtype, shape), *([] if is_constant else [fill]))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize(("shape", "paddings"), PADDINGS)
@pytest.mark.parametrize("end", ["min", "max"])
def test_ends_of_the_type(dtype: type, shape: tuple[int, ...], paddings: list[list[int]], end: str) -> None:
    value = tensor(dtype, (), data=np.array(getattr(np.iinfo(dtype), end), dtype))
    content = model("PADV2", [tensor(dtype, shape), indices(paddings, np.int64), value], [tensor(dtype)])
    (y,) = check(content, values(dtype, shape))
    assert getattr(np.iinfo(dtype), end) in y


def test_without_a_value_it_is_pad() -> None:
    check(model("PADV2", [tensor(np.int8, (3,)), indices([[1, 1]])], [tensor(np.int8)]), values(np.int8, (3,)))
    check(model("PADV2", [tensor(np.int8, (3,)), indices([[1, 1]]), None], [tensor(np.int8)]), values(np.int8, (3,)))


def test_a_value_in_pad() -> None:
    value = tensor(np.int8, (1,), data=np.array([9], np.int8))
    check(model("PAD", [tensor(np.int8, (3,)), indices([[1, 1]]), value], [tensor(np.int8)]), values(np.int8, (3,)))


def test_nothing_but_padding() -> None:
    value = tensor(np.int8, (), data=np.array(4, np.int8))
    content = model("PADV2", [tensor(np.int8, (0, 2)), indices([[1, 1], [0, 1]]), value], [tensor(np.int8)])
    check(content, np.zeros((0, 2), np.int8), litert=[np.full((2, 3), 4, np.int8)])


def test_malformed() -> None:
    x, p, y = tensor(np.int8, (3,)), indices([[1, 1]]), tensor(np.int8)
    refused(ModelError, "2 values", model("PADV2", [x, p, tensor(np.int8, (2,))], [y]))
    refused(ModelError, "int16", model("PADV2", [x, p, tensor(np.int16, (1,))], [y]))
    refused(UnsupportedError, "quantization", model("PADV2", [x, p, T(np.int8, (1,), 0.05, 3)], [y]))
    refused(UnsupportedError, "quantization", model("PADV2", [x, p, T(np.int8, (1,), 0.06, -7)], [y]))
