from __future__ import annotations

import numpy as np
import pytest
from embeddings import RANGES, lookup, table
from engines import check, run_program, run_reference
from moves import TYPES, refused, tensor, values
from writer import T, model

from int8rt.errors import InputError, ModelError, UnsupportedError


def scales(rows: int) -> np.ndarray:
    return np.random.default_rng(rows).uniform(1e-4, 0.1, rows).astype(np.float32)


IDS = np.array([2, 0, 4, 2], np.int32)


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("shape", [(5, 4), (5, 16), (5, 2, 6), (5, 64)])
@pytest.mark.parametrize("per_row", [False, True])
def test_hybrid(per_row: bool, shape: tuple[int, ...], name: str) -> None:
    check(lookup(table(name, shape, scales(5) if per_row else 0.0123)), IDS)


@pytest.mark.parametrize(("columns", "block"), [(64, 32), (128, 32), (64, 64), (96, 32)])
def test_blocks_of_scales(columns: int, block: int) -> None:
    blocks = columns // block
    given = T(np.float16, (5, blocks), data=scales(5 * blocks).reshape(5, blocks).astype(np.float16))
    rows = table("INT4", (5, columns), given, block_size=block)
    check(model("EMBEDDING_LOOKUP", [T(np.int32, (4,)), rows], [T(np.float32, (1,))], version=4), IDS)


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("scale", [1e-44, 1e-38, 2.0**-31, 1.0, 1e30, 3e38])
def test_extreme_scales(scale: float, name: str) -> None:
    check(lookup(table(name, (5, 4), scale)), IDS)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(5, 3), (5, 1), (5, 2, 3)])
@pytest.mark.parametrize("constant", [False, True])
def test_one_type(constant: bool, shape: tuple[int, ...], dtype: type) -> None:
    x = values(dtype, shape)
    rows = tensor(dtype, shape, data=x) if constant else tensor(dtype, shape)
    check(lookup(rows, y=dtype), IDS, *([] if constant else [x]))


@pytest.mark.parametrize("wrong", [-1, 5])
def test_index_out_of_range(wrong: int) -> None:
    for content in (
        lookup(table("INT8", (5, 4), 0.1)),
        lookup(
            table(
                "INT8",
                (5, 4),
                0.05,
            ),
            y=np.int8,
        ),
    ):
        for run in (run_program, run_reference):
            with pytest.raises(InputError, match=f"index {wrong} is not within 0 ... 4"):
                run(content, np.array([0, 1, wrong, 2], np.int32))


def test_malformed() -> None:
    refused(ModelError, "2 axes or more were expected", lookup(T(np.float32, (5,))))
    refused(ModelError, "scales along axis 1", lookup(table("INT8", (5, 4), scales(4), axis=1)))
    refused(ModelError, "zero points of 0", lookup(T(np.int8, (5, 4), 0.1, 3, data=np.zeros((5, 4), np.int8))))
    refused(ModelError, "scales", lookup(T(np.int8, (5, 4), data=np.zeros((5, 4), np.int8))))
    refused(UnsupportedError, "constant", lookup(T(np.int8, (5, 4), 0.1)))
    refused(UnsupportedError, "uint8", lookup(T(np.uint8, (5, 4), 0.1, data=np.zeros((5, 4), np.uint8))))
    refused(UnsupportedError, "whole bytes", lookup(table("INT4", (5, 3), 0.1)))
    refused(UnsupportedError, "whole bytes", lookup(table("INT2", (5, 6), 0.1)))
    refused(UnsupportedError, "supported are", lookup(table("INT8", (5, 4), 0.1), y=np.int16))
    x = T(np.float32, (5, 4))
    refused(ModelError, "int32", model("EMBEDDING_LOOKUP", [T(np.int64, (4,)), x], [T(np.float32, (1,))]))
