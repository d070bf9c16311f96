"""Our tensors against LiteRT's, node by node, to say where two runs part.

A node whose output differs and to which no difference leads is an **origin**: the difference arose there, or on the way
there in tensors that LiteRT does not give. Behind it differences only spread. LiteRT runs in a child process
(``litert``), since it can abort.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from int8rt.arguments import as_choice, as_count, as_tuple
from int8rt.format import reader
from int8rt.format.source import Source, content
from int8rt.graph import Node, Subgraph, Tensor
from int8rt.native.entries import Progress
from int8rt.numerics.rules import numerics as rules
from int8rt.plan.sharing import Sharing
from int8rt.runtime.model import MAX_THREADS, Model, Trace, random_inputs
from int8rt.tools import litert
from int8rt.tools.litert import RESOLVERS, Resolver

MAX_RUNS = 1_000_000


@dataclass(frozen=True)
class Difference:
    """How one tensor differs."""

    op: str
    node: int
    tensor: str
    index: int
    differing: int  # elements
    size: int
    largest: float  # largest absolute difference, in stored units; NaN where one side alone has NaN
    at: tuple[int, ...]  # the first element that differs
    ours: float
    theirs: float
    our_form: str  # type and shape
    their_form: str
    is_origin: bool  # whether no difference leads to the node
    run: int

    def __str__(self) -> str:
        if self.our_form != self.their_form:
            forms = f"int8rt {self.our_form}, LiteRT {self.their_form}"
            return f"{self.op} (node {self.node}), tensor {self.tensor!r}: {forms}"
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
    source: Source,
    inputs: Sequence[Sequence[np.ndarray]] | None = None,
    *,
    runs: int = 1,
    seed: int = 0,
    resolver: Resolver = "reference",
    numerics: str = "reference",
    threads: int = 1,
    progress: Progress | None = None,
) -> Comparison:
    """Run a model here and in LiteRT on the same inputs and compare every tensor that LiteRT gives.

    Args:
        source: the model, as for ``load``.
        inputs: one list of arrays per run, each run with the state of a fresh model; where an array holds a batch of k,
            k runs. Without inputs, ``runs`` seeded random ones.
        resolver: which of LiteRT's kernels: ``reference`` (BUILTIN_REF), ``builtin`` or ``xnnpack``. Of the last,
            outputs alone are compared, since it computes something else where it has to keep the tensors between.
        numerics, threads, progress: as for ``load``.

    Raises ModelError, UnsupportedError and InputError as ``load`` and a call of the model do, and LiteRTError where
    LiteRT is not installed, refuses the model or dies.
    """
    resolver = as_choice(resolver, "resolver", RESOLVERS)  # type: ignore[assignment]
    runs, seed = as_count(runs, "runs", 1, MAX_RUNS), as_count(seed, "seed", 0, None)
    sharing = Sharing(as_count(threads, "threads", 1, MAX_THREADS))
    if hasattr(source, "read"):
        source = content(source)  # LiteRT needs the same bytes
    graph = reader.read(source)
    model = Model(graph, rules(numerics), sharing, progress)
    seeds = [seed + i for i in range(runs)]
    steps = (
        [random_inputs(graph.main, s) for s in seeds]
        if inputs is None
        else [s for i in as_tuple(inputs, "inputs", "a list of arrays for each run") for s in _runs(model, i)]
    )
    differences: list[Difference] = []
    compared: set[int] = set()
    for number, step in enumerate(steps):
        theirs = _litert_tensors(source, graph.main, step, resolver)
        compared |= set(theirs)
        differences += _differences(graph.main, model.trace(*step), theirs, number)
    computed = _computed(graph.main)
    missing = [t.name for t in computed if t.index not in compared]
    return Comparison(len(computed) - len(missing), len(steps), litert.version(), resolver, differences, missing)


def _runs(model: Model, inputs: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
    """The runs that a batch holds."""
    arrays, count = model.checked(inputs)
    return [[np.split(a, count)[k] if count > 1 else a for a in arrays] for k in range(count)]


def _litert_tensors(
    source: Any, graph: Subgraph, inputs: list[np.ndarray], resolver: Resolver
) -> dict[int, np.ndarray]:
    """{index: value} of the tensors that LiteRT computes; of XNNPACK the outputs alone."""
    shapes = {t.index: x.shape for t, x in zip(graph.inputs, inputs, strict=True)}
    resize = None if all(shapes[t.index] == t.shape for t in graph.inputs) else shapes
    if resolver == "xnnpack":
        outputs = litert.run(source, inputs, resolver=resolver, resize=resize)
        return {t.index: y for t, y in zip(graph.outputs, outputs, strict=True)}
    everything = litert.run(source, inputs, resolver=resolver, tensors="all", resize=resize)
    return {t.index: everything[t.index] for t in _computed(graph) if t.index in everything}


def _computed(graph: Subgraph) -> list[Tensor]:
    """What nodes write and is a value: no handles of resources."""
    return [t for node in graph.nodes for t in node.outputs if t.dtype != object]


def _differences(graph: Subgraph, ours: Trace, theirs: dict[int, np.ndarray], run: int) -> list[Difference]:
    """The tensors that differ, in the order of the nodes; origins are those whose inputs were all equal."""
    found: list[Difference] = []
    follows: set[int] = set()  # tensors that differ, or that were not compared and follow from such
    for node in graph.nodes:
        is_origin = follows.isdisjoint(t.index for t in node.inputs if t is not None)
        for t in node.outputs:
            if t.index not in theirs:
                follows |= set() if is_origin else {t.index}
                continue
            difference = _difference(node, t, ours[t.index], theirs[t.index], is_origin, run)
            if difference is not None:
                follows.add(t.index)
                found.append(difference)
    return found


def _difference(
    node: Node, tensor: Tensor, ours: np.ndarray, theirs: np.ndarray, is_origin: bool, run: int
) -> Difference | None:
    """How far two values of a tensor differ; None where every byte is equal."""
    if ours.shape == theirs.shape and ours.dtype == theirs.dtype and ours.tobytes() == theirs.tobytes():
        return None
    if ours.shape == theirs.shape and ours.dtype == theirs.dtype:
        where = _where(ours, theirs)
    else:
        where = {
            "differing": ours.size,
            "largest": float("nan"),
            "at": (),
            "ours": float("nan"),
            "theirs": float("nan"),
        }
    return Difference(
        node.op, node.index, tensor.name, tensor.index, size=ours.size, is_origin=is_origin, run=run,
        our_form=_form(ours), their_form=_form(theirs), **where,
    )  # fmt: skip


def _form(array: np.ndarray) -> str:
    return f"{array.dtype}{list(array.shape)}"


def _where(ours: np.ndarray, theirs: np.ndarray) -> dict[str, Any]:
    """Which elements differ, by bytes: so NaN equals the same NaN, and -0.0 is not 0.0."""
    x, y = np.ascontiguousarray(ours).reshape(-1), np.ascontiguousarray(theirs).reshape(-1)
    unequal = (x.view(np.uint8) != y.view(np.uint8)).reshape(len(x), -1).any(axis=1)
    at = int(np.flatnonzero(unequal)[0])
    with np.errstate(invalid="ignore"):
        gap = np.abs(x[unequal].astype(np.float64) - y[unequal].astype(np.float64))
    return {
        "differing": int(unequal.sum()),
        "largest": float(gap.max()),
        "at": tuple(int(i) for i in np.unravel_index(at, ours.shape)),
        "ours": float(x[at]),
        "theirs": float(y[at]),
    }
