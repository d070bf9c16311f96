"""What follows from a graph before it runs: shapes, and the values of what depends on constants only.

``infer`` goes as far as shapes can be known. Where a node needs a value that is computed at run time (a shape to
reshape to, a condition), the stretch ends, and the node waits for the value; with it, the next stretch begins.
"""

from __future__ import annotations

import dataclasses
import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from int8rt import ops
from int8rt.errors import Error, ModelError, UnsupportedError
from int8rt.graph import Node, Subgraph, Tensor
from int8rt.ops import Name, NotConstant
from int8rt.ops._control import handle_of, truth
from int8rt.plan.state import Form, Resource, Resources, resource

MAX_ELEMENTS = 2**31 - 1  # of a tensor: TFLite counts them in an int32
MAX_INLINED = 100_000  # nodes; subgraphs that run one another twice each grow without bound


@dataclass(frozen=True, eq=False)
class Stretch:
    """Nodes of which everything but values is known, and what comes after them."""

    nodes: tuple[Node, ...]  # as inferred, without those whose results are known
    origins: tuple[Node, ...]  # the same nodes as the graph has them
    known: Mapping[Tensor, Tensor]  # {tensor of the graph: as inferred}
    cut: Node | None = None  # the node, as the graph has it, that waits for values
    rest: tuple[Node, ...] = ()  # behind it, as the graph has them

    @property
    def reads(self) -> dict[Name, Form]:
        """Which resources must have which form before it."""
        found: dict[Name, Form] = {}
        assigned: set[Name] = set()
        for node in self.nodes:
            held = node.inputs[0] if node.inputs else None
            if isinstance(held, Resource):
                if node.op == "ASSIGN_VARIABLE":
                    assigned.add(held.resource)
                elif held.resource not in assigned:
                    found[held.resource] = held.form
        return found

    @property
    def assigns(self) -> dict[Name, Form]:
        """Which resources have which form after it."""
        held = (node.inputs[0] for node in self.nodes if node.op == "ASSIGN_VARIABLE")
        return {t.resource: t.form for t in held if isinstance(t, Resource)}

    def ended_before(self, number: int) -> Stretch:
        """The same up to one of its nodes, which waits for values."""
        behind = self.origins[number + 1 :] + (() if self.cut is None else (self.cut,)) + self.rest
        return Stretch(self.nodes[:number], self.origins[:number], self.known, self.origins[number], behind)


def infer(nodes: Iterable[Node], known: Mapping[Tensor, Tensor], resources: Resources) -> Stretch:
    """The first stretch of nodes of a graph.

    known: {tensor: with its true shape, and its value if known} for the tensors that the nodes do not compute; those
    of constants and variables may be left out. resources: as they are before the first node. Raises ModelError where
    shapes contradict one another.
    """
    known = dict(known)
    forms = dict(resources.forms)
    held: dict[tuple[Name, Form], Resource] = {}
    queue = deque(nodes)
    inferred: list[Node] = []
    origins: list[Node] = []
    room = MAX_INLINED

    def tensor_of(name: Name, form: Form) -> Resource:
        return held.setdefault((name, form), resource(name, form))

    while queue:
        origin = queue.popleft()
        node = with_inputs(origin, known)
        inlined = _inlined(origin, node)
        if inlined is not None:
            room -= len(inlined)
            if room < 0:
                raise UnsupportedError(f"{node.label}: its subgraphs come to more than {MAX_INLINED} nodes")
            queue.extendleft(reversed(inlined))
            continue
        if node.op == "CALL_ONCE" and node.subgraphs[0].index in resources.done:
            continue
        if node.op in ("READ_VARIABLE", "ASSIGN_VARIABLE"):
            name = handle_of(node)
            if node.op == "ASSIGN_VARIABLE":
                value = node.inputs[1]
                assert value is not None
                forms[name] = Form(value.shape, value.dtype)
            if name in forms:
                node = dataclasses.replace(node, inputs=(tensor_of(name, forms[name]), *node.inputs[1:]))
        finished = _finished(node)
        if finished is None:
            return Stretch(tuple(inferred), tuple(origins), known, origin, tuple(queue))
        if any(t.data is None for t in finished.outputs) or not finished.outputs:
            inferred.append(finished)
            origins.append(origin)
        known.update(zip(origin.outputs, finished.outputs, strict=True))
    return Stretch(tuple(inferred), tuple(origins), known)


def with_inputs(node: Node, known: Mapping[Tensor, Tensor]) -> Node:
    """The node on its inputs as they are known."""
    return dataclasses.replace(node, inputs=tuple(None if t is None else known.get(t, t) for t in node.inputs))


def _finished(node: Node) -> Node | None:
    """The node with outputs of true shapes, and values where they are known; None where it has to wait for values."""
    module = ops.find(node.op)
    outputs = shaped(module, node)
    if outputs is None:
        return None
    node = dataclasses.replace(node, outputs=outputs)
    values = _constant_values(module, node)
    if values is None:
        return node
    return dataclasses.replace(
        node, outputs=tuple(dataclasses.replace(t, data=v) for t, v in zip(outputs, values, strict=True))
    )


def shaped(module: Any, node: Node) -> tuple[Tensor, ...] | None:
    """The outputs with their shapes; None where these depend on values that are not known."""
    try:
        shapes = located(node, module.shapes, node)
    except NotConstant:
        return None
    if shapes is None:
        return None
    if len(shapes) != len(node.outputs):
        raise ModelError(f"{node.label} has {len(node.outputs)} outputs; {len(shapes)} were expected")
    for shape in shapes:
        if any(size < 0 for size in shape) or math.prod(map(int, shape)) > MAX_ELEMENTS:
            raise ModelError(
                f"{node.label}: an output of shape {list(shape)}; at most {MAX_ELEMENTS:,} elements were expected"
            )
    return tuple(dataclasses.replace(t, shape=tuple(s)) for t, s in zip(node.outputs, shapes, strict=True))


