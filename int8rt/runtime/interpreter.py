"""A drop-in for ``ai_edge_litert.interpreter.Interpreter`` and ``tf.lite.Interpreter``: a script changes one import.

    from int8rt import Interpreter

Methods, arguments and dictionaries are those of LiteRT 2.3.0. What differs, on purpose:

* Every resolver type computes what ``BUILTIN_REF`` computes, at full speed; there are no delegates.
* ``tensor(i)()`` is an array that copies the tensor: what is written into an input's is read by ``invoke``, and
  ``invoke`` refreshes the others. So it may be kept while the interpreter runs, which LiteRT forbids.
* Tensors between input and output share memory, so reading one takes ``experimental_preserve_all_tensors=True``,
  which changes no result; without it LiteRT gives whatever is in that memory.
* The runtime's own scratch tensors are not listed after the file's.
* Errors are of int8rt's types, which are of the types too that LiteRT raises (CallError, PrepareError).
"""

from __future__ import annotations

import enum
import operator
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any, NamedTuple, NoReturn

import numpy as np

from int8rt.errors import InputError, ModelError, UnsupportedError
from int8rt.format import reader
from int8rt.graph import Graph, Node, Signature, Subgraph, Tensor
from int8rt.numerics.rules import numerics
from int8rt.plan.sharing import Sharing
from int8rt.runtime.session import Session
from int8rt.runtime.state import Resources

Details = dict[str, Any]

# Types of the file format under another name than NumPy's, as LiteRT reports them; it leaves out all others.
_REPORTED_TYPES: Mapping[str, type] = {
    "INT4": np.int8,
    "INT2": np.int8,
    "UINT4": np.uint8,
    "STRING": np.bytes_,
    "RESOURCE": np.object_,
    "VARIANT": np.object_,
}


class CallError(InputError, RuntimeError):
    """A call that does not fit the model or the interpreter's state.

    An InputError, so a ValueError, and a RuntimeError too: LiteRT raises the one or the other.
    """


class PrepareError(ModelError, RuntimeError):
    """The model contradicts itself, for the input shapes asked for; a RuntimeError, as LiteRT raises."""


@enum.unique
class OpResolverType(enum.Enum):
    """LiteRT's choices of kernels. All run the same here, with the numbers of BUILTIN_REF."""

    AUTO = 0
    BUILTIN = 1
    BUILTIN_REF = 2
    BUILTIN_WITHOUT_DEFAULT_DELEGATES = 3


def load_delegate(library: Any, options: Any = None) -> NoReturn:
    """Raise CallError: there are no delegates. Scripts expect the ValueError that LiteRT raises where loading fails."""
    raise CallError(f"cannot load delegate {library!r}: int8rt runs models itself and has no delegates")


class _Options(NamedTuple):
    threads: int
    preserve: bool  # every tensor can be read after a run
    compress: bool  # equal zero points are reported once


