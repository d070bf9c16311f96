"""One file per operator: CONV_2D of the file format is ``conv_2d.py``, and the file is its registration.

Each module says, in this order,

* ``shapes(node) -> list of shapes``: the shape of each output, from the shapes of the inputs, the options and
  constants; the shapes that the file declares are not believed. ``node.inputs`` have their true shapes in all that
  follows, and so have ``node.outputs`` in the other functions;
* ``reference(node, *arrays) -> array or tuple of arrays``: what the operator means, in NumPy with exact integers. It
  gets one array per input of the node (None where an optional one is left out), in the types of the model;
* ``prepare(node, numerics) -> Call | View | list of them``: all that can be decided before the first run; raises
  UnsupportedError where the node asks for what is not supported and ModelError where it contradicts itself;
* its kernels.

An operator whose result is known although its inputs are not (SHAPE) has ``constant(node) -> list of arrays`` too.
Nodes with constant inputs only are folded by running their reference once.

**Run-time shapes.** Where a shape depends on the value of an input, ``shapes`` returns None, or raises NotConstant,
unless that input's ``data`` is known. Such a node waits until the program has come there: then all its inputs have
``data``, and it runs by its reference. What follows is prepared for the shapes found.

**State.** A tensor that is a variable reaches ``reference`` as a writable array, to be updated in place, and kernels as
any other tensor, in ``writes`` where they change it. An operator that runs other subgraphs or reads and assigns
resources has ``control(node, runtime, *arrays)`` in place of a reference, and ``prepare`` only where it can be native.

A module whose name begins with an underscore holds what several operators share.

**Storage.** While a program runs, every 8-bit integer tensor is stored as uint8: an int8 value ``q`` as ``q + 128``. So
one kernel serves int8 and uint8, a byte is an index into a table, and the products that CPUs offer (unsigned times
signed) take activations as they are. ``stored`` gives zero point and limits in that form; other types are stored as
they are. The conversion happens where data enter and leave a program. Packed weights are plain arrays, in any form
their kernel likes.
"""

from __future__ import annotations

import builtins  # since ops.sum, once imported, is a name in here
import functools
import importlib
import math
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, NamedTuple, Protocol

import numpy as np

from int8rt.errors import InputError, UnsupportedError
from int8rt.fixedpoint import activation_range
from int8rt.graph import Node, Subgraph, Tensor
from int8rt.jit import Kernel, address

INT8_OFFSET = 128
CACHE_LINE = 64


class NotConstant(UnsupportedError):
    """A node needs the value of an input before it can be prepared, and the input is computed at run time."""


class Flat(NamedTuple):
    """A tensor argument that reaches the kernel as a one-dimensional array of ``dtype``, whatever its shape and type.

    So one compiled kernel serves every rank. The tensor's stored bytes must be a multiple of the type's.
    """

    tensor: Tensor
    dtype: np.dtype


class Call:
    """A kernel and its arguments, in which a Tensor stands for the memory that it will get.

    A Tensor argument reaches the kernel as a C-contiguous array of the tensor's shape in storage form, an array as it
    is, a number as int64 or float64; Flat passes a tensor in one dimension. Tensors that are in ``writes`` are written,
    all others only read; tensors that no node mentions are scratch. ``in_place`` names an input whose memory the
    (first) written tensor may take over.
    """

    def __init__(
        self, kernel: Kernel, *args: Any, writes: Sequence[Tensor], in_place: Tensor | None = None, work: int = 0
    ) -> None:
        self.args = tuple(aligned(a) if isinstance(a, np.ndarray) else a for a in args)
        self.kernel, self.writes, self.in_place = kernel, tuple(writes), in_place
        self.work = work or builtins.sum(t.size for t in tensors(self))  # operations, roughly

    @property
    def name(self) -> str:
        """The kernel's name."""
        return self.kernel.name.split(":")[-1]

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(_brief(a) for a in self.args)})"

    def for_threads(self, threads: int) -> Call:
        """The same with its PerThread scratch as large as that many threads need."""
        if threads != 1:
            own = [t for t in tensors(self) if isinstance(t, PerThread)]
            sized: dict[Any, Any] = {t: replace(t, shape=(threads, *t.shape[1:])) for t in own}
            self.args = tuple(
                a._replace(tensor=sized.get(a.tensor, a.tensor))
                if isinstance(a, Flat)
                else (sized.get(a, a) if isinstance(a, Tensor) else a)
                for a in self.args
            )
            self.writes = tuple(sized.get(t, t) for t in self.writes)
        return self


def aligned(array: np.ndarray) -> np.ndarray:
    """The array, or a C-contiguous copy, that begins at a multiple of a cache line: no vector load spans two lines."""
    if array.flags.c_contiguous and address(array) % CACHE_LINE == 0:
        return array
    copy = aligned_empty(array.shape, array.dtype)
    copy[...] = array
    return copy


def aligned_empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array of no particular values that begins at a multiple of a cache line."""
    dtype = np.dtype(dtype)
    nbytes = math.prod(shape) * dtype.itemsize
    raw = np.empty(nbytes + CACHE_LINE, np.uint8)
    start = -address(raw) % CACHE_LINE
    return raw[start : start + nbytes].view(dtype).reshape(shape)


def _brief(arg: Any) -> str:
    if isinstance(arg, (Tensor, Flat)):
        return repr(arg.name if isinstance(arg, Tensor) else arg.tensor.name)
    return f"{arg.dtype}{list(arg.shape)}" if isinstance(arg, np.ndarray) else str(arg)


class PerThread(Tensor):
    """Scratch of which every thread needs its own: [threads, ...], with one thread until the program is built."""


class PythonCall(Call):
    """A Python function between native stretches; its arguments are those of a Call."""

    def __init__(self, function: Callable[..., None], *args: Any, writes: Sequence[Tensor]) -> None:
        self.function = function
        self.args, self.writes, self.in_place, self.work = args, tuple(writes), None, 0

    @property
    def name(self) -> str:
        """The function's name."""
        return self.function.__name__


