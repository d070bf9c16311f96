"""What is hostile about one node: each input and output of an operator, and each field of its options, one at a time.

``mutate`` changes files at random and so finds what nobody thought of; here is what one does think of, for every
operator alike: ``of(content)`` yields the same file with an operand missing, doubled, of every other type, of other
ranks and sizes, with every kind of senseless quantization, constants at the ends of their types, and options beyond
theirs. Each file must be refused with an int8rt.Error or give what the evaluator gives (``mutants.judged``).

    python -m tests.fuzz.hostile              every operator, on all types of its inputs
    python -m tests.fuzz.hostile CONV_2D      one
    python -m tests.fuzz.hostile --show CONV_2D NUMBER     one file, in this process
"""

from __future__ import annotations

import copy
import functools
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / "fuzz"), str(TESTS / "cases"), str(TESTS)]

import mutants  # noqa: E402
import mutate  # noqa: E402
import watched  # noqa: E402
from conformance_cases import BUILDERS  # noqa: E402
from mutate import add_buffer, data_of, fields_of, listed, nbytes, refit, subgraphs  # noqa: E402
from writer import Table, write  # noqa: E402

from int8rt.errors import Error  # noqa: E402
from int8rt.format import reader  # noqa: E402
from int8rt.format.schema import TYPES  # noqa: E402

Change = Callable[[Table, Table, Table], None]  # of a model, its main node, and one of the node's tensors

SIZES = (0, 1, 2, 17, 1 << 16, (1 << 31) - 1)
NUMBERS = (0, 1, -1, 2, 3, 127, (1 << 31) - 1, -(1 << 31))
SCALES = (0.0, -0.5, 1e-45, 1e-30, 1e30, 3e38, math.inf, math.nan)
ZERO_POINTS = (1, -1, 128, -129, 256, 1 << 31, -(1 << 63))


class Hostile(NamedTuple):
    """A change of one file, to be made."""

    op: str
    what: str
    model: Table
    node: int  # of the main subgraph
    tensor: int | None  # of the main subgraph
    change: Change

    def content(self) -> bytes | None:
        """The changed file; None where a number is one that its field cannot hold."""
        model = copy.deepcopy(self.model)
        main = subgraphs(model)[0]
        self.change(model, main.fields["operators"][self.node], main.fields["tensors"][self.tensor or 0])
        try:
            return write(model)
        except (TypeError, ValueError, OverflowError):
            return None


# Which operands


def inputs(node: Table) -> Iterator[tuple[str, Change]]:
    """Fewer, more, others."""
    given = list(node.fields.get("inputs", []))
    for i in range(len(given)):
        yield f"input {i} left out", _with(inputs=[*given[:i], -1, *given[i + 1 :]])
        yield f"inputs end before {i}", _with(inputs=given[:i])
        if i:
            yield f"input {i} is input 0", _with(inputs=[*given[:i], given[0], *given[i + 1 :]])
    yield "an input more", _with(inputs=[*given, *given[:1]])
    yield "an input more that is left out", _with(inputs=[*given, -1])
    yield "inputs in another order", _with(inputs=given[::-1])


def outputs(node: Table) -> Iterator[tuple[str, Change]]:
    """None, fewer, more."""
    given = list(node.fields.get("outputs", []))
    yield "no outputs", _with(outputs=[])
    yield "an output less", _with(outputs=given[:-1])
    yield "an output left out", _with(outputs=[-1, *given[1:]])

    def one_more(model: Table, node: Table, _: Table) -> None:
        found = listed(subgraphs(model)[0], "tensors")
        found.append(Table("Tensor", shape=[1], type=0, name="one more"))
        node.fields["outputs"] = [*given, len(found) - 1]

    yield "an output more", one_more


def _with(**fields: Any) -> Change:
    def change(model: Table, node: Table, _: Table) -> None:
        node.fields.update(fields)

    return change


# One operand


def types(t: Table) -> Iterator[tuple[str, Change]]:
    """Every other one."""
    for number, name in TYPES.items():
        if number != t.fields.get("type", 0):
            yield f"type {name}", _tensor(type=number)


def shapes(t: Table) -> Iterator[tuple[str, Change]]:
    """Other ranks, and other sizes of each axis."""
    shape = list(t.fields.get("shape", []))
    others = [[], [1, *shape], [*shape, 1], shape[1:], shape[:-1], shape[::-1], [1] * 9, [1] * 65]
    others += [[*shape[:i], size, *shape[i + 1 :]] for i in range(len(shape)) for size in (*SIZES, shape[i] + 1, -1)]
    for other in others:
        if other != shape:
            yield f"shape {other}", _tensor(shape=other)


def quantizations(t: Table) -> Iterator[tuple[str, Change]]:
    """None, senseless, and one per index of each axis."""
    shape = [int(n) for n in t.fields.get("shape", [])]

    def table(scale: Sequence[float], zero_point: Sequence[int], axis: int = 0) -> Table:
        return Table("QuantizationParameters", scale=scale, zero_point=zero_point, quantized_dimension=axis)

    yield "no quantization", _tensor(quantization=None)
    for scale in SCALES:
        yield f"scale {scale}", _tensor(quantization=table([scale], [0]))
    for zero in ZERO_POINTS:
        yield f"zero point {zero}", _tensor(quantization=table([0.5], [zero]))
    for axis, size in enumerate(shape):
        if 0 < size <= 64:
            yield f"scales along {axis}", _tensor(quantization=table([0.25 + i for i in range(size)], [0] * size, axis))
    yield "scales of no axis", _tensor(quantization=table([0.5, 0.25, 0.125], [0, 0, 0], len(shape)))
    yield "scales along -1", _tensor(quantization=table([0.5, 0.25], [0, 0], -1))


