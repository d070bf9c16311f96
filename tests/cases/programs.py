"""Programs of int8 networks, and what they are fed with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from engines import REFERENCE
from writer import RELU, SAME, Op, T, network

from int8rt.format import reader
from int8rt.plan import program


def tensor(shape: Sequence[int] = (4, 6), scale: float = 0.5, zero_point: int = -3, **fields: Any) -> T:
    """A tensor of int8."""
    return T(np.int8, shape, scale, zero_point, **fields)


def build(content: bytes, **options: Any) -> program.Program:
    """The program of a model, by the reference's numerics."""
    return program.build(reader.read(content).main, REFERENCE, **options)


def random_inputs(plan: program.Program, seed: int = 0, count: int = 1) -> list[np.ndarray]:
    """Inputs of int8 for a program, or for so many times its batch."""
    rng = np.random.default_rng(seed)
    shapes = [((count * t.shape[0], *t.shape[1:]) if count > 1 else t.shape) for t in plan.graph.inputs]
    return [rng.integers(-128, 128, shape).astype(t.dtype) for shape, t in zip(shapes, plan.graph.inputs)]


def convolutions() -> bytes:
    """A network whose calls are all worth sharing, in three images."""
    rng = np.random.default_rng(0)
    x, h, d, y = (
        tensor((3, 16, 16, 8), 0.1),
        tensor((3, 16, 16, 40), 2.0),
        tensor((3, 8, 8, 40), 3.0),
        tensor((3, 10), 9.0),
    )
    w1, w2, w3 = (
        tensor(shape, 0.05, 0, data=rng.integers(-127, 128, shape))
        for shape in ((40, 3, 3, 8), (1, 3, 3, 40), (10, 2560))
    )
    nodes = [
        Op("CONV_2D", [x, w1], [h], padding=SAME, stride_h=1, stride_w=1, fused_activation_function=RELU),
        Op("DEPTHWISE_CONV_2D", [h, w2], [d], padding=SAME, stride_h=2, stride_w=2, depth_multiplier=1),
        Op("FULLY_CONNECTED", [d, w3, None], [y]),
    ]
    return network(nodes, [x], [y])
