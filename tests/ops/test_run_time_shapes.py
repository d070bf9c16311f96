"""Operators whose shapes follow from values of the run: each of them fed with its parameters, against LiteRT."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from engines import check, run_program
from moves import TYPES, indices, tensor, values
from writer import REFLECT, Op, T, model, network

from int8rt.errors import Error

X = (2, 4, 6, 3)


def number(*v: Any, dtype: Any = np.int32) -> np.ndarray:
    return np.array(v, dtype) if len(v) != 1 or not np.isscalar(v[0]) else np.array(v[0], dtype)


CASES: list[tuple[str, list[np.ndarray], dict[str, Any]]] = [
    ("TILE", [values(np.int8, X), number(1, 2, 1, 3)], {}),
    ("FILL", [number(3, 2), number(-5, dtype=np.int8)], {}),
    ("FILL", [number(3, 2), number(5)], {}),
    ("BROADCAST_TO", [values(np.int8, (4, 1)), number(3, 4, 5)], {"version": 2}),
    ("MIRROR_PAD", [values(np.int8, (4, 5)), number([1, 2], [3, 0])], {"mode": REFLECT}),
    ("SPACE_TO_BATCH_ND", [values(np.int8, X), number(2, 3), number([1, 3], [0, 3])], {}),
    ("BATCH_TO_SPACE_ND", [values(np.int8, (12, *X[1:])), number(2, 3), number([1, 3], [0, 3])], {}),
    ("RANGE", [number(2), number(17), number(4)], {}),
    ("RANGE", [number(v, dtype=np.float32) for v in (2, -1, -0.3)], {}),
    ("ONE_HOT", [number(1, 4, 0), number(5), number(7, dtype=np.int8), number(-7, dtype=np.int8)], {"axis": -1}),
    ("SCATTER_ND", [number([1], [0], [1]), values(np.int8, (3, 2)), number(4, 2)], {}),
    ("SPARSE_TO_DENSE", [number([1, 1], [0, 2]), number(4, 3), values(np.int8, (2,)), number(3, dtype=np.int8)], {}),
    ("WHERE", [values(np.bool_, (3, 5))], {"y": [np.int64]}),
    ("WHERE", [np.zeros((3, 5), np.float32)], {"y": [np.int64]}),
    ("UNIQUE", [number(3, 1, 3, 2, 2, 1, 0, 5, 3)], {"y": [np.int32, np.int32], "idx_out_type": 2}),
    ("EMBEDDING_LOOKUP_SPARSE", [
        number(1, 4, 0), number([0, 0], [0, 1], [2, 0]), number(3, 2), number(0.5, 2, -1, dtype=np.float32),
        np.arange(10, dtype=np.float32).reshape(5, 2),
    ], {"combiner": 1, "y": [np.float32]}),
]  # fmt: skip


def content(op: str, arrays: list[np.ndarray], y: list[Any] | None = None, **fields: Any) -> bytes:
    moved = {"FILL": 1, "ONE_HOT": 2, "SCATTER_ND": 1, "SPARSE_TO_DENSE": 2}.get(op, 0)
    outputs = [tensor(t, None) for t in y or [arrays[moved].dtype.type]]
    return model(op, [tensor(a.dtype.type, a.shape) for a in arrays], outputs, **fields)


@pytest.mark.parametrize(("op", "arrays", "fields"), CASES, ids=lambda v: v if isinstance(v, str) else "")
def test_against_litert(op: str, arrays: list[np.ndarray], fields: dict[str, Any]) -> None:
    empty = [np.zeros((0, 2), np.int64)] if op == "WHERE" and not arrays[0].any() else None
    check(content(op, arrays, **fields), *arrays, litert=empty)


@pytest.mark.parametrize("dtype", TYPES)
def test_types(dtype: type) -> None:
    arrays = [values(dtype, (2, 3)), number(2, 2)]
    check(content("TILE", arrays), *arrays)


def test_another_shape_with_each_run() -> None:
    x = tensor(np.int8, (2, 3))
    tiled = model("TILE", [x, T(np.int32, (2,))], [tensor(np.int8, None)])
    for counts in ([1, 1], [3, 2], [0, 1], [1, 4]):
        (y,) = run_program(tiled, values(np.int8, (2, 3)), number(*counts))
        assert np.array_equal(y, np.tile(values(np.int8, (2, 3)), counts))


@pytest.mark.parametrize(
    ("op", "arrays", "fields"),
    [
        ("TILE", [values(np.int8, (2, 3)), number(1, -2)], {}),
        ("FILL", [number(3, -2), number(5)], {}),
        ("BROADCAST_TO", [values(np.int8, (4, 1)), number(3, 5, 5)], {"version": 2}),
        ("RANGE", [number(2), number(17), number(0)], {}),
        ("SCATTER_ND", [number([1], [4], [1]), values(np.int8, (3, 2)), number(4, 2)], {}),
    ],
)
def test_wrong_values_are_errors(op: str, arrays: list[np.ndarray], fields: dict[str, Any]) -> None:
    with pytest.raises(Error, match=op):
        run_program(content(op, arrays, **fields), *arrays)


def test_places_of_the_run_feed_a_gather() -> None:
    """What WHERE finds, GATHER_ND takes: a shape that only the run knows goes through several nodes."""
    mask, x = T(np.bool_, (2, 3)), tensor(np.int8, (2, 3))
    places, y = T(np.int64, None), tensor(np.int8, None)
    found = network([Op("WHERE", [mask], [places]), Op("GATHER_ND", [x, places], [y])], inputs=[mask, x], outputs=[y])
    data = values(np.int8, (2, 3))
    for seed in range(3):
        chosen = values(np.bool_, (2, 3), seed)
        check(found, chosen, data, litert=[data[chosen]])


def test_constant_parameters_of_the_run() -> None:
    """A folded shape needs no run-time shapes."""
    check(model("TILE", [tensor(np.int8, (2, 3)), indices([2, 1])], [tensor(np.int8, None)]), values(np.int8, (2, 3)))
