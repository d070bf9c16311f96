from __future__ import annotations

import numpy as np
import pytest
from engines import check
from moves import TYPES, calls, indices, refused, tensor, values
from writer import Op, T, model, network

from int8rt.errors import ModelError


def reshape(x: T, shape: object = None, y: object = (1,), **fields: object) -> bytes:
    inputs = [x] if shape is None else [x, shape if isinstance(shape, T) else indices(shape)]
    return model("RESHAPE", inputs, [T(x.dtype, y, x.scale, x.zero_point)], **fields)


CASES = [
    ((6,), [2, 3]),
    ((6,), [6]),
    ((2, 3), [-1]),
    ((2, 3, 4), [4, -1]),
    ((2, 3, 4), [-1, 1, 2]),
    ((2, 3, 4), [1, 1, 24, 1, 1]),
    ((1, 7, 5, 3), [1, -1, 3]),
    ((1,), [1, 1]),
    ((), [1]),
    ((), [-1]),
    ((0, 3), [0]),
    ((0, 3), [-1, 3]),
    ((0, 3), [3, -1]),
    ((0, 3), [0, -1]),
    ((2, 0), [5, 0, 7]),
]


@pytest.mark.parametrize(("shape", "wanted"), CASES)
def test_shape_as_an_input(shape: tuple[int, ...], wanted: list[int]) -> None:
    check(reshape(tensor(np.int8, shape), wanted), values(np.int8, shape))


@pytest.mark.parametrize(("shape", "wanted"), [case for case in CASES if case[1] != [0]])
def test_shape_as_an_option(shape: tuple[int, ...], wanted: list[int]) -> None:
    check(reshape(tensor(np.int8, shape), new_shape=wanted), values(np.int8, shape))


@pytest.mark.parametrize("dtype", TYPES)
def test_types(dtype: type) -> None:
    check(reshape(tensor(dtype, (2, 3)), [3, 2]), values(dtype, (2, 3)))


@pytest.mark.parametrize("new_shape", [[0], []])
def test_scalar(new_shape: list[int]) -> None:
    check(reshape(tensor(np.int8, (1, 1)), new_shape=new_shape), values(np.int8, (1, 1)))


def test_scalar_from_an_input() -> None:
    shape = T(np.int32, (0,), data=np.zeros(0, np.int32))
    check(reshape(tensor(np.int8, (1, 1)), shape), values(np.int8, (1, 1)))


def test_the_input_has_priority() -> None:
    check(reshape(tensor(np.int8, (2, 3)), [3, 2], new_shape=[6]), values(np.int8, (2, 3)))


@pytest.mark.parametrize("shape", [indices([[3, 2]]), indices(6), indices([3, 2], np.int64)])
def test_an_input_that_is_no_int32_vector_is_ignored(shape: T) -> None:
    check(reshape(tensor(np.int8, (2, 3)), shape, new_shape=[6]), values(np.int8, (2, 3)))


def test_scales_may_differ() -> None:
    content = model("RESHAPE", [T(np.int8, (2, 3), 0.1, 4), indices([6])], [T(np.int8, (1,), 0.2, 5)])
    check(content, values(np.int8, (2, 3)))


def test_a_shape_known_at_run_time_only() -> None:
    """What the file declares is not believed."""
    content = reshape(tensor(np.int8, (2, 3)), T(np.int32, (2,)), y=(3, 3))
    check(content, values(np.int8, (2, 3)), np.array([3, 2], np.int32))


def test_computed_shape() -> None:
    x, y, shape, part = tensor(np.int8, (2, 3, 4)), tensor(np.int8), T(np.int32, (3,)), T(np.int32, (1,))
    nodes = [
        Op("SHAPE", [x], [shape], out_type=np.int32),
        Op("STRIDED_SLICE", [shape, indices([0]), indices([1]), indices([1])], [part]),
        Op("CONCATENATION", [part, indices([-1])], [shape2 := T(np.int32, (2,))], axis=0),
        Op("RESHAPE", [x, shape2], [y]),
    ]
    content = network(nodes, [x], [y])
    assert calls(content) == []
    check(content, values(np.int8, (2, 3, 4)))


def test_constant() -> None:
    check(reshape(tensor(np.int8, (2, 3), data=values(np.int8, (2, 3))), [6]))


def test_input_and_output_of_the_model_do_not_share_memory() -> None:
    x, y, z = tensor(np.int8, (2, 3)), tensor(np.int8), tensor(np.int8)
    nodes = [Op("RESHAPE", [x, indices([6])], [y]), Op("RESHAPE", [y, indices([3, 2])], [z])]
    check(network(nodes, [x], [x, y, z]), values(np.int8, (2, 3)))


@pytest.mark.parametrize("wanted", [[4], [-1, -1], [-2, -3], [-1, 4], [0, -1], [2, 2, 2], [-1, 0]])
def test_malformed_shapes(wanted: list[int]) -> None:
    refused(ModelError, "shape|fit", reshape(tensor(np.int8, (2, 3)), wanted))


def test_other_malformed_nodes() -> None:
    x = tensor(np.int8, (2, 3))
    refused(ModelError, "is int16", model("RESHAPE", [x, indices([6])], [tensor(np.int16)]))
    refused(ModelError, "input 0", model("RESHAPE", [None, indices([6])], [tensor(np.int8)]))
    refused(ModelError, "outputs", model("RESHAPE", [x, indices([6])], [tensor(np.int8), tensor(np.int8)]))
