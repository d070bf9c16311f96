from __future__ import annotations

import numpy as np
import pytest
from engines import check, run_program, run_reference, same
from moves import TYPES, calls, indices, refused, tensor, values
from writer import Op, T, model, network

from int8rt.errors import ModelError


def pad(x: T, paddings: object, dtype: type = np.int32, **fields: object) -> bytes:
    return model("PAD", [x, indices(paddings, dtype)], [T(x.dtype, (1,), x.scale, x.zero_point)], **fields)


SHAPES = [
    ((5,), [[2, 3]]),
    ((1,), [[0, 1]]),
    ((2, 3), [[1, 0], [0, 2]]),
    ((2, 3), [[0, 0], [1, 1]]),
    ((2, 3, 4), [[0, 1], [2, 0], [0, 0]]),
    ((2, 3, 4), [[1, 1], [0, 0], [2, 3]]),
    ((1, 7, 5, 3), [[0, 0], [1, 1], [1, 1], [0, 0]]),
    ((2, 8, 8, 16), [[0, 0], [0, 1], [0, 1], [0, 0]]),
    ((1, 6, 6, 3), [[0, 0], [0, 0], [0, 0], [0, 1]]),
    ((2, 3, 4, 5), [[1, 2], [3, 4], [5, 6], [7, 8]]),
    ((2, 3, 4, 5), [[0, 0], [0, 0], [1, 0], [0, 0]]),
    ((3, 1, 1, 2), [[1, 0], [0, 0], [0, 0], [0, 1]]),
    ((2, 2, 3, 2, 2), [[1, 0], [0, 1], [0, 0], [2, 0], [1, 1]]),
    ((2, 3), [[0, 0], [0, 0]]),
]


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize(("shape", "paddings"), SHAPES)
def test_shapes(shape: tuple[int, ...], paddings: list[list[int]], dtype: type) -> None:
    check(pad(tensor(dtype, shape), paddings), values(dtype, shape))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("paddings", [[[1, 0], [2, 1], [0, 0]], [[0, 0], [0, 0], [1, 2]]])
def test_types(dtype: type, paddings: list[list[int]]) -> None:
    check(pad(tensor(dtype, (2, 3, 4)), paddings), values(dtype, (2, 3, 4)))


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.int16, np.int8])
def test_types_of_paddings(dtype: type) -> None:
    check(pad(tensor(np.int8, (2, 3)), [[1, 2], [3, 4]], dtype), values(np.int8, (2, 3)))


@pytest.mark.parametrize(("dtype", "zero_point"), [(np.int8, -128), (np.int8, 127), (np.uint8, 0), (np.uint8, 255)])
def test_the_padding_is_the_zero_point_of_y(dtype: type, zero_point: int) -> None:
    x = T(dtype, (2, 3), 0.1, zero_point // 2)
    content = model("PAD", [x, indices([[1, 1], [1, 1]])], [T(dtype, (1,), 0.2, zero_point)])
    (y,) = check(content, values(dtype, (2, 3)))
    assert y[0, 0] == zero_point


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16])
def test_without_quantization_the_padding_is_zero(dtype: type) -> None:
    content = model("PAD", [T(dtype, (3,)), indices([[1, 1]])], [T(dtype, (1,))])
    (y,) = check(content, values(dtype, (3,)))
    assert y[0] == 0


def test_only_y_quantized() -> None:
    content = model("PAD", [T(np.int8, (3,)), indices([[1, 1]])], [T(np.int8, (1,), 0.1, 5)])
    check(content, values(np.int8, (3,)))


def test_rank_6() -> None:
    """LiteRT stops at rank 5."""
    shape, paddings = (2, 1, 2, 3, 1, 2), [[1, 0], [0, 1], [0, 0], [1, 2], [1, 1], [0, 1]]
    x = values(np.int8, shape)
    check(pad(tensor(np.int8, shape), paddings), x, litert=[np.pad(x, paddings, constant_values=-7)])


@pytest.mark.parametrize(("shape", "paddings"), [((0, 3), [[1, 1], [0, 1]]), ((2, 0), [[0, 0], [0, 0]])])
def test_nothing_to_pad(shape: tuple[int, ...], paddings: list[list[int]]) -> None:
    x = np.zeros(shape, np.int8)
    check(pad(tensor(np.int8, shape), paddings), x, litert=[np.pad(x, paddings, constant_values=-7)])


def test_threads_share_the_lines() -> None:
    shape, paddings = (3, 61, 40, 20), [[0, 0], [1, 2], [3, 1], [0, 0]]
    content, x = pad(tensor(np.int8, shape), paddings), values(np.int8, shape)
    same("reference", run_reference(content, x), run_program(content, x, threads=2))


def test_no_padding_costs_nothing() -> None:
    assert calls(pad(tensor(np.int8, (2, 3)), [[0, 0], [0, 0]])) == []


def test_constants_are_padded_once() -> None:
    x, y = tensor(np.int8, (3,), data=np.array([1, 2, 3], np.int8)), tensor(np.int8, (5,))
    other, total = tensor(np.int8, (5,)), tensor(np.int8, (2, 5))
    nodes = [Op("PAD", [x, indices([[1, 1]])], [y]), Op("PACK", [y, other], [total], axis=0, values_count=2)]
    content = network(nodes, [other], [total])
    check(content, values(np.int8, (5,)))
    assert "pad" not in calls(content)


@pytest.mark.parametrize("paddings", [[[1, -1]], [[1, 1], [1, 1]], [[1]], [1, 1]])
def test_malformed_paddings(paddings: list[object]) -> None:
    refused(ModelError, "paddings", pad(tensor(np.int8, (3,)), paddings))


def test_other_malformed_nodes() -> None:
    x, p, y = tensor(np.int8, (3,)), indices([[1, 1]]), tensor(np.int8)
    refused(ModelError, "is uint8", model("PAD", [x, p], [tensor(np.uint8)]))
    refused(ModelError, "input 1", model("PAD", [x], [y]))
    refused(ModelError, "input 0", model("PAD", [None, p], [y]))
    refused(ModelError, "integers", model("PAD", [x, indices([[1, 1]], np.float32)], [y]))
    refused(ModelError, "outputs", model("PAD", [x, p], [y, tensor(np.int8)]))
