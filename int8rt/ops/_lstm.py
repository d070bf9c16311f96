"""What LSTM, UNIDIRECTIONAL_SEQUENCE_LSTM and BIDIRECTIONAL_SEQUENCE_LSTM share: which tensors make a cell.

    i, f, o = sigmoid(W x + A aux + R h + P . c + b)     of gates; A: auxiliary input, P: peephole
    g       = activation(W x + A aux + R h + b)          the update
    c      <- clip(f . c + i . g)                        CIFG cells have 1 - f for i
    h      <- o . activation(c), or clip(Q (o . activation(c)) + q) with a projection Q

With layer normalization W x + ... less its mean, divided by its deviation, times a coefficient, takes the place of the
sum before the bias. h and c are variable tensors. Formulas: TFLite ``kernels/lstm_eval.cc``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from int8rt import ops
from int8rt.errors import ModelError
from int8rt.graph import Node, Tensor

GATES = ("input", "forget", "cell", "output")  # in the file's order
INPUT, FORGET, UPDATE, OUTPUT = range(4)

Positions = dict[str, "int | tuple[int | None, ...]"]
Four = tuple["Tensor | None", "Tensor | None", "Tensor | None", "Tensor | None"]

# Positions of a cell's tensors among the inputs of the LSTM with all of them, 20 or, with normalization, 24.
FULL: Positions = {
    "w": (1, 2, 3, 4), "r": (5, 6, 7, 8), "peephole": (9, 10, None, 11), "bias": (12, 13, 14, 15), "projection": 16,
    "projection_bias": 17, "h": 18, "c": 19, "norm": (20, 21, 22, 23),
}  # fmt: skip


class Cell(NamedTuple):
    """The tensors of one direction, None where left out; per gate: input, forget, update, output."""

    w: Four  # [cells, inputs]; no input gate in a CIFG cell
    r: Four  # [cells, outputs]
    peephole: Four  # [cells]; never of the update
    bias: Four  # [cells]
    norm: Four  # [cells]
    aux: Four  # [cells, auxiliary inputs]
    projection: Tensor | None  # [outputs, cells]
    projection_bias: Tensor | None  # [outputs]
    h: Tensor  # [batch, outputs], variable
    c: Tensor  # [batch, cells], variable

    @property
    def cells(self) -> int:
        """How many cells."""
        return int(_given(self.w[OUTPUT]).shape[0])

    @property
    def outputs(self) -> int:
        """How many outputs; as many as cells unless there is a projection."""
        return int(_given(self.r[OUTPUT]).shape[1])

    @property
    def gates(self) -> tuple[int, ...]:
        """Which gates there are: all, or all but the input gate."""
        return (FORGET, UPDATE, OUTPUT) if self.w[INPUT] is None else (INPUT, FORGET, UPDATE, OUTPUT)


class Steps(NamedTuple):
    """How a sequence runs: step t of group g holds rows ``(g * steps + t) * batch`` and the batch - 1 after them.

    LiteRT runs sequences that are stored one after another each for itself, as groups of one row.
    """

    groups: int
    steps: int
    batch: int


class Direction(NamedTuple):
    """Which way a sequence runs, and which columns of the output are its coefficients."""

    is_backward: bool = False
    stride: int = 0  # columns of the output; 0: as many as this direction has
    column: int = 0  # the first


FORWARD = Direction()


def steps(shape: Sequence[int], time_major: bool) -> Steps:
    """Of an input [time, batch, depth], [batch, time, depth] or [batch, depth]."""
    if len(shape) == 2:
        return Steps(1, 1, shape[0])
    return Steps(1, shape[0], shape[1]) if time_major else Steps(shape[0], shape[1], 1)


def cell(node: Node, positions: Positions) -> Cell:
    """The tensors at these positions of the node's inputs. Raises ModelError where they contradict one another."""
    tensors = {
        name: tuple(_at(node, i) for i in at) if isinstance(at, tuple) else _at(node, at)
        for name, at in positions.items()
    }
    none = (None, None, None, None)
    found = Cell(**{"norm": none, "aux": none, **tensors})  # type: ignore[arg-type]
    for name, t in (("output", found.h), ("cell", found.c)):
        if t is None or not t.is_variable:
            raise ModelError(f"{node.label}: the {name} state is {t!r}; a variable tensor was expected")
    return found


