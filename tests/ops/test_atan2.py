"""ATAN2: program, reference and LiteRT's BUILTIN_REF give the same bytes."""

from __future__ import annotations

import numpy as np
import pytest
import writer
from elementwise import binary, special_floats, values
from engines import check, run_program, run_reference, same
from writer import T

from int8rt.errors import ModelError, UnsupportedError
from int8rt.format import reader


@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 5), (2, 3, 4, 5), (5001,), (0, 3)])
@pytest.mark.parametrize("seed", range(4))
def test_shapes(shape: tuple[int, ...], seed: int) -> None:
    check(binary("ATAN2", np.float32, shape), values(shape, np.float32, seed), values(shape, np.float32, seed + 9))


def test_special_floats() -> None:
    x1, x2 = special_floats()
    check(binary("ATAN2", np.float32, (8, 8)), x1[1:, 1:], x2[1:, 1:])


def test_constant_operand() -> None:
    c = T(np.float32, (5,), data=values((5,), np.float32))
    x, y = T(np.float32, (5,)), T(np.float32, (5,))
    check(writer.model("ATAN2", [c, x], [y]), values((5,), np.float32, 1))
    check(writer.model("ATAN2", [x, c], [y]), values((5,), np.float32, 1))


def test_threads() -> None:
    model = binary("ATAN2", np.float32, (100, 300))
    inputs = values((100, 300), np.float32), values((100, 300), np.float32, 1)
    same("reference", run_reference(model, *inputs), run_program(model, *inputs, threads=3))


@pytest.mark.parametrize(
    ("model", "error"),
    [
        (binary("ATAN2", np.float64, (4,)), UnsupportedError),
        (binary("ATAN2", np.int32, (4,)), UnsupportedError),
        (binary("ATAN2", np.float32, (4,), (1,)), ModelError),
        (writer.model("ATAN2", [T(np.float32, (4,)), T(np.int32, (4,))], [T(np.float32, (4,))]), ModelError),
        (writer.model("ATAN2", [T(np.float32, (4,))], [T(np.float32, (4,))]), ModelError),
    ],
)
def test_refused(model: bytes, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"ATAN2 \(node 0\)"):
        run_program(model, *[np.ones(t.shape, t.dtype) for t in reader.read(model).main.inputs])
