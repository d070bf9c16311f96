"""What LiteRT's Interpreter says about tensors and nodes, as dictionaries with its keys and types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from int8rt.errors import CallError, UnsupportedError
from int8rt.graph import Node, Tensor

Details = dict[str, Any]

# Types of the file format under another name than NumPy's, as LiteRT reports them; it leaves out all others.
_REPORTED_TYPES: Mapping[str, type] = {
    "INT4": np.int8,
    "INT2": np.int8,
    "UINT4": np.uint8,
    "STRING": np.bytes_,
    "RESOURCE": np.object_,
    "VARIANT": np.object_,
}


def tensor_details(t: Tensor, stored: Tensor, shape: Sequence[int], compress: bool) -> Details:
    """The dictionary of a tensor, of which the file holds ``stored``, in a shape that callers asked for.

    With compress, zero points that are all equal are given once.
    """
    # LiteRT keeps no signature of constants, and gives the shape where there is none.
    signature = t.shape_signature if stored.data is None or stored.data.size == 0 else ()
    q = t.quantization
    per_tensor = q is not None and len(q.scale) == 1 and not q.block_size
    return {
        "name": t.name,
        "index": t.index,
        "shape": np.array(shape, np.int32),
        "shape_signature": np.array(signature or shape, np.int32),
        "dtype": _type_of(t),
        "quantization": (float(t.scale), t.zero_point) if per_tensor else (0.0, 0),
        "quantization_parameters": _quantization_parameters(t, compress),
        "sparsity_parameters": _sparsity_parameters(t),
    }


def node_details(node: Node) -> Details:
    """The dictionary of a node: index, op_name, and the indices and types of inputs and outputs."""
    return {
        "index": node.index,
        "op_name": node.op,
        "inputs": np.array([-1 if t is None else t.index for t in node.inputs], np.int32),
        "outputs": np.array([t.index for t in node.outputs], np.int32),
        "operand_types": [_type_of(t) for t in node.inputs if t is not None],
        "result_types": [_type_of(t) for t in node.outputs],
    }


def label(t: Tensor) -> str:
    """How errors name a tensor."""
    return f"tensor {t.index} {t.name!r}"


def indices(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """The indices of a signature's tensors by name, in alphabetical order."""
    return {name: tensors[name].index for name in sorted(tensors)}


def constant(t: Tensor) -> np.ndarray:
    """A constant's values, read-only."""
    if t.data is None or t.dtype == object:
        raise UnsupportedError(f"{label(t)} is {t.type_name}, expected numbers")
    values = t.data.view()
    values.flags.writeable = False
    return values


def reported_type(t: Tensor) -> type | None:
    """The tensor's type as LiteRT reports it; None where NumPy has none for it."""
    return _REPORTED_TYPES.get(t.type_name) if t.type_name else t.dtype.type


def _type_of(t: Tensor) -> type:
    dtype = reported_type(t)
    if dtype is None:
        raise CallError(f"{label(t)} is {t.type_name}, expected a type that NumPy has")
    return dtype


def _quantization_parameters(t: Tensor, compress: bool) -> Details:
    q = t.quantization
    scales = np.array([] if q is None else q.scale, np.float32)
    zero_points = np.array([] if q is None else q.zero_point, np.int32)
    if compress and len(zero_points) and (zero_points == zero_points[0]).all():
        zero_points = zero_points[:1]
    if q is not None and q.block_size:  # the file holds scales as float16, and zero points only where any is not 0
        scales = _halved(scales)
        zero_points = zero_points if zero_points.any() else zero_points[:0]
    return {
        "scales": scales,
        "zero_points": zero_points,
        "quantized_dimension": 0 if q is None else q.axis,
        "block_size": 0 if q is None else q.block_size,
    }


def _halved(values: np.ndarray) -> np.ndarray:
    """float32 values as float16 where that holds them exactly, else as they are."""
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    return half if np.array_equal(half, values) else values


def _sparsity_parameters(t: Tensor) -> Details:
    sparsity: Any = t.sparsity
    if sparsity is None:
        return {}
    details: Details = {"traversal_order": np.array(sparsity.traversal_order, np.int32)}
    if sparsity.block_map:
        details["block_map"] = np.array(sparsity.block_map, np.int32)
    details["dim_metadata"] = [
        {"format": 0, "dense_size": level.dense_size}
        if level.format == 0
        else {
            "format": 1,
            "array_segments": np.array(level.array_segments, np.int32),
            "array_indices": np.array(level.array_indices, np.int32),
        }
        for level in sparsity.dim_metadata
    ]
    return details
