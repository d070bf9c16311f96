from __future__ import annotations

import numpy as np
import pytest
from engines import check
from moves import TYPES, indices, refused, tensor, values
from writer import T, model

from int8rt.errors import ModelError, UnsupportedError


def space_to_batch_nd(x: T, block: T, paddings: T, y: T | None = None) -> bytes:
    return model("SPACE_TO_BATCH_ND", [x, block, paddings], [y or tensor(x.dtype, (1,))])


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.float32])
@pytest.mark.parametrize(
    ("shape", "block", "paddings"),
    [
        ((1, 2, 2, 1), [2, 2], [[0, 0], [0, 0]]),
        ((2, 4, 6, 3), [2, 3], [[0, 0], [0, 0]]),
        ((2, 4, 6, 3), [2, 3], [[1, 1], [2, 1]]),
        ((1, 5, 7, 3), [2, 2], [[0, 1], [1, 0]]),
        ((1, 5, 7, 3), [4, 4], [[3, 0], [0, 1]]),
        ((1, 10, 7, 16), [2, 1], [[2, 2], [0, 0]]),
        ((1, 3, 2, 1), [1, 1], [[0, 0], [0, 0]]),
        ((1, 3, 2, 1), [1, 1], [[1, 2], [3, 0]]),
        ((1, 1, 1, 2), [3, 3], [[1, 1], [0, 2]]),
        ((2, 6, 3), [2], [[0, 0]]),
        ((2, 5, 3), [3], [[2, 2]]),
    ],
)
def test_shapes(shape: tuple[int, ...], block: list[int], paddings: list[list[int]], dtype: type) -> None:
    check(space_to_batch_nd(tensor(dtype, shape), indices(block), indices(paddings)), values(dtype, shape))


@pytest.mark.parametrize("dtype", TYPES)
def test_types(dtype: type) -> None:
    check(
        space_to_batch_nd(tensor(dtype, (2, 4, 6, 3)), indices([2, 3]), indices([[1, 3], [0, 3]])),
        values(dtype, (2, 4, 6, 3)),
    )


@pytest.mark.parametrize(("dtype", "zero_point"), [(np.int8, -128), (np.int8, 127), (np.uint8, 0), (np.uint8, 255)])
def test_padding_is_the_zero_point(dtype: type, zero_point: int) -> None:
    x = T(dtype, (1, 3, 3, 2), 0.5, zero_point)
    check(
        space_to_batch_nd(x, indices([2, 2]), indices([[0, 1], [1, 0]]), T(dtype, (1,), 0.5, zero_point)),
        values(dtype, (1, 3, 3, 2)),
    )


def test_five_axes_and_three_blocks() -> None:
    """LiteRT takes ranks 3 and 4."""
    x = values(np.int8, (1, 2, 4, 6, 3))
    y = x.reshape(1, 1, 2, 2, 2, 2, 3, 3).transpose(2, 4, 6, 0, 1, 3, 5, 7).reshape(12, 1, 2, 2, 3)
    content = space_to_batch_nd(tensor(np.int8, x.shape), indices([2, 2, 3]), indices([[0, 0]] * 3))
    check(content, x, litert=[y])


def test_malformed() -> None:
    x, block, none = tensor(np.int8, (1, 4, 4, 1)), indices([2, 2]), indices([[0, 0], [0, 0]])
    refused(ModelError, "whole number", space_to_batch_nd(x, block, indices([[0, 1], [0, 0]])))
    refused(ModelError, "do not fit", space_to_batch_nd(x, indices([2]), none))
    refused(ModelError, "do not fit", space_to_batch_nd(x, indices([2] * 4), indices([[0, 0]] * 4)))
    refused(ModelError, "at least 1", space_to_batch_nd(x, indices([2, 0]), none))
    refused(ModelError, "at least 1", space_to_batch_nd(x, block, indices([[0, 0], [-2, 0]])))
    refused(ModelError, "int16", space_to_batch_nd(x, block, none, tensor(np.int16, (1,))))
    refused(UnsupportedError, "quantization", space_to_batch_nd(x, block, none, T(np.int8, (1,), 0.06, -7)))
