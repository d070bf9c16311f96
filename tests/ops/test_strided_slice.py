from __future__ import annotations

import numpy as np
import pytest
from engines import check
from moves import TYPES, calls, indices, refused, tensor, values
from writer import T, model

from int8rt.errors import ModelError, UnsupportedError

INT32 = np.iinfo(np.int32)


def strided_slice(x: T, begin: object, end: object, strides: object, **masks: int) -> bytes:
    box = [v if isinstance(v, T) else indices(v) for v in (begin, end, strides)]
    return model("STRIDED_SLICE", [x, *box], [T(x.dtype, (), x.scale, x.zero_point)], **masks)


CASES = [
    # plain
    ((6,), [1], [5], [1], {}),
    ((6,), [1], [6], [2], {}),
    ((6,), [0], [6], [5], {}),
    ((6,), [0], [6], [100], {}),
    ((6,), [-4], [-1], [1], {}),
    ((4, 6), [1, 0], [3, 6], [1, 2], {}),
    ((4, 6), [1], [3], [1], {}),
    ((2, 5, 7, 3), [0, 1, 0, 0], [2, 5, 7, 3], [1, 2, 3, 1], {}),
    ((2, 5, 7, 3), [0, 0, 0, 1], [2, 5, 7, 3], [1, 1, 1, 1], {}),
    ((2, 8, 8, 16), [0, 0, 0, 0], [2, 8, 8, 16], [1, 2, 2, 1], {}),
    ((2, 3, 4, 3, 5), [1, 0, 1, 0, 4], [2, 3, 4, 3, 5], [1, 2, 1, 1, 1], {}),
    ((2, 2, 3, 2, 2, 3), [0, 1, 0, 0, 1, 0], [2, 2, 3, 2, 2, 3], [1, 1, 2, 1, 1, 2], {}),
    # out of range, empty
    ((6,), [-100], [100], [1], {}),
    ((6,), [4], [2], [1], {}),
    ((6,), [6], [8], [1], {}),
    ((6,), [INT32.min], [INT32.max], [1], {}),
    ((6,), [2], [2], [-1], {}),
    ((6,), [2], [4], [-1], {}),
    # backwards
    ((6,), [5], [0], [-1], {}),
    ((6,), [-1], [-7], [-1], {}),
    ((6,), [100], [-100], [-1], {}),
    ((6,), [4], [0], [-3], {}),
    ((4, 6), [3, 5], [0, 0], [-2, -1], {}),
    ((1, 5, 7, 3), [0, 0, 0, 2], [1, 5, 7, -4], [1, 1, 1, -1], {}),
    ((4, 6), [3, 0], [-5, 6], [-1, 1], {}),
    # begin and end masks
    ((6,), [3], [5], [1], {"begin_mask": 1}),
    ((6,), [3], [5], [1], {"end_mask": 1}),
    ((6,), [3], [5], [-1], {"begin_mask": 1, "end_mask": 1}),
    ((4, 6), [1, 2], [3, 4], [1, 2], {"begin_mask": 2, "end_mask": 1}),
    ((4, 6), [1, 2], [3, 4], [-1, -2], {"begin_mask": 3, "end_mask": 3}),
    ((2, 5, 7, 3), [0, 0, 0, 0], [0, 0, 0, 0], [1, 2, 2, 1], {"begin_mask": 15, "end_mask": 15}),
    # shrink
    ((6,), [2], [3], [1], {"shrink_axis_mask": 1}),
    ((6,), [-1], [0], [1], {"shrink_axis_mask": 1}),
    ((6,), [-100], [0], [1], {"shrink_axis_mask": 1}),
    ((6,), [4], [0], [1], {"shrink_axis_mask": 1, "begin_mask": 1}),
    ((6,), [4], [0], [3], {"shrink_axis_mask": 1, "end_mask": 1}),
    ((4, 6), [1, 2], [2, 5], [1, 2], {"shrink_axis_mask": 1}),
    ((4, 6), [1, 2], [2, 5], [1, 2], {"shrink_axis_mask": 2}),
    ((4, 6, 2), [1, 2, 0], [2, 3, 2], [1, 1, 1], {"shrink_axis_mask": 3}),
    # new axes
    ((6,), [0, 1], [0, 5], [1, 1], {"new_axis_mask": 1}),
    ((6,), [1, 0], [5, 0], [2, 1], {"new_axis_mask": 2}),
    ((4, 6), [1, 0, 2], [3, 0, 4], [1, 1, 1], {"new_axis_mask": 2}),
    ((4, 6), [0, 0, 0, 1], [0, 0, 4, 3], [1, 1, 1, 1], {"new_axis_mask": 3}),
    ((4, 6), [0, 2], [0, 3], [1, 1], {"new_axis_mask": 1}),
    ((4, 6), [5, 2], [7, 3], [1, 1], {"new_axis_mask": 3}),
    ((4, 6), [0, 1], [0, 2], [1, 1], {"new_axis_mask": 1, "shrink_axis_mask": 3}),
    # ellipsis
    ((4, 6, 3), [0, 1], [0, 3], [1, 2], {"ellipsis_mask": 1}),
    ((4, 6, 3), [1, 0, 1], [3, 0, 3], [1, 1, 1], {"ellipsis_mask": 2}),
    ((4, 6, 3), [1, 0], [3, 0], [1, 1], {"ellipsis_mask": 2}),
    ((2, 3, 2, 3), [1, 0, 2], [2, 0, 3], [1, 1, 1], {"ellipsis_mask": 2, "shrink_axis_mask": 5}),
    ((2, 3, 2, 3), [0, 1], [0, 2], [1, 1], {"ellipsis_mask": 1, "shrink_axis_mask": 2}),
    ((4, 6), [0], [0], [1], {"ellipsis_mask": 1}),
    ((4, 6), [0, 0, 1], [0, 0, 3], [1, 1, 1], {"ellipsis_mask": 1, "new_axis_mask": 2}),
    ((4, 6), [0, 0, 1], [0, 0, 3], [1, 1, 1], {"ellipsis_mask": 2, "new_axis_mask": 1}),
    ((4, 6, 2), [0, 0, 1], [0, 0, 3], [1, 1, 1], {"ellipsis_mask": 1, "new_axis_mask": 3}),
    ((6,), [0, 1], [0, 3], [1, 1], {"ellipsis_mask": 1}),  # LiteRT's ellipsis takes one axis at least
    ((4, 6), [1, 1, 7], [3, 3, 9], [1, 1, 1], {}),  # and it ignores entries without an axis
    # offset
    ((8, 3), [2, 0], [4, 3], [1, 1], {"offset": 1}),
    ((8, 3), [-5, 1], [4, 2], [2, 1], {"offset": 1}),
    ((8, 3), [3, 1], [1, 2], [1, 1], {"offset": 1, "shrink_axis_mask": 1}),
]


