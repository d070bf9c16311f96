"""Parameters of kernels that are named tuples: each field is an argument of the entry point."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

from int8rt.native import compiler, entries
from int8rt.native.kernel import inline, kernel
from int8rt.simd.memory import get, put


class Line(NamedTuple):
    """slope * x + offset, all of one type; Numba has another kind of tuple for these."""

    slope: int
    offset: int


class Column(NamedTuple):
    """Arrays and numbers of several types."""

    x: Any  # int64 [n]
    factor: float
    limit: np.float32


@inline
def scaled(column: Column, i: int) -> float:
    return min(get(column.x, i) * column.factor, np.float64(column.limit))


@kernel
def lines(first: Line, column: Column, last: int, y: Any) -> None:
    for i in range(y.size):
        put(y, i, first.slope * scaled(column, i) + first.offset + last)


@kernel
def shared_lines(thread: int, threads: int, line: Line, y: Any) -> None:
    for i in range(y.size):
        put(y, i, line.slope * i + line.offset + thread + threads)


def test_fields_have_their_names():
    x, y = np.array([1, 2, 3000], np.int64), np.zeros(3)
    entries.run(lines, *Line(slope=2, offset=5), *Column(x=x, factor=0.5, limit=np.float32(7)), 100, y)
    np.testing.assert_array_equal(y, [106, 107, 119])
    again = np.zeros(3)
    lines(Line(slope=2, offset=5), Column(x=x, factor=0.5, limit=np.float32(7)), 100, again)
    np.testing.assert_array_equal(y, again)


def test_kernels_that_share_work():
    y = np.zeros(3)
    entries.run(shared_lines, *Line(slope=10, offset=0), y)
    np.testing.assert_array_equal(y, [1, 11, 21])


@pytest.mark.parametrize("arguments", [(1,), (1, 2, 3, 4)])
def test_arguments_that_do_not_fit_the_fields(arguments):
    with pytest.raises(TypeError, match="argument"):
        compiler.parameter_types(shared_lines, ("int",) * len(arguments))
