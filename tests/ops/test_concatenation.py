from __future__ import annotations

import numpy as np
import pytest
from engines import check, run_program, run_reference, same
from moves import TYPES, calls, refused, tensor, values
from writer import RELU, T, model

from int8rt.errors import ModelError, UnsupportedError


def concatenation(parts: list[T], axis: int, y: T | None = None, **fields: object) -> bytes:
    return model(
        "CONCATENATION", parts, [y or T(parts[0].dtype, (1,), parts[0].scale, parts[0].zero_point)], axis=axis, **fields
    )


CASES = [
    ([(3,), (4,)], 0),
    ([(3,), (4,)], -1),
    ([(1, 2), (5, 2)], 0),
    ([(3, 1), (3, 1), (3, 1)], 1),
    ([(3, 2), (3, 5)], 1),
    ([(1, 7, 5, 3), (1, 7, 5, 8)], 3),
    ([(1, 7, 5, 3), (1, 7, 2, 3)], 2),
    ([(2, 7, 5, 3), (2, 1, 5, 3)], -3),
    ([(2, 4, 4, 16), (2, 4, 4, 32), (2, 4, 4, 1)], -1),
    ([(2, 1, 3), (1, 1, 3), (4, 1, 3)], -3),
    ([(2, 3, 1, 2, 3), (2, 3, 4, 2, 3)], 2),
    ([(1, 2, 1, 2, 1, 3), (1, 2, 1, 2, 2, 3)], 4),
    ([(2, 0), (2, 3)], 1),
    ([(2, 3)], 1),
    ([(2, 1)] * 20, 1),
]


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize(("shapes", "axis"), CASES)
def test_shapes(shapes: list[tuple[int, ...]], axis: int, dtype: type) -> None:
    parts = [tensor(dtype, shape) for shape in shapes]
    check(concatenation(parts, axis), *(values(dtype, shape, seed=i) for i, shape in enumerate(shapes)))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_types(dtype: type, axis: int) -> None:
    parts = [tensor(dtype, (2, 3, 1))] * 2
    check(
        concatenation([*parts, tensor(dtype, (2, 3, 1))], axis), values(dtype, (2, 3, 1)), values(dtype, (2, 3, 1), 1)
    )


@pytest.mark.parametrize("dtype", [np.int8, np.int32])
@pytest.mark.parametrize("axis", [0, 1])
def test_constants_among_the_inputs(dtype: type, axis: int) -> None:
    parts = [
        tensor(dtype, (2, 2), data=values(dtype, (2, 2), 7)),
        tensor(dtype, (2, 2)),
        tensor(dtype, (2, 2), data=values(dtype, (2, 2), 8)),
    ]
    check(concatenation(parts, axis), values(dtype, (2, 2)))


def test_constant_scalars() -> None:
    x = tensor(np.int8, (3,))
    scalars = [T(np.int32, (), data=np.array(v, np.int32)) for v in (4, -5, 6)]
    check(concatenation(scalars, 0))
    refused(ModelError, "axis", concatenation([T(np.int32, ()), T(np.int32, ())], 0))
    refused(ModelError, "does not go with", concatenation([x, tensor(np.int8, ())], 0))


SCALES = [
    ((0.1, 3), (0.2, 250), (0.15, 128)),
    ((0.1, 0), (0.1, 255), (0.1, 128)),
    ((0.1, 255), (0.3, 0), (0.1, 255)),
    ((1.0, 0), (0.5, 7), (2.0, 0)),  # ties
    ((3.0, 200), (1.0, 100), (2.0, 128)),  # ties
    ((2.0**-31, 9), (1.0, 3), (1.0, 5)),
    ((1.0, 9), (2.0**-20, 3), (2.0**-22, 5)),
    ((7e-5, 1), (9e-5, 254), (8e-5, 128)),
]


@pytest.mark.parametrize("scales", SCALES)
@pytest.mark.parametrize("axis", [0, 1])
def test_uint8_is_rescaled(scales: list[tuple[float, int]], axis: int) -> None:
    every = np.arange(256, dtype=np.uint8).reshape(16, 16)
    parts = [T(np.uint8, (16, 16), *q) for q in scales[:2]]
    check(concatenation(parts, axis, T(np.uint8, (1,), *scales[2])), every, every[::-1])


