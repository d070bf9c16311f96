"""A .tflite file becomes a Graph, or is refused: what comes out of here holds together, whatever the bytes were.

The file is a FlatBuffer with identifier TFL3 (a zip archive may follow it). ``flatbuffer`` follows offsets safely;
this module checks sizes of constants, quantization and sparsity, ``consistency`` what the values say about one another:
numbers of tensors, buffers, operator codes and subgraphs, and that every tensor is written once and before it is read.
What LiteRT does where the format leaves a choice is done here too (``tflite/core/interpreter_builder.cc``).

Constants are read-only NumPy views of its bytes, copied only where the file misaligns them, packs several into a byte
or stores them sparsely.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import prod
from types import MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from int8rt.errors import ModelError, UnsupportedError
from int8rt.format import archive, sparse
from int8rt.format.consistency import check_finite, check_order, check_scales, linked, pick
from int8rt.format.elements import ElementType, element_type, type_name, unpack
from int8rt.format.flatbuffer import FlatBuffer, defaults
from int8rt.format.schema import OPERATORS, OPTIONS, UNIONS
from int8rt.format.source import Source, bytes_of
from int8rt.graph import MAX_ELEMENTS, MAX_RANK, Graph, Node, Quantization, Signature, Subgraph, Tensor, is_too_large

SCHEMA_VERSION = 3
MAX_DENSE = 2**26, 256  # bytes of all sparse constants made dense: so many, and so many per byte of the file
INT32 = np.iinfo(np.int32)


def read(source: Source) -> Graph:
    """Reads a model from a path, from bytes, or from an open binary file.

    The bytes are read once and kept: what becomes of the file afterwards changes nothing. (They are not memory-mapped,
    since a process that touches a mapped file after somebody else has truncated it is killed.)

    Raises ModelError where the bytes are no valid model, UnsupportedError where tensors lie in other files or have
    kinds of quantization that int8rt does not know, InputError where the source is of the wrong type, and OSError
    where the file cannot be read.
    """
    return _Reader(FlatBuffer(bytes_of(source))).graph()


def _zero_point_range(type_: ElementType) -> tuple[int, int]:
    """The zero points that a type can store; those of int32 where it is wider, or not an integer."""
    if type_.dtype.kind not in "iu" or type_.dtype.itemsize > 4 or (type_.name and type_.bits == 8):
        return INT32.min, INT32.max
    bits = type_.bits if type_.bits < 8 else 8 * type_.dtype.itemsize
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if type_.dtype.kind == "i" else (0, 2**bits - 1)


def _frozen(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array


_TYPED_BY_OPERAND = ("ADD", "SUB")


class _Code(NamedTuple):
    """What an operator code says."""

    op: str
    version: int
    is_custom: bool


class _Reader:
    """A file on its way to a Graph. ``where`` is how messages name what is being read."""

    def __init__(self, file: FlatBuffer) -> None:
        self.file = file
        self.unread = file.unread
        self.model = file.root("Model", b"TFL3")
        self.codes: list[_Code] = []
        self.tensor_tables: Sequence[SimpleNamespace] = ()  # of the subgraph at hand
        self.unpacked: dict[tuple[int, ElementType, int], np.ndarray] = {}
        self.sparse_left = MAX_DENSE[0] + MAX_DENSE[1] * file.size

    def graph(self) -> Graph:
        """The whole model."""
        model = self.model
        if model.version != SCHEMA_VERSION:
            raise ModelError(f"the model's schema has version {model.version}, expected {SCHEMA_VERSION}")
        if not model.subgraphs:
            raise ModelError("the model has no subgraph, expected at least one")
        self.codes = [_code(table, f"operator code {i}") for i, table in enumerate(model.operator_codes)]
        subgraphs = linked([self.subgraph(i, table) for i, table in enumerate(model.subgraphs)])
        signatures = [
            self.signature(table, subgraphs, f"signature {i} {table.signature_key!r}")
            for i, table in enumerate(model.signature_defs)
        ]
        metadata = {m.name: self.copied(self.buffer(m.buffer, f"metadata {m.name!r}")) for m in model.metadata}
        unnamed = [self.copied(self.buffer(i, "metadata_buffer")) for i in model.metadata_buffer.tolist()]
        for name in ("external_buffer_groups", "external_buffers"):
            self.pass_over(f"Model.{name}", getattr(model, name))
        return Graph(
            subgraphs,
            tuple(signatures),
            model.description,
            MappingProxyType(metadata),
            model.version,
            self.file.size,
            tuple(unnamed),
            archive.found(self.file.raw),
            tuple(self.unread),
        )

    def pass_over(self, name: str, content: Sequence[Any] | np.ndarray) -> None:
        """Note that something of the file has no place in a Graph, if it is there."""
        if len(content):
            self.unread[name] = None

    def signature(self, table: SimpleNamespace, subgraphs: Sequence[Subgraph], where: str) -> Signature:
        """A signature, its tensor numbers resolved."""
        subgraph = pick(subgraphs, table.subgraph_index, "subgraph", where)

        def named(maps: Iterable[SimpleNamespace]) -> Mapping[str, Tensor]:
            tensors: dict[str, Tensor] = {}
            for entry in maps:
                if entry.name in tensors:
                    raise ModelError(f"{where} names {entry.name!r} twice")
                tensors[entry.name] = pick(subgraph.tensors, entry.tensor_index, "tensor", f"{where}, {entry.name!r}")
            return MappingProxyType(tensors)

        return Signature(table.signature_key, named(table.inputs), named(table.outputs), subgraph.index)

    def subgraph(self, index: int, table: SimpleNamespace) -> Subgraph:
        """A subgraph whose tensors are each written once, and before they are read."""
        where = f"subgraph {index}"
        written = {int(i) for operator in table.operators for i in operator.outputs.tolist()}
        fed = set(table.inputs.tolist())
        self.tensor_tables = table.tensors
        tensors = [
            self.tensor(i, tensor, i in written or i in fed, f"{where}, tensor {i} {tensor.name!r}")
            for i, tensor in enumerate(table.tensors)
        ]
        for i in fed & set(range(len(tensors))):  # what the file holds of an input is not what the caller gives
            tensors[i] = replace(tensors[i], data=None, sparsity=None)
        self.retype(table.operators, tensors)
        nodes = [self.node(i, operator, tensors, where) for i, operator in enumerate(table.operators)]
        inputs, outputs = (
            tuple(pick(tensors, i, "tensor", f"{where}, {side} {position}") for position, i in enumerate(numbers))
            for side, numbers in (("input", table.inputs.tolist()), ("output", table.outputs.tolist()))
        )
        subgraph = Subgraph(
            table.name, tuple(tensors), tuple(nodes), inputs, outputs, index, table.debug_metadata_index
        )
        check_order(subgraph, where)
        check_scales(subgraph, where)
        return subgraph

    # Operators

    def retype(self, operators: Sequence[SimpleNamespace], tensors: list[Tensor]) -> None:
        """Give the outputs of ADD and SUB the type of the second operand, as LiteRT does whatever the file says.

        Old test files say float32 of sums of bytes.
        """
        for operator in operators:
            number, inputs, outputs = operator.opcode_index, operator.inputs.tolist(), operator.outputs.tolist()
            known = 0 <= number < len(self.codes) and all(0 <= i < len(tensors) for i in (*inputs, *outputs))
            if not known or self.codes[number].op not in _TYPED_BY_OPERAND or (len(inputs), len(outputs)) != (2, 1):
                continue
            x, y = tensors[inputs[1]], tensors[outputs[0]]
            if x.type != y.type and y.data is None:
                if y.quantization is not None:
                    _checked(y.quantization, ElementType(x.dtype), f"tensor {y.index} {y.name!r}")
                tensors[y.index] = replace(y, dtype=x.dtype, type_name=x.type_name)

    def node(self, index: int, table: SimpleNamespace, tensors: Sequence[Tensor], subgraph: str) -> Node:
        """An operator with its tensors and options."""
        where = f"{subgraph}, node {index}"
        code = pick(self.codes, table.opcode_index, "operator code", where)
        where = f"{where} {code.op}"

        def picked(kind: str, numbers: np.ndarray) -> list[Tensor]:
            return [pick(tensors, i, "tensor", f"{where}, {kind} {p}") for p, i in enumerate(numbers.tolist())]

        inputs = [
            None if i == -1 else pick(tensors, i, "tensor", f"{where}, input {position}")
            for position, i in enumerate(table.inputs.tolist())
        ]
        return Node(
            code.op,
            tuple(inputs),
            tuple(picked("output", table.outputs)),
            self.options(code, table, where),
            code.version,
            index,
            code.is_custom,
            tuple(picked("intermediate", table.intermediates)),
            debug_index=table.debug_metadata_index,
        )

    def options(self, code: _Code, table: SimpleNamespace, where: str) -> SimpleNamespace:
        """The options table of an operator; of a custom one, its bytes as ``custom_options``.

        An operator without options, or with those of another operator, has the defaults of its own, as in LiteRT.
        """
        if code.is_custom:
            return SimpleNamespace(custom_options=self.custom_options(table, where))
        self.pass_over(f"custom options of {code.op}", table.custom_options)
        expected = OPTIONS.get(code.op)
        for value, type_, union in (
            (table.builtin_options, table.builtin_options_type, "BuiltinOptions"),
            (table.builtin_options_2, table.builtin_options_2_type, "BuiltinOptions2"),
        ):
            if value is not None and expected == UNIONS[union][type_]:
                return self.plain(value)
            self.pass_over(f"{union} of {code.op}", () if value is None else vars(value))
        return self.plain(defaults(expected)) if expected else SimpleNamespace()

    def custom_options(self, table: SimpleNamespace, where: str) -> bytes:
        """The bytes that only the custom operator understands, wherever the file keeps them."""
        if table.large_custom_options_offset > 1:
            start, nbytes = table.large_custom_options_offset, table.large_custom_options_size
            return self.copied(self.file.slice(start, nbytes, f"{where}, large custom options"))
        return self.copied(table.custom_options)

    def plain(self, table: SimpleNamespace) -> SimpleNamespace:
        """An options table with tuples for vectors, and bytes for vectors of bytes."""

        def value_of(value: Any) -> Any:
            if isinstance(value, np.ndarray):
                return self.copied(value) if value.dtype == np.uint8 else tuple(value.tolist())
            if isinstance(value, SimpleNamespace):
                return self.plain(value)
            return tuple(map(value_of, value)) if isinstance(value, tuple) else value

        return SimpleNamespace(**{name: value_of(value) for name, value in vars(table).items()})

    def copied(self, data: np.ndarray) -> bytes:
        """Bytes of the file, for keeps."""
        self.file.work(len(data), "copied bytes")
        return data.tobytes()

    # Tensors

    def tensor(self, index: int, table: SimpleNamespace, is_computed: bool, where: str) -> Tensor:
        """A tensor with its constant values, if any; ``is_computed`` where a node writes it or the caller feeds it."""
        if table.external_buffer:
            raise UnsupportedError(f"{where} is stored in another file (external buffer {table.external_buffer})")
        type_ = element_type(type_name(table.type))
        shape = _shape(table.shape, 0, where)
        signature = _shape(table.shape_signature, -1, f"{where}, shape signature")
        if signature and len(signature) != len(shape):
            raise ModelError(f"{where} has shape {shape}, but shape signature {signature}")
        data = self.constant(table, type_, shape, where)
        sparsity = None if table.sparsity is None else self.sparsity(table.sparsity)
        if sparsity is not None:
            data = self.dense(data, sparsity, type_, shape, where)
        if data is not None and table.is_variable:
            raise ModelError(f"{where} is variable, but its values are in buffer {table.buffer}")
        if data is None and prod(shape) == 0 and not (is_computed or table.is_variable or type_.is_opaque):
            data = _frozen(np.empty(shape, type_.dtype))  # no values, so all of them are known
        self.pass_over("Tensor.variant_tensors", table.variant_tensors)
        return Tensor(
            table.name,
            shape,
            type_.dtype,
            self.quantization(table.quantization, type_, shape, where),
            data,
            index,
            type_.name,
            signature,
            table.is_variable,
            sparsity,
            self.noted_range(table.quantization),
        )

    def buffer(self, index: int, where: str) -> np.ndarray:
        """A buffer's bytes: uint8 [nbytes], empty for buffer 0, which stands for none."""
        if index == 0:
            return np.empty(0, np.uint8)
        table = pick(self.model.buffers, index, "buffer", where)
        if table.offset > 1:  # 1 is what writers put there before they know better
            return self.file.slice(table.offset, table.size, f"{where}, buffer {index}")
        data: np.ndarray = table.data
        return data

    def constant(
        self, table: SimpleNamespace, type_: ElementType, shape: tuple[int, ...], where: str
    ) -> np.ndarray | None:
        """The values of a tensor as the file holds them; None where it holds none.

        They have the tensor's shape, except that those of a sparse tensor are [stored values], to be made dense, and
        those of opaque types uint8 [nbytes].
        """
        raw = self.buffer(table.buffer, where)
        if len(raw) == 0:
            return None
        if type_.is_opaque:
            return raw
        count = prod(shape)
        if table.sparsity is not None:
            count = len(raw) * 8 // type_.item_bits
        if len(raw) != (expected := (count * type_.item_bits + 7) // 8):
            kind = type_.name or type_.dtype.name
            raise ModelError(
                f"{where} is {kind}{list(shape)} of {expected} bytes, but buffer {table.buffer} has {len(raw)}"
            )
        values = self.values(raw, type_, count, table.buffer)
        return values if table.sparsity is not None else values.reshape(shape)

    def values(self, raw: np.ndarray, type_: ElementType, count: int, buffer: int) -> np.ndarray:
        """Bytes as elements: a view where the file holds them as NumPy does, else one copy for all who share it."""
        if (key := (buffer, type_, count)) in self.unpacked:
            return self.unpacked[key]
        values = raw.view(type_.dtype)
        if type_.bits == 8 and values.flags.aligned and type_.dtype != np.bool_:
            return values
        self.file.work(count * type_.dtype.itemsize, f"buffer {buffer}")
        if type_.bits < 8:
            values = unpack(raw, type_.bits, count, type_.dtype)
        elif type_.dtype == np.bool_:
            values = raw != 0  # in the file any byte but 0 is true; NumPy expects 1
        else:
            values = values.copy()
        self.unpacked[key] = _frozen(values)
        return values

    def sparsity(self, table: SimpleNamespace) -> SimpleNamespace:
        """How a sparse tensor's values are laid out; ``sparse`` says what the fields mean."""
        levels = (
            SimpleNamespace(
                format=level.format,
                dense_size=level.dense_size,
                array_segments=self.sparse_array(level.array_segments),
                array_indices=self.sparse_array(level.array_indices),
            )
            for level in table.dim_metadata
        )
        order, blocks = tuple(table.traversal_order.tolist()), tuple(table.block_map.tolist())
        return SimpleNamespace(traversal_order=order, block_map=blocks, dim_metadata=tuple(levels))

    def dense(
        self,
        stored: np.ndarray | None,
        sparsity: SimpleNamespace,
        type_: ElementType,
        shape: tuple[int, ...],
        where: str,
    ) -> np.ndarray:
        """The values of a sparse constant as operators see them: dense, zeros filled in."""
        if stored is None or type_.is_opaque:
            raise ModelError(f"{where}, sparsity: the tensor has no constant values")
        padding = 8 // type_.bits  # what does not fill the last byte may or may not be there
        counts = range(stored.size - padding + 1, stored.size + 1)
        stored = stored[: sparse.check(sparsity, shape, counts, f"{where}, sparsity")]
        self.sparse_left -= prod(shape) * type_.dtype.itemsize
        if self.sparse_left < 0:
            raise ModelError(f"{where}, sparsity: the values would take far more memory than the file")
        return _frozen(sparse.densified(stored, sparsity, shape))

    def sparse_array(self, table: SimpleNamespace | None) -> np.ndarray:
        """Segments or indices, which files hold in several widths: int32 [n]."""
        if table is None:
            return np.empty(0, np.int32)
        self.file.work(4 * len(table.values), "sparsity")
        return _frozen(table.values.astype(np.int32))

    # Quantization

    def quantization(
        self, table: SimpleNamespace | None, type_: ElementType, shape: tuple[int, ...], where: str
    ) -> Quantization | None:
        """A tensor's quantization, None where the file has none or only the range of training (min, max)."""
        if table is None:
            return None
        kind = UNIONS["QuantizationDetails"].get(table.details_type, f"type {table.details_type}")
        if kind == "BlockwiseQuantization" and table.details is not None:
            return self.blockwise(table, shape, f"{where}, block-wise quantization")
        if table.details_type and kind != "CustomQuantization":
            raise UnsupportedError(f"{where} has quantization of kind {kind}")
        self.pass_over(kind, () if table.details is None else table.details.custom)
        if len(table.scale) == 0:
            return None
        scale = table.scale.astype(np.float32)
        zero_point = table.zero_point.astype(np.int64) if len(table.zero_point) else np.zeros(len(scale), np.int64)
        axis = table.quantized_dimension
        if len(zero_point) != len(scale):
            raise ModelError(f"{where} has {len(scale)} scales, but {len(zero_point)} zero points")
        if len(scale) > 1 and not 0 <= axis < len(shape):
            raise ModelError(f"{where} has scales along axis {axis}, but {len(shape)} axes")
        if len(scale) > 1 and len(scale) != shape[axis]:
            raise ModelError(f"{where} has {len(scale)} scales, expected 1 or {shape[axis]} (axis {axis} of {shape})")
        return _checked(Quantization(_frozen(scale), _frozen(zero_point), axis), type_, where)

    def noted_range(self, table: SimpleNamespace | None) -> tuple[np.ndarray, np.ndarray] | None:
        """The minima and maxima that a file notes of a tensor; None where it notes none."""
        if table is None or not (len(table.min) or len(table.max)):
            return None
        self.file.work(4 * (len(table.min) + len(table.max)), "noted ranges")
        return _frozen(table.min.astype(np.float32)), _frozen(table.max.astype(np.float32))

    def blockwise(self, table: SimpleNamespace, shape: tuple[int, ...], where: str) -> Quantization:
        """Scales for blocks along the last axis, which another tensor holds: float32 [elements / block size]."""
        details = table.details
        if len(details.block_shape):
            raise UnsupportedError(f"{where} has blocks of shape {details.block_shape.tolist()}, expected a size")
        size = details.block_size
        if size < 1 or not shape or shape[-1] % size:
            raise ModelError(f"{where} has blocks of {size}, expected a divisor of the last axis of {shape}")
        with np.errstate(over="ignore"):
            scale = self.block_values(details.scales, np.floating, f"{where}, scales").astype(np.float32)
        if len(scale) != (blocks := prod(shape) // size):
            raise ModelError(f"{where} has {len(scale)} scales for {blocks} blocks of {size} in {shape}")
        zero_point = np.zeros(len(scale), np.int64)
        if details.zero_points > 0:  # 0 is the default: a writer that leaves it out has none
            zero_point = self.block_values(details.zero_points, np.integer, f"{where}, zero points").astype(np.int64)
        if len(zero_point) != len(scale):
            raise ModelError(f"{where} has {len(scale)} scales, but {len(zero_point)} zero points")
        tensors = details.scales, details.zero_points
        quantization = Quantization(_frozen(scale), _frozen(zero_point), table.quantized_dimension, size, tensors)
        check_finite(quantization, where)
        return _checked(quantization, element_type("INT32"), where)

    def block_values(self, index: int, kind: type, where: str) -> np.ndarray:
        """The values of a constant tensor of this subgraph, flat."""
        table = pick(self.tensor_tables, index, "tensor", where)
        type_ = element_type(type_name(table.type))
        values = self.constant(table, type_, _shape(table.shape, 0, where), where)
        if values is None or type_.name or not np.issubdtype(type_.dtype, kind) or table.sparsity is not None:
            what = type_.name or type_.dtype.name
            raise ModelError(f"{where}: tensor {index} is {what}, expected constant {kind.__name__} values")
        self.file.work(values.nbytes, where)
        return values.reshape(-1)


def _code(table: SimpleNamespace, where: str) -> _Code:
    """An operator code. The number outgrew a byte: the old field holds at most 127, the newer one the rest."""
    number = max(table.deprecated_builtin_code, table.builtin_code)
    if number < 0:
        raise ModelError(f"{where} is {number}, expected 0 or more")
    op = OPERATORS.get(number, f"BUILTIN_{number}")
    if op == "CUSTOM" and not table.custom_code:
        raise ModelError(f"{where} is CUSTOM, but has no custom code")
    return _Code(table.custom_code if op == "CUSTOM" else op, table.version, op == "CUSTOM")


def _shape(dims: np.ndarray, lo: int, where: str) -> tuple[int, ...]:
    """Sizes, each at least ``lo``, of which the product stays in bounds."""
    if len(dims) > MAX_RANK:
        raise ModelError(f"{where} has {len(dims)} axes, expected at most {MAX_RANK}")
    shape = tuple(dims.tolist())
    if min(shape, default=0) < lo:
        raise ModelError(f"{where} has shape {shape}, expected sizes from {lo}")
    if is_too_large(shape):
        raise ModelError(f"{where} has shape {shape}, expected at most {MAX_ELEMENTS} elements")
    return shape


def _checked(quantization: Quantization, type_: ElementType, where: str) -> Quantization:
    """A quantization whose zero points its type can store."""
    zero_point = quantization.zero_point
    lo, hi = _zero_point_range(type_)
    if zero_point.any() and (zero_point.min() < lo or zero_point.max() > hi):  # 0 always fits
        bad = zero_point[(zero_point < lo) | (zero_point > hi)][0]
        raise ModelError(f"{where} has zero point {bad}, expected {lo} to {hi}")
    return quantization
