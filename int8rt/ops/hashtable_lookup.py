"""HASHTABLE_LOOKUP: the rows whose keys, which ascend, equal the queries; the stored 0 where there is no such key.

The second output says, 1 or 0, whether a query was found. Of equal keys, and of keys that do not ascend, those are
found that the C library's ``bsearch`` finds, as in LiteRT.
"""

from __future__ import annotations

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops._move import operand, same_type
from int8rt.steps import Step

operands = "queries[1]:int32 keys[1]:int32 rows[1+] -> y hits:uint8"


def shapes(node: Node) -> list[tuple[int, ...]]:
    queries, keys, rows = (operand(node, i) for i in range(3))
    if rows.shape[:1] != keys.shape:
        found = [list(t.shape) for t in (queries, keys, rows)]
        raise ModelError(f"{node.label}: queries, keys and rows of {found}; vectors and a row per key were expected")
    return [(queries.shape[0], *rows.shape[1:]), queries.shape]


def reference(
    node: Node, queries: np.ndarray, keys: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    _check(node)
    at = _search(keys, queries)
    found = at >= 0
    y = np.zeros((len(queries), *rows.shape[1:]), rows.dtype)
    y[found] = rows[at[found]]
    return y, found.astype(np.uint8)


def _search(keys: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Where halving finds each query, -1 where it does not."""
    low, high, at = (np.full(len(queries), value) for value in (0, len(keys), -1))
    for _ in range(len(keys).bit_length()):
        middle = (low + high) // 2
        key = keys[np.minimum(middle, len(keys) - 1)]
        is_open = (low < high) & (at < 0)
        at[is_open & (key == queries)] = middle[is_open & (key == queries)]
        high = np.where(is_open & (queries < key), middle, high)
        low = np.where(is_open & (queries > key), middle + 1, low)
    return at


def prepare(node: Node, numerics: Numerics) -> Step:
    _check(node)
    return ops.by_reference(node, reference)


def _check(node: Node) -> None:
    same_type(node, operand(node, 2), node.outputs[0])
