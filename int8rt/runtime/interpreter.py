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
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from int8rt import limits, locks
from int8rt.arguments import as_array, as_count, as_flag, as_index, listed, shown
from int8rt.errors import CallError, CallTypeError, UnsupportedError
from int8rt.errors import PrepareError as PrepareError
from int8rt.format import reader
from int8rt.graph import MAX_ELEMENTS, MAX_RANK, Graph, Signature, Tensor, is_too_large
from int8rt.runtime.details import Details, indices, node_details, reported_type
from int8rt.runtime.state import Resources
from int8rt.runtime.tensors import Options, SubgraphTensors


@enum.unique
class OpResolverType(enum.Enum):
    """LiteRT's choices of kernels. All run the same here, with the numbers of BUILTIN_REF."""

    AUTO = 0
    BUILTIN = 1
    BUILTIN_REF = 2
    BUILTIN_WITHOUT_DEFAULT_DELEGATES = 3


def load_delegate(library: Any, options: Any = None) -> NoReturn:
    """Raise CallError: there are no delegates. Scripts expect the ValueError that LiteRT raises where loading fails."""
    raise CallError(f"cannot load delegate {shown(library)}: int8rt runs models itself and has no delegates")


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

    The other arguments are about delegates and have no effect. What a model may take are the defaults of
    ``int8rt.load``, as LiteRT has no arguments for it: half of the free memory, 1,000,000 trips of loops in a run.

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
        if as_flag(experimental_delegates, "experimental_delegates", CallError):
            raise UnsupportedError(f"delegates given: {shown(experimental_delegates)}; int8rt has none, expected none")
        _check_resolver(experimental_op_resolver_type)
        zero_points, preserve = experimental_compress_quantization_zero_points, experimental_preserve_all_tensors
        compress = as_flag(zero_points, "experimental_compress_quantization_zero_points", CallError)
        preserve = as_flag(preserve, "experimental_preserve_all_tensors", CallError)
        options = Options(_threads(num_threads), preserve, compress)
        self._budget = limits.Budget()
        graph: Graph = limits.within(self._budget, _read, model_path, model_content, is_timed=False)
        self._lock = locks.lock()
        self._main = graph.main
        self._compress = compress
        self._signatures = {signature.key: signature for signature in graph.signatures}
        resources = Resources()
        self._states = [SubgraphTensors(subgraph, options, resources) for subgraph in graph.subgraphs]

    # Running

    def allocate_tensors(self) -> None:
        """Get ready for the input shapes asked for; does nothing where it is ready.

        Raises PrepareError where operators contradict these shapes, UnsupportedError where any cannot be run.
        """
        with self._lock:
            limits.within(self._budget, self._states[0].allocate, is_timed=False)

    def invoke(self) -> None:
        """Run once on the inputs. Raises LimitError; CallError before ``allocate_tensors``, and within a run."""
        locks.check_turn(self._lock, "the interpreter")
        with self._lock:
            limits.within(self._budget, self._states[0].invoke)

    def resize_tensor_input(self, input_index: int, tensor_size: Sequence[int], strict: bool = False) -> None:
        """Ask for another shape of an input, to be followed by ``allocate_tensors``.

        With strict, only sizes that are -1 in its shape signature may change. Raises CallError.
        """
        with self._lock:
            self._states[0].resize(input_index, _shape(tensor_size), as_flag(strict, "strict", CallError))

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
            self._states[0].set(tensor_index, as_array(value, "value", CallError))

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
            return [state.details(t.index) for t in state.file.tensors if reported_type(t) is not None]

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
        return node_details(self._main.nodes[op_index])

    # Signatures

    def get_signature_list(self) -> dict[str, dict[str, list[str]]]:
        """Return ``{key: {"inputs": names, "outputs": names}}``, names in alphabetical order as LiteRT has them."""
        return {
            key: {"inputs": sorted(signature.inputs), "outputs": sorted(signature.outputs)}
            for key, signature in self._signatures.items()
        }

    def _get_full_signature_list(self) -> dict[str, dict[str, dict[str, int]]]:
        return {
            key: {"inputs": indices(signature.inputs), "outputs": indices(signature.outputs)}
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

    def _state(self, subgraph_index: int) -> SubgraphTensors:
        index = as_index(subgraph_index, "subgraph_index", CallTypeError)
        if not 0 <= index < len(self._states):
            raise CallError(f"subgraph_index is {index}, but the model has {len(self._states)} subgraphs")
        return self._states[index]


class SignatureRunner:
    """Runs one signature of a model: ``runner(x=array)`` returns ``{output name: array}``.

    It shares the tensors of its interpreter, whose ``get_signature_runner`` makes it.
    """

    def __init__(self, interpreter: Interpreter, signature_key: str) -> None:
        if not isinstance(signature_key, str) or signature_key not in interpreter._signatures:
            known = ", ".join(map(repr, interpreter._signatures)) or "none"
            raise CallError(f"Invalid signature_key provided: {shown(signature_key)}; the model has {known}")
        self._interpreter = interpreter
        self._signature: Signature = interpreter._signatures[signature_key]

    def __call__(self, **inputs: Any) -> dict[str, np.ndarray]:
        """Run on arrays by the signature's names, whose shapes the model's inputs take. Raises CallError."""
        wanted = self._signature.inputs
        if set(inputs) != set(wanted):
            raise CallError(f"inputs are named {listed(inputs)}, expected {sorted(wanted)}")
        arrays = {wanted[name].index: as_array(x, f"input {name!r}", CallError) for name, x in inputs.items()}
        with self._interpreter._lock:
            state = self._interpreter._states[self._signature.subgraph]
            for index, array in arrays.items():
                state.resize(index, array.shape)
            limits.within(self._interpreter._budget, state.allocate, is_timed=False)
            for index, array in arrays.items():
                state.set(index, array)
            limits.within(self._interpreter._budget, state.invoke)
            return {name: state.get(index) for name, index in indices(self._signature.outputs).items()}

    def get_input_details(self) -> dict[str, Details]:
        """Return ``{name: details}`` of the inputs, as ``Interpreter.get_input_details`` gives them."""
        return self._details(self._signature.inputs)

    def get_output_details(self) -> dict[str, Details]:
        """Return ``{name: details}`` of the outputs."""
        return self._details(self._signature.outputs)

    def _details(self, tensors: Mapping[str, Tensor]) -> dict[str, Details]:
        subgraph = self._signature.subgraph
        return {name: self._interpreter._get_tensor_details(i, subgraph) for name, i in indices(tensors).items()}


# Arguments


def _read(path: str | bytes | os.PathLike[Any] | None, content: bytes | bytearray | memoryview | None) -> Graph:
    has_path, has_content = as_flag(path, "model_path", CallError), as_flag(content, "model_content", CallError)
    if has_path and has_content:
        raise CallError("model_path and model_content are given, expected only one of them")
    if has_content:
        if not isinstance(content, (bytes, bytearray, memoryview)):
            raise CallError(f"model_content is {shown(content)}, expected bytes")
        return reader.read(content)
    if not has_path:
        raise CallError("neither model_path nor model_content is given, expected one of them")
    try:
        return reader.read(os.fsdecode(path))  # type: ignore[arg-type]
    except TypeError:
        raise CallError(f"model_path is {shown(path)}, expected a path") from None
    except OSError as error:
        raise CallError(f"could not open {shown(path)}: {error.strerror or error}") from error


def _check_resolver(resolver: Any) -> None:
    """Refuse what is not an OpResolverType; LiteRT's own enumeration is as good as ours."""
    if not (isinstance(resolver, enum.Enum) and resolver.name in OpResolverType.__members__):
        raise CallError(f"experimental_op_resolver_type is {shown(resolver)}, expected an OpResolverType")


def _threads(number: int | None) -> int:
    if number is None:
        return 1
    asked = as_count(number, "num_threads", 1, None, CallError)
    return min(asked, os.cpu_count() or 1)  # more would only wait for one another


def _shape(sizes: Any) -> tuple[int, ...]:
    array = as_array(sizes, "shape", CallError)
    numbers = array.tolist() if array.ndim == 1 else [None]
    is_whole = all(isinstance(n, int) or (isinstance(n, float) and n.is_integer()) for n in numbers)
    if not is_whole or min(numbers, default=0) < 0:
        raise CallError(f"shape is {shown(sizes)}, expected a list of sizes of at least 0")
    shape = tuple(map(int, numbers))
    if len(shape) > MAX_RANK or is_too_large(shape):
        raise CallError(f"shape is {shape}, expected at most {MAX_RANK} axes and {MAX_ELEMENTS} elements")
    return shape
