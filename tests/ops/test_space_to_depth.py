from __future__ import annotations

import numpy as np
import pytest
from engines import check
from moves import TYPES, refused, tensor, values
from writer import T, model

from int8rt.errors import ModelError


def space_to_depth(x: T, block: int) -> bytes:
    return model("SPACE_TO_DEPTH", [x], [tensor(x.dtype, (1,))], block_size=block)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.float32])
@pytest.mark.parametrize(
    ("shape", "block"),
    [
        ((1, 2, 2, 1), 2),
        ((1, 2, 2, 3), 2),
        ((1, 4, 6, 3), 2),
        ((2, 4, 6, 5), 2),
        ((1, 6, 9, 2), 3),
        ((2, 8, 4, 1), 4),
        ((1, 3, 5, 7), 1),
        ((1, 16, 16, 16), 2),
        ((1, 5, 10, 1), 5),
    ],
)
def test_shapes(shape: tuple[int, ...], block: int, dtype: type) -> None:
    check(space_to_depth(tensor(dtype, shape), block), values(dtype, shape))


@pytest.mark.parametrize("dtype", TYPES)
def test_types(dtype: type) -> None:
    x = values(dtype, (2, 4, 6, 3))
    y = x.reshape(2, 2, 2, 3, 2, 3).transpose(0, 1, 3, 2, 4, 5).reshape(2, 2, 3, 12)
    litert = [y] if dtype in (np.int16, np.bool_) else None  # which LiteRT refuses
    check(space_to_depth(tensor(dtype, x.shape), 2), x, litert=litert)


def test_malformed() -> None:
    refused(ModelError, "whole number", space_to_depth(tensor(np.int8, (1, 4, 5, 1)), 2))
    refused(ModelError, "whole number", space_to_depth(tensor(np.int8, (1, 5, 4, 1)), 2))
    refused(ModelError, "block size 0", space_to_depth(tensor(np.int8, (1, 4, 4, 1)), 0))
    refused(ModelError, "block size -2", space_to_depth(tensor(np.int8, (1, 4, 4, 1)), -2))
    refused(ModelError, "4 axes were expected", space_to_depth(tensor(np.int8, (4, 4, 1)), 2))
    y = T(np.int8, (1,))
    refused(ModelError, "int8", model("SPACE_TO_DEPTH", [tensor(np.int16, (1, 2, 2, 1))], [y], block_size=2))
