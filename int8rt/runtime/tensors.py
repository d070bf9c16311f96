"""The tensors of one subgraph as callers of the Interpreter set, get and resize them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from int8rt.arguments import as_index
from int8rt.errors import CallError, CallTypeError, ModelError, PrepareError, UnsupportedError
from int8rt.graph import Subgraph, Tensor
from int8rt.numerics.rules import numerics
from int8rt.plan.sharing import Sharing
from int8rt.runtime.details import Details, constant, label, tensor_details
from int8rt.runtime.session import Session
from int8rt.runtime.state import Resources


class Options(NamedTuple):
    """What the Interpreter was asked for."""

    threads: int
    preserve: bool  # every tensor can be read after a run
    compress: bool  # equal zero points are reported once


class SubgraphTensors:
    """One subgraph at work: the shapes asked for, the session for them, and arrays in the model's own types.

    ``_arrays`` holds by tensor index what callers write and read: every input and output, and what they have a view of.
    """

    def __init__(self, graph: Subgraph, options: Options, resources: Resources) -> None:
        self.file = graph
        self._resources = resources
        self._graph = graph  # with the shapes that are known
        self._options = options
        self._shapes = {t.index: t.shape for t in graph.inputs if t.data is None}
        self._session: Session | None = None
        self._is_ready = False
        self._arrays: dict[int, np.ndarray] = {}
        self._inputs: dict[int, np.ndarray] = {}  # of ``_arrays``, while ready: what ``set`` writes without more ado
        self._outputs: list[int] = []
        self._viewed: set[int] = set()  # whose arrays callers may hold, so that they stay
        self._is_plain = False  # whether a run reads inputs and writes outputs, and that is all

    # Shapes

    def resize(self, index: int, shape: tuple[int, ...], strict: bool = False) -> None:
        """Ask for a shape of an input; another one than before leaves nothing allocated."""
        t = self._tensor(index)
        if t.index not in self._shapes:
            raise CallError(f"{label(t)} is not an input, expected one of {sorted(self._shapes)}")
        current = self._shapes[t.index]
        if shape == current:
            return
        if strict and not _differ_only_where_open(shape, current, t.shape_signature):
            raise CallError(
                f"{label(t)} has shape {current}, found {shape}: with strict=True only sizes that are -1 in its "
                f"shape signature {t.shape_signature or current} can change"
            )
        self._shapes[t.index] = shape
        self._is_ready = False
        self._inputs = {}

    def allocate(self) -> None:
        """Get a session ready for the shapes asked for."""
        if self._is_ready:
            return
        for t in (*self.file.inputs, *self.file.outputs):
            if t.dtype == object:
                raise UnsupportedError(f"{label(t)} is {t.type_name}, expected numbers")
        rules, (threads, preserve, _) = numerics("reference"), self._options
        try:
            if self._session is None:
                self._session = Session(self.file, rules, preserve, Sharing(threads), self._resources)
            self._session.prepare([self._shapes.get(t.index, t.shape) for t in self.file.inputs])
        except ModelError as error:
            raise PrepareError(f"cannot prepare inputs of shapes {list(self._shapes.values())}: {error}") from error
        self._session.reset_variables()
        self._is_ready = True
        self._graph = self._session.graph
        ports = {t.index: t for t in (*self._graph.inputs, *self._graph.outputs)}
        self._arrays = {index: self._kept(t) for index, t in ports.items()}
        self._viewed &= set(self._arrays)
        inputs, outputs = ([t.index for t in ts] for ts in (self._graph.inputs, self._graph.outputs))
        self._is_plain = len({*inputs, *outputs}) == len(inputs) + len(outputs) and not any(
            t.is_variable or t.is_constant for t in (*self._graph.inputs, *self._graph.outputs)
        )
        self._inputs = {index: self._arrays[index] for index in inputs} if self._is_plain else {}
        self._outputs = outputs

    def _kept(self, t: Tensor) -> np.ndarray:
        """The array of an input or output: the one that it has where the shape is the same, else zeros."""
        if t.data is not None:
            return np.array(t.data)
        array = self._arrays.get(t.index)
        return array if array is not None and array.shape == t.shape else np.zeros(t.shape, t.dtype)

    # Values

    def set(self, index: int, value: np.ndarray) -> None:
        """Copy a value into an input, output or variable."""
        array = self._inputs.get(index) if type(index) is int else None
        if array is not None and array.dtype == value.dtype and array.shape == value.shape:
            array[...] = value
            return
        t = self._tensor(index)
        if t.is_constant:
            raise CallError(f"{label(t)} is constant, expected an input or a variable")
        self._ready(t)
        if not (t.is_variable or t in (*self._graph.inputs, *self._graph.outputs)):
            raise CallError(f"{label(t)} is computed by the model, expected an input or a variable")
        if value.dtype.newbyteorder("=") != t.dtype:
            raise CallError(f"cannot set {label(t)}: found {value.dtype.name}, expected {t.dtype.name}")
        if value.shape != t.shape:
            raise CallError(
                f"cannot set {label(t)}: found shape {value.shape}, expected {t.shape}; "
                "resize_tensor_input() and allocate_tensors() change it"
            )
        self.view(index)[...] = value

    def get(self, index: int) -> np.ndarray:
        """A copy of a tensor's value."""
        array = self._arrays.get(index) if self._is_ready and type(index) is int else None
        if array is not None:
            return array.copy()
        t = self._tensor(index)
        if t.is_constant:
            return np.array(constant(t))
        session = self._ready(t)
        return self._arrays[t.index].copy() if t.index in self._arrays else self._computed(t, session)

    def view(self, index: int) -> np.ndarray:
        """An array that stays connected to the tensor."""
        t = self._tensor(index)
        if t.is_constant:
            return constant(t)
        session = self._ready(t)
        self._viewed.add(t.index)
        if t.index not in self._arrays:
            self._arrays[t.index] = self._computed(t, session)
            self._is_plain = False  # a run has to refresh it
        return self._arrays[t.index].view()

    def _computed(self, t: Tensor, session: Session) -> np.ndarray:
        """A copy of what memory holds for a tensor, where that is its value."""
        if not (t.is_variable or self._options.preserve):
            raise CallError(
                f"{label(t)} is neither input nor output, and others use its memory after it; "
                "to read it pass experimental_preserve_all_tensors=True to the Interpreter"
            )
        value = session.read_tensor(t.index)
        if value is None:
            raise CallError(f"{label(t)} has no value: no operator reads or writes it")
        return value

    # Running

    def invoke(self) -> None:
        """Run once: from the arrays into the session's memory and back."""
        session = self._session
        if session is None or not self._is_ready:
            raise CallError("invoke() on an interpreter that is not ready, expected allocate_tensors() before it")
        if self._is_plain and self._invoke_directly(session):
            return
        for t in self._variables():
            session.write_variable(t.index, self._arrays[t.index])
        results = session.run([self._arrays[t.index] for t in self.file.inputs])
        self._graph = session.graph
        for t, result in zip(self.file.outputs, results, strict=True):
            self._store(t.index, result)
        ports = {t.index for t in (*self.file.inputs, *self.file.outputs)}
        for index in self._arrays:
            if index not in ports or self.file.tensors[index].is_variable:
                value = session.read_tensor(index)
                assert value is not None
                self._store(index, value)

    def _invoke_directly(self, session: Session) -> bool:
        """Run once where ``Session.direct`` can, whose outputs are new arrays."""
        found = session.direct(*self._inputs.values())
        if found is None:
            return False
        for index, value in zip(self._outputs, found if isinstance(found, tuple) else (found,)):
            if index in self._viewed:
                self._store(index, value)
            else:
                self._arrays[index] = value
        return True

    def _store(self, index: int, value: np.ndarray) -> None:
        """Give a tensor's array another value; the array itself stays as long as the shape does."""
        if self._arrays[index].shape == value.shape:
            self._arrays[index][...] = value
        else:
            self._arrays[index] = value

    def reset(self) -> None:
        """Set every variable to zero."""
        if self._session is not None and self._is_ready:
            self._session.reset_variables()
            for t in self._variables():
                value = self._session.read_tensor(t.index)
                assert value is not None
                self._store(t.index, value)

    def _variables(self) -> list[Tensor]:
        """The variables that callers have a view of."""
        tensors = (self._graph.tensors[index] for index in self._arrays)
        return [t for t in tensors if t.is_variable]

    # Tensors

    def details(self, index: int) -> Details:
        """What LiteRT says about a tensor."""
        t = self._tensor(index)
        shape = self._shapes.get(t.index, t.shape)
        return tensor_details(t, self.file.tensors[t.index], shape, self._options.compress)

    def _tensor(self, index: int) -> Tensor:
        number = as_index(index, "the index of a tensor", CallTypeError)
        if not 0 <= number < len(self._graph.tensors):
            raise CallError(f"tensor {number} does not exist, expected 0 to {len(self._graph.tensors) - 1}")
        return self._graph.tensors[number]

    def _ready(self, t: Tensor) -> Session:
        if self._session is None or not self._is_ready:
            raise CallError(f"{label(t)} has no memory yet, expected allocate_tensors() before its use")
        return self._session


def _differ_only_where_open(shape: Sequence[int], current: Sequence[int], signature: Sequence[int]) -> bool:
    if not len(shape) == len(current) == len(signature):
        return False
    return all(new == old or open_ == -1 for new, old, open_ in zip(shape, current, signature))