def located(node: Node, function: Callable[..., Any], *args: Any) -> Any:
    """function(*args), in which what a malformed node trips over becomes a ModelError that names the node."""
    try:
        return function(*args)
    except Error as error:
        if node.label in str(error):
            raise
        raise type(error)(f"{node.label}: {error}") from error
    except MemoryError as error:
        raise UnsupportedError(f"{node.label} needs more memory than there is: {error}") from error
    except (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{node.label} contradicts itself: {type(error).__name__}: {error}") from error


def _constant_values(module: Any, node: Node) -> tuple[np.ndarray, ...] | None:
    if hasattr(module, "constant"):
        return tuple(module.constant(node))
    if node.inputs and all(t is None or (t.is_constant and not t.is_variable) for t in node.inputs):
        return evaluate(module, node, [None if t is None else t.data for t in node.inputs]) if node.outputs else None
    return None


def evaluate(module: Any, node: Node, arrays: Sequence[np.ndarray | None]) -> tuple[np.ndarray, ...]:
    """The arrays that a node of known shapes writes, by its reference."""
    result = located(node, module.reference, node, *arrays)
    result = result if isinstance(result, tuple) else (result,)
    return tuple(np.asarray(a, t.dtype).reshape(t.shape) for a, t in zip(result, node.outputs, strict=True))


def evaluate_on(node: Node, arrays: Sequence[np.ndarray | None], runtime: ops.Runtime) -> list[np.ndarray]:
    """The arrays that a node writes which had to wait for values: its inputs are arrays in the model's types.

    What a control operator's ``shapes`` checks is taken for granted.
    """
    module = ops.find(node.op)
    if hasattr(module, "control"):
        results = list(located(node, module.control, node, runtime, *arrays))
        if len(results) != len(node.outputs):
            raise ModelError(f"{node.label} has {len(node.outputs)} outputs; {len(results)} were expected")
        return results
    pairs = zip(node.inputs, arrays, strict=True)
    inputs = [t if t is None or a is None else dataclasses.replace(t, shape=a.shape, data=a) for t, a in pairs]
    node = dataclasses.replace(node, inputs=tuple(inputs))
    outputs = shaped(module, node)
    if outputs is None:
        raise ModelError(f"{node.label}: the shape of its outputs cannot be known")
    return list(evaluate(module, dataclasses.replace(node, outputs=outputs), arrays))


# Subgraphs as part of the graph that runs them


def _inlined(origin: Node, node: Node) -> list[Node] | None:
    """The nodes that a node stands for: those of a composite's subgraph, or of the branch that IF is known to take.

    None where the subgraph has to be called: where a tensor means something else inside than outside.
    """
    if node.op == "STABLEHLO_COMPOSITE":
        subgraph, inputs = node.subgraphs[0], origin.inputs
    elif node.op == "IF" and node.inputs and node.inputs[0] is not None and node.inputs[0].data is not None:
        located(node, ops.find(node.op).shapes, node)
        then, otherwise = node.subgraphs
        subgraph, inputs = then if truth(node, node.inputs[0].data) else otherwise, origin.inputs[1:]
    else:
        return None
    pairs = [*zip(subgraph.inputs, inputs), *zip(subgraph.outputs, origin.outputs)]
    written = {t for inner in subgraph.nodes for t in inner.outputs}
    is_plain = (
        (len(subgraph.inputs), len(subgraph.outputs)) == (len(inputs), len(origin.outputs))
        and all(t is not None and _same_meaning(t, own) for own, t in pairs)
        and written.issuperset(subgraph.outputs)
        and len(set(subgraph.outputs)) == len(subgraph.outputs)
        and not any(t.is_variable for t in subgraph.tensors)
    )
    if not is_plain:
        return None
    outer: dict[Tensor, Any] = dict(pairs)
    for t in written - set(outer):
        outer[t] = dataclasses.replace(t, index=-1)
    return [
        dataclasses.replace(
            inner,
            inputs=tuple(None if t is None else outer.get(t, t) for t in inner.inputs),
            outputs=tuple(outer[t] for t in inner.outputs),
        )
        for inner in subgraph.nodes
    ]


def _same_meaning(a: Tensor, b: Tensor) -> bool:
    """Whether the values of one tensor mean the same as another's."""
    p, q = a.quantization, b.quantization
    if p is None or q is None:
        return a.type == b.type and p is q
    return a.type == b.type and np.array_equal(p.scale, q.scale) and np.array_equal(p.zero_point, q.zero_point)


def refuse_missing(graph: Subgraph) -> None:
    """Raise UnsupportedError that names all operators of a graph which are missing, and how often each occurs."""
    missing: dict[str, int] = {}
    seen = {graph}
    graphs = [graph]
    while graphs:
        for node in graphs.pop().nodes:
            graphs += [g for g in dict.fromkeys(node.subgraphs) if g not in seen]
            seen.update(node.subgraphs)
            if not ops.has(node):
                types = ", ".join("-" if t is None else t.type for t in node.inputs)
                what = f"{node.op} version {node.version} ({types})"
                missing[what] = missing.get(what, 0) + 1
    if missing:
        listed = "; ".join(f"{what}: {count} node{'s' if count > 1 else ''}" for what, count in missing.items())
        raise UnsupportedError(f"the model needs operators that int8rt does not have: {listed}")
