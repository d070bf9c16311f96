"""Nodes -> Program: every node prepared, every tensor placed, ready to run in one native call.

A Program is an immutable plan of a stretch of nodes whose shapes are known (``infer``). What runs is an Instance of it:
the arena, a record of arguments per call, and a table of (entry point, record) that a small compiled loop walks.
``team`` has the loop and its threads.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from int8rt import arena, calling, jit, ops
from int8rt.compiling import compile_all
from int8rt.errors import InputError, UnsupportedError
from int8rt.evaluator import reference as reference
from int8rt.graph import Node, Subgraph, Tensor
from int8rt.infer import Stretch, infer, located, refuse_missing
from int8rt.numerics import Numerics
from int8rt.ops import Call, Flat, PythonCall, Step, View
from int8rt.placement import Place, place
from int8rt.state import Resources, State, allocate
from int8rt.team import COUNT_WORD, RUN_SIGNATURE, Team, kernels, run_table, tickets

Shapes = Mapping[int, tuple[int, ...]]

WORK_WORTH_SHARING = 700_000  # operations of a call: smaller ones are not worth it that threads wait for one another
WORK_OF_A_PART = 1_000_000  # at least, where a call has more parts than there are threads
PARTS = 4  # at most, for each thread


# Programs


@dataclass(frozen=True, eq=False)
class Program:
    """A plan: which calls run on which memory."""

    graph: Subgraph  # as inferred, its nodes those of the stretch
    stretch: Stretch
    inputs: tuple[Tensor, ...]  # those of the graph, as the file has them
    outputs: tuple[Tensor, ...]
    steps: tuple[tuple[Node, Step], ...]
    places: Mapping[Tensor, Place]  # of tensors that live in others' memory
    blocks: Mapping[Tensor, arena.Block]
    plan: arena.Plan
    constants: Mapping[Tensor, np.ndarray]  # in storage form
    variables: tuple[Tensor, ...]  # whose memory is a State's
    is_whole: bool  # whether the stretch is the whole graph
    threads: int = 1

    @property
    def calls(self) -> list[Call]:
        """What runs, in order."""
        return [step for _, step in self.steps if isinstance(step, Call)]

    def root(self, tensor: Tensor) -> Tensor:
        """The tensor in whose memory this one lives."""
        return self.place(tensor).root

    def place(self, tensor: Tensor) -> Place:
        """Where in that tensor's memory."""
        return self.places.get(tensor) or Place(tensor, 0)

    def kernels(self) -> list[tuple[jit.Kernel, jit.Signature]]:
        """Which entry points the program needs."""
        needed = [(c.kernel, _signature(c)) for c in self.calls if not isinstance(c, PythonCall)]
        return [*kernels(self.threads), *needed]


def build(
    graph: Subgraph,
    numerics: Numerics,
    input_shapes: Shapes | None = None,
    preserve: bool = False,
    threads: int = 1,
    resources: Resources | None = None,
) -> Program:
    """Prepare every node and place every tensor, for runs on that many threads.

    With preserve, each tensor keeps memory of its own, to be read after a run. Where a node has to wait for run-time
    values the program ends before it; its stretch says so. Raises UnsupportedError, naming all operators that are
    missing at once, and ModelError where shapes contradict one another.
    """
    refuse_missing(graph)
    shapes = input_shapes or {}
    known = {t: replace(t, shape=tuple(shapes.get(t.index, t.shape))) for t in graph.inputs}
    return build_stretch(graph, graph.nodes, known, resources or Resources(), numerics, preserve, threads)


def build_stretch(
    graph: Subgraph,
    nodes: Sequence[Node],
    known: Mapping[Tensor, Tensor],
    resources: Resources,
    numerics: Numerics,
    preserve: bool = False,
    threads: int = 1,
    needed: Sequence[Tensor] = (),
) -> Program:
    """The program of the first stretch of nodes of a graph; the arguments are those of ``infer`` and ``build``.

    Where the stretch is the whole graph the program has the graph's inputs and outputs. Else its inputs are what it
    needs of ``known``, its outputs what it computes and others need: nodes behind it, the caller, or who reads
    ``needed``.
    """
    stretch = infer(nodes, known, resources)
    prepared, stretch = _prepared(stretch, numerics)
    ports = graph.inputs + graph.outputs
    is_whole = stretch.cut is None and len(nodes) == len(graph.nodes) and all(t.dtype != object for t in ports)
    inputs, outputs = (graph.inputs, graph.outputs) if is_whole else _ends(graph, stretch, needed)
    inferred = replace(
        graph,
        nodes=stretch.nodes,
        inputs=tuple(stretch.known.get(t, t) for t in inputs),
        outputs=tuple(stretch.known.get(t, t) for t in outputs),
        tensors=tuple(stretch.known.get(t, t) for t in graph.tensors),
    )
    steps: list[tuple[Node, Step]] = [
        (node, step if isinstance(step, View) else step.for_threads(_parts(step, threads))) for node, step in prepared
    ]
    placed = place(inferred, steps, preserve)
    mentioned = [*inferred.inputs, *inferred.outputs, *(t for _, step in placed.steps for t in ops.tensors(step))]
    constants = {t: ops.to_storage(t.data) for t in mentioned if t.data is not None}
    variables = tuple(dict.fromkeys(t for t in mentioned if t.is_variable))
    return Program(
        inferred, stretch, inputs, outputs, placed.steps, placed.places, placed.blocks, placed.plan, constants,
        variables, is_whole, threads,
    )  # fmt: skip