def constants(model: Table, t: Table) -> Iterator[tuple[str, Change]]:
    """Nothing but one number; none at all; where there is none."""
    if not data_of(model, t):
        yield "a constant", _constant(b"\x01")
        return
    for byte in (0, 1, 0x7F, 0x80, 0xFF):
        yield f"bytes of {byte:#x}", _constant(bytes([byte]))
    for number in (1, -1, 7, 1 << 30):
        yield f"integers of {number}", _constant(np.array([number], np.int32).tobytes())

    def not_constant(model: Table, node: Table, t: Table) -> None:
        t.fields["buffer"] = 0
        graph = subgraphs(model)[0]
        graph.fields["inputs"] = [*graph.fields.get("inputs", []), listed(graph, "tensors").index(t)]

    yield "at run time", not_constant


def _tensor(**fields: Any) -> Change:
    def change(model: Table, node: Table, t: Table) -> None:
        t.fields.update(fields)
        t.fields = {name: value for name, value in t.fields.items() if value is not None}
        refit(model, t)

    return change


def _constant(data: bytes) -> Change:
    def change(model: Table, node: Table, t: Table) -> None:
        size = nbytes(t)
        t.fields["buffer"] = add_buffer(model, (data * (size // len(data) + 1))[:size])

    return change


# Options


def options(node: Table) -> Iterator[tuple[str, Change]]:
    """Each field at the ends of its type, and no options at all."""
    name = next((n for n in ("builtin_options", "builtin_options_2") if n in node.fields), None)
    if name is None:
        return
    table = node.fields[name].table
    for field in fields_of(table):
        for value in _values(field):
            yield f"{field.name} = {value}", _option(name, field.name, value)
    yield "no options", lambda model, node, _: [node.fields.pop(n, None) for n in (name, f"{name}_type")] and None


def _values(field: Any) -> Iterator[Any]:
    if field.scalar is None:
        if field.is_vector and field.kind in mutate.RANGES and field.kind != "ubyte":
            yield from ([], [0], [-1], [1] * 9, [mutate.RANGES[field.kind][1]] * 2)
    elif field.kind in ("float", "double"):
        yield from mutate.FLOATS
    else:
        low, high = mutate.RANGES[field.kind]
        yield from sorted({n for n in (*NUMBERS, low, high) if low <= n <= high})


def _option(name: str, field: str, value: Any) -> Change:
    def change(model: Table, node: Table, _: Table) -> None:
        node.fields[name].fields[field] = value

    return change


# All together


def of(op: str, content: bytes) -> Iterator[Hostile]:
    """What can be changed about the nodes of a file's main subgraph."""
    model = mutate.tree(content)
    tensors = listed(subgraphs(model)[0], "tensors")
    for at, node in enumerate(listed(subgraphs(model)[0], "operators")):
        for what, change in (*inputs(node), *outputs(node), *options(node)):
            yield Hostile(op, what, model, at, None, change)
        for kind in ("input", "output"):
            for i, index in enumerate(node.fields.get(f"{kind}s", [])):
                if index >= 0:
                    t = tensors[index]
                    for what, change in (*types(t), *shapes(t), *quantizations(t), *constants(model, t)):
                        yield Hostile(op, f"{kind} {i}: {what}", model, at, index, change)


def files(op: str) -> list[bytes]:
    """Of the conformance cases of an operator one for every combination of types, the smallest."""
    smallest: dict[Any, bytes] = {}
    for content in mutants.of_operator(op):
        try:
            nodes = reader.read(content).main.nodes
        except Error:  # meant to be refused
            continue
        key = tuple((n.op, tuple(None if t is None else t.type for t in (*n.inputs, *n.outputs))) for n in nodes)
        if key not in smallest or len(content) < len(smallest[key]):
            smallest[key] = content
    return list(smallest.values())


@functools.cache
def hostile(op: str) -> list[Hostile]:
    """All of an operator."""
    return [h for content in files(op) for h in of(op, content)]


def case(number: int, op: str) -> tuple[str, str]:
    """What comes of one of the files of an operator."""
    content = hostile(op)[number].content()
    if content is None:
        return watched.OK, "cannot be written"
    return mutants.judged(content, number)


def main(arguments: Sequence[str]) -> int:
    """Run the files of all operators, or of some; 1 where something is found."""
    if arguments[:1] == ["--show"]:
        h = hostile(arguments[1])[int(arguments[2])]
        print(h.what)
        print(mutants.judged(h.content() or b"", int(arguments[2])))
        return 0
    counts: Counter[str] = Counter()
    for op in arguments or sorted(BUILDERS):
        for verdict in watched.watch("hostile:case", range(len(hostile(op))), {"op": op}):
            counts[verdict.kind] += 1
            if verdict.is_finding:
                what = f"{op} {verdict.seed}, {hostile(op)[verdict.seed].what}"
                print(f"{what}: {verdict.kind}, {verdict.seconds:.1f} s: {verdict.detail}", flush=True)
        hostile.cache_clear()
    print(f"{counts.total():,} files: {dict(counts)}")
    return 1 if any(counts[kind] for kind in watched.FINDINGS) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
