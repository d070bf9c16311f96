"""A subgraph at work, whatever it takes: programs of its segments, the nodes between them, state, other subgraphs.

Most models are one segment, and a run is one native call. Where a node needs a value before its shape or its meaning is
known (RESHAPE by a computed shape, WHERE, IF), the run goes in stages: a program, then the node by itself on the values
found, then the program for the shapes that it gave. Programs are kept by the shapes that they are for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np

from int8rt import limits, ops
from int8rt.errors import InputError, LimitError
from int8rt.graph import Node, Subgraph, Tensor
from int8rt.native.entries import Progress
from int8rt.numerics.rules import Numerics
from int8rt.numerics.storage import from_storage, to_storage
from int8rt.ops import Name
from int8rt.plan.infer import evaluate_on, shaped, with_inputs
from int8rt.plan.program import Program, build_segment
from int8rt.plan.resources import Resource
from int8rt.plan.sharing import ONE_THREAD, Sharing
from int8rt.plan.subgraphs import refuse_missing
from int8rt.runtime.instance import Instance
from int8rt.runtime.pool import ThreadPool
from int8rt.runtime.state import Resources, State

Shapes: TypeAlias = tuple[tuple[int, ...], ...]
Key = TypeVar("Key")
Value = TypeVar("Value")

KEPT = 16  # stages that may follow one stage, each for other shapes
KEPT_INSTANCES = 64  # of one session


class Stage:
    """A program, the node that ended its segment, and by shapes the stages that may follow."""

    def __init__(
        self,
        program: Program | None,
        graph: Subgraph,
        rest: Sequence[Node],
        known: Mapping[Tensor, Tensor],
        cut: Node | None = None,
    ) -> None:
        self.program, self.rest, self.cut = program, tuple(rest), cut
        self.constants = {t: k for t, k in known.items() if k.data is not None}
        computed = {t for node in rest for t in node.outputs}
        read = dict.fromkeys([*(t for node in rest for t in node.inputs if t is not None), *graph.outputs])
        self.live = graph.inputs if program is None else tuple(
            t for t in read if not (t in computed or t in self.constants or t.is_constant or t.is_variable)
        )  # fmt: skip
        self.next: dict[Any, Stage] = {}
        self.variants: dict[Any, Program] = {}  # of the cut node alone, by shapes and parameters


class Runner(NamedTuple):
    """A part of a run by itself: its node, name and work in operations, and what runs it so many times."""

    node: Node
    name: str
    work: int
    run: Callable[[int], None]


class Session:
    """Runs one subgraph, with state of its own. One thread at a time may use it; ``prepare`` comes first.

    Raises UnsupportedError and ModelError as ``program.build`` does; what depends on run-time values only when it runs.
    """

    def __init__(
        self,
        graph: Subgraph,
        numerics: Numerics,
        preserve: bool = False,
        sharing: Sharing = ONE_THREAD,
        resources: Resources | None = None,
        progress: Progress | None = None,
        others: dict[int, Session] | None = None,  # those of other subgraphs, to share
    ) -> None:
        refuse_missing(graph)
        self.file, self.numerics, self.preserve, self.sharing = graph, numerics, preserve, sharing
        self._progress = progress
        self._root = Stage(None, graph, graph.nodes, {})
        self._begin(State(resources), {} if others is None else others)

    def _begin(self, state: State, others: dict[int, Session]) -> None:
        self.state = state
        self._others = others
        self._instances: dict[Program, Instance] = {}
        self._pool: ThreadPool | None = None  # which all instances share
        self._shapes: Shapes | None = None
        self._handles: dict[Tensor, np.ndarray] = {}  # inputs that say which resource is meant
        self._first = self._root
        self._direct: Instance | None = None  # what a run is, where it is nothing else
        self.direct: Callable[..., Any] = _cannot  # a run on arrays that fit exactly; None where something does not
        self._version = -1  # of the resources that the first stage is for
        self._graph: Subgraph | None = None  # as of the last run, once somebody asked
        self._trail: list[Stage] = []  # of the last run
        self._values: dict[Tensor, np.ndarray] = {}  # of the last run, between its stages
        self._initialize()

    def fork(self) -> Session:
        """A session that shares all programs with this one, for another thread; its state is fresh."""
        twin = Session.__new__(Session)
        twin.__dict__.update(self.__dict__)
        twin._begin(State(), {})
        if self._shapes is not None:
            twin.prepare(self._shapes)
        return twin

    # Before a run

    def prepare(self, shapes: Sequence[Sequence[int]], handles: Mapping[Tensor, np.ndarray] | None = None) -> None:
        """Get ready for inputs of these shapes, of which handles have values already."""
        self._shapes = tuple(tuple(map(int, s)) for s in shapes)
        self._handles = dict(handles or {})
        self._trail, self._values, self._graph = [], {}, None
        self._first = self._after(self._root, self._shapes)
        program, resources = self._program_of(self._first), self.state.resources
        is_stable = resources.have(program.segment.forms)
        instance = self._instance(program)
        self._direct = instance if program.is_whole and is_stable else None
        self.direct = self._direct_function()
        self._version = resources.version
        if self._first.cut is not None:
            self._prepare_others(self._first)

    def _ready(self, shapes: Sequence[Sequence[int]], handles: Mapping[Tensor, np.ndarray] | None = None) -> None:
        """``prepare``, unless it was for the same inputs the last time."""
        if self._shapes != tuple(map(tuple, shapes)) or handles or self._handles:
            self.prepare(shapes, handles)

    def _direct_function(self) -> Callable[..., Any]:
        """What ``direct`` is: the instance's own function, which may have to ask first whether it is still the one."""
        function = None if self._direct is None else self._direct.direct
        if function is None:
            return _cannot
        if not any(isinstance(t, Resource) for t in self.program.variables):
            return function
        return lambda *arrays: function(*arrays) if self._version == self.state.resources.version else None

    def _prepare_others(self, stage: Stage) -> None:
        """Get the subgraphs ready that the cut node runs, as far as their inputs' shapes are known."""
        assert stage.cut is not None
        assert stage.program is not None
        for subgraph in stage.cut.subgraphs:
            given = stage.cut.inputs[len(stage.cut.inputs) - len(subgraph.inputs) :]
            known = [stage.program.segment.known.get(t) for t in given if t is not None]
            shapes = [t.shape for t in known if t is not None and t.dtype != object]
            session = self._session_of(subgraph)
            if len(shapes) == len(subgraph.inputs) and session._shapes is None:  # else each way to it costs anew
                session.prepare(shapes)

    def _initialize(self) -> None:
        """Run what runs once and comes before anything that could depend on it, so that resources have their shapes."""
        for node in self.file.nodes:
            operator = ops.find(node.op)
            if operator.runs_once:
                shaped(operator, node)
                self.call_once(node.subgraphs[0])
            elif node.subgraphs or operator.keeps_state:
                break

    def _after(self, stage: Stage, shapes: Shapes) -> Stage:
        """The stage that follows where the live tensors have these shapes."""
        assumed = self.state.resources.assumed()
        handles = tuple((t.index, h.item()) for t, h in self._handles.items()) if stage is self._root else ()
        key = shapes, handles, assumed
        if key not in stage.next:
            known = {t: replace(t, shape=s) for t, s in zip(stage.live, shapes, strict=True)}
            known |= {t: replace(t, shape=h.shape, data=h) for t, h in self._handles.items()} | stage.constants
            program = build_segment(
                self.file, stage.rest, known, assumed, self.numerics, self.preserve, self.sharing
            )  # fmt: skip
            segment = program.segment
            _keep(stage.next, key, Stage(program, self.file, segment.rest, segment.known, segment.cut), KEPT)
        return stage.next[key]

    @staticmethod
    def _program_of(stage: Stage) -> Program:
        assert stage.program is not None, "prepare() comes first"
        return stage.program

    def _instance(self, program: Program) -> Instance:
        if program not in self._instances:
            instance = self._new_instance(program)
            self._pool = instance.pool if instance.pool.threads > 1 else self._pool
            _keep(self._instances, program, instance, KEPT_INSTANCES)
        return self._instances[program]

    def _new_instance(self, program: Program) -> Instance:
        """An instance, for which those of other shapes give up their memory where there is too little."""
        try:
            return Instance(program, self._progress, self.state, self._pool)
        except LimitError:
            for session in [self, *self._others.values()]:
                if not session.preserve:
                    session._forget()
            return Instance(program, self._progress, self.state, self._pool)

    def _forget(self) -> None:
        """Drop what can be made again; what is running stays as long as it is used."""
        self._instances.clear()
        for stage in (self._root, self._first):
            stage.next.clear()
            stage.variants.clear()

    # Running

    def run(self, inputs: Sequence[np.ndarray], count: int = 1) -> list[np.ndarray]:
        """The outputs, as ``Instance.run`` gives them. Raises InputError where values do not fit the model.

        Outputs whose shapes depend on values must have equal ones for all items of a batch.
        """
        if self._direct is not None and self._version == self.state.resources.version:
            return self._direct.run(inputs, count)
        if self._version != self.state.resources.version:
            assert self._shapes is not None
            self.prepare(self._shapes, self._handles)
            if self._direct is not None:
                return self._direct.run(inputs, count)
        if count == 1:
            return self._run_stages(inputs)
        assert self._shapes is not None
        limits.need(count * sum(t.nbytes for t in self.file.outputs))
        items = [
            self._run_stages([x.reshape(count, *s)[item] for x, s in zip(inputs, self._shapes, strict=True)])
            for item in range(count)
        ]
        return [self._joined(t, arrays) for t, *arrays in zip(self.file.outputs, *items, strict=True)]

    def _joined(self, t: Tensor, arrays: Sequence[np.ndarray]) -> np.ndarray:
        shapes = {a.shape for a in arrays}
        if len(shapes) > 1:
            raise InputError(
                f"output {t.name!r} has shapes {', '.join(str(list(s)) for s in sorted(shapes))} for the items of one "
                "batch; run them one by one"
            )
        return np.concatenate(arrays) if arrays[0].ndim else np.stack(arrays)

    def _run_stages(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        values = dict(zip(self.file.inputs, inputs, strict=True))
        for t, x in values.items():
            if t.is_variable:  # programs find it there
                self.state.array(self.file.index, t)[...] = to_storage(x)
        stage, trail = self._first, [self._first]
        self._run_program(stage, values)
        while stage.cut is not None:
            limits.check_time()
            self._run_cut(stage, stage.cut, values)
            stage = self._after(stage, tuple(values[t].shape for t in stage.live))
            trail.append(stage)
            self._run_program(stage, values)
        self._trail, self._values, self._graph = trail, values, None
        return [self._output(t) for t in self.file.outputs]

    def _run_program(self, stage: Stage, values: dict[Tensor, np.ndarray]) -> None:
        program = self._program_of(stage)
        if program.steps or program.outputs:
            results = self._instance(program).run([_contiguous(values[t]) for t in program.inputs])
            values.update(zip(program.outputs, results, strict=True))
        self.state.resources.adopt(program.segment.forms)

    def _run_cut(self, stage: Stage, node: Node, values: dict[Tensor, np.ndarray]) -> None:
        known = with_inputs(node, stage.constants)
        arrays = [None if t is None else self._value(t, values) for t in known.inputs]
        program = self._variant(stage, known, arrays)
        if program is None:
            values.update(zip(node.outputs, evaluate_on(known, arrays, self), strict=True))
        else:  # whose outputs are in the order in which they are computed
            results = self._instance(program).run([_contiguous(values[t]) for t in program.inputs])
            values.update(zip(program.outputs, results, strict=True))

    def _variant(self, stage: Stage, node: Node, arrays: Sequence[np.ndarray | None]) -> Program | None:
        """The program of a cut node by itself, its parameters constants, if it has weights: then NumPy is slow."""
        if not any(t is not None and t.data is not None and t.data.ndim > 1 for t in node.inputs):
            return None
        known: dict[Tensor, Tensor] = {}
        key: list[Any] = []
        for t, a in zip(node.inputs, arrays, strict=True):
            if t is not None and a is not None and t.data is None and not t.is_variable:
                is_parameter = a.ndim < 2 and a.dtype.kind in "iub"
                known[t] = replace(t, shape=a.shape, data=a.copy() if is_parameter else None)
                key.append(a.tobytes() if is_parameter else a.shape)
        if tuple(key) not in stage.variants:
            assumed = self.state.resources.assumed()
            program = build_segment(self.file, [node], known, assumed, self.numerics, False, self.sharing, node.outputs)
            _keep(stage.variants, tuple(key), program, KEPT)
        program = stage.variants[tuple(key)]
        is_all = program.segment.cut is None and set(program.outputs) == set(node.outputs)
        return program if is_all else None  # where IF's subgraph has a node that waits, it ends there

    def _value(self, t: Tensor, values: Mapping[Tensor, np.ndarray]) -> np.ndarray:
        if t.data is not None:
            return t.data
        if t.is_variable and t not in values:
            return from_storage(self.state.array(self.file.index, t), t.dtype)
        return values[t]

    def _output(self, t: Tensor) -> np.ndarray:
        return np.array(self._value(self._trail[-1].constants.get(t, t), self._values))

    # State

    def reset(self) -> None:
        """Forget everything: variables are zero, resources as what runs once makes them."""
        self.state.resources.clear()
        self.reset_variables()
        self._initialize()

    def reset_variables(self) -> None:
        """Set every variable tensor to zero, those of other subgraphs too; resources stay."""
        for session in [self, *self._others.values()]:
            session.state.reset_variables()

    # What control operators need

    def call(self, subgraph: Subgraph, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Run another subgraph."""
        session = self._session_of(subgraph)
        handles = {t: a for t, a in zip(subgraph.inputs, arrays, strict=True) if a.dtype == object}
        session._ready([a.shape for a in arrays], handles)
        return session.run([_contiguous(a) for a in arrays])

    def call_once(self, subgraph: Subgraph) -> None:
        """Run another subgraph unless that was done before in this state."""
        if not self.state.resources.is_done(subgraph.index):
            self.call(subgraph, [])
            self.state.resources.mark_done(subgraph.index)

    def read(self, name: Name) -> np.ndarray:
        """The value of a resource. Raises InputError where it has none."""
        return self.state.resources.read(name)

    def assign(self, name: Name, value: np.ndarray) -> None:
        """Set the value of a resource."""
        self.state.resources.assign(name, value)

    def _session_of(self, subgraph: Subgraph) -> Session:
        if subgraph.index not in self._others:
            self._others[subgraph.index] = Session(
                subgraph, self.numerics, False, self.sharing, self.state.resources, self._progress, self._others
            )
        return self._others[subgraph.index]

    # What callers look at

    @property
    def program(self) -> Program:
        """The program of the first segment."""
        return self._program_of(self._first)

    @property
    def graph(self) -> Subgraph:
        """The subgraph with the shapes, and the constants, that are known since the last run."""
        if self._graph is not None:
            return self._graph
        known: dict[Tensor, Tensor] = {}
        for stage in self._trail or [self._first]:
            known |= self._program_of(stage).segment.known
        known |= {t: replace(t, shape=a.shape) for t, a in self._values.items() if t not in known}
        self._graph = replace(
            self.file,
            inputs=tuple(known.get(t, t) for t in self.file.inputs),
            outputs=tuple(known.get(t, t) for t in self.file.outputs),
            tensors=tuple(known.get(t, t) for t in self.file.tensors),
        )
        return self._graph

    def runners(self) -> list[Runner]:
        """What the last run consisted of: every call and every node between programs, on what they find in memory."""
        found = []
        for stage in self._trail or [self._first]:
            found += [Runner(n, s.name, s.work, run) for n, s, run in self._instance(self._program_of(stage)).runners()]
            if stage.cut is not None and self._trail:
                found.append(Runner(stage.cut, stage.cut.op.lower(), 0, self._cut_runner(stage, stage.cut)))
        return found

    def _cut_runner(self, stage: Stage, node: Node) -> Callable[[int], None]:
        values = dict(self._values)

        def run(times: int) -> None:
            for _ in range(times):
                self._run_cut(stage, node, values)

        return run

    def read_tensor(self, index: int) -> np.ndarray | None:
        """A copy of what memory holds for a tensor since the last run; None where it has none.

        With ``preserve`` that is the tensor's value, else only for inputs, outputs and variables.
        """
        t = self.file.tensors[index]
        if t in self._values and not t.is_variable:
            return self._values[t].copy()
        for stage in reversed(self._trail or [self._first]):
            program = self._program_of(stage)
            known = program.segment.known.get(t, t)
            if known.data is not None:
                return np.array(known.data)
            if program in self._instances and self._instances[program].memory.holds(known):
                return self._instances[program].memory.read(known)
        return None

    def write_variable(self, index: int, value: np.ndarray) -> None:
        """Set the value of a variable."""
        t = self.graph.tensors[index]
        self.state.array(self.file.index, t)[...] = to_storage(np.asarray(value, t.dtype))


def plan(graph: Subgraph, numerics: Numerics) -> Program:
    """The program of a subgraph's first segment for the declared shapes, of which nothing is compiled.

    What runs once, and so gives resources their shapes, does run. Raises as ``Session`` does.
    """
    session = Session(graph, numerics)
    return session._program_of(session._after(session._root, tuple(t.shape for t in graph.inputs)))


def _cannot(*arrays: np.ndarray) -> None:
    """``Session.direct`` of what does not run as one native call."""


def _contiguous(array: np.ndarray) -> np.ndarray:
    return array if array.flags.c_contiguous else array.copy()


def _keep(kept: dict[Key, Value], key: Key, value: Value, most: int) -> None:
    """Add what is kept by key, and drop the oldest where there are more than ``most``."""
    kept[key] = value
    while len(kept) > most:
        del kept[next(iter(kept))]
