"""What follows from a graph before it runs: shapes, and the values of what depends on constants only.

``infer`` goes as far as shapes can be known. Where a node needs a value that is computed at run time (a shape to
reshape to, a condition), the segment ends, and the node waits for the value; with it, the next segment begins.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from int8rt import limits, ops
from int8rt.errors import Error, InconsistentNode, LimitError, ModelError, UnsupportedError
from int8rt.frozen import frozen
from int8rt.graph import MAX_ELEMENTS, MAX_RANK, Node, Tensor, is_too_large
from int8rt.numerics.rules import NUMERICS
from int8rt.ops import Form, Name, NotConstant, Operator
from int8rt.ops._declared import check
from int8rt.plan.resources import FRESH, Assumed, Resource, ResourceTensors
from int8rt.plan.subgraphs import inlined

KINDS = {"i": "i", "u": "i", "b": "b", "f": "f", "c": "c", "O": "O"}  # of NumPy's types
EXACT = 16  # bytes that a reference takes for an element of y while it computes in int64 or float64
FOLDED = 1 << 24  # bytes of results that may be computed while planning, beside FOLDED_TIMES the constants' own
FOLDED_TIMES = 16
MAX_INLINED = 100_000  # nodes; subgraphs that run one another twice each grow without bound


@frozen
class Segment:
    """Nodes of a graph of which everything but values is known, and what comes after them."""

    nodes: tuple[Node, ...]  # as inferred, without those whose results are known
    origins: tuple[Node, ...]  # the same nodes as the graph has them
    known: Mapping[Tensor, Tensor]  # {tensor of the graph: as inferred}
    cut: Node | None = None  # the node, as the graph has it, that waits for values
    rest: tuple[Node, ...] = ()  # behind it, as the graph has them

    @functools.cached_property
    def forms(self) -> Mapping[Name, Form]:
        """The form that each resource which the nodes use has after them."""
        held = (node.inputs[0] for node in self.nodes if node.inputs)
        return {t.resource: t.form for t in held if isinstance(t, Resource)}

    def ended_before(self, number: int) -> Segment:
        """The same up to one of its nodes, which waits for values."""
        behind = self.origins[number + 1 :] + (() if self.cut is None else (self.cut,)) + self.rest
        return Segment(self.nodes[:number], self.origins[:number], self.known, self.origins[number], behind)


def infer(nodes: Iterable[Node], known: Mapping[Tensor, Tensor], assumed: Assumed = FRESH) -> Segment:
    """The first segment of nodes of a graph.

    known: {tensor: with its true shape, and its value if known} for the tensors that the nodes do not compute; those
    of constants and variables may be left out. assumed: the state before the first node. Raises ModelError where
    shapes contradict one another.
    """
    known = dict(known)
    resources = ResourceTensors(dict(assumed.forms))
    queue = deque(nodes)
    folded = _Room(tuple(queue))
    inferred: list[Node] = []
    origins: list[Node] = []
    room = MAX_INLINED
    while queue:
        origin = queue.popleft()
        operator, node = ops.find(origin.op), with_inputs(origin, known)
        if operator.runs_once and node.subgraphs[0].index in assumed.done:
            continue
        body = located(node, operator.body, node)
        inner = None if body is None else inlined(body, origin)
        if inner is not None:
            room -= len(inner)
            if room < 0:
                raise UnsupportedError(f"{node.label}: its subgraphs come to more than {MAX_INLINED} nodes")
            queue.extendleft(reversed(inner))
            continue
        finished = _finished(operator, _on_resource(operator, node, resources), folded)
        if finished is None:
            return Segment(tuple(inferred), tuple(origins), known, origin, tuple(queue))
        if any(t.data is None for t in finished.outputs) or not finished.outputs:
            inferred.append(finished)
            origins.append(origin)
        known.update(zip(origin.outputs, finished.outputs, strict=True))
    return Segment(tuple(inferred), tuple(origins), known)


def with_inputs(node: Node, known: Mapping[Tensor, Tensor]) -> Node:
    """The node on its inputs as they are known."""
    return dataclasses.replace(node, inputs=tuple(None if t is None else known.get(t, t) for t in node.inputs))


def _on_resource(operator: Operator, node: Node, resources: ResourceTensors) -> Node:
    """The node on a resource's memory in place of its handle, where it uses one that has a form by then."""
    held = located(node, operator.resource, node)
    if held is None:
        return node
    if held.assigned is not None:
        resources.assign(held.name, held.assigned)
    tensor = resources.tensor(held.name)
    return node if tensor is None else dataclasses.replace(node, inputs=(tensor, *node.inputs[1:]))


def _finished(operator: Operator, node: Node, room: _Room) -> Node | None:
    """The node with outputs of true shapes, and values where they are known; None where it has to wait for values."""
    outputs = shaped(operator, node)
    if outputs is None:
        return None
    node = dataclasses.replace(node, outputs=outputs)
    values = _constant_values(operator, node, room)
    if values is None:
        return node
    return dataclasses.replace(
        node, outputs=tuple(dataclasses.replace(t, data=v) for t, v in zip(outputs, values, strict=True))
    )


