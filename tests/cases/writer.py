"""Writes ``.tflite`` files from plain values, without TensorFlow and without LiteRT.

A single operator, which is what most operator tests want; the options table follows from the operator's name::

    x = T(np.int8, (1, 4, 4, 3), 0.05, -3)
    w = T(np.int8, (8, 3, 3, 3), scales, 0, data=weights)
    y = T(np.int8, (1, 2, 2, 8), 0.1, 4)
    content = model("CONV_2D", [x, w, None], [y], padding=SAME, stride_h=2, stride_w=2, fused_activation_function=RELU)

Several operators over shared tensors (a tensor is the same where it is the same object)::

    content = network([Op("ADD", [x, x], [h]), Op("RELU", [h], [y])], inputs=[x], outputs=[y])

Hardly anything is checked, so that malformed files can be written on purpose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import tflite
from flatbuffers import flexbuffers

from int8rt.format.builder import build
from int8rt.format.elements import pack
from int8rt.format.flatbuffer import DEPRECATED, Field, layout
from int8rt.format.schema import OPTIONS, UNIONS
from int8rt.format.writer import with_buffers_behind

SAME, VALID = 0, 1
NONE, RELU, RELU_N1_TO_1, RELU6, TANH, SIGN_BIT = range(6)
REFLECT, SYMMETRIC = 0, 1

UNION_OF = {
    table: (name, number)
    for name, union in (("builtin_options", "BuiltinOptions"), ("builtin_options_2", "BuiltinOptions2"))
    for number, table in UNIONS[union].items()
}
AUTO = "auto"  # the options table that the operator's name implies


@dataclass(frozen=True, eq=False)
class T:
    """A tensor; with ``data`` a constant, without one an input, an output or something between.

    ``data`` holds unpacked values (INT4 and INT2 are packed here, a list of str for strings) or raw bytes, which are
    stored as they are. Tensors whose ``data`` is the same object share a buffer. ``scale`` is a number or one per index
    of ``axis``; a T as scale holds the scales of blocks of ``block_size`` values.
    """

    dtype: Any
    shape: Sequence[int] | None
    scale: Any = None
    zero_point: Any = 0  # a number is repeated for every scale, a sequence is written as it is
    data: Any = None
    axis: int = 0
    type_name: str | None = None  # where NumPy has no such type: INT4, INT2, BFLOAT16, RESOURCE, ...
    is_variable: bool = False
    name: str | None = None  # t0, t1, ... by position where not given
    shape_signature: Sequence[int] | None = None
    block_size: int = 0
    sparsity: Table | None = None
    quantization: Table | None = None  # written instead of scale, zero_point and axis

    @property
    def type(self) -> int:
        """The TensorType of the file format."""
        return tensor_type(self.type_name or self.dtype)


class Op:
    """One operator at work; ``fields`` are those of its options table, in snake case.

    ``op`` is TFLite's name, or a number for a code that no schema names. ``options`` names another table, is a Table,
    or is None to write none. ``custom_options`` are bytes, or a dict to be stored as a FlexBuffer.
    """

    def __init__(
        self,
        op: str | int,
        inputs: Sequence[T | None],
        outputs: Sequence[T | None],
        options: str | Table | None = AUTO,
        version: int = 1,
        custom_code: str | None = None,
        custom_options: bytes | Mapping[str, Any] | None = None,
        intermediates: Sequence[T] | None = None,
        **fields: Any,
    ) -> None:
        self.code = op if isinstance(op, int) else getattr(tflite.BuiltinOperator, op)
        self.inputs, self.outputs, self.intermediates = inputs, outputs, intermediates
        table = OPTIONS.get(str(op)) if options == AUTO else options
        if fields and table is None:
            raise TypeError(f"{op} has no options table, yet fields are given: {', '.join(fields)}")
        self.options = Table(table, **fields) if isinstance(table, str) else table
        self.version, self.custom_code = version, custom_code
        self.custom_options = (
            flexbuffers.Dumps(custom_options) if isinstance(custom_options, Mapping) else custom_options
        )


@dataclass(frozen=True, eq=False)
class Graph:
    """One subgraph; ``tensors`` come first in the file, in this order, followed by those that the nodes mention."""

    nodes: Sequence[Op]
    inputs: Sequence[T]
    outputs: Sequence[T]
    name: str = "main"
    tensors: Sequence[T] = ()


class File(bytes):
    """A file's content, which remembers what it was written from."""

    graphs: tuple[Graph, ...]  # the main subgraph is the first
    indices: tuple[Mapping[T, int], ...]  # of the tensors of each


def model(
    op: str | int, inputs: Sequence[T | None], outputs: Sequence[T], options: str | Table | None = AUTO, **fields: Any
) -> File:
    """Return a file with one operator, fed with every input that is neither a constant nor a variable.

    ``fields`` are what ``Op`` takes: version, custom_code, custom_options and the fields of the options table.
    """
    fed = dict.fromkeys(t for t in inputs if t is not None and t.data is None and not t.is_variable)
    return network([Op(op, inputs, outputs, options, **fields)], list(fed), outputs)


