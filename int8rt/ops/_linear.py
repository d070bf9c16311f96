"""The products with weights: CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, TRANSPOSE_CONV.

There are five kinds, by the types of activations and weights. Each is a file, imported where a model needs it:

* ``_linear_bytes``: int8 or uint8, weights of the same type or of 4 or 2 bits: int32 sums, rounded as Numerics says;
* ``_linear_int16``: int16 activations without zero point, weights of 8, 4 or 2 bits;
* ``_linear_float``: float32, each sum in the order of the filter, bias last, as LiteRT's reference kernels;
* ``_linear_hybrid``: float32 activations and integer weights (see ``kernels.hybrid``);
* ``_linear_weight_only``: the same where hybrid is ``weight_only``, and float32 weights that float16 holds exactly, as
  those that a file has in float16 behind DEQUANTIZE (see ``kernels.weight_only``).

A file has ``product(o) -> Product`` and, but for weight_only, which no reference uses, ``meaning(o, x, w, b) ->
Meaning``.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from int8rt import ops
from int8rt.ops._operands import Meaning, Operands, Product, kind_of


def product(o: Operands) -> Product:
    """The product of a node whose weights and bias are constants. Raises UnsupportedError and ModelError."""
    kind = kind_of(o)
    if not o.is_constant:
        raise ops.refuse(o.node, "weights and bias must be constants")
    found: Product = _file(o.hybrid.mode if kind == "hybrid" and o.hybrid.mode != "dynamic" else kind).product(o)
    return found


def meaning(o: Operands, x: np.ndarray, w: np.ndarray, b: np.ndarray | None) -> Meaning:
    """What a node's reference computes with; the first axis of x counts images (or rows) that hybrid nodes quantize."""
    found: Meaning = _file(kind_of(o)).meaning(o, x, w, b)
    return found


def _file(kind: str) -> Any:
    """The module of a kind."""
    return importlib.import_module(f"{__name__}_{kind}")