def check(node: Node, cell: Cell, inputs: int, batch: int, aux_inputs: int = 0) -> None:
    """Make sure that the cell's shapes fit each other, and that weights are constants.

    Raises ModelError, UnsupportedError.
    """
    if any(t is not None and len(t.shape) == 1 for t in cell.r):
        raise ops.refuse(node, "diagonal recurrent weights are not supported")
    for name, t in (("input", cell.w[OUTPUT]), ("recurrent", cell.r[OUTPUT])):
        if t is None or len(t.shape) != 2:
            raise ModelError(f"{node.label}: the {name} weights of the output gate are {t!r}; a matrix was expected")
    cells, outputs = cell.cells, cell.outputs
    some = set(cell.gates)
    peephole = some - {UPDATE} if any(t is not None for t in cell.peephole) else set()
    norm = some if any(t is not None for t in cell.norm) else set()
    aux = some if any(t is not None for t in cell.aux) else set()
    for what, four, shape, wanted in (
        ("input weights", cell.w, (cells, inputs), some),
        ("recurrent weights", cell.r, (cells, outputs), some),
        ("peephole weights", cell.peephole, (cells,), peephole),
        ("bias", cell.bias, (cells,), some),
        ("normalization coefficients", cell.norm, (cells,), norm),
        ("auxiliary weights", cell.aux, (cells, aux_inputs), aux),
    ):
        for gate, t in enumerate(four):
            _check_one(node, f"{what} of the {GATES[gate]} gate", t, shape, gate in wanted)
    has_projection = cell.projection is not None
    _check_one(node, "projection weights", cell.projection, (outputs, cells), has_projection)
    if cell.projection_bias is not None:
        _check_one(node, "projection bias", cell.projection_bias, (outputs,), has_projection)
    if not has_projection and outputs != cells:
        raise ModelError(f"{node.label}: {outputs} outputs of {cells} cells, but no projection")
    for what, state, size in (("output", cell.h, batch * outputs), ("cell", cell.c, batch * cells)):
        if state.size != size:
            raise ModelError(f"{node.label}: the {what} state {state!r} holds {state.size} values, expected {size}")
    if node.options.cell_clip < 0 or node.options.proj_clip < 0:
        raise ModelError(
            f"{node.label}: clips {node.options.cell_clip} and {node.options.proj_clip} must not be negative"
        )


def _check_one(node: Node, what: str, t: Tensor | None, shape: tuple[int, ...], is_wanted: bool) -> None:
    if (t is not None) != is_wanted or (t is not None and t.shape != shape):
        expected = "x".join(map(str, shape)) if is_wanted else "none"
        raise ModelError(f"{node.label}: the {what} are {t!r}; expected {expected}")
    if t is not None and t.data is None:
        raise ops.refuse(node, f"the {what} must be constant")


def check_types(node: Node, what: str, dtype: type, tensors: Sequence[Tensor | None]) -> None:
    """Make sure that tensors that are given have that type. Raises ModelError."""
    for t in tensors:
        if t is not None and (t.dtype != dtype or t.type_name not in ("", t.dtype.name.upper())):
            raise ModelError(f"{node.label}: the {what} are {t!r}; expected {np.dtype(dtype).name}")


def stack(four: Four, shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """The four constants as one array, zeros where one is left out."""
    zero: np.ndarray = np.zeros(shape, dtype)
    return np.stack([zero if t is None else np.asarray(t.data, dtype).reshape(shape) for t in four])


def _at(node: Node, position: int | None) -> Tensor | None:
    return node.inputs[position] if position is not None and position < len(node.inputs) else None


def _given(t: Tensor | None) -> Tensor:
    assert t is not None
    return t


def rows(shape: Sequence[int]) -> int:
    """The product of all axes but the last."""
    return math.prod(shape[:-1])
