"""What StableHLO's operators on two tensors of one shape share: stored values are computed on, whatever they stand for.

Neither quantization nor broadcasting is theirs. Integers wrap around. They run by their references.

Source: TFLite's stablehlo_elementwise.h.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.ops._elementwise import checked
from int8rt.steps import PythonCall

INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
FLOATS = ("float16", "float32", "float64")
NUMBERS = ("bool", *INTEGERS, *FLOATS)

Formula = Callable[[np.ndarray, np.ndarray], np.ndarray]


def shapes(node: Node) -> list[tuple[int, ...]]:
    """The one shape of both inputs. Raises ModelError."""
    x1, x2 = node.given
    if x1.shape != x2.shape:
        raise ModelError(f"{node.label}: {list(x1.shape)} and {list(x2.shape)}; one shape was expected")
    return [x1.shape]


def computed(
    node: Node, formula: Formula, x1: np.ndarray, x2: np.ndarray, types: Sequence[str] = NUMBERS
) -> np.ndarray:
    """formula(x1, x2) in their own type."""
    checked(node, types)
    return np.asarray(formula(x1, x2), x1.dtype)


def prepare(node: Node, reference: Callable[..., np.ndarray], types: Sequence[str] = NUMBERS) -> PythonCall:
    """The step that runs the node by its reference."""
    checked(node, types)
    return ops.by_reference(node, reference)
