"""Our tensors against LiteRT's, node by node, to say where two runs part.

A node whose inputs are equal and whose outputs are not is an **origin**: the difference arose there. Behind it differences only
spread. LiteRT runs in a child process (``litert``), since it can abort.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from int8rt import litert, reader
from int8rt.graph import Node, Subgraph, Tensor
from int8rt.litert import Resolver
from int8rt.model import Model, random_inputs
from int8rt.numerics import numerics as rules


@dataclass(frozen=True)
class Difference:
    """How one tensor differs."""

    op: str
    node: int
    tensor: str
    index: int
    differing: int  # elements
    size: int
    largest: float  # largest absolute difference, in stored units; NaN where one side has NaN alone
    at: tuple[int, ...]  # the first element that differs
    ours: float
    theirs: float
    is_origin: bool  # whether the node's inputs were equal
    seed: int

    def __str__(self) -> str:
        return (
            f"{self.op} (node {self.node}), tensor {self.tensor!r}: {self.differing} of {self.size} elements differ, "
            f"by up to {self.largest:g}; first at {list(self.at)}: int8rt {self.ours:g}, LiteRT {self.theirs:g}"
        )


@dataclass(frozen=True)
class Comparison:
    """What was compared, and all that differs, in the order of execution."""

    tensors: int  # compared
    runs: int
    version: str  # of LiteRT
    resolver: str
    differences: list[Difference] = field(default_factory=list)
    not_compared: list[str] = field(default_factory=list)  # tensors whose values LiteRT does not give

    @property
    def equal(self) -> bool:
        """Whether every byte that was compared is equal."""
        return not self.differences

    @property
    def origins(self) -> list[Difference]:
        """Where differences arose."""
        return [d for d in self.differences if d.is_origin]


def compare(
    source: Any,
    inputs: Sequence[Sequence[np.ndarray]] | None = None,
    *,
    runs: int = 1,
    seed: int = 0,
    resolver: Resolver = "reference",
    numerics: str = "reference",
) -> Comparison:
    """Run a model here and in LiteRT on the same inputs and compare every tensor.

    inputs: one list of arrays per run; without them, ``runs`` seeded random ones. resolver is LiteRT's: ``reference``
    (BUILTIN_REF), ``builtin`` or ``xnnpack``. Raises ModelError and UnsupportedError as load does, and LiteRTError where LiteRT
    refuses the model or dies.
    """
    if hasattr(source, "read"):
        source = source.read()
    graph = reader.read(source)
    model = Model(graph, rules(numerics))
    sets = list(inputs) if inputs is not None else [random_inputs(graph.main, seed + i) for i in range(runs)]
    differences: list[Difference] = []
    compared: set[int] = set()
    missing: dict[str, None] = {}
    for number, given in enumerate(sets):
        ours = model.trace(*given)
        theirs = litert.run(source, list(given), resolver=resolver, tensors="all")
        equal: dict[int, bool] = {t.index: True for t in graph.main.tensors}
        for node, tensor in _computed(graph.main):
            if tensor.name not in ours and f"{tensor.name}#{tensor.index}" not in ours:
                continue
            if tensor.index not in theirs:
                missing[tensor.name] = None
                continue
            compared.add(tensor.index)
            found = _difference(node, tensor, ours[tensor.index], theirs[tensor.index], equal, seed + number)
            if found is not None:
                equal[tensor.index] = False
                differences.append(found)
    return Comparison(len(compared), len(sets), litert.version(), resolver, differences, list(missing))


def _computed(graph: Subgraph) -> list[tuple[Node, Tensor]]:
    return [(node, tensor) for node in graph.nodes for tensor in node.outputs]


def _difference(
    node: Node, tensor: Tensor, ours: np.ndarray, theirs: np.ndarray, equal: dict[int, bool], seed: int
) -> Difference | None:  # fmt: skip
    theirs = np.asarray(theirs).reshape(ours.shape) if theirs.size == ours.size else np.asarray(theirs)
    if ours.shape == theirs.shape and ours.tobytes() == theirs.astype(ours.dtype).tobytes():
        return None
    is_origin = all(t is None or equal.get(t.index, True) for t in node.inputs)
    if ours.shape != theirs.shape:
        where: dict[str, Any] = {"differing": ours.size, "largest": float("nan"), "at": (), "ours": 0.0, "theirs": 0.0}
    else:
        where = _where(ours, theirs)
    return Difference(
        node.op, node.index, tensor.name, tensor.index, size=ours.size, is_origin=is_origin, seed=seed, **where
    )


def _where(ours: np.ndarray, theirs: np.ndarray) -> dict[str, Any]:
    unequal = ours.reshape(-1) != theirs.reshape(-1)
    if not unequal.any():  # equal values of different bits: -0.0 and 0.0
        unequal = np.signbit(ours.reshape(-1)) != np.signbit(theirs.reshape(-1))
    at = int(np.flatnonzero(unequal)[0])
    gap = np.abs(ours.reshape(-1)[unequal].astype(np.float64) - theirs.reshape(-1)[unequal].astype(np.float64))
    return {
        "differing": int(unequal.sum()),
        "largest": float(gap.max()),
        "at": tuple(int(i) for i in np.unravel_index(at, ours.shape)),
        "ours": float(ours.reshape(-1)[at]),
        "theirs": float(theirs.reshape(-1)[at]),
    }