def _parts(step: Call, threads: int) -> int:
    """In how many parts threads share a call; 1 where they do not."""
    if threads == 1 or isinstance(step, PythonCall) or not step.kernel.is_parallel or step.work < WORK_WORTH_SHARING:
        return 1
    return min(PARTS * threads, max(threads, step.work // WORK_OF_A_PART))


def _ends(graph: Subgraph, stretch: Stretch, needed: Sequence[Tensor]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """What a stretch reads that it does not compute, and what it computes that others need; as the graph has them."""
    computed = dict.fromkeys(t for node in stretch.origins for t in node.outputs)
    read = dict.fromkeys(t for node in stretch.origins for t in node.inputs if t is not None)
    behind = stretch.rest if stretch.cut is None else (stretch.cut, *stretch.rest)
    wanted = {t for node in behind for t in node.inputs}.union(graph.outputs, needed)
    inputs = (t for t in read if t not in computed and stretch.known.get(t, t).data is None and not t.is_variable)
    return tuple(inputs), tuple(t for t in computed if t in wanted)


def _prepared(stretch: Stretch, numerics: Numerics) -> tuple[list[tuple[Node, Step]], Stretch]:
    """The steps of each node, and the stretch, ended where a node has to wait for values.

    Raises UnsupportedError with all reasons at once, the nodes behind each counted.
    """
    prepared: list[tuple[Node, Step]] = []
    refused: dict[str, list[tuple[Node, str]]] = {}
    for number, node in enumerate(stretch.nodes):
        try:
            steps = ops.as_steps(located(node, ops.find(node.op).prepare, node, numerics))
            prepared += [(node, step) for step in steps if not _is_empty(node, step)]
        except ops.NotConstant:
            stretch = stretch.ended_before(number)
            break
        except UnsupportedError as error:
            refused.setdefault(str(error).replace(node.label, node.op), []).append((node, str(error)))
    if refused:
        listed = [why if len(nodes) > 1 else nodes[0][1] for why, nodes in refused.items()]
        counts = [f": {len(nodes)} nodes" if len(nodes) > 1 else "" for nodes in refused.values()]
        raise UnsupportedError("; ".join(why + count for why, count in zip(listed, counts, strict=True)))
    return prepared, stretch


def _is_empty(node: Node, step: Step) -> bool:
    """Whether a step does nothing, as all that its node writes is empty."""
    return (
        bool(node.outputs)
        and all(t.size == 0 for t in node.outputs)
        and not (isinstance(step, Call) and any(t.is_variable for t in step.writes))
    )


def _signature(call_: Call) -> jit.Signature:
    return tuple(_type_name(arg) for arg in call_.args)


def _type_name(arg: Any) -> str:
    if isinstance(arg, Flat):
        return f"{jit.dtype_name(arg.dtype)}[1]"
    if isinstance(arg, Tensor):
        return f"{jit.dtype_name(ops.storage_dtype(arg.dtype))}[{len(arg.shape)}]"
    return jit.type_name(arg)


# Running


class Instance:
    """A program with memory of its own. One thread at a time may run it.

    ``state`` holds its variables, ``team`` runs what threads share; both are its own if not given.
    """

    def __init__(
        self,
        program: Program,
        progress: jit.Progress | None = None,
        state: State | None = None,
        team: Team | None = None,
    ) -> None:
        compile_all(program.kernels(), progress)
        self.program, self.threads = program, program.threads
        self.state = state or State()
        self._memory = allocate(program.plan.nbytes + arena.SLACK)
        self._arrays: dict[Tensor, np.ndarray] = {}
        self._keep: list[Any] = []  # records, which the table mentions by address
        self._stretches = self._make_stretches()
        self._inputs = self._ports(program.graph.inputs)
        self._outputs = self._ports(program.graph.outputs)
        is_shared = any(isinstance(s, Table) and len(s.tickets) > 1 for s in self._stretches)
        self.team = (team or Team(self.threads)) if is_shared else Team(1)
        self._parts = [self._part(s) for s in self._stretches]
        self._whole = self._record(self._stretches[0], self._inputs, self._outputs) if self.is_native else None
        self._faults = [(t, self.array(t)) for t in program.blocks if isinstance(t, ops.Fault)]
        self.direct = self._bind() if self.is_native else None

    @property
    def is_native(self) -> bool:
        """Whether a run is one native call."""
        return len(self._stretches) == 1 and isinstance(self._stretches[0], Table)

    # Memory

    def array(self, tensor: Tensor) -> np.ndarray:
        """The memory of a tensor, in storage form; a constant's is read-only."""
        if tensor not in self._arrays:
            self._arrays[tensor] = self._place(tensor)
        return self._arrays[tensor]

    def _place(self, tensor: Tensor) -> np.ndarray:
        root, start = self.program.place(tensor)
        if root is tensor and tensor in self.program.constants:
            return self.program.constants[tensor]
        raw = self._bytes(root)[start : start + ops.storage_nbytes(tensor)]
        return raw.view(ops.storage_dtype(tensor.dtype)).reshape(tensor.shape)

    def _bytes(self, root: Tensor) -> np.ndarray:
        """The memory of a tensor that lives in no other one."""
        if root in self.program.constants:
            return self.program.constants[root].reshape(-1).view(np.uint8)
        if root.is_variable:
            return self.state.array(self.program.graph.index, root).reshape(-1).view(np.uint8)
        start = self.program.plan.offsets[root]
        return self._memory[start : start + ops.storage_nbytes(root)]

    def read(self, tensor: Tensor) -> np.ndarray:
        """A copy of a tensor's value in its own type."""
        return ops.from_storage(self.array(tensor), tensor.dtype)

    def write(self, tensor: Tensor, value: np.ndarray) -> None:
        """Set the value of an input or a variable."""
        self.array(tensor)[...] = ops.to_storage(np.asarray(value, tensor.dtype)).reshape(tensor.shape)

    def holds(self, tensor: Tensor) -> bool:
        """Whether the tensor has memory here."""
        root = self.program.root(tensor)
        program = self.program
        return root in program.constants or root in program.plan.offsets or root in program.variables

    def reset(self) -> None:
        """Set every variable tensor to zero."""
        self.state.reset_variables()

    # The table

    def _make_stretches(self) -> list[Any]:
        """The calls in order: tables of native ones, and between them those that run in Python."""
        stretches: list[Any] = [[]]
        for step in self.program.calls:
            if isinstance(step, PythonCall):
                stretches += [step, []]
            else:
                stretches[-1].append(self._row(step))
        return [
            _table(s) if isinstance(s, list) else s
            for s in stretches
            if not isinstance(s, list) or s or len(stretches) == 1
        ]

    def _row(self, step: Call) -> tuple[int, int, int]:
        args = self._arguments(step)
        record = jit.pack(args)
        self._keep += [record, args]
        parts = _parts(step, self.threads)
        return step.kernel.entry(_signature(step)), jit.address(record), parts if parts > 1 else 0

    def _arguments(self, step: Call) -> list[Any]:
        return [self._argument(arg) for arg in step.args]

    def _argument(self, arg: Any) -> Any:
        if isinstance(arg, Flat):
            return self.array(arg.tensor).reshape(-1).view(arg.dtype)
        return self.array(arg) if isinstance(arg, Tensor) else arg

    def runners(self) -> list[tuple[Node, Call, Callable[[int], None]]]:
        """Every call by itself, as a function that runs it so many times on one thread on what is in memory."""
        return [(n, s, self._runner(s)) for n, s in self.program.steps if isinstance(s, Call)]

    def _runner(self, step: Call) -> Callable[[int], None]:
        if isinstance(step, PythonCall):
            function, args = step.function, self._arguments(step)

            def run_python(times: int) -> None:
                for _ in range(times):
                    function(*args)

            return run_python
        entry, address, _ = self._row(step)
        no_ports = np.zeros((0, 4), np.int64)
        record = self._record(_table([(entry, address, 0)]), no_ports, no_ports)
        alone = Team(1)

        def run_native(times: int) -> None:
            record.words[COUNT_WORD] = times
            alone.run(record.address)

        return run_native

    def _ports(self, tensors: Sequence[Tensor]) -> np.ndarray:
        rows = [
            (0, jit.address(self.array(t)), ops.storage_nbytes(t), 0x80 if t.dtype == np.int8 else 0) for t in tensors
        ]
        return np.array(rows, np.int64).reshape(-1, 4)

    def _record(self, table: Table, inputs: np.ndarray, outputs: np.ndarray) -> Record:
        words = jit.pack((*table, inputs, outputs, 1, self.team.array))
        self._keep += [words, table, inputs, outputs]
        return Record(words, ctypes.c_void_p(jit.address(words)))

    def _part(self, stretch: Any) -> Callable[[], None]:
        """What runs one stretch on what is in memory."""
        if isinstance(stretch, PythonCall):
            return functools.partial(stretch.function, *self._arguments(stretch))
        no_ports = np.zeros((0, 4), np.int64)
        record = self._record(stretch, no_ports, no_ports)
        if self.team.threads > 1:
            return functools.partial(self._call, record)
        return self._function(record, no_ports) or functools.partial(self._call, record)

    def _bind(self) -> Callable[..., Any] | None:
        """A run on one item as a function of arrays, with which ``calling`` is faster than anything in Python.

        None where threads share the work, where outputs are so large that copying them costs more, and where a run
        that ends in an error could not be repeated: the function leaves errors to ``run``.
        """
        graph = self.program.graph
        if self._faults and self.program.variables:
            return None
        if self.team.threads > 1 or sum(t.nbytes for t in graph.outputs) > COPIED_BYTES:
            return None
        inputs, outputs = ([np.zeros(t.shape, t.dtype) for t in ts] for ts in (graph.inputs, graph.outputs))
        tables = self._inputs.copy(), self._outputs.copy()
        tables[1][:, 0] = [jit.address(y) for y in outputs]
        record = self._record(self._stretches[0], *tables)
        faults = [words for _, words in self._faults]
        return self._function(record, tables[0], inputs, outputs, faults)

    def _function(
        self, record: Record, places: np.ndarray, inputs: Sequence[np.ndarray] = (),
        outputs: Sequence[np.ndarray] = (), faults: Sequence[np.ndarray] = (),
    ) -> Callable[..., Any] | None:  # fmt: skip
        """``calling.bind`` of a record."""
        run, keep = run_table.entry(RUN_SIGNATURE), (self._keep, self._memory)
        return calling.bind(run, record.address.value or 0, places, inputs, outputs, faults, keep)

    # Running

    def run(self, inputs: Sequence[np.ndarray], count: int = 1) -> list[np.ndarray]:
        """The outputs for inputs that hold ``count`` items each, one after another along the first axis.

        Inputs must be C-contiguous arrays of the graph's types; results are new arrays. Those of rank 0 become one
        of rank 1 if count > 1. Raises InputError where inputs hold indices that are out of range.
        """
        if self.direct is not None and count == 1:
            found = self.direct(*inputs)
            if found is not None:
                return list(found) if isinstance(found, tuple) else [found]
        outputs = [self._new_output(t, count) for t in self.program.graph.outputs]
        if self._whole is not None:
            for table, arrays in ((self._inputs, inputs), (self._outputs, outputs)):
                for i, array in enumerate(arrays):  # one by one, since NumPy takes longer over a list of one or two
                    table[i, 0] = jit.address(array)
            self._whole.words[COUNT_WORD] = count
            self._call(self._whole)
            self._raise_faults()
            return outputs
        for item in range(count):
            for t, x in zip(self.program.graph.inputs, inputs, strict=True):
                self.write(t, x.reshape(count, *t.shape)[item])
            self.invoke()
            for t, y in zip(self.program.graph.outputs, outputs, strict=True):
                y.reshape(count, *t.shape)[item] = self.read(t)
        return outputs

    def invoke(self) -> None:
        """Run once on the inputs that are in memory."""
        for part in self._parts:
            part()
        self._raise_faults()

    def _raise_faults(self) -> None:
        """Raise InputError where kernels found values out of range; what they computed is not to be used."""
        found = [(fault, int(words[1])) for fault, words in self._faults if words[0]]
        for _, words in self._faults:
            words[0] = 0
        if found:
            raise InputError("; ".join(fault.message.format(value) for fault, value in found))

    def _new_output(self, tensor: Tensor, count: int) -> np.ndarray:
        first, rest = tensor.shape[:1] or (1,), tensor.shape[1:]
        return np.empty(tensor.shape if count == 1 else (count * first[0], *rest), tensor.dtype)

    def _call(self, record: Record) -> None:
        self.team.run(record.address)


class Table(NamedTuple):
    """The calls of one stretch for run_table."""

    rows: np.ndarray  # entry, record
    tickets: np.ndarray


def _table(rows: list[tuple[int, int, int]]) -> Table:
    """The table of rows (entry, record, parts)."""
    calls = np.array([row[:2] for row in rows], np.int64).reshape(-1, 2)
    return Table(calls, tickets([parts for _, _, parts in rows]))


class Record(NamedTuple):
    """Arguments of run_table."""

    words: np.ndarray
    address: ctypes.c_void_p


COPIED_BYTES = 1 << 15
