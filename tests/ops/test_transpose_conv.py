"""TRANSPOSE_CONV against its reference and LiteRT."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from engines import check, run_litert, run_program, same
from writer import NONE, RELU, RELU6, RELU_N1_TO_1, SAME, VALID, T, model

from int8rt.errors import ModelError, UnsupportedError


class Case:
    """One node and its input; values are random, by a seed that follows from the shapes.

    x is NHWC, w OHWI; ``size`` is the output's height and width. ``ratio`` is s_x s_w / s_y.
    """

    def __init__(
        self, x: Any, w: Any, size: Any, stride: Any = (2, 2), padding: int = SAME, dtype: Any = np.int8,
        per_channel: bool = True, bias: bool = True, activation: int = NONE, ratio: float | None = None,
        zero_points: Any = (-5, 9), extreme: bool = False, **fields: Any,
    ) -> None:  # fmt: skip
        rng = np.random.default_rng([*x, *w])
        info = np.iinfo(dtype)

        def values(shape: Any, low: int) -> np.ndarray:
            ends = rng.choice([low, info.max], shape)
            return (ends if extreme else rng.integers(low, info.max + 1, shape)).astype(dtype)

        self.values = values(x, info.min)
        weights = values(w, info.min + (dtype == np.int8))
        s_w = rng.uniform(0.005, 0.02, w[0] if per_channel else 1).astype(np.float32)
        taps = max(1, w[1] * w[2] // (stride[0] * stride[1]))
        s_y = 0.04 * 0.01 / ratio if ratio else 0.04 * 0.0125 * 74 * 74 * np.sqrt(taps * w[3]) * 3 / 128
        x_ = T(dtype, x, 0.04, zero_points[0])
        w_ = T(dtype, w, s_w, 0 if dtype == np.int8 else 121, data=weights)
        b = rng.integers(-9000, 9001, w[0])
        b_ = T(np.int32, (w[0],), np.float32(0.04) * s_w, data=b) if bias else None
        self.y = T(dtype, (x[0], *size, w[0]), np.float32(s_y), zero_points[1])
        self.shape = T(np.int32, (4,), data=np.array(self.y.shape, np.int32))
        self.inputs = [self.shape, w_, x_, b_] if bias else [self.shape, w_, x_]
        self.fields = {"padding": padding, "stride_h": stride[0], "stride_w": stride[1], **fields}
        self.fields.setdefault("fused_activation_function", activation)

    def model(self) -> bytes:
        return model("TRANSPOSE_CONV", self.inputs, [self.y], version=4 if len(self.inputs) == 4 else 2, **self.fields)

    def check(self) -> None:
        check(self.model(), self.values)


GEOMETRIES = [
    ((1, 4, 4, 16), (8, 2, 2, 16), (2, 2)),
    ((1, 4, 4, 16), (8, 4, 4, 16), (2, 2)),
    ((1, 5, 4, 3), (5, 3, 3, 3), (2, 2)),
    ((2, 3, 6, 7), (4, 5, 3, 7), (2, 3)),
    ((1, 6, 6, 8), (20, 3, 3, 8), (1, 1)),
    ((1, 1, 9, 12), (6, 1, 16, 12), (1, 8)),
    ((3, 1, 9, 12), (6, 1, 8, 12), (1, 4)),
    ((1, 4, 4, 5), (3, 1, 1, 5), (2, 2)),
    ((1, 4, 4, 5), (3, 2, 1, 5), (3, 4)),
    ((1, 1, 1, 33), (17, 1, 1, 33), (1, 1)),
    ((1, 2, 2, 4), (1, 7, 7, 4), (2, 2)),
    ((1, 3, 3, 4), (2, 4, 4, 4), (3, 3)),
    ((1, 3, 3, 4), (70, 9, 8, 4), (4, 3)),
]


@pytest.mark.parametrize("more", [0, 1, 2])
@pytest.mark.parametrize("padding", [SAME, VALID])
@pytest.mark.parametrize(("x", "w", "stride"), GEOMETRIES)
def test_geometry(x: Any, w: Any, stride: Any, padding: int, more: int) -> None:
    """Several output sizes belong to one input size: as many as the stride."""
    reach = stride if padding == SAME else w[1:3]
    size = [(n - 1) * s + r for n, s, r in zip(x[1:3], stride, reach, strict=True)]
    sign = -1 if padding == SAME else 1
    size = [n + sign * min(more, s - 1) for n, s in zip(size, stride, strict=True)]
    Case(x, w, size, stride, padding).check()
    Case(x, w, size, stride, padding, np.uint8, per_channel=False, zero_points=(100, 30)).check()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("activation", [NONE, RELU, RELU6, RELU_N1_TO_1])
def test_options(activation: int, per_channel: bool, bias: bool) -> None:
    Case((1, 4, 5, 9), (7, 4, 4, 9), (8, 10), per_channel=per_channel, bias=bias, activation=activation).check()


@pytest.mark.parametrize("activation", [NONE, RELU6])
@pytest.mark.parametrize("bias", [True, False])
def test_uint8_options(activation: int, bias: bool) -> None:
    Case((1, 4, 5, 9), (7, 4, 4, 9), (8, 10), dtype=np.uint8, per_channel=False, bias=bias, activation=activation,
         zero_points=(255, 0)).check()  # fmt: skip


@pytest.mark.parametrize("zero_points", [(-128, 127), (127, -128)])
@pytest.mark.parametrize("ratio", [2.0**-33, 2.0**-31, 1e-6, 1e-3, 0.5, 0.9999, 1.7])
def test_scales(ratio: float, zero_points: Any) -> None:
    Case((1, 4, 4, 8), (6, 3, 3, 8), (8, 8), ratio=ratio, zero_points=zero_points).check()


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_ends(dtype: Any) -> None:
    info = np.iinfo(dtype)
    for zero_points in [(info.min, info.max), (info.max, info.min)]:
        Case((1, 4, 4, 64), (9, 4, 4, 64), (8, 8), dtype=dtype, per_channel=dtype == np.int8, extreme=True,
             zero_points=zero_points).check()  # fmt: skip


@pytest.mark.parametrize("padding", [SAME, VALID])
@pytest.mark.parametrize(("x", "w", "stride"), [g for g in GEOMETRIES if g[1][1] >= g[2][0] and g[1][2] >= g[2][1]])
def test_infinities_stay_where_they_reach(x: Any, w: Any, stride: Any, padding: int) -> None:
    """A tap that a phase does not have must not make NaN of an infinity."""
    rng = np.random.default_rng([*x, *w])
    values = rng.standard_normal(x).astype(np.float32)
    values.reshape(-1)[rng.integers(0, values.size, 2)] = np.inf, -np.inf
    size = [n * s if padding == SAME else (n - 1) * s + k for n, s, k in zip(x[1:3], stride, w[1:3], strict=True)]
    shape = T(np.int32, (4,), data=np.array([x[0], *size, w[0]], np.int32))
    weights = T(np.float32, w, data=rng.standard_normal(w).astype(np.float32))
    fields = {"padding": padding, "stride_h": stride[0], "stride_w": stride[1]}
    y = T(np.float32, (x[0], *size, w[0]))
    check(model("TRANSPOSE_CONV", [shape, weights, T(np.float32, x)], [y], **fields), values)


def test_output_shape_at_run_time() -> None:
    case = Case((1, 4, 4, 8), (6, 3, 3, 8), (8, 8))
    shape = np.array(case.y.shape, np.int32)
    expected = run_litert(case.model(), case.values)
    case.inputs[0] = T(np.int32, (4,))
    same("LiteRT", expected, run_program(case.model(), shape, case.values))
    same("LiteRT", expected, run_litert(case.model(), shape, case.values))


def test_threads() -> None:
    for stride, size in [((2, 2), (40, 40)), ((1, 1), (20, 20))]:
        case = Case((2, 20, 20, 32), (24, 4, 4, 32), size, stride)
        expected = run_program(case.model(), case.values)
        same("one thread", expected, run_program(case.model(), case.values, threads=2))


def test_malformed() -> None:
    def refused(error: type[Exception], match: str, x: Any = (1, 4, 4, 8), w: Any = (6, 3, 3, 8), size: Any = (8, 8),
                shape: Any = None, **fields: Any) -> None:  # fmt: skip
        case = Case(x, w, (8, 8), **fields)
        data = np.array((x[0], *size, w[0]) if shape is None else shape)
        case.inputs[0] = T(data.dtype if shape is not None else np.int32, data.shape, data=data)
        with pytest.raises(error, match=match):
            run_program(case.model(), case.values)

    refused(ModelError, "does not fit", w=(6, 3, 3, 7))
    refused(ModelError, "positive", size=(0, 8))
    refused(ModelError, "positive", size=(8, -1))
    refused(ModelError, "int32 was expected", shape=np.array([1, 8, 8, 6]))
    refused(ModelError, "four sizes were expected", shape=np.array([8, 8], np.int32))
    refused(ModelError, "batch 1", shape=np.array([2, 8, 8, 6], np.int32))
    refused(ModelError, "6 channels", shape=np.array([1, 8, 8, 5], np.int32))
    refused(ModelError, "belongs to inputs of 5x4", size=(9, 8))
    refused(ModelError, "belongs to inputs of 3x3", padding=VALID)
    refused(ModelError, "does not fit", padding=VALID, size=(8, 2))
    refused(ModelError, "must be positive", stride_h=0)
    refused(ModelError, "must be positive", stride_w=-2)
    refused(ModelError, "padding", padding=7)
    refused(ModelError, "4 axes were expected", x=(4, 4, 8))
    case = Case((1, 4, 4, 8), (6, 3, 3, 8), (8, 8), dtype=np.int16)
    with pytest.raises(UnsupportedError, match="supported"):
        run_program(case.model(), case.values)
