"""A Graph becomes a .tflite file: the inverse of ``reader``, by the same tables.

What is read from the written file is an equal Graph. Not kept are the numbers of operator codes and buffers (constants
with equal bytes share a buffer), the bytes of booleans other than 0 and 1, and two fields that no runtime reads:
``has_rank`` is always true, ``mutating_variable_inputs`` always absent.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from int8rt.arguments import shown
from int8rt.errors import InputError, UnsupportedError
from int8rt.format import archive, sparse
from int8rt.format.builder import ALIGNMENT, Piece, build
from int8rt.format.elements import element_type, pack, type_number
from int8rt.format.schema import OPERATORS, OPTIONS, UNIONS
from int8rt.graph import Graph, Node, Quantization, Signature, Subgraph, Tensor

MAX_INSIDE = 2**31 - 2**26  # bytes of constants that lie within the FlatBuffer; more follow it, found by offset
_OLD_CODES = (
    127  # the first operator code that the field of old files does not hold: there it stands for "see the other"
)
_CODES = {name: number for number, name in OPERATORS.items()}
_UNION_TYPES = {table: (union, number) for union, tables in UNIONS.items() for number, table in tables.items()}
_UNION_FIELDS = {"BuiltinOptions": "builtin_options", "BuiltinOptions2": "builtin_options_2"}


def write(graph: Graph, *, drop: bool = False) -> bytes:
    """The bytes of a file from which ``reader.read`` gives an equal graph.

    ``drop`` leaves out what the graph's own file held and the graph does not (``graph.unread``), such as fields of a
    later schema. Raises UnsupportedError where there is such a thing and it may not be dropped.
    """
    return b"".join(pieces(graph, drop=drop))


def save(graph: Graph, path: str | os.PathLike[str], *, drop: bool = False) -> None:
    """Writes a file as ``write`` gives it, without ever holding all of it in memory; replaces a file as a whole.

    Raises what ``write`` does, and OSError where the file cannot be written: what was there is then still there.
    """
    replace_file(path, pieces(graph, drop=drop))


def replace_file(path: str | os.PathLike[str], content: Iterable[Piece]) -> None:
    """Puts a file in its place once it is complete. Raises OSError, and InputError for what is no path."""
    try:
        target = Path(path)
        handle, name = tempfile.mkstemp(prefix=f".{target.name[:64]}.", dir=target.parent)
    except OSError as error:
        error.filename = os.fspath(path)  # not the name that the file has until it is complete
        raise
    except Exception as error:  # a NUL, or an object that is no path after all
        raise InputError(f"cannot write {shown(path)}: {error}") from None
    try:
        with os.fdopen(handle, "wb") as file:
            for piece in content:
                file.write(piece)
            os.fchmod(file.fileno(), _mode(target))
        os.replace(name, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


def _mode(target: Path) -> int:
    """The permissions of a file that is about to be replaced; else those that the user's new files have."""
    with suppress(OSError):
        return target.stat().st_mode & 0o777
    os.umask(mask := os.umask(0))
    return 0o666 & ~mask


def pieces(graph: Graph, *, drop: bool = False, max_inside: int = MAX_INSIDE) -> list[Piece]:
    """The file in pieces, the constants as they lie in memory."""
    if graph.unread and not drop:
        raise UnsupportedError(f"the file holds what would be lost: {', '.join(graph.unread)}")
    writer = _Writer()
    model = writer.model(graph)
    if sum(map(len, writer.contents)) <= max_inside:
        model.buffers = [SimpleNamespace(data=raw if len(raw) else None) for raw in writer.contents]
        written = build(model, "Model", b"TFL3")
    else:
        written = with_buffers_behind(model, writer.contents, b"TFL3")
    if graph.archive:
        written.append(archive.moved(graph.archive, sum(map(len, written))))
    return written


def with_buffers_behind(model: SimpleNamespace, contents: Sequence[Piece], identifier: bytes) -> list[Piece]:
    """A file whose buffers, with these contents, lie behind the FlatBuffer: what is larger than 2 GB has to."""
    model.buffers = [SimpleNamespace(offset=1, size=len(raw)) for raw in contents]  # as long as it will be
    end = sum(map(len, build(model, "Model", identifier)))
    behind: list[Piece] = []
    for buffer, raw in zip(model.buffers, contents):
        if len(raw):
            padding = -end % ALIGNMENT
            buffer.offset = end + padding
            behind += [bytes(padding), raw]
            end += padding + len(raw)
    return build(model, "Model", identifier) + behind


