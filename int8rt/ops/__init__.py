"""One file per operator: CONV_2D of the file format is ``conv_2d.py``, and the file is its registration.

Each module says, in this order,

* ``operands``: its inputs and outputs, in one line; ``_declared`` explains it, and checks nodes by it before their
  shapes are asked for;
* ``shapes(node) -> list of shapes``: the shape of each output, from the shapes of the inputs, the options and
  constants; the shapes that the file declares are not believed. ``node.inputs`` have their true shapes in all that
  follows, and so have ``node.outputs`` in the other functions;
* ``reference(node, *arrays) -> array or tuple of arrays``: what the operator means, in NumPy with exact integers. It
  gets one array per input of the node (None where an optional one is left out), in the types of the model;
* ``prepare(node, numerics) -> Call | View | list of them``: all that can be decided before the first run; raises
  UnsupportedError where the node asks for what is not supported and ModelError where it contradicts itself;
* its kernels.

``Operator`` states this contract. It also has what an operator may declare of itself beyond that, each with a default:
whether it keeps state, runs other subgraphs, runs once, can be replaced by a subgraph. Whoever plans or runs a model
asks for these facts, never for an operator's name. Nodes with constant inputs only are folded by running their
reference once.

**Run-time shapes.** Where a shape depends on the value of an input, ``shapes`` returns None, or raises NotConstant,
unless that input's ``data`` is known. Such a node waits until the program has come there: then all its inputs have
``data``, and it runs by its reference. What follows is prepared for the shapes found.

**State.** A tensor that is a variable reaches ``reference`` as a writable array, to be updated in place, and kernels as
any other tensor, in ``writes`` where they change it. An operator that runs other subgraphs or reads and assigns
resources has ``control`` in place of a reference, and ``prepare`` only where it can be native.

A module whose name begins with an underscore holds what several operators share.

**Storage.** While a program runs, every 8-bit integer tensor is stored as uint8: an int8 value ``q`` as ``q + 128``. So
one kernel serves int8 and uint8, a byte is an index into a table, and the products that CPUs offer (unsigned times
signed) take activations as they are. ``stored`` gives zero point and limits in that form; other types are stored as
they are. The conversion happens where data enter and leave a program. Packed weights are plain arrays, in any form
their kernel likes.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from int8rt.arguments import shown
from int8rt.errors import InputError, UnsupportedError
from int8rt.graph import Node, Subgraph
from int8rt.numerics.rules import Numerics
from int8rt.numerics.storage import from_storage, to_storage
from int8rt.numerics.storage import stored as stored
from int8rt.ops._declared import Declaration, as_called, declaration
from int8rt.steps import Call as Call
from int8rt.steps import Flat as Flat
from int8rt.steps import PythonCall, Step
from int8rt.steps import View as View
from int8rt.steps import fault as fault


class NotConstant(UnsupportedError):
    """A node needs the value of an input before it can be prepared, and the input is computed at run time."""


class Name(NamedTuple):
    """What a resource is called; the same name is the same resource in all subgraphs of a model."""

    container: str
    shared_name: str


class Form(NamedTuple):
    """Shape and type of what a resource holds."""

    shape: tuple[int, ...]
    dtype: np.dtype


class Held(NamedTuple):
    """The resource that a node's first input is the handle of."""

    name: Name
    assigned: Form | None = None  # the form that the node gives it; None where it leaves it as it is


class Body(NamedTuple):
    """A subgraph that does what a node does, on those of the node's inputs that come from ``first`` on."""

    subgraph: Subgraph
    first: int = 0


