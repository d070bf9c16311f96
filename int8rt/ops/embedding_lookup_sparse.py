"""EMBEDDING_LOOKUP_SPARSE: rows of a table, weighted and summed into the places that indices name.

    sum_r = weights[r] table[ids[r]] over the rows r of one place, in float32, one after another

which the combiner divides by the sum of weights (MEAN) or the root of the sum of their squares (SQRTN). As in LiteRT,
a place is finished when the next row names another one; indices are expected in order. The indices' last column only
tells the rows of one place apart.
"""

from __future__ import annotations

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node
from int8rt.numerics.rules import Numerics
from int8rt.ops import _index
from int8rt.ops._move import operand
from int8rt.steps import Step

operands = "ids[1]:int32 indices[2]:int32 shape[1]:int32 weights[1] table[2+] -> y"

SUM, MEAN, SQRTN = 0, 1, 2


def shapes(node: Node) -> list[tuple[int, ...]] | None:
    ids, indices, weights, table = (operand(node, i) for i in (0, 1, 3, 4))
    shape = _index.known_shape(node, 2)
    if shape is None:
        return None
    count = ids.size
    if indices.shape != (count, len(shape)) or ids.shape != (count,) or weights.shape != (count,) or not shape:
        found = [list(t.shape) for t in (ids, indices, weights)]
        raise ModelError(f"{node.label}: ids, indices and weights of {found} do not fit {list(shape)}")
    return [(*shape[:-1], *table.shape[1:])]


def reference(
    node: Node, ids: np.ndarray, indices: np.ndarray, shape: np.ndarray, weights: np.ndarray, table: np.ndarray
) -> np.ndarray:
    _check(node)
    outer = tuple(map(int, shape[:-1]))
    _index.check(node, "index", ids, 0, len(table) - 1)
    _index.check(node, "place", indices[:, :-1], 0, np.array(outer, np.int64) - 1)
    y = np.zeros((int(np.prod(outer)), *table.shape[1:]), np.float32)
    places = np.ravel_multi_index(tuple(indices[:, :-1].T), outer) if outer else np.zeros(len(ids), np.int64)
    # what LiteRT takes for the place before the first one: nothing has been added to it
    starts = np.flatnonzero(np.diff(places, prepend=-1))
    for start, end in zip(starts, [*starts[1:], len(places)], strict=True):
        place, total, squares = places[start], np.float32(0), np.float32(0)
        for row in range(start, end):
            total, squares = total + weights[row], squares + weights[row] * weights[row]
            y[place] += table[ids[row]] * weights[row]
        if node.options.combiner != SUM:
            y[place] /= total if node.options.combiner == MEAN else np.sqrt(squares)
    return y.reshape(node.outputs[0].shape)


def prepare(node: Node, numerics: Numerics) -> Step:
    _check(node)
    return ops.by_reference(node, reference)


def _check(node: Node) -> None:
    if any(t.type != "float32" for t in (operand(node, 3), operand(node, 4), *node.outputs)):
        raise ops.refuse(node, "weights, table and output must be float32")
    if node.options.combiner not in (SUM, MEAN, SQRTN):
        raise ModelError(f"{node.label}: combiner {node.options.combiner}; 0, 1 or 2 was expected")