class View(NamedTuple):
    """A run of y's bytes is a run of x's: all of y, or all of x. Nothing is run where they can share memory.

    By default y is x under another shape.
    """

    y: Tensor
    x: Tensor
    start: int = 0  # of the run in x, in bytes
    at: int = 0  # of the run in y


Step = Call | View


def tensors(step: Step) -> list[Tensor]:
    """Which tensors a step mentions."""
    if isinstance(step, View):
        return [step.x, step.y]
    return [a.tensor if isinstance(a, Flat) else a for a in step.args if isinstance(a, (Tensor, Flat))]


class Name(NamedTuple):
    """What a resource is called; the same name is the same resource in all subgraphs of a model."""

    container: str
    shared_name: str


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


class Stored(NamedTuple):
    """A tensor's integers as a running program holds them."""

    dtype: np.dtype
    zero_point: int
    lo: int
    hi: int


def storage_dtype(dtype: np.dtype) -> np.dtype:
    """The type that holds values of this type while a program runs."""
    return np.dtype(np.uint8) if dtype in (np.int8, np.bool_) else dtype


def stored(t: Tensor, activation: int = 0) -> Stored:
    """Zero point and clamp limits (of the type and a fused activation) of a quantized tensor, in storage form."""
    offset = INT8_OFFSET if t.dtype == np.int8 else 0
    lo, hi = activation_range(t, activation)
    return Stored(storage_dtype(t.dtype), t.zero_point + offset, lo + offset, hi + offset)


def storage_nbytes(t: Tensor) -> int:
    """How many bytes a tensor takes while a program runs."""
    return t.size * storage_dtype(t.dtype).itemsize


def stored_zero(t: Tensor) -> int:
    """The stored form of a tensor's zero."""
    return t.zero_point + (INT8_OFFSET if t.dtype == np.int8 else 0)


def to_storage(array: np.ndarray) -> np.ndarray:
    """A copy of the array in storage form."""
    if array.dtype == np.int8:
        return np.ascontiguousarray(array).view(np.uint8) ^ np.uint8(0x80)
    return np.array(array, storage_dtype(array.dtype), order="C")


def from_storage(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """A copy of the stored array in the tensor's own type."""
    if dtype == np.int8:
        return np.bitwise_xor(array, np.uint8(0x80)).view(np.int8)
    return np.asarray(array.astype(dtype))


def scratch(name: str, shape: tuple[int, ...], dtype: Any) -> Tensor:
    """A tensor for a kernel's own use; int8 is not for scratch, since it would be stored as uint8."""
    return Tensor(name, shape, np.dtype(dtype))


def scratch_per_thread(name: str, size: int, dtype: Any) -> PerThread:
    """Scratch that a kernel gets as [threads, size] and of which it uses row number ``thread``."""
    return PerThread(name, (1, size), np.dtype(dtype))


@dataclass(frozen=True, eq=False, repr=False)
class Fault(Tensor):
    """Where a kernel says that a run-time value is out of range: [flag, value]; the run then raises InputError.

    ``message`` has ``{}`` in the value's place. A kernel reports with ``_index.report`` and goes on without the value.
    """

    message: str = ""


def fault(message: str) -> Fault:
    """A place for one kind of fault; it is passed to the kernel and named among what the Call writes."""
    return Fault("fault", (2,), np.dtype(np.int64), message=message)


# Which operators there are

CUSTOM = {"TFLite_Detection_PostProcess": "tflite_detection_postprocess"}  # {custom code: module}

_registered: dict[str, Any] = {}


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


def find(op: str) -> Any:
    """The module of an operator, or what is registered in its place. Raises UnsupportedError."""
    if op in _registered:
        return _registered[op]
    if op not in _files():
        raise UnsupportedError(f"operator {op} is not supported; supported are {', '.join(supported())}")
    return importlib.import_module(f"{__name__}.{_files()[op]}")


def register(name: str, operator: Any) -> None:
    """Let every node whose custom code (or builtin operator) is ``name`` mean this, in models loaded from now on.

    ``operator`` is a module or an object with the functions that this package's docstring lists: ``shapes`` and
    ``reference``, and ``prepare`` unless the reference itself, in NumPy, is what shall run. It wins over an operator
    of int8rt. Raises InputError where a function is missing.
    """
    missing = [f for f in ("shapes", "reference") if not callable(getattr(operator, f, None))]
    if not name or missing:
        raise InputError(
            f"operator {name!r} needs a name and functions shapes and reference; {operator!r} lacks {missing}"
        )
    if not hasattr(operator, "prepare"):
        shapes, reference = operator.shapes, operator.reference
        operator = SimpleNamespace(
            shapes=shapes, reference=reference, prepare=lambda node, numerics: by_reference(node, reference)
        )
    _registered[name] = operator


def as_steps(prepared: Step | Sequence[Step]) -> list[Step]:
    """What prepare() gave, as a list."""
    return [prepared] if isinstance(prepared, (Call, View)) else list(prepared)


def by_reference(node: Node, reference: Callable[..., Any]) -> PythonCall:
    """The step that runs a node by its reference, in Python: for what is rare and would need long kernels."""
    given = [t for t in node.inputs if t is not None]
    variables = [t for t in given if t.is_variable]

    def run(*arrays: np.ndarray) -> None:
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
