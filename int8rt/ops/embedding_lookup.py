"""EMBEDDING_LOOKUP: the rows of a table that a vector of indices names, as they are or as float32.

    y[i] = table[ids[i]]                            where both have one type
    y[i, j] = (f q) * (scale / f)                   int8 (f = 1), int4 (16) and int2 (64) tables, in float32

with one scale, one per row, or, of int4, one per block of a row.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.native.kernel import kernel
from int8rt.numerics.rules import Numerics
from int8rt.ops import _index
from int8rt.ops._move import operand, same_type
from int8rt.simd.memory import as_type_of, get, put
from int8rt.steps import Call, Step

operands = "ids[1]:int32 table[2+] -> y"

FACTORS = {"int8": 1, "int4": 16, "int2": 64}
PER_BYTE = {"int8": 1, "int4": 2, "int2": 4}


def shapes(node: Node) -> list[tuple[int, ...]]:
    ids, table = operand(node), operand(node, 1)
    return [(ids.shape[0], *table.shape[1:])]


def reference(node: Node, ids: np.ndarray, table: np.ndarray) -> np.ndarray:
    _check(node)
    _index.check(node, "index", ids, 0, len(table) - 1)
    if not _is_hybrid(node):
        return table[ids]
    scales, factor = _scales(node)
    rows = table.reshape(len(table), -1)[ids].astype(np.float32) * np.float32(factor)
    per_value = np.repeat(scales[ids if len(scales) > 1 else ids * 0], rows.shape[1] // scales.shape[1], axis=1)
    return (rows * per_value).reshape(len(ids), *table.shape[1:])


def prepare(node: Node, numerics: Numerics) -> list[Step]:
    _check(node)
    (ids, table), (y,) = node.given, node.outputs
    if y.size == 0:
        return []
    size, columns = table.shape[0], math.prod(table.shape[1:])
    if not _is_hybrid(node):
        return [_index.gather(node, table, ids, y, (1, 1, size, ids.size, columns))]
    if table.data is None:
        raise ops.refuse(node, "the table must be a constant")
    scales, factor = _scales(node)
    where = _index.fault_of(node, ids, "index", 0, size - 1)
    values = table.data.reshape(size, columns)
    return [Call(embedding_lookup, ids, values, scales, factor, y, where, writes=[y, where], work=4 * y.size)]


def _is_hybrid(node: Node) -> bool:
    return node.outputs[0].type != operand(node, 1).type


def _scales(node: Node) -> tuple[np.ndarray, int]:
    """Scales divided by the factor, [1 or rows, blocks], and the factor."""
    table = operand(node, 1)
    q, factor = table.quantization, FACTORS[table.type]
    assert q is not None
    if q.block_size:
        scales = q.scale.reshape(table.shape[0], -1)
    elif len(q.scale) in (1, table.shape[0]) and (len(q.scale) == 1 or q.axis == 0):
        scales = q.scale.reshape(-1, 1)
    else:
        raise ModelError(f"{node.label}: {len(q.scale)} scales along axis {q.axis} of {list(table.shape)}")
    return (scales / np.float32(factor)).astype(np.float32), factor


def _check(node: Node) -> None:
    """Raises ModelError and UnsupportedError where types, scales or blocks do not fit."""
    table, (y,) = operand(node, 1), node.outputs
    if not _is_hybrid(node):
        same_type(node, table, y)
        return
    if table.type == "uint8":
        raise ops.refuse(node, "LiteRT reads a uint8 table as int8")
    if table.type not in FACTORS or y.type != "float32":
        raise ops.refuse(node, f"supported are {', '.join(FACTORS)} tables to float32, and tables of one type with y")
    if table.quantization is None or len(table.quantization.scale) == 0 or table.quantization.zero_point.any():
        raise ModelError(f"{node.label}: {table!r} was expected to have scales, and zero points of 0")
    if math.prod(table.shape[1:]) % PER_BYTE[table.type]:
        raise ops.refuse(node, "rows do not begin at whole bytes, where LiteRT reads other values")
    if table.quantization.block_size and (
        table.type != "int4" or len(table.shape) != 2 or table.shape[1] % table.quantization.block_size
    ):
        raise ops.refuse(node, "blocks of scales are supported in int4 tables of rank 2 with rows of whole blocks")


@kernel
def embedding_lookup(
    thread: int, threads: int, ids: Any, table: Any, scales: Any, factor: int, y: Any, where: Any
) -> None:  # fmt: skip
    """table [rows, columns], scales [1 or rows, blocks]; threads share the ids."""
    rows, columns = table.shape
    blocks = scales.shape[1]
    run = columns // blocks
    per_row = blocks if scales.shape[0] > 1 else 0
    for i in range(ids.shape[0] * thread // threads, ids.shape[0] * (thread + 1) // threads):
        index = int(get(ids, i))
        if index < 0 or index >= rows:
            _index.report(where, index)
            continue
        for block in range(blocks):
            scale = get(scales, index * per_row + block)
            at, to = index * columns + block * run, i * columns + block * run
            for j in range(run):
                value = as_type_of(scale, int(get(table, at + j)) * factor)
                put(y, to + j, value * scale)