def shaped(operator: Operator, node: Node) -> tuple[Tensor, ...] | None:
    """The outputs with their shapes; None where these depend on values that are not known."""
    check(node, operator.declared)
    try:
        shapes = located(node, operator.shapes, node)
    except NotConstant:
        return None
    if shapes is None:
        return None
    if len(shapes) != len(node.outputs):
        raise ModelError(f"{node.label} has {len(node.outputs)} outputs; {len(shapes)} were expected")
    for shape in shapes:
        if len(shape) > MAX_RANK:
            raise ModelError(f"{node.label}: an output of {len(shape)} axes; at most {MAX_RANK} were expected")
        if any(size < 0 for size in shape) or is_too_large(shape):
            raise ModelError(
                f"{node.label}: an output of shape {list(shape)}; at most {MAX_ELEMENTS:,} elements were expected"
            )
    return tuple(dataclasses.replace(t, shape=tuple(s)) for t, s in zip(node.outputs, shapes, strict=True))


def located(node: Node, function: Callable[..., Any], *args: Any) -> Any:
    """function(*args), in which what a malformed node trips over becomes an InconsistentNode that names the node.

    Whatever overflows or is no number is so by IEEE 754, and nothing that NumPy has to warn of.
    """
    try:
        with np.errstate(all="ignore"):
            return function(*args)
    except LimitError as error:
        raise error.at(node.label) from error
    except Error as error:
        if node.label in str(error):
            raise
        raise type(error)(f"{node.label}: {error}") from error
    except MemoryError as error:
        raise LimitError(f"{node.label} needs more memory than there is: {error}", "memory", node=node.label) from error
    except (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise InconsistentNode(f"{node.label} contradicts itself: {type(error).__name__}: {error}") from error


class _Room:
    """How many bytes nodes with constant inputs may still give while a segment is planned; what is left out runs."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes, self._left, self._is_exact = nodes, FOLDED, False

    def takes(self, nbytes: int) -> bool:
        """Whether there is room for so many more, which are then taken."""
        if nbytes > self._left and not self._is_exact:
            self._is_exact = True
            constants = {
                t: t.data.nbytes for node in self._nodes for t in node.inputs if t is not None and t.data is not None
            }
            self._left += FOLDED_TIMES * sum(constants.values())
        if nbytes > self._left:
            return False
        self._left -= nbytes
        return True


def _constant_values(operator: Operator, node: Node, room: _Room) -> tuple[np.ndarray, ...] | None:
    """The outputs that do not depend on what is computed at run time; None where they do."""
    values = located(node, operator.constant, node)
    if values is not None:
        return tuple(values)
    if not (node.inputs and node.outputs) or operator.control is not None or operator.keeps_state:
        return None
    is_constant = all(t is None or (t.is_constant and not t.is_variable) for t in node.inputs)
    if is_constant and room.takes(sum(limits.nbytes(t.shape, t.dtype) for t in node.outputs)):
        with contextlib.suppress(NotConstant):  # what is refused of values of the run is so of constants
            located(node, operator.prepare, node, NUMERICS["reference"])
        return evaluate(operator, node, [None if t is None else t.data for t in node.inputs])
    return None


def evaluate(operator: Operator, node: Node, arrays: Sequence[np.ndarray | None]) -> tuple[np.ndarray, ...]:
    """The arrays that a node of known shapes writes, by its reference, which is not asked where all are empty."""
    limits.check_time()
    located(node, limits.need, sum(limits.nbytes(t.shape, t.dtype) + EXACT * t.size for t in node.outputs))
    return located(node, _results, operator, node, arrays)


def _results(operator: Operator, node: Node, arrays: Sequence[np.ndarray | None]) -> tuple[np.ndarray, ...]:
    if node.outputs and not any(t.size for t in node.outputs):
        return tuple(np.zeros(t.shape, t.dtype) for t in node.outputs)
    result = operator.reference(node, *arrays)
    result = result if isinstance(result, tuple) else (result,)
    return tuple(limits.hold(_as_output(a, t)) for a, t in zip(result, node.outputs, strict=True))


def _as_output(value: Any, t: Tensor) -> np.ndarray:
    """What a reference gives in the type of an output, which may be wider or narrower, but not of another kind."""
    array = np.asarray(value)
    if KINDS[array.dtype.kind] != KINDS[t.dtype.kind]:
        raise TypeError(f"values of {array.dtype.name} for {t!r}")
    return np.asarray(array, t.dtype).reshape(t.shape)


def evaluate_on(node: Node, arrays: Sequence[np.ndarray | None], runtime: ops.Runtime) -> list[np.ndarray]:
    """The arrays that a node writes which had to wait for values: its inputs are arrays in the model's types.

    What a control operator's ``shapes`` checks is taken for granted.
    """
    operator = ops.find(node.op)
    if operator.control is not None:
        results = list(located(node, operator.control, node, runtime, *arrays))
        if len(results) != len(node.outputs):
            raise ModelError(f"{node.label} has {len(node.outputs)} outputs; {len(results)} were expected")
        return results
    pairs = zip(node.inputs, arrays, strict=True)
    inputs = [t if t is None or a is None else dataclasses.replace(t, shape=a.shape, data=a) for t, a in pairs]
    node = dataclasses.replace(node, inputs=tuple(inputs))
    outputs = shaped(operator, node)
    if outputs is None:
        raise ModelError(f"{node.label}: the shape of its outputs cannot be known")
    return list(evaluate(operator, dataclasses.replace(node, outputs=outputs), arrays))
