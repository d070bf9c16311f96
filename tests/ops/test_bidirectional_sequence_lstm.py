"""BIDIRECTIONAL_SEQUENCE_LSTM: sequences of runs against LiteRT, in float32 and hybrid."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from engines import same
from recurrent import Cell, bidirectional_lstm, check_steps, float_steps, run_references, run_steps

import int8rt
from int8rt.errors import ModelError, UnsupportedError


class Case(NamedTuple):
    """Sizes and options of a node. LiteRT demands as many cells in one direction as in the other."""

    batch: int
    inputs: int
    cells: tuple[int, int]
    time_major: bool
    merge: bool = False
    aux: int | None = None
    links: bool = True
    cell: dict[str, Any] = {}  # noqa: RUF012


ALL = {"cifg": True, "peephole": True, "outputs": 4}
CASES = {
    "one row": Case(1, 8, (6, 6), True),
    "merged": Case(3, 8, (5, 5), True, True),
    "batch first": Case(3, 8, (5, 5), False),
    "batch first, merged": Case(1, 8, (5, 5), False, True),
    "linked": Case(2, 8, (7, 7), True, True, 5),
    "linked, batch first": Case(2, 8, (7, 7), False, False, 9),
    "stacked": Case(2, 8, (7, 7), True, True, 8, False),
    "stacked, batch first": Case(2, 8, (7, 7), False, False, 8, False),
    "all": Case(4, 10, (9, 9), True, True, 3, True, ALL),
    "all, batch first": Case(4, 10, (9, 9), False, False, None, True, ALL),
}


def built(c: Case, rng: np.random.Generator, form: str, **options: Any) -> tuple[bytes, list[list[np.ndarray]]]:
    """The model of a case and inputs for it."""
    shape = (4, c.batch, c.inputs) if c.time_major else (c.batch, 4, c.inputs)
    cells = [Cell(rng, c.batch, c.inputs, n, **c.cell) for n in c.cells]
    model = bidirectional_lstm(
        shape, cells, form != "float", c.merge, c.aux, c.links, time_major=c.time_major,
        asymmetric_quantize_inputs=form == "asymmetric", **options,
    )  # fmt: skip
    steps = float_steps(rng, shape)
    if c.aux is not None:
        steps = [[x, aux] for (x,), (aux,) in zip(steps, float_steps(rng, (*shape[:2], c.aux)), strict=True)]
    return model, steps


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("form", ["float", "symmetric", "asymmetric"])
def test_sequences(case: Case, form: str) -> None:
    check_steps(*built(case, np.random.default_rng(1), form))


@pytest.mark.parametrize("form", ["float", "asymmetric"])
def test_clips(form: str) -> None:
    check_steps(*built(CASES["all"], np.random.default_rng(2), form, cell_clip=0.3, proj_clip=0.1))


def test_directions_may_differ_in_size() -> None:
    model, steps = built(Case(2, 8, (6, 5), True, True), np.random.default_rng(3), "float")
    for expected, found in zip(run_references(model, steps), run_steps(model, steps), strict=True):
        same("reference", expected, found)


def test_merged_batches_that_come_first_are_refused() -> None:
    model, _ = built(Case(2, 8, (6, 6), False, True), np.random.default_rng(4), "float")
    with pytest.raises(UnsupportedError, match="mistakes the rows"):
        int8rt.load(model)


def test_the_auxiliary_input_must_fit() -> None:
    rng = np.random.default_rng(5)
    cells = [Cell(rng, 2) for _ in range(2)]
    with pytest.raises(ModelError, match="input weights"):
        int8rt.load(bidirectional_lstm((4, 2, 8), cells, False, aux_inputs=5, links=False, time_major=True))
