"""BIDIRECTIONAL_SEQUENCE_RNN: sequences of runs against LiteRT, in float32 and hybrid."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from engines import same
from recurrent import bidirectional_rnn, check_steps, float_steps, run_references, run_steps

import int8rt
from int8rt import ops
from int8rt.errors import ModelError, UnsupportedError
from int8rt.graph import Node


class Case(NamedTuple):
    """Sizes and options of a node."""

    batch: int
    depth: int
    units: tuple[int, int]
    time_major: bool
    merge: bool = False
    aux: int | None = None
    links: bool = True


CASES = {
    "one row": Case(1, 8, (6, 5), True),
    "merged": Case(3, 8, (6, 5), True, True),
    "batch first": Case(3, 8, (6, 5), False),
    "batch first, merged": Case(3, 8, (6, 5), False, True),
    "linked": Case(2, 8, (6, 7), True, True, 8),
    "linked, batch first": Case(2, 8, (6, 7), False, False, 9),
    "stacked": Case(2, 8, (6, 7), True, True, 8, False),
    "stacked, batch first": Case(2, 8, (6, 7), False, False, 8, False),
    "tails": Case(5, 19, (13, 3), True, False),
}


def built(c: Case, rng: np.random.Generator, form: str) -> tuple[bytes, list[list[np.ndarray]]]:
    """The model of a case and inputs for it."""
    shape = (4, c.batch, c.depth) if c.time_major else (c.batch, 4, c.depth)
    model = bidirectional_rnn(
        rng, shape, c.batch, c.units, form != "float", c.merge, c.aux, c.links, time_major=c.time_major,
        asymmetric_quantize_inputs=form == "asymmetric",
    )  # fmt: skip
    steps = float_steps(rng, shape)
    if c.aux is not None:
        steps = [[x, aux] for (x,), (aux,) in zip(steps, float_steps(rng, (*shape[:2], c.aux)), strict=True)]
    return model, steps


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("form", ["float", "symmetric", "asymmetric"])
def test_sequences(case: Case, form: str) -> None:
    model, steps = built(case, np.random.default_rng(1), form)
    if form != "float" and case.aux not in (None, case.depth):
        with pytest.raises(UnsupportedError, match="another depth"):
            int8rt.load(model)
    elif form == "symmetric" and case.merge and case.time_major:
        # LiteRT ends its process: it offsets a zero point array that there is none of.
        for expected, found in zip(run_references(model, steps), run_steps(model, steps), strict=True):
            same("reference", expected, found)
    else:
        check_steps(model, steps)


def test_the_states_go_on() -> None:
    model, steps = built(CASES["merged"], np.random.default_rng(2), "float")
    first, second = run_steps(model, [steps[0], steps[0]])
    assert not np.array_equal(first[0], second[0])


def test_auxiliary_rows_must_be_those_of_the_input() -> None:
    rng = np.random.default_rng(3)
    model = bidirectional_rnn(rng, (4, 2, 8), 2, (3, 3), False, True, 8, time_major=True)
    loaded = int8rt.load(model)
    with pytest.raises(ModelError, match="other rows"):
        ops.find("BIDIRECTIONAL_SEQUENCE_RNN").shapes(_with_shape(loaded, (5, 2, 8)))


def _with_shape(loaded: int8rt.Model, shape: tuple[int, ...]) -> Node:
    """The node with an auxiliary input of another shape."""
    (node,) = loaded.graph.main.nodes
    return replace(
        node, inputs=tuple(replace(t, shape=shape) if i == 9 and t else t for i, t in enumerate(node.inputs))
    )
