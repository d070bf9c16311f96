from __future__ import annotations

import numpy as np
import pytest
from engines import check, run_program, run_reference
from moves import TYPES, indices, refused, tensor, values
from writer import T, model

from int8rt.errors import InputError, ModelError


def reverse_sequence(x: T, lengths: T, along: int, batch: int) -> bytes:
    return model("REVERSE_SEQUENCE", [x, lengths], [tensor(x.dtype, (1,))], seq_dim=along, batch_dim=batch)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
@pytest.mark.parametrize("index_dtype", [np.int32, np.int64])
@pytest.mark.parametrize(
    ("shape", "along", "batch", "lengths"),
    [
        ((2, 5), 1, 0, [3, 5]),
        ((5, 2), 0, 1, [1, 4]),
        ((2, 5, 3), 1, 0, [2, 4]),
        ((5, 2, 3), 0, 1, [5, 5]),
        ((2, 3, 5), 2, 0, [3, 4]),
        ((5, 3, 2), 0, 2, [5, 1]),
        ((3, 2, 5, 2), 2, 1, [4, 2]),
        ((3, 5, 2, 4), 1, 2, [3, 5]),
        ((1, 1), 1, 0, [1]),
    ],
)
def test_shapes(
    shape: tuple[int, ...], along: int, batch: int, lengths: list[int], index_dtype: type, dtype: type
) -> None:
    content = reverse_sequence(tensor(dtype, shape), T(index_dtype, (len(lengths),)), along, batch)
    check(content, values(dtype, shape), np.array(lengths, index_dtype))


@pytest.mark.parametrize("dtype", TYPES)
def test_types(dtype: type) -> None:
    x = values(dtype, (2, 5))
    expected = np.stack([x[0, [2, 1, 0, 3, 4]], x[1, ::-1]])
    litert = [expected] if dtype in (np.int8, np.bool_) else None  # which LiteRT refuses
    check(
        reverse_sequence(tensor(dtype, (2, 5)), T(np.int32, (2,)), 1, 0), x, np.array([3, 5], np.int32), litert=litert
    )


def test_nothing_to_reverse() -> None:
    x = values(np.uint8, (2, 5))
    content = reverse_sequence(tensor(np.uint8, (2, 5)), indices([0, 1]), -1, -2)
    check(content, x, litert=[x])


@pytest.mark.parametrize("wrong", [-1, 6])
def test_length_out_of_range(wrong: int) -> None:
    content = reverse_sequence(tensor(np.uint8, (2, 5)), T(np.int32, (2,)), 1, 0)
    for run in (run_program, run_reference):
        with pytest.raises(InputError, match=f"length {wrong} is not within 0 ... 5"):
            run(content, values(np.uint8, (2, 5)), np.array([2, wrong], np.int32))


def test_malformed() -> None:
    x, lengths = tensor(np.uint8, (2, 5)), T(np.int32, (2,))
    refused(ModelError, "batches on axis 1", reverse_sequence(x, lengths, 1, 1))
    refused(ModelError, "batches on axis 1", reverse_sequence(x, lengths, 0, 1))
    refused(ModelError, "axis 2", reverse_sequence(x, lengths, 2, 0))
    refused(ModelError, "int32 or int64 was expected", reverse_sequence(x, T(np.float32, (2,)), 1, 0))
    refused(ModelError, "length 9", reverse_sequence(x, indices([1, 9]), 1, 0))
