from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from engines import REFERENCE, check, run_program, run_reference
from moves import refused
from requirements import shared_model
from writer import T, model

from int8rt.errors import InputError, ModelError, UnsupportedError
from int8rt.format import reader
from int8rt.plan.program import build
from int8rt.runtime.instance import Instance
from int8rt.tools import litert

OPTIONS = {
    "max_detections": 10, "max_classes_per_detection": 1, "nms_score_threshold": 0.2, "nms_iou_threshold": 0.5,
    "num_classes": 3, "y_scale": 10.0, "x_scale": 10.0, "h_scale": 5.0, "w_scale": 5.0,
}  # fmt: skip


def detection(boxes: T, scores: T, anchors: T, y: T | None = None, **changed: Any) -> bytes:
    options = {name: value for name, value in (OPTIONS | changed).items() if value is not None}
    y = y or T(np.float32, None)
    outputs = [y, *(T(np.float32, None) for _ in range(3))]
    return model(
        "CUSTOM", [boxes, scores, anchors], outputs, None,
        custom_code="TFLite_Detection_PostProcess", custom_options=options,
    )  # fmt: skip


def inputs(n: int, columns: int, seed: int = 0, levels: int = 0, width: int = 4) -> list[np.ndarray]:
    """Boxes, scores and anchors; few levels of scores make many equal."""
    rng = np.random.default_rng([n, columns, seed])
    boxes = rng.normal(0, 2, (1, n, width))
    scores = rng.uniform(0, 1, (1, n, columns))
    anchors = np.concatenate([rng.uniform(0, 1, (n, 2)), rng.uniform(0.05, 0.4, (n, 2))], 1)
    if levels:
        scores = np.ceil(scores * levels) / levels
    return [a.astype(np.float32) for a in (boxes, scores, anchors)]


def floats(*arrays: np.ndarray) -> list[T]:
    return [T(np.float32, a.shape) for a in arrays]