class Interpreter:
    """Runs one model. Calls from several threads wait for one another.

    Args:
        model_path: where the file is.
        model_content: the file's bytes, instead of a path.
        experimental_delegates: must be empty; raises UnsupportedError otherwise.
        num_threads: how many threads share the work, at most one per CPU; 1 if not given. Results do not depend on it.
        experimental_op_resolver_type: an OpResolverType, LiteRT's or ours; has no effect.
        experimental_preserve_all_tensors: whether every tensor can be read after ``invoke``.
        experimental_compress_quantization_zero_points: whether details give zero points that are all equal only once.

    The other arguments are about delegates and have no effect.

    Raises CallError where arguments are wrong or the file cannot be opened, ModelError where it is malformed.
    """

    def __init__(
        self,
        model_path: str | bytes | os.PathLike[Any] | None = None,
        model_content: bytes | bytearray | memoryview | None = None,
        experimental_delegates: Sequence[Any] | None = None,
        num_threads: int | None = None,
        experimental_op_resolver_type: enum.Enum = OpResolverType.AUTO,
        experimental_preserve_all_tensors: bool = False,
        experimental_disable_delegate_clustering: bool = False,
        experimental_default_delegate_latest_features: bool = False,
        experimental_compress_quantization_zero_points: bool = False,
        experimental_disable_delegate_node_fusion: bool = False,
        experimental_force_delegate_node_profiling: bool = False,
    ) -> None:
        if experimental_delegates:
            raise UnsupportedError(
                f"{len(experimental_delegates)} delegates given; int8rt has none, expected no delegates"
            )
        _check_resolver(experimental_op_resolver_type)
        compress = bool(experimental_compress_quantization_zero_points)
        options = _Options(_threads(num_threads), bool(experimental_preserve_all_tensors), compress)
        graph = _read(model_path, model_content)
        self._lock = threading.RLock()
        self._main = graph.main
        self._compress = compress
        self._signatures = {signature.key: signature for signature in graph.signatures}
        resources = Resources()
        self._states = [_State(subgraph, options, resources) for subgraph in graph.subgraphs]

    # Running

    def allocate_tensors(self) -> None:
        """Get ready for the input shapes asked for; does nothing where it is ready.

        Raises PrepareError where operators contradict these shapes, UnsupportedError where any cannot be run.
        """
        with self._lock:
            self._states[0].allocate()

    def invoke(self) -> None:
        """Run once on what the inputs hold. Raises CallError before ``allocate_tensors``."""
        with self._lock:
            self._states[0].invoke()

    def resize_tensor_input(self, input_index: int, tensor_size: Sequence[int], strict: bool = False) -> None:
        """Ask for another shape of an input, to be followed by ``allocate_tensors``.

        With strict, only sizes that are -1 in its shape signature may change. Raises CallError.
        """
        with self._lock:
            self._states[0].resize(input_index, _shape(tensor_size), strict)

    def reset_all_variables(self) -> None:
        """Set every variable tensor to zero, the state before the first run.

        Resources (VAR_HANDLE) keep their values, as in LiteRT.
        """
        with self._lock:
            for state in self._states:
                state.reset()

    # Values

    def set_tensor(self, tensor_index: int, value: Any) -> None:
        """Copy an array of the tensor's type and shape into an input (or a variable). Raises CallError."""
        with self._lock:
            self._states[0].set(tensor_index, np.asarray(value))

    def get_tensor(self, tensor_index: int, subgraph_index: int = 0) -> np.ndarray:
        """Return a copy of an input, output, variable or constant; of others with experimental_preserve_all_tensors.

        Raises CallError.
        """
        with self._lock:
            return self._state(subgraph_index).get(tensor_index)

    def tensor(self, tensor_index: int) -> Callable[[], np.ndarray]:
        """Return a function that gives an array to read or write a tensor through; which tensors: see ``get_tensor``.

        The array stays connected to the interpreter until ``allocate_tensors`` changes the tensor's shape; that of a
        constant is read-only. The function raises CallError.
        """

        def view() -> np.ndarray:
            with self._lock:
                return self._states[0].view(tensor_index)

        return view

    # Details

    def get_input_details(self) -> list[Details]:
        """Return a dictionary for each input, in the model's order.

        Its keys: name, index, shape (int32 array), shape_signature (-1 for sizes that vary), dtype (a NumPy type),
        quantization (scale and zero point of a per-tensor quantized tensor, else 0.0 and 0), quantization_parameters
        (scales, zero_points, quantized_dimension, block_size) and sparsity_parameters (empty for a dense tensor).
        """
        return [self._get_tensor_details(t.index, 0) for t in self._main.inputs]

    def get_output_details(self) -> list[Details]:
        """Return a dictionary for each output, with the keys of ``get_input_details``."""
        return [self._get_tensor_details(t.index, 0) for t in self._main.outputs]

    def get_tensor_details(self, subgraph_index: int = 0) -> list[Details]:
        """Return a dictionary for each tensor of a subgraph, with the keys of ``get_input_details``.

        Tensors of types that NumPy does not have are left out.
        """
        with self._lock:
            state = self._state(subgraph_index)
            return [state.details(t.index) for t in state.file.tensors if _reported_type(t) is not None]

    def num_subgraphs(self) -> int:
        """Return how many subgraphs the model has."""
        return len(self._states)

    @property
    def experimental_compress_quantization_zero_points(self) -> bool:
        """The constructor's argument of that name."""
        return self._compress

    def _get_tensor_details(self, tensor_index: int, subgraph_index: int) -> Details:
        with self._lock:
            return self._state(subgraph_index).details(tensor_index)

    def _get_ops_details(self) -> list[Details]:
        """Return a dictionary for each node: index, op_name, and the indices and types of inputs and outputs."""
        return [self._get_op_details(node) for node in range(len(self._main.nodes))]

    def _get_op_details(self, op_index: int) -> Details:
        node: Node = self._main.nodes[op_index]
        return {
            "index": int(op_index),
            "op_name": node.op,
            "inputs": np.array([-1 if t is None else t.index for t in node.inputs], np.int32),
            "outputs": np.array([t.index for t in node.outputs], np.int32),
            "operand_types": [_type_of(t) for t in node.inputs if t is not None],
            "result_types": [_type_of(t) for t in node.outputs],
        }

    # Signatures

    def get_signature_list(self) -> dict[str, dict[str, list[str]]]:
        """Return ``{key: {"inputs": names, "outputs": names}}``, names in alphabetical order as LiteRT has them."""
        return {
            key: {"inputs": sorted(signature.inputs), "outputs": sorted(signature.outputs)}
            for key, signature in self._signatures.items()
        }

    def _get_full_signature_list(self) -> dict[str, dict[str, dict[str, int]]]:
        return {
            key: {"inputs": _indices(signature.inputs), "outputs": _indices(signature.outputs)}
            for key, signature in self._signatures.items()
        }

    def get_signature_runner(self, signature_key: str | None = None) -> SignatureRunner:
        """Return a function that runs a signature; the key may be None where there is only one. Raises CallError."""
        if signature_key is None:
            if len(self._signatures) != 1:
                raise CallError(
                    f"signature_key is None, which is for models with 1 signature; this one has {len(self._signatures)}"
                )
            signature_key = next(iter(self._signatures))
        return SignatureRunner(self, signature_key)

    def _state(self, subgraph_index: int) -> _State:
        index = operator.index(subgraph_index)
        if not 0 <= index < len(self._states):
            raise CallError(f"subgraph_index is {index}, but the model has {len(self._states)} subgraphs")
        return self._states[index]