class _Writer:
    """A graph on its way to tables; collects what its parts share: operator codes and the contents of buffers."""

    def __init__(self) -> None:
        self.codes: dict[tuple[str, int, bool], int] = {}
        self.contents: list[memoryview] = [memoryview(b"")]  # buffer 0 is empty and stands for none
        self._buffers: dict[bytes, int] = {}

    def model(self, graph: Graph) -> SimpleNamespace:
        """All of it but the buffers."""
        subgraphs = [self.subgraph(s) for s in graph.subgraphs]
        return SimpleNamespace(
            version=graph.version,
            subgraphs=subgraphs,
            operator_codes=[_code(*code) for code in self.codes],
            description=graph.description or None,
            metadata=[
                SimpleNamespace(name=name, buffer=self.buffer(content)) for name, content in graph.metadata.items()
            ],
            metadata_buffer=[self.buffer(content) for content in graph.unnamed_metadata] or None,
            signature_defs=[_signature(s) for s in graph.signatures],
        )

    def subgraph(self, subgraph: Subgraph) -> SimpleNamespace:
        """A subgraph, its tensors at the numbers that they state."""
        for number, t in enumerate(subgraph.tensors):
            if t.index != number:
                raise InputError(f"{t!r} states number {t.index}, but is tensor {number} of {subgraph!r}")
        return SimpleNamespace(
            tensors=[self.tensor(t) for t in subgraph.tensors],
            inputs=_numbers(subgraph.inputs),
            outputs=_numbers(subgraph.outputs),
            operators=[self.operator(node) for node in subgraph.nodes],
            name=subgraph.name or None,
            debug_metadata_index=subgraph.debug_index,
        )

    def operator(self, node: Node) -> SimpleNamespace:
        """A node with its options."""
        code = node.op, node.version, node.is_custom
        table = SimpleNamespace(
            opcode_index=self.codes.setdefault(code, len(self.codes)),
            inputs=_numbers(node.inputs),
            outputs=_numbers(node.outputs),
            intermediates=_numbers(node.intermediates) if node.intermediates else None,
            debug_metadata_index=node.debug_index,
        )
        if node.is_custom:
            table.custom_options = node.options.custom_options or None
        elif options := OPTIONS.get(node.op):
            union, number = _UNION_TYPES[options]
            setattr(table, _UNION_FIELDS[union], (options, _options(node.options)))
            setattr(table, f"{_UNION_FIELDS[union]}_type", number)
        return table

    def tensor(self, t: Tensor) -> SimpleNamespace:
        """A tensor, whose values become a buffer."""
        return SimpleNamespace(
            shape=t.shape,
            type=type_number(t.type_name or t.dtype.name.upper()),
            buffer=0 if t.data is None else self.buffer(_stored(t, t.data)),
            name=t.name or None,
            quantization=_quantization(t.quantization, t.noted_range),
            is_variable=t.is_variable,
            sparsity=None if t.sparsity is None else _sparsity(t.sparsity),
            shape_signature=t.shape_signature or None,
            has_rank=True,
        )

    def buffer(self, content: bytes | memoryview) -> int:
        """The number of the buffer with these bytes."""
        raw = memoryview(content)
        if not raw:
            return 0
        key = hashlib.blake2b(raw).digest()
        if key not in self._buffers:
            self._buffers[key] = len(self.contents)
            self.contents.append(raw)
        return self._buffers[key]


def _numbers(tensors: Iterable[Tensor | None]) -> list[int]:
    """The numbers of tensors; -1 stands for one that is left out."""
    return [-1 if t is None else t.index for t in tensors]


def _code(op: str, version: int, is_custom: bool) -> SimpleNamespace:
    """An operator code, for readers that know both fields and for those that know one."""
    number = _CODES["CUSTOM"] if is_custom else _CODES[op] if op in _CODES else int(op.removeprefix("BUILTIN_"))
    return SimpleNamespace(
        deprecated_builtin_code=min(number, _OLD_CODES),
        builtin_code=number,
        custom_code=op if is_custom else None,
        version=version,
    )


def _options(options: Any) -> Any:
    """An options table as it is built: what is empty is left out."""
    if isinstance(options, SimpleNamespace):
        return SimpleNamespace(**{name: _options(value) for name, value in vars(options).items()})
    if isinstance(options, tuple) and options and isinstance(options[0], SimpleNamespace):
        return [_options(item) for item in options]
    return None if isinstance(options, str | bytes | tuple) and not options else options


def _signature(signature: Signature) -> SimpleNamespace:
    """A signature: names and numbers of tensors."""

    def named(tensors: Mapping[str, Tensor]) -> list[SimpleNamespace]:
        return [SimpleNamespace(name=name, tensor_index=t.index) for name, t in tensors.items()]

    return SimpleNamespace(
        inputs=named(signature.inputs),
        outputs=named(signature.outputs),
        signature_key=signature.key,
        subgraph_index=signature.subgraph,
    )


def _stored(t: Tensor, data: np.ndarray) -> memoryview:
    """The bytes of a constant as a file holds them."""
    type_ = element_type(t.type_name or t.dtype.name.upper())
    if t.sparsity is not None:
        data = sparse.stored(data, t.sparsity)
    if type_.bits < 8:
        data = pack(data, type_.bits)
    return np.ascontiguousarray(data).reshape(-1).view(np.uint8).data


def _quantization(
    quantization: Quantization | None, noted_range: tuple[np.ndarray, np.ndarray] | None
) -> SimpleNamespace | None:
    """How integers map to reals, and the range that the file notes."""
    if quantization is None and noted_range is None:
        return None
    table = SimpleNamespace()
    if noted_range is not None:
        table.min, table.max = noted_range
    if quantization is None:
        return table
    table.quantized_dimension = quantization.axis
    if not quantization.block_size:
        table.scale, table.zero_point = quantization.scale, quantization.zero_point
        return table
    scales, zero_points = quantization.block_tensors
    details = SimpleNamespace(scales=scales, zero_points=zero_points, block_size=quantization.block_size)
    _, table.details_type = _UNION_TYPES["BlockwiseQuantization"]
    table.details = "BlockwiseQuantization", details
    return table


def _sparsity(sparsity: SimpleNamespace) -> SimpleNamespace:
    """How a sparse tensor's values are laid out."""
    _, number = _UNION_TYPES["Int32Vector"]
    levels = []
    for level in sparsity.dim_metadata:
        table = SimpleNamespace(format=level.format, dense_size=level.dense_size)
        if level.format == sparse.SPARSE:
            table.array_segments_type = table.array_indices_type = number
            table.array_segments = "Int32Vector", SimpleNamespace(values=level.array_segments)
            table.array_indices = "Int32Vector", SimpleNamespace(values=level.array_indices)
        levels.append(table)
    return SimpleNamespace(
        traversal_order=sparsity.traversal_order, block_map=sparsity.block_map or None, dim_metadata=levels
    )