@pytest.mark.parametrize(("shape", "begin", "end", "strides", "masks"), CASES)
def test_cases(shape: tuple, begin: list[int], end: list[int], strides: list[int], masks: dict[str, int]) -> None:
    check(strided_slice(tensor(np.int8, shape), begin, end, strides, **masks), values(np.int8, shape))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("stride", [1, 2, -1])
def test_types(dtype: type, stride: int) -> None:
    box = ([1, 0], [4, 5], [1, stride]) if stride > 0 else ([3, 4], [0, 0], [-1, -1])
    check(strided_slice(tensor(dtype, (4, 5)), *box), values(dtype, (4, 5)))


def test_random_boxes() -> None:
    """Any begin, end, stride and masks that LiteRT defines."""
    rng = np.random.default_rng(2)
    for _ in range(60):
        rank = int(rng.integers(1, 5))
        shape = tuple(int(n) for n in rng.integers(1, 6, rank))
        begin, end = rng.integers(-7, 8, (2, rank))
        strides = rng.choice([-3, -2, -1, 1, 2, 3], rank)
        shrink = 0
        for axis in range(rank):
            if strides[axis] > 0 and begin[axis] < shape[axis] and rng.random() < 0.2:
                shrink |= 1 << axis
        begin_mask, end_mask = (int(m) for m in rng.integers(0, 1 << rank, 2))
        masks = {"begin_mask": begin_mask, "end_mask": end_mask, "shrink_axis_mask": shrink}
        check(strided_slice(tensor(np.int8, shape), begin, end, strides, **masks), values(np.int8, shape))


def test_constants() -> None:
    check(strided_slice(tensor(np.int32, (4,), data=np.array([1, 28, 29, 3], np.int32)), [1], [3], [1]))


def test_the_whole_costs_nothing() -> None:
    assert calls(strided_slice(tensor(np.int8, (2, 3)), [0, 0], [2, 3], [1, 1])) == []
    assert calls(strided_slice(tensor(np.int8, (1, 3)), [0, 0], [1, 3], [1, 1], shrink_axis_mask=1)) == []


@pytest.mark.parametrize(
    ("begin", "end", "strides", "masks", "message"),
    [
        ([0], [4], [0], {}, "stride 0 is 0"),
        ([5], [6], [1], {"shrink_axis_mask": 1}, "takes nothing"),  # LiteRT leaves the output unwritten
        ([2], [1], [-1], {"shrink_axis_mask": 1}, "takes nothing"),  # likewise
        ([2], [3], [1], {"offset": 1}, "reach outside"),  # LiteRT writes less than the output holds
        ([0], [4], [1, 1], {}, "one length"),
        ([0], [4, 1], [1], {}, "one length"),
        ([0] * 32, [1] * 32, [1] * 32, {}, "one length"),
        ([0, 0, 0], [1, 1, 1], [1, 1, 1], {"new_axis_mask": 4, "ellipsis_mask": 1}, "too many"),
    ],
)
def test_malformed(begin: list[int], end: list[int], strides: list[int], masks: dict[str, int], message: str) -> None:
    refused(ModelError, message, strided_slice(tensor(np.int8, (4,)), begin, end, strides, **masks))


def test_other_malformed_nodes() -> None:
    x, v = tensor(np.int8, (4,)), indices([1])
    refused(ModelError, "input 3", model("STRIDED_SLICE", [x, v, v], [tensor(np.int8)]))
    refused(ModelError, "is int16", model("STRIDED_SLICE", [x, v, v, v], [tensor(np.int16)]))
    refused(
        UnsupportedError, "ellipsis", strided_slice(tensor(np.int8, (4, 4)), [0, 0], [1, 1], [1, 1], ellipsis_mask=3)
    )
    refused(UnsupportedError, "offset", strided_slice(x, [0], [1], [1], ellipsis_mask=1, offset=1))