class Runtime(Protocol):
    """What ``control`` can do with the model that the node belongs to; arrays are in the types of the model."""

    def call(self, subgraph: Subgraph, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Run another subgraph."""

    def call_once(self, subgraph: Subgraph) -> None:
        """Run another subgraph unless that was done before in this state."""

    def read(self, name: Name) -> np.ndarray:
        """The value of a resource. Raises InputError where it has none."""

    def assign(self, name: Name, value: np.ndarray) -> None:
        """Set the value, and with it shape and type, of a resource."""


class Control(Protocol):
    """The meaning of a node that runs other subgraphs, or reads and assigns resources."""

    def __call__(self, node: Node, runtime: Runtime, *arrays: Any) -> Sequence[np.ndarray]:
        """The arrays that the node writes, from one array per input; ``shapes`` has checked the node before."""


class Operator(Protocol):
    """What an operator says of itself; a module or an object with these names is one.

    ``shapes`` must be there, and ``reference`` or ``control``. What else is left out is as it is here.
    """

    operands: str = ""  # its inputs and outputs, in the words of ``_declared``
    keeps_state: bool = False  # whether a run depends on earlier ones, other than through variable tensors
    runs_once: bool = False  # whether all that it does is to run its first subgraph, once in a state
    by_value: bool = False  # whether y's elements are functions of those that broadcasting puts there, given one scale
    control: Control | None = None  # in place of ``reference``

    def shapes(self, node: Node) -> Sequence[Sequence[int]] | None:
        """The shape of each output; None, or NotConstant raised, where it depends on values that are not known."""
        raise AssertionError("every operator has it")

    def reference(self, node: Node, *arrays: Any) -> Any:
        """The output, or a tuple of several, from one array per input (None where an optional one is left out)."""
        raise AssertionError(f"{node.op} has control in its place")

    def prepare(self, node: Node, numerics: Numerics) -> Step | Sequence[Step]:
        """What runs. Raises UnsupportedError, ModelError, and NotConstant where the node has to wait.

        By default the reference, in NumPy, or ``control`` between two programs.
        """
        if self.control is not None:
            raise NotConstant(f"{node.label} runs by its control")
        return by_reference(node, self.reference)

    def constant(self, node: Node) -> Sequence[np.ndarray] | None:
        """The outputs, if they are known although inputs are not (SHAPE)."""
        return None

    def body(self, node: Node) -> Body | None:
        """The subgraph that may take the node's place, if it is known which (IF on a known condition)."""
        return None

    def resource(self, node: Node) -> Held | None:
        """The resource that the node uses, if it takes its memory as a tensor in place of its first input."""
        return None

    @functools.cached_property
    def declared(self) -> Declaration:
        """What ``operands`` says; where it says nothing, as many inputs as ``reference`` or ``control`` takes."""
        if self.operands:
            return declaration(self.operands)
        function, others = (self.reference, 1) if self.control is None else (self.control, 2)
        return as_called(function, others)


FACTS = tuple(name for name in vars(Operator) if not (name.startswith("_") or name == "declared"))


class _Declared(Operator):
    """What a module or an object says, and the defaults for what it leaves out."""

    def __init__(self, given: Any) -> None:
        vars(self).update({name: getattr(given, name) for name in FACTS if hasattr(given, name)})


CUSTOM = {"TFLite_Detection_PostProcess": "tflite_detection_postprocess"}  # {custom code: module}
_registered: dict[str, Operator] = {}


@functools.cache
def _files() -> dict[str, str]:
    """{operator in TFLite's name: module}; IF is if_.py, as Python has a word if."""
    names = {module: name for name, module in CUSTOM.items()}
    modules = [m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_")]
    return {names.get(module, module.rstrip("_").upper()): module for module in modules}


def supported() -> tuple[str, ...]:
    """The operators that have a file here or are registered, in TFLite's names."""
    return tuple(sorted({*_files(), *_registered}))


def has(node: Node) -> bool:
    """Whether there is an operator for the node; a custom one is not a builtin one of the same name."""
    return node.op in _registered or (node.op in _files() and (node.op in CUSTOM) == node.is_custom)


def find(op: str) -> Operator:
    """What an operator says of itself, or what is registered in its place. Raises UnsupportedError."""
    return _registered.get(op) or _builtin(op)


@functools.cache
def _builtin(op: str) -> Operator:
    if op not in _files():
        raise UnsupportedError(f"operator {op} is not supported; supported are {', '.join(supported())}")
    return _Declared(importlib.import_module(f"{__name__}.{_files()[op]}"))


def register(name: str, operator: Any) -> None:
    """Let every node whose custom code (or builtin operator) is ``name`` mean this, in models loaded from now on.

    ``operator`` is a module or an object with functions and facts as ``Operator`` has them: ``shapes`` and
    ``reference`` (or ``control``), and ``prepare`` unless the reference itself, in NumPy, is what shall run. It wins
    over an operator of int8rt. Raises InputError where a function is missing, or ``operands`` declares nothing.
    """
    needed = ("shapes",) if callable(getattr(operator, "control", None)) else ("shapes", "reference")
    missing = [f for f in needed if not callable(getattr(operator, f, None))]
    if not isinstance(name, str) or not name or missing:
        raise InputError(
            f"operator {shown(name)} needs a name and functions shapes and reference; {shown(operator)} lacks {missing}"
        )
    found = _Declared(operator)
    try:
        assert found.declared
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(f"operator {shown(name)}: {error}") from error
    _registered[name] = found


def by_reference(node: Node, reference: Callable[..., Any]) -> PythonCall:
    """The step that runs a node by its reference, in Python: for what is rare and would need long kernels."""
    given = [t for t in node.inputs if t is not None]
    variables = [t for t in given if t.is_variable]

    def run(*arrays: np.ndarray) -> None:
        """Arrays in storage form: one for each input that is given, then one for each output, which is written."""
        values = iter(arrays)
        inputs = [None if t is None else from_storage(next(values), t.dtype) for t in node.inputs]
        results = reference(node, *inputs)
        for result, t in zip(results if isinstance(results, tuple) else (results,), node.outputs, strict=True):
            next(values)[...] = to_storage(np.asarray(result, t.dtype)).reshape(t.shape)
        held = dict(zip(given, arrays, strict=False))
        for state, value in zip(node.inputs, inputs, strict=True):
            if state is not None and state.is_variable and value is not None:
                held[state][...] = to_storage(value)

    run.__name__ = node.op.lower()
    return PythonCall(run, *given, *node.outputs, writes=[*node.outputs, *variables])


def refuse(node: Node, why: str) -> UnsupportedError:
    """The error that says why a node cannot be run, to be raised by prepare()."""
    types = ", ".join("-" if t is None else t.type for t in node.inputs)
    return UnsupportedError(f"{node.label} version {node.version} on ({types}): {why}")