@pytest.mark.parametrize("scale", [0.007843138, 0.013, 0.0999, 1.7e-3])
def test_uint8_is_rescaled_in_float32(scale: float) -> None:
    rng = np.random.default_rng(1)
    every = np.arange(256, dtype=np.uint8).reshape(1, 256)
    parts = [T(np.uint8, (1, 256), scale * r, z) for r, z in zip(rng.uniform(0.2, 3, 8), rng.integers(0, 256, 8))]
    check(concatenation(parts, -1, T(np.uint8, (1,), scale, 77)), *[every] * 8)


def test_uint8_far_too_large_is_clamped() -> None:
    """LiteRT's conversion of large floats to int32 is undefined and gives 0 on x86."""
    x = np.array([[0, 10, 255]], np.uint8)
    content = concatenation([T(np.uint8, (1, 3), 1.0, 10)], 1, T(np.uint8, (1,), 1e-9, 5))
    check(content, x, litert=[np.array([[0, 5, 255]], np.uint8)])


def test_one_uint8_constant_is_rescaled() -> None:
    constant = T(np.uint8, (2, 3), 0.2, 1, data=values(np.uint8, (2, 3), 3))
    check(
        concatenation([T(np.uint8, (2, 3), 0.1, 4), constant], 1, T(np.uint8, (1,), 0.1, 4)), values(np.uint8, (2, 3))
    )


def test_int16_is_copied_whatever_its_scale() -> None:
    parts = [T(np.int16, (2, 3), 0.1, 0), T(np.int16, (2, 3), 0.2, 0)]
    check(concatenation(parts, 0, T(np.int16, (1,), 0.3, 0)), values(np.int16, (2, 3)), values(np.int16, (2, 3), 1))


def test_threads() -> None:
    parts = [T(np.uint8, (300, 200), s, 3) for s in (0.1, 0.2)]
    content = concatenation(parts, 1, T(np.uint8, (1,), 0.1, 3))
    arrays = [values(np.uint8, (300, 200), i) for i in range(2)]
    same("reference", run_reference(content, *arrays), run_program(content, *arrays, threads=2))


def test_one_input_costs_nothing() -> None:
    assert calls(concatenation([tensor(np.int8, (2, 3))], 1)) == []


def test_malformed() -> None:
    a, b = tensor(np.int8, (2, 3)), tensor(np.int8, (3, 3))
    refused(ModelError, "does not go with", concatenation([a, b], 1))
    refused(ModelError, "does not go with", concatenation([a, tensor(np.int8, (2, 3, 1))], 0))
    refused(ModelError, "axis 2", concatenation([a, a], 2))
    refused(ModelError, "axis -3", concatenation([a, a], -3))
    refused(ModelError, "int16", concatenation([a, tensor(np.int16, (2, 3))], 0))
    refused(ModelError, "input 0", concatenation([None, a], 0, tensor(np.int8)))
    refused(ModelError, "input 1", concatenation([a, None], 0))
    refused(ModelError, "input 0", model("CONCATENATION", [], [tensor(np.int8)], axis=0))


def test_unsupported() -> None:
    a, y = tensor(np.int8, (2, 3)), tensor(np.int8)
    refused(UnsupportedError, "activation", concatenation([a, a], 0, fused_activation_function=RELU))
    refused(UnsupportedError, "quantization", concatenation([a, T(np.int8, (2, 3), 0.06, -7)], 0))
    refused(UnsupportedError, "quantization", concatenation([T(np.int8, (2, 3), 0.05, -8)], 0, y))
    refused(
        UnsupportedError, "zero point", concatenation([T(np.int16, (2, 3), 0.05, 1)], 0, T(np.int16, (1,), 0.05, 0))
    )
    refused(UnsupportedError, "scale", concatenation([T(np.uint8, (2, 3), 0.05, 1)], 0, T(np.uint8, (1,))))