class SignatureRunner:
    """Runs one signature of a model: ``runner(x=array)`` returns ``{output name: array}``.

    It shares the tensors of its interpreter, whose ``get_signature_runner`` makes it.
    """

    def __init__(self, interpreter: Interpreter, signature_key: str) -> None:
        if signature_key not in interpreter._signatures:
            known = ", ".join(map(repr, interpreter._signatures)) or "none"
            raise CallError(f"Invalid signature_key provided: {signature_key!r}; the model has {known}")
        self._interpreter = interpreter
        self._signature: Signature = interpreter._signatures[signature_key]

    def __call__(self, **inputs: Any) -> dict[str, np.ndarray]:
        """Run on arrays by the signature's names, whose shapes the model's inputs take. Raises CallError."""
        wanted = self._signature.inputs
        if set(inputs) != set(wanted):
            raise CallError(f"inputs are named {sorted(inputs)}, expected {sorted(wanted)}")
        arrays = {wanted[name].index: np.asarray(value) for name, value in inputs.items()}
        with self._interpreter._lock:
            state = self._interpreter._states[self._signature.subgraph]
            for index, array in arrays.items():
                state.resize(index, array.shape)
            state.allocate()
            for index, array in arrays.items():
                state.set(index, array)
            state.invoke()
            return {name: state.get(index) for name, index in _indices(self._signature.outputs).items()}

    def get_input_details(self) -> dict[str, Details]:
        """Return ``{name: details}`` of the inputs, as ``Interpreter.get_input_details`` gives them."""
        return self._details(self._signature.inputs)

    def get_output_details(self) -> dict[str, Details]:
        """Return ``{name: details}`` of the outputs."""
        return self._details(self._signature.outputs)

    def _details(self, tensors: Mapping[str, Tensor]) -> dict[str, Details]:
        subgraph = self._signature.subgraph
        return {name: self._interpreter._get_tensor_details(i, subgraph) for name, i in _indices(tensors).items()}


