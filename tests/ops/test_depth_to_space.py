from __future__ import annotations

import numpy as np
import pytest
from engines import check
from moves import TYPES, refused, tensor, values
from writer import T, model

from int8rt.errors import ModelError


def depth_to_space(x: T, block: int) -> bytes:
    return model("DEPTH_TO_SPACE", [x], [tensor(x.dtype, (1,))], block_size=block)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.float32])
@pytest.mark.parametrize(
    ("shape", "block"),
    [
        ((1, 1, 1, 4), 2),
        ((1, 2, 2, 4), 2),
        ((1, 2, 3, 12), 2),
        ((2, 2, 3, 20), 2),
        ((1, 2, 3, 18), 3),
        ((2, 2, 1, 16), 4),
        ((1, 3, 5, 7), 1),
        ((1, 8, 8, 64), 2),
        ((1, 1, 2, 25), 5),
    ],
)
def test_shapes(shape: tuple[int, ...], block: int, dtype: type) -> None:
    check(depth_to_space(tensor(dtype, shape), block), values(dtype, shape))


@pytest.mark.parametrize("dtype", TYPES)
def test_types(dtype: type) -> None:
    x = values(dtype, (2, 4, 6, 8))
    y = x.reshape(2, 4, 6, 2, 2, 2).transpose(0, 1, 3, 2, 4, 5).reshape(2, 8, 12, 2)
    litert = [y] if dtype in (np.int16, np.bool_) else None  # which LiteRT refuses
    check(depth_to_space(tensor(dtype, x.shape), 2), x, litert=litert)


def test_malformed() -> None:
    refused(ModelError, "multiple of 2 x 2", depth_to_space(tensor(np.int8, (1, 4, 5, 6)), 2))
    refused(ModelError, "block size 0", depth_to_space(tensor(np.int8, (1, 4, 4, 1)), 0))
    refused(ModelError, "block size -2", depth_to_space(tensor(np.int8, (1, 4, 4, 4)), -2))
    refused(ModelError, "4 axes were expected", depth_to_space(tensor(np.int8, (4, 4, 4)), 2))
    y = T(np.int8, (1,))
    refused(ModelError, "int8", model("DEPTH_TO_SPACE", [tensor(np.int16, (1, 2, 2, 4))], [y], block_size=2))