def network(
    nodes: Sequence[Op],
    inputs: Sequence[T],
    outputs: Sequence[T],
    *,
    signatures: Mapping[str, tuple[Any, ...]] | None = None,
    subgraphs: Sequence[Graph] = (),
    tensors: Sequence[T] = (),
    metadata: Mapping[str, bytes] | None = None,
    description: str = "",
    version: int = 3,
    identifier: bytes = b"TFL3",
    legacy_codes: bool = False,
    buffers_at_end: bool = False,
) -> File:
    """Return a file whose main subgraph runs ``nodes``, followed by ``subgraphs``.

    ``signatures``: key -> ({name: input}, {name: output}) or the same with the index of a subgraph.
    ``legacy_codes`` writes operator codes as files from before schema 3a do, in the 8-bit field alone.
    ``buffers_at_end`` stores constants behind the FlatBuffer, found by offset, as files above 2 GB do.
    """
    graphs = [Graph(nodes, inputs, outputs, tensors=tensors), *subgraphs]
    writer = _ModelWriter(legacy_codes)
    tables = [writer.subgraph(graph) for graph in graphs]
    fields: dict[str, Any] = {
        "version": version,
        "subgraphs": tables,
        "description": description,
        "metadata": [writer.metadata(name, content) for name, content in (metadata or {}).items()],
        "signature_defs": [writer.signature(key, *value) for key, value in (signatures or {}).items()],
        "operator_codes": writer.codes,
    }
    if buffers_at_end:
        contents = [raw or b"" for raw in writer.buffers]
        content = b"".join(with_buffers_behind(_namespace(Table("Model", **fields)), contents, identifier))
    else:
        buffers = [Table("Buffer", data=raw) for raw in writer.buffers]
        content = write(Table("Model", buffers=buffers, **fields), identifier)
    file = File(content)
    file.graphs, file.indices = tuple(graphs), tuple(writer.tensor_indices)
    return file


class _ModelWriter:
    """Collects what subgraphs share: operator codes and buffers; turns values into tables."""

    def __init__(self, legacy_codes: bool) -> None:
        self.legacy_codes = legacy_codes
        self.codes: list[Table] = []
        self.code_indices: dict[tuple[Any, ...], int] = {}
        self.buffers: list[bytes | None] = [None]  # buffer 0 is empty by convention
        self.buffer_indices: dict[tuple[int, int], int] = {}
        self.tensor_indices: list[dict[T, int]] = []

    def subgraph(self, graph: Graph) -> Table:
        mentioned = [*graph.tensors, *graph.inputs]
        for node in graph.nodes:
            mentioned += [t for t in (*node.inputs, *node.outputs, *(node.intermediates or ())) if t is not None]
        mentioned += graph.outputs
        mentioned += [t.scale for t in mentioned if isinstance(t.scale, T)]
        indices = {t: i for i, t in enumerate(dict.fromkeys(mentioned))}
        self.tensor_indices.append(indices)
        return Table(
            "SubGraph",
            tensors=[self.tensor(t, indices) for t in indices],
            inputs=[indices[t] for t in graph.inputs],
            outputs=[indices[t] for t in graph.outputs],
            operators=[self.operator(node, indices) for node in graph.nodes],
            name=graph.name,
        )

    def tensor(self, t: T, indices: Mapping[T, int]) -> Table:
        return Table(
            "Tensor",
            shape=t.shape,
            type=t.type,
            buffer=self.buffer(t),
            name=f"t{indices[t]}" if t.name is None else t.name,
            quantization=t.quantization or _quantization(t, indices),
            is_variable=t.is_variable or None,
            sparsity=t.sparsity,
            shape_signature=t.shape_signature,
            has_rank=True,
        )

    def buffer(self, t: T) -> int:
        if t.data is None:
            return 0
        key = (id(t.data), t.type)
        if key not in self.buffer_indices:
            self.buffer_indices[key] = len(self.buffers)
            self.buffers.append(encode(t))
        return self.buffer_indices[key]

    def operator(self, node: Op, indices: Mapping[T, int]) -> Table:
        fields: dict[str, Any] = {}
        if node.options is not None:
            name, number = UNION_OF[node.options.table]
            fields |= {f"{name}_type": number, name: node.options}
        return Table(
            "Operator",
            opcode_index=self.code(node),
            inputs=[-1 if t is None else indices[t] for t in node.inputs],
            outputs=[-1 if t is None else indices[t] for t in node.outputs],
            intermediates=None if node.intermediates is None else [indices[t] for t in node.intermediates],
            custom_options=node.custom_options,
            **fields,
        )

    def code(self, node: Op) -> int:
        key = (node.code, node.version, node.custom_code)
        if key not in self.code_indices:
            self.code_indices[key] = len(self.codes)
            # Codes above 126 do not fit the old 8-bit field, which then holds 127 (PLACEHOLDER_FOR_GREATER_OP_CODES).
            table = Table(
                "OperatorCode",
                deprecated_builtin_code=min(node.code, 127),
                builtin_code=None if self.legacy_codes else node.code,
                custom_code=node.custom_code,
                version=node.version,
            )
            self.codes.append(table)
        return self.code_indices[key]

    def signature(self, key: str, inputs: Mapping[str, T], outputs: Mapping[str, T], subgraph: int = 0) -> Table:
        indices = self.tensor_indices[subgraph]
        maps = [
            [Table("TensorMap", name=name, tensor_index=indices[t]) for name, t in names.items()]
            for names in (inputs, outputs)
        ]
        return Table("SignatureDef", inputs=maps[0], outputs=maps[1], signature_key=key, subgraph_index=subgraph)

    def metadata(self, name: str, content: bytes) -> Table:
        self.buffers.append(content)
        return Table("Metadata", name=name, buffer=len(self.buffers) - 1)


