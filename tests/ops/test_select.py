"""SELECT: program, reference and LiteRT's BUILTIN_REF give the same bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import writer
from elementwise import values
from engines import check, run_program, run_reference, same
from writer import T

from int8rt.errors import ModelError
from int8rt.format import reader

TYPES = [
    np.int8,
    np.uint8,
    np.int16,
    np.uint16,
    np.int32,
    np.uint32,
    np.int64,
    np.uint64,
    np.float32,
    np.float64,
    np.bool_,
]


def model_of(dtype: Any, condition: Any, shape1: Any, shape2: Any, shape: Any = None) -> bytes:
    """A model of one SELECT; ``shape`` is what the file says of the output."""
    scale = 0.1 if dtype in (np.int8, np.uint8) else None
    whole = np.broadcast_shapes(shape1, shape2) if shape is None else shape
    inputs = [T(np.bool_, condition), T(dtype, shape1, scale), T(dtype, shape2, scale)]
    return writer.model("SELECT", inputs, [T(dtype, whole, scale)])


def given(dtype: Any, condition: Any, shape1: Any, shape2: Any) -> list[np.ndarray]:
    """A condition and two operands."""
    pick = np.random.default_rng(0).integers(0, 2, condition).astype(np.bool_)
    if dtype == np.bool_:
        return [pick, *(np.asarray(values(s, np.uint8, i) & 1, np.bool_) for i, s in enumerate((shape1, shape2)))]
    return [pick, values(shape1, dtype, 1), values(shape2, dtype, 2)]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(
    ("condition", "shape"),
    [((3, 5, 7), (3, 5, 7)), ((3,), (3, 5, 7)), ((), (3, 5, 7)), ((4,), (4,)), ((5000,), (5000,)), ((2,), (2, 3000))],
)
def test_conditions(condition: Any, shape: Any, dtype: Any) -> None:
    check(model_of(dtype, condition, shape, shape), *given(dtype, condition, shape, shape))


@pytest.mark.parametrize("shape", [(2, 1, 3, 1, 2), (1, 7), (0, 3), (2, 2, 2, 2, 2, 2)])
def test_shapes(shape: Any) -> None:
    check(model_of(np.int8, shape, shape, shape), *given(np.int8, shape, shape, shape))


def test_one_element_keeps_its_shape() -> None:
    """Whatever axes of 1 the inputs have, the output has those that the file says."""
    for shapes in (
        ((), (1,), (1, 1), (1, 1, 1)),
        ((1, 1), (), (), ()),
        ((1,), (1,), (1,), (1,)),
        ((1,), (1,), (1,), ()),
    ):
        check(model_of(np.int8, *shapes), *given(np.int8, *shapes[:3]))


def test_special_floats() -> None:
    """Bits move as they are."""
    x = np.array([np.nan, -np.nan, np.inf, -0.0, 1e-45], np.float32)
    pick = np.array([1, 0, 1, 0, 1], np.bool_)
    check(model_of(np.float32, (5,), (5,), (5,)), pick, x, x[::-1].copy())


def test_constants() -> None:
    y = T(np.int32, (7,))
    pick, x = np.arange(7) % 3 == 1, values((7,), np.int32)
    condition, a, b = T(np.bool_, (7,), data=pick), T(np.int32, (7,)), T(np.int32, (7,), data=x)
    check(writer.model("SELECT", [condition, a, b], [y]), x[::-1].copy())
    check(writer.model("SELECT", [condition, b, a], [y]), x[::-1].copy())
    check(writer.model("SELECT", [condition, a, a], [y]), x[::-1].copy())


def test_threads() -> None:
    shapes = (200, 300), (200, 300), (200, 300)
    model = model_of(np.int8, *shapes)
    inputs = given(np.int8, *shapes)
    same("reference", run_reference(model, *inputs), run_program(model, *inputs, threads=3))


@pytest.mark.parametrize(
    "model",
    [
        model_of(np.int8, (3,), (4,), (4,), (4,)),
        model_of(np.int8, (4,), (4,), (3,), (4,)),
        writer.model("SELECT", [T(np.bool_, (4,)), T(np.int8, (4,), 0.1)], [T(np.int8, (4,), 0.1)]),
        writer.model("SELECT", [T(np.int8, (4,), 0.1), *[T(np.int32, (4,))] * 2], [T(np.int32, (4,))]),
        writer.model("SELECT", [T(np.bool_, (4,)), T(np.int32, (4,)), T(np.int64, (4,))], [T(np.int32, (4,))]),
        writer.model("SELECT", [T(np.bool_, (4,)), *[T(np.int32, (4,))] * 2], [T(np.float32, (4,))]),
        writer.model("SELECT", [None, *[T(np.int32, (4,))] * 2], [T(np.int32, (4,))]),
    ],
)
def test_malformed(model: bytes) -> None:
    with pytest.raises(ModelError, match=r"SELECT \(node 0\)"):
        run_program(model, *[np.ones(t.shape, t.dtype) for t in reader.read(model).main.inputs])
