from __future__ import annotations

import numpy as np
import pytest
from engines import check
from moves import TYPES, indices, refused, tensor, values
from writer import T, model

from int8rt.errors import ModelError, UnsupportedError


def batch_to_space_nd(x: T, block: T, crops: T, y: T | None = None) -> bytes:
    return model("BATCH_TO_SPACE_ND", [x, block, crops], [y or tensor(x.dtype, (1,))])


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.float32])
@pytest.mark.parametrize(
    ("shape", "block", "crops"),
    [
        ((4, 1, 1, 1), [2, 2], [[0, 0], [0, 0]]),
        ((12, 2, 3, 3), [2, 3], [[0, 0], [0, 0]]),
        ((12, 2, 3, 3), [2, 3], [[1, 1], [2, 1]]),
        ((4, 3, 4, 3), [2, 2], [[0, 1], [1, 0]]),
        ((16, 2, 2, 3), [4, 4], [[3, 0], [0, 1]]),
        ((2, 7, 7, 16), [2, 1], [[2, 2], [0, 0]]),
        ((1, 3, 2, 1), [1, 1], [[0, 0], [0, 0]]),
        ((1, 5, 4, 1), [1, 1], [[1, 2], [3, 0]]),
        ((9, 1, 1, 2), [3, 3], [[1, 1], [0, 2]]),
        ((4, 3, 3), [2], [[0, 0]]),
        ((6, 3, 3), [3], [[2, 2]]),
    ],
)
def test_shapes(shape: tuple[int, ...], block: list[int], crops: list[list[int]], dtype: type) -> None:
    check(batch_to_space_nd(tensor(dtype, shape), indices(block), indices(crops)), values(dtype, shape))


@pytest.mark.parametrize("dtype", TYPES)
def test_types(dtype: type) -> None:
    check(
        batch_to_space_nd(tensor(dtype, (12, 4, 6, 3)), indices([2, 3]), indices([[1, 3], [0, 3]])),
        values(dtype, (12, 4, 6, 3)),
    )


def test_five_axes_and_three_blocks() -> None:
    """LiteRT takes ranks 3 and 4."""
    x = values(np.int8, (12, 1, 2, 2, 3))
    y = x.reshape(2, 2, 3, 1, 1, 2, 2, 3).transpose(3, 4, 0, 5, 1, 6, 2, 7).reshape(1, 2, 4, 6, 3)
    content = batch_to_space_nd(tensor(np.int8, x.shape), indices([2, 2, 3]), indices([[0, 0]] * 3))
    check(content, x, litert=[y])


def test_malformed() -> None:
    x, block, none = tensor(np.int8, (4, 4, 4, 1)), indices([2, 2]), indices([[0, 0], [0, 0]])
    refused(ModelError, "crops", batch_to_space_nd(x, indices([3, 1]), none))
    refused(ModelError, "crops", batch_to_space_nd(x, block, indices([[5, 4], [0, 0]])))
    refused(ModelError, "do not fit", batch_to_space_nd(x, indices([2]), none))
    refused(ModelError, "at least 1", batch_to_space_nd(x, indices([2, -1]), none))
    refused(ModelError, "at least 1", batch_to_space_nd(x, block, indices([[0, 0], [-2, 0]])))
    refused(ModelError, "int16", batch_to_space_nd(x, block, none, tensor(np.int16, (1,))))
    refused(UnsupportedError, "quantization", batch_to_space_nd(x, block, none, T(np.int8, (1,), 0.06, -7)))