def _quantization(t: T, indices: Mapping[T, int]) -> Table | None:
    if t.scale is None:
        return None
    if isinstance(t.scale, T):
        details = Table("BlockwiseQuantization", scales=indices[t.scale], zero_points=-1, block_size=t.block_size)
        return Table("QuantizationParameters", details_type=2, details=details, quantized_dimension=t.axis)
    scale = np.atleast_1d(np.asarray(t.scale, np.float32))
    zero_point = t.zero_point if np.ndim(t.zero_point) else np.full(scale.size, t.zero_point, np.int64)
    return Table("QuantizationParameters", scale=scale, zero_point=zero_point, quantized_dimension=t.axis)


# Element types and constants.


def tensor_type(dtype: Any) -> int:
    """Return the TensorType of a NumPy type or of TFLite's own name of a type."""
    name = dtype if isinstance(dtype, str) and dtype.isupper() else np.dtype(dtype).name.upper()
    newer = {"STR": 5, "OBJECT": 5, "INT2": 19, "UINT4": 20}
    return newer[name] if name in newer else getattr(tflite.TensorType, name)


def encode(t: T) -> bytes:
    """Return a constant's values as the file stores them."""
    if isinstance(t.data, bytes | bytearray | memoryview):
        return bytes(t.data)
    if t.type == tflite.TensorType.STRING:
        return _encode_strings(list(t.data))
    bits = {"INT4": 4, "UINT4": 4, "INT2": 2}.get(t.type_name or "")
    if bits is None:
        return np.ascontiguousarray(t.data, np.dtype(t.dtype).newbyteorder("<")).tobytes()
    return pack(np.asarray(t.data).astype(np.int64).astype(np.int8), bits).tobytes()


def _encode_strings(values: Sequence[str | bytes]) -> bytes:
    """Count, offset of each string, offset of the end (all int32), then the characters."""
    raw = [value.encode() if isinstance(value, str) else value for value in values]
    offsets = 4 * (len(raw) + 2) + np.cumsum([0, *map(len, raw)])
    return np.array([len(raw), *offsets], "<i4").tobytes() + b"".join(raw)


# FlatBuffers: a tree of tables.


class Table:
    """A table of the schema by its name, with its fields in snake case; None leaves a field out.

    A field is a number, str, bytes, a sequence of numbers, another Table or a list of Tables; in a place for an element
    type it can be a NumPy type.
    """

    def __init__(self, table: str, /, **fields: Any) -> None:
        self.table = table
        self.fields = {name: value for name, value in fields.items() if value is not None}
        known = [field.name for field in fields_of(table)]
        if unknown := [name for name in self.fields if name not in known]:
            raise TypeError(f"{table} has no field {unknown[0]}; it has: {', '.join(known)}")


def fields_of(table: str) -> list[Field]:
    """Return the fields of a table that can be written."""
    return [field for field in layout(table) if field.name != DEPRECATED]


def write(root: Table, identifier: bytes = b"TFL3") -> bytes:
    """Return the FlatBuffer that holds a tree of tables."""
    return b"".join(build(_namespace(root), root.table, identifier))


def _namespace(value: Any) -> Any:
    """A tree of tables as the builder takes it."""
    if isinstance(value, Table):
        unions = {field.name for field in layout(value.table) if field.kind in UNIONS}
        return SimpleNamespace(
            **{
                name: (item.table, _namespace(item)) if name in unions else _namespace(item)
                for name, item in value.fields.items()
            }
        )
    if isinstance(value, type | np.dtype):
        return tensor_type(value)
    is_list = isinstance(value, list | tuple) and value and isinstance(value[0], Table)
    return [_namespace(item) for item in value] if is_list else value
