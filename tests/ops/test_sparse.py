"""Constants that a file stores sparsely are what they are when it stores them densely, for every operator."""

from __future__ import annotations

import itertools
from dataclasses import replace

import conformance
import conformance_cases
import numpy as np
import pytest
import writer
from sparse import encode
from writer import T

from int8rt import ops
from int8rt.errors import Error, UnsupportedError

OPERATORS = sorted(set(conformance_cases.BUILDERS) - {"DENSIFY"})
SEARCHED = 150  # cases of an operator, for some that have constants


def sparse_form(t: T) -> T:
    """The tensor with its last axis sparse: zeros are left out, of what can be stored so."""
    if not isinstance(t.data, np.ndarray) or t.data.ndim == 0 or t.sparsity or not np.count_nonzero(t.data):
        return t
    if t.data.dtype.kind not in "iufb" or t.data.shape != tuple(t.shape):
        return t
    rank = t.data.ndim
    values, sparsity = encode(t.data, range(rank), {rank - 1})
    return replace(t, data=values, sparsity=sparsity)


class SparseWriter(writer._ModelWriter):
    """Writes every constant sparsely."""

    def __init__(self, legacy_codes: bool) -> None:
        super().__init__(legacy_codes)
        self.sparse: dict[T, T] = {}  # buffers are told apart by objects that must live

    def tensor(self, t, indices):
        form = self.sparse.setdefault(t, sparse_form(t))
        return super().tensor(form, {form: indices[t], **indices})


def pairs(op: str):
    """Cases in both forms, as far as they differ: one of each list of types."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "_ModelWriter", SparseWriter)
        sparse = list(itertools.islice(conformance_cases.cases([op]), SEARCHED))
    found = {}
    for dense, other in zip(conformance_cases.cases([op]), sparse):
        if dense.model != other.model:
            found.setdefault(dense.types, (dense, other))
    return list(found.values())


def outcome(case):
    try:
        return conformance.run_int8rt(case)
    except Error as error:
        return type(error)


@pytest.mark.parametrize("op", OPERATORS)
def test_sparse_constants_are_the_dense_ones(op):
    for dense, sparse in pairs(op):
        expected, found = outcome(dense), outcome(sparse)
        if found is UnsupportedError != expected:  # where LiteRT has other arithmetic for sparse weights
            assert op.endswith("LSTM") or op == "FULLY_CONNECTED"
            continue
        if isinstance(expected, type) or isinstance(found, type):
            assert found == expected, (dense.types, found, expected)
            continue
        for x, y in zip(itertools.chain(*expected), itertools.chain(*found), strict=True):
            np.testing.assert_array_equal(x, y)


def test_many_operators_have_constants():
    assert all(pairs(op) for op in ("BATCH_MATMUL", "CONV_2D", "FULLY_CONNECTED", "GATHER", "LSTM", "PRELU", "SVDF"))
    assert set(OPERATORS) <= set(ops.supported())