class _State:
    """One subgraph at work: the shapes asked for, the session for them, and arrays in the model's own types.

    ``_arrays`` holds by tensor index what callers write and read: every input and output, and what they have a view of.
    """

    def __init__(self, graph: Subgraph, options: _Options, resources: Resources) -> None:
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
            raise CallError(f"{_label(t)} is not an input, expected one of {sorted(self._shapes)}")
        current = self._shapes[t.index]
        if shape == current:
            return
        if strict and not _differ_only_where_open(shape, current, t.shape_signature):
            raise CallError(
                f"{_label(t)} has shape {current}, found {shape}: with strict=True only sizes that are -1 in its "
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
                raise UnsupportedError(f"{_label(t)} is {t.type_name}, expected numbers")
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
            raise CallError(f"{_label(t)} is constant, expected an input or a variable")
        self._ready(t)
        if not (t.is_variable or t in (*self._graph.inputs, *self._graph.outputs)):
            raise CallError(f"{_label(t)} is computed by the model, expected an input or a variable")
        if value.dtype.newbyteorder("=") != t.dtype:
            raise CallError(f"cannot set {_label(t)}: found {value.dtype.name}, expected {t.dtype.name}")
        if value.shape != t.shape:
            raise CallError(
                f"cannot set {_label(t)}: found shape {value.shape}, expected {t.shape}; "
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
            return np.array(_constant(t))
        session = self._ready(t)
        return self._arrays[t.index].copy() if t.index in self._arrays else self._computed(t, session)

    def view(self, index: int) -> np.ndarray:
        """An array that stays connected to the tensor."""
        t = self._tensor(index)
        if t.is_constant:
            return _constant(t)
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
                f"{_label(t)} is neither input nor output, and others use its memory after it; "
                "to read it pass experimental_preserve_all_tensors=True to the Interpreter"
            )
        value = session.read_tensor(t.index)
        if value is None:
            raise CallError(f"{_label(t)} has no value: no operator reads or writes it")
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
        # LiteRT keeps no signature of constants, and gives the shape where there is none.
        stored = self.file.tensors[t.index].data
        signature = t.shape_signature if stored is None or stored.size == 0 else ()
        q = t.quantization
        per_tensor = q is not None and len(q.scale) == 1 and not q.block_size
        return {
            "name": t.name,
            "index": t.index,
            "shape": np.array(shape, np.int32),
            "shape_signature": np.array(signature or shape, np.int32),
            "dtype": _type_of(t),
            "quantization": (float(t.scale), t.zero_point) if per_tensor else (0.0, 0),
            "quantization_parameters": _quantization_parameters(t, self._options.compress),
            "sparsity_parameters": _sparsity_parameters(t),
        }

    def _tensor(self, index: int) -> Tensor:
        number = operator.index(index)
        if not 0 <= number < len(self._graph.tensors):
            raise CallError(f"tensor {number} does not exist, expected 0 to {len(self._graph.tensors) - 1}")
        return self._graph.tensors[number]

    def _ready(self, t: Tensor) -> Session:
        if self._session is None or not self._is_ready:
            raise CallError(f"{_label(t)} has no memory yet, expected allocate_tensors() before its use")
        return self._session


# Arguments


def _read(path: str | bytes | os.PathLike[Any] | None, content: bytes | bytearray | memoryview | None) -> Graph:
    if path and content:
        raise CallError("model_path and model_content are given, expected only one of them")
    if content:
        return reader.read(content)
    if not path:
        raise CallError("neither model_path nor model_content is given, expected one of them")
    try:
        return reader.read(os.fsdecode(path))
    except OSError as error:
        raise CallError(f"could not open {os.fsdecode(path)!r}: {error.strerror or error}") from error


def _check_resolver(resolver: Any) -> None:
    """Refuse what is not an OpResolverType; LiteRT's own enumeration is as good as ours."""
    if not (isinstance(resolver, enum.Enum) and resolver.name in OpResolverType.__members__):
        raise CallError(f"experimental_op_resolver_type is {resolver!r}, expected an OpResolverType")


def _threads(number: int | None) -> int:
    if number is None:
        return 1
    if not isinstance(number, int) or number < 1:
        raise CallError(f"num_threads is {number!r}, expected an int of at least 1")
    return min(number, os.cpu_count() or 1)  # more would only wait for one another


def _shape(sizes: Any) -> tuple[int, ...]:
    array = np.asarray(sizes)
    numbers = array.tolist() if array.ndim == 1 else [None]
    if not all(isinstance(n, (int, float)) and float(n).is_integer() and n >= 0 for n in numbers):
        raise CallError(f"shape is {sizes!r}, expected a list of sizes of at least 0")
    shape = tuple(map(int, numbers))
    if len(shape) > reader.MAX_RANK or prod(shape) > reader.MAX_ELEMENTS:
        raise CallError(f"shape is {shape}, expected at most {reader.MAX_RANK} axes and {reader.MAX_ELEMENTS} elements")
    return shape


def _differ_only_where_open(shape: Sequence[int], current: Sequence[int], signature: Sequence[int]) -> bool:
    if not len(shape) == len(current) == len(signature):
        return False
    return all(new == old or open_ == -1 for new, old, open_ in zip(shape, current, signature))


# What is said about tensors


def _label(t: Tensor) -> str:
    return f"tensor {t.index} {t.name!r}"


def _indices(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    return {name: tensors[name].index for name in sorted(tensors)}


def _constant(t: Tensor) -> np.ndarray:
    """A constant's values, read-only."""
    if t.data is None or t.dtype == object:
        raise UnsupportedError(f"{_label(t)} is {t.type_name}, expected numbers")
    values = t.data.view()
    values.flags.writeable = False
    return values


def _reported_type(t: Tensor) -> type | None:
    return _REPORTED_TYPES.get(t.type_name) if t.type_name else t.dtype.type


def _type_of(t: Tensor) -> type:
    dtype = _reported_type(t)
    if dtype is None:
        raise CallError(f"{_label(t)} is {t.type_name}, expected a type that NumPy has")
    return dtype


def _quantization_parameters(t: Tensor, compress: bool) -> Details:
    q = t.quantization
    scales = np.array([] if q is None else q.scale, np.float32)
    zero_points = np.array([] if q is None else q.zero_point, np.int32)
    if compress and len(zero_points) and (zero_points == zero_points[0]).all():
        zero_points = zero_points[:1]
    if q is not None and q.block_size:  # the file holds scales as float16, and zero points only where any is not 0
        scales = _halved(scales)
        zero_points = zero_points if zero_points.any() else zero_points[:0]
    return {
        "scales": scales,
        "zero_points": zero_points,
        "quantized_dimension": 0 if q is None else q.axis,
        "block_size": 0 if q is None else q.block_size,
    }


def _halved(values: np.ndarray) -> np.ndarray:
    """float32 values as float16 where that holds them exactly, else as they are."""
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    return half if np.array_equal(half, values) else values


def _sparsity_parameters(t: Tensor) -> Details:
    sparsity: Any = t.sparsity
    if sparsity is None:
        return {}
    details: Details = {"traversal_order": np.array(sparsity.traversal_order, np.int32)}
    if sparsity.block_map:
        details["block_map"] = np.array(sparsity.block_map, np.int32)
    details["dim_metadata"] = [
        {"format": 0, "dense_size": level.dense_size}
        if level.format == 0
        else {
            "format": 1,
            "array_segments": np.array(level.array_segments, np.int32),
            "array_indices": np.array(level.array_indices, np.int32),
        }
        for level in sparsity.dim_metadata
    ]
    return details
