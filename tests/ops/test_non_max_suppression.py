from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from engines import check, run_program, run_reference
from moves import refused
from writer import T, model

from int8rt.errors import InputError, ModelError


def scalar(value: float, dtype: Any = np.float32) -> T:
    return T(dtype, (), data=np.array(value, dtype))


def suppression(n: int, most: int, iou: float, score: float, sigma: float | None = None, /, **changed: T) -> bytes:
    inputs = {
        "boxes": T(np.float32, (n, 4)), "scores": T(np.float32, (n,)), "most": scalar(most, np.int32),
        "iou": scalar(iou), "score": scalar(score),
    }  # fmt: skip
    outputs = [T(np.int32, (1,)), T(np.int32, ())]
    if sigma is not None:
        inputs["sigma"] = scalar(sigma)
        outputs.insert(1, T(np.float32, (1,)))
    version = 4 if sigma is None else 5
    return model(f"NON_MAX_SUPPRESSION_V{version}", list((inputs | changed).values()), outputs)


def boxes(n: int, seed: int = 0, levels: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Boxes that overlap, some with corners the other way round; of few levels of scores many are equal."""
    rng = np.random.default_rng([n, seed])
    corners = rng.uniform(0, 1, (n, 1, 2)) + rng.uniform(-0.3, 0.3, (n, 2, 2))
    scores = rng.integers(0, levels, n) / levels if levels else rng.uniform(0, 1, n)
    return corners.reshape(n, 4).astype(np.float32), scores.astype(np.float32)


@pytest.mark.parametrize("sigma", [None, 0.0, 0.5, 0.1])
@pytest.mark.parametrize("iou", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize(("n", "most"), [(1, 1), (10, 3), (10, 20), (60, 20), (200, 100)])
def test_boxes(n: int, most: int, iou: float, sigma: float | None) -> None:
    check(suppression(n, most, iou, 0.1, sigma), *boxes(n))


@pytest.mark.parametrize("sigma", [None, 0.0, 0.3])
@pytest.mark.parametrize("levels", [1, 2, 5])
@pytest.mark.parametrize("n", [2, 3, 7, 30, 101, 256])
def test_equal_scores(n: int, levels: int, sigma: float | None) -> None:
    check(suppression(n, 50, 0.6, -1.0, sigma), *boxes(n, 1, levels))


@pytest.mark.parametrize("sigma", [None, 0.5])
def test_degenerate(sigma: float | None) -> None:
    """A box without area does not overlap itself and is selected again and again."""
    b, s = boxes(9)
    b[2, 2:] = b[2, :2]
    b[5] = np.nan
    s[2], s[4] = 2, np.nan
    check(suppression(9, 6, 0.5, 0.0, sigma), b, s)


def test_nothing_above_the_threshold_and_nothing_wanted() -> None:
    b, s = boxes(5)
    check(suppression(5, 3, 0.5, 2.0, 0.0), b, s)
    content = suppression(5, 0, 0.5, 0.0, 0.0)
    empty = [np.zeros(0, np.int32), np.zeros(0, np.float32), np.array(0, np.int32)]
    check(content, b, s, litert=empty)  # which LiteRT's Python interface cannot return


def test_thresholds_of_the_run() -> None:
    content = suppression(30, 8, 0, 0, 0, iou=T(np.float32, ()), score=T(np.float32, ()), sigma=T(np.float32, ()))
    for iou, score, sigma in ((0.2, 0.3, 0.4), (0.5, 0.0, 0.0), (0.9, 0.6, 2.0)):
        check(content, *boxes(30), *(np.array(v, np.float32) for v in (iou, score, sigma)))
    for run in (run_program, run_reference):
        with pytest.raises(InputError, match="below 0"):
            run(content, *boxes(30), *(np.array(v, np.float32) for v in (0.5, 0.0, -1.0)))


def test_malformed() -> None:
    refused(ModelError, "scalars were expected", suppression(5, 3, 0.5, 0, boxes=T(np.float32, (6, 4))))
    refused(ModelError, "scalars were expected", suppression(5, 3, 0.5, 0, boxes=T(np.float32, (5, 5))))
    refused(ModelError, "scalars were expected", suppression(5, 3, 0.5, 0, iou=T(np.float32, (2,))))
    refused(ModelError, "float32 was expected", suppression(5, 3, 0.5, 0, scores=T(np.int8, (5,), 0.1)))
    refused(ModelError, "-1 boxes", suppression(5, -1, 0.5, 0))
    refused(
        ModelError,
        "no input 5",
        model(
            "NON_MAX_SUPPRESSION_V5",
            [T(np.float32, (5, 4)), T(np.float32, (5,)), scalar(3, np.int32), scalar(0.5), scalar(0)],
            [T(np.int32, (1,)), T(np.float32, (1,)), T(np.int32, ())],
        ),
    )
