"""What a model says, free of any file format: plain values that nothing changes after they are built.

Quantized tensors follow ``real = scale * (stored - zero_point)``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import field
from types import SimpleNamespace

import numpy as np

from int8rt.errors import printable
from int8rt.frozen import frozen

MAX_RANK = 32  # of a tensor: what every NumPy can hold
MAX_ELEMENTS = 2**31 - 1  # of a tensor: TFLite counts them in an int32
LONGEST = 80  # characters of a custom code that errors and tables show


def is_too_large(shape: Iterable[int]) -> bool:
    """Whether a tensor may not have that shape; sizes of 0 count as 1, since NumPy looks at the product of the rest."""
    return math.prod(max(abs(int(size)), 1) for size in shape) > MAX_ELEMENTS


@frozen
class Quantization:
    """How stored integers map to reals: one scale for the tensor, or one per index of ``axis``."""

    scale: np.ndarray  # float32 [1] or [channels]
    zero_point: np.ndarray  # int64, as long as scale
    axis: int = 0
    block_size: int = 0  # values that share a scale along the last axis; 0 where scales are not block-wise
    block_tensors: tuple[int, int] = (-1, -1)  # which tensors hold the scales and the zero points of blocks

    def __repr__(self) -> str:
        if len(self.scale) == 1:
            return f"{float(self.scale[0]):.7g} * (q - {int(self.zero_point[0])})"
        return f"{len(self.scale)} scales along axis {self.axis}"


@frozen
class Tensor:
    """An array that is known now (``data`` is set) or computed at run time (``data`` is None)."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    quantization: Quantization | None = None
    data: np.ndarray | None = None
    index: int = -1  # position in the subgraph; -1 for tensors that the runtime adds
    type_name: str = ""  # the file's own name of the type where NumPy has none: INT4, INT2, RESOURCE, ...
    shape_signature: tuple[int, ...] = ()  # the shape with -1 for unknown sizes; empty where the file has none
    is_variable: bool = False
    sparsity: SimpleNamespace | None = None  # how the file stores ``data``, which is dense
    noted_range: tuple[np.ndarray, np.ndarray] | None = None  # minima and maxima, float32; nothing computes with them

    @property
    def size(self) -> int:
        """How many elements."""
        return math.prod(map(int, self.shape))

    @property
    def nbytes(self) -> int:
        """How many bytes the elements take, unpacked."""
        return self.size * self.dtype.itemsize

    @property
    def scale(self) -> np.float32:
        """The one float32 scale of a per-tensor quantized tensor; 0 where there is none."""
        q = self.quantization
        return np.float32(0 if q is None or len(q.scale) == 0 else q.scale[0])

    @property
    def zero_point(self) -> int:
        """The one zero point of a per-tensor quantized tensor; 0 where there is none."""
        q = self.quantization
        return 0 if q is None or len(q.zero_point) == 0 else int(q.zero_point[0])

    @property
    def is_constant(self) -> bool:
        """Whether the file holds the values."""
        return self.data is not None

    @property
    def type(self) -> str:
        """The element type as TFLite names it in lower case: int8, float32, int4, ..."""
        return self.type_name.lower() or self.dtype.name

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.shape)) or "scalar"
        quantization = "" if self.quantization is None else f" {self.quantization}"
        return f"<{self.name!r} {self.type}[{shape}]{quantization}{' constant' if self.is_constant else ''}>"


@frozen
class Node:
    """One operator at work: which tensors it reads (None where an optional one is left out) and writes."""

    op: str  # TFLite's own name: CONV_2D; of a custom operator, the custom code
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    options: SimpleNamespace = field(default_factory=SimpleNamespace)  # the options table, in snake case
    version: int = 1
    index: int = 0  # position in the subgraph
    is_custom: bool = False
    intermediates: tuple[Tensor, ...] = ()
    subgraphs: tuple[Subgraph, ...] = ()  # those that it runs, in the order of its options
    debug_index: int = -1  # of an entry in the metadata for debuggers

    @property
    def given(self) -> tuple[Tensor, ...]:
        """The inputs, without those that are left out."""
        return tuple(t for t in self.inputs if t is not None)

    @property
    def label(self) -> str:
        """How errors and tables name the node: ``CONV_2D (node 3)``; a custom code is shortened, on one line."""
        op = self.op if len(self.op) <= LONGEST else f"{self.op[:LONGEST]}…"
        return f"{printable(op)} (node {self.index})"

    def __repr__(self) -> str:
        inputs = ", ".join("-" if t is None else repr(t.name) for t in self.inputs)
        return f"<{self.label} v{self.version}: {inputs} -> {', '.join(repr(t.name) for t in self.outputs)}>"


@frozen
class Subgraph:
    """Nodes in execution order, and the tensors that go in and come out."""

    name: str
    tensors: tuple[Tensor, ...]
    nodes: tuple[Node, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    index: int = 0
    debug_index: int = -1  # of an entry in the metadata for debuggers

    def __repr__(self) -> str:
        return f"<Subgraph {self.name!r}: {len(self.nodes)} nodes, {len(self.tensors)} tensors>"


@frozen
class Signature:
    """A named way to call a subgraph: the caller's names of its inputs and outputs."""

    key: str
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]
    subgraph: int = 0


@frozen
class Graph:
    """A whole model: its subgraphs, the first of which is the main one, its signatures and metadata."""

    subgraphs: tuple[Subgraph, ...]
    signatures: tuple[Signature, ...] = ()
    description: str = ""
    metadata: Mapping[str, bytes] = field(default_factory=dict)
    version: int = 3
    nbytes: int = 0  # size of the file
    unnamed_metadata: tuple[bytes, ...] = ()  # as files had it before metadata had names
    archive: bytes = b""  # the zip archive behind the model, with files that the metadata mentions
    unread: tuple[str, ...] = ()  # what the file holds beyond all this, by its place in the schema

    @property
    def main(self) -> Subgraph:
        """The subgraph that runs when nothing else is asked for."""
        return self.subgraphs[0]

    def __repr__(self) -> str:
        return f"<Graph {self.description!r}: {len(self.subgraphs)} subgraph(s), {len(self.main.nodes)} nodes in main>"