def check_found(content: bytes, *arrays: np.ndarray) -> None:
    """LiteRT leaves in its memory what follows the detections of the fast kind, where ours has zeros."""
    y = run_program(content, *arrays)
    expected = list(litert.run(content, list(arrays), resolver="reference"))
    slots = int(y[3][0]) * (y[1].shape[1] // OPTIONS["max_detections"])
    assert y[3] == expected[3]
    for i in range(3):
        expected[i] = expected[i].copy()
        expected[i][:, slots:] = 0
    check(content, *arrays, litert=expected)


@pytest.mark.parametrize("n", [1, 2, 10, 60, 300])
@pytest.mark.parametrize("columns", [3, 4])
@pytest.mark.parametrize("levels", [0, 4])
@pytest.mark.parametrize("iou", [0.1, 0.5, 1.0])
def test_fast(iou: float, levels: int, columns: int, n: int) -> None:
    arrays = inputs(n, columns, levels=levels)
    check_found(detection(*floats(*arrays), nms_iou_threshold=iou), *arrays)


@pytest.mark.parametrize("n", [1, 2, 10, 60, 300])
@pytest.mark.parametrize("columns", [3, 4])
@pytest.mark.parametrize("levels", [0, 4])
@pytest.mark.parametrize("per_class", [None, 2, 50])
def test_regular(per_class: int | None, levels: int, columns: int, n: int) -> None:
    arrays = inputs(n, columns, levels=levels)
    content = detection(*floats(*arrays), use_regular_nms=True, detections_per_class=per_class)
    check(content, *arrays)


@pytest.mark.parametrize("each", [2, 3])
@pytest.mark.parametrize("levels", [0, 2])
@pytest.mark.parametrize("seed", range(3))
def test_several_classes_each(seed: int, levels: int, each: int) -> None:
    arrays = inputs(100, 21, seed, levels)
    check_found(detection(*floats(*arrays), num_classes=20, max_classes_per_detection=each), *arrays)


@pytest.mark.parametrize("regular", [False, True])
@pytest.mark.parametrize("scores", [np.uint8, np.float32])
def test_quantized(scores: type, regular: bool) -> None:
    rng = np.random.default_rng(3)
    boxes, anchors = T(np.uint8, (1, 80, 4), 0.05, 120), T(np.uint8, (80, 4), 0.004, 3)
    given = T(np.uint8, (1, 80, 4), 1 / 256, 0) if scores is np.uint8 else T(np.float32, (1, 80, 4))
    arrays = [rng.integers(0, 256, t.shape).astype(np.uint8) for t in (boxes, given, anchors)]
    arrays[2] |= 8  # sizes of anchors are positive
    if scores is np.float32:
        arrays[1] = arrays[1].astype(np.float32) / 256
    check_found(detection(boxes, given, anchors, use_regular_nms=regular), *arrays)


def test_boxes_with_more_values() -> None:
    arrays = inputs(20, 4, width=7)
    check_found(detection(*floats(*arrays)), *arrays)


def test_nothing_found() -> None:
    arrays = inputs(20, 4)
    for regular in (False, True):
        check_found(detection(*floats(*arrays), use_regular_nms=regular, nms_score_threshold=2.0), *arrays)


def test_constant_anchors() -> None:
    boxes, scores, anchors = inputs(20, 4)
    constant = T(np.float32, anchors.shape, data=anchors)
    check_found(detection(*floats(boxes, scores), constant), boxes, scores)


def test_box_upside_down() -> None:
    boxes, scores, anchors = inputs(20, 4)
    anchors[7, 2] = -1
    content = detection(*floats(boxes, scores, anchors))
    for run in (run_program, run_reference):
        with pytest.raises(InputError, match="top below its bottom"):
            run(content, boxes, scores, anchors)


def test_malformed() -> None:
    boxes, scores, anchors = floats(*inputs(20, 4))
    refused(ModelError, "no FlexBuffer|a map", model(
        "CUSTOM", [boxes, scores, anchors], [T(np.float32, None) for _ in range(4)], None,
        custom_code="TFLite_Detection_PostProcess", custom_options=b"\1\2",
    ))  # fmt: skip
    refused(ModelError, "do not fit", detection(T(np.float32, (1, 20, 3)), scores, anchors))
    refused(ModelError, "do not fit", detection(T(np.float32, (2, 20, 4)), scores, anchors))
    refused(ModelError, "do not fit", detection(boxes, scores, T(np.float32, (19, 4))))
    refused(ModelError, "do not fit", detection(boxes, scores, anchors, num_classes=2))
    refused(ModelError, "do not fit", detection(boxes, scores, anchors, num_classes=5))
    refused(ModelError, "nms_iou_threshold", detection(boxes, scores, anchors, nms_iou_threshold=None))
    refused(ModelError, "-1 detections", detection(boxes, scores, anchors, max_detections=-1))
    refused(ModelError, "0 of each", detection(boxes, scores, anchors, max_classes_per_detection=None))
    refused(UnsupportedError, "alike", detection(T(np.uint8, (1, 20, 4), 0.1), scores, anchors))
    refused(UnsupportedError, "supported", detection(T(np.int8, (1, 20, 4), 0.1), scores, T(np.int8, (20, 4), 0.1)))


@pytest.mark.exhaustive
def test_a_real_detector() -> None:
    """The outputs of SSD MobileNetV2 FPN-Lite on noise and on gradients."""
    content = shared_model("ssd_mobilenet_v2_fpnlite_int8.tflite").read_bytes()
    graph = reader.read(content).main
    instance = Instance(build(graph, REFERENCE))
    (x,) = graph.inputs
    for seed in range(20):
        rng = np.random.default_rng(seed)
        image = rng.integers(0, 256, x.shape).astype(x.dtype)
        if seed % 2:
            ramp = (
                np.linspace(0, 255, x.shape[2]) * rng.uniform(0, 1, (1, x.shape[1], 1, 3)).reshape(1, -1, 3)[:, :, :1]
            )
            image = np.broadcast_to(ramp[..., None], x.shape).astype(x.dtype)
        for expected, found in zip(
            litert.run(content, [image]), instance.run([np.ascontiguousarray(image)]), strict=True
        ):
            assert found.tobytes() == expected.tobytes()
