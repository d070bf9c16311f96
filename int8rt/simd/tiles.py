"""Tiles of accumulators: R rows by V vectors that live in registers.

``byte_tile(R, V)`` gives the intrinsics over a tile of int32:

    rows  = t.rows(x, offsets, m)         addresses of R rows: x + offsets[m + r]
    acc   = t.start(bias, at)             V vectors, the same for every row
    acc   = t.dot(acc, rows, k, w, at)    acc[r, 16 v + i] += sum over j < 4 of x_j * w[at + 64 v + 4 i + j]
                                          with x_j = rows[r][k + j] - offset()
    t.requantize[kind](acc, p, at, lo, hi, y, to, stride, columns)
    t.store(acc, scratch, at)             R x 16 V int32

Bytes of x are unsigned (storage form), bytes of w signed. Tiles of other elements are in ``floats``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from int8rt.native.kernel import Intrinsic
from int8rt.simd import emit, llvm, lowerings
from int8rt.simd.intrinsics import Array, Builder, Value, Vectors, intrinsic
from int8rt.simd.narrow import double, fixed, narrow, plain


def tile_shapes() -> dict[int, int]:
    """{vectors: rows} of the tiles whose accumulators fit this CPU's registers."""
    return lowerings.lower(lowerings.TILES)


def single_row_shapes() -> dict[int, int]:
    """The same for one row, which waits for its weights."""
    return lowerings.lower(lowerings.SINGLE_ROWS)


class Kind(NamedTuple):
    """What a tile multiplies: each step loads ``step`` elements of x and adds their products with a vector of w."""

    sums: Any  # LLVM type of a vector
    weights: Any  # the same in memory
    loaded: Any  # LLVM type of a step's elements of x together
    itemsize: int  # of x
    step: int
    add: Callable[..., Any]  # (builder, acc, x spread to all lanes, w)
    prepare: Callable[..., Any] | None = None  # of what is loaded, before it is spread
    widen: Callable[..., Any] | None = None  # makes float32 of weights that are stored narrower
    streams: bool = False  # weights for one row are read once, so that nothing but their way from memory takes time


@functools.cache
def kinds() -> dict[str, Kind]:
    """The kinds of tiles by x's type or, where x is float32, by that of the weights."""
    bytes_, halves = (llvm.ir.VectorType(t, llvm.LANES) for t in (llvm.I8, llvm.ir.HalfType()))
    real, fused = llvm.ir.FloatType(), lowerings.add_fused
    extended = lowerings.lower(lowerings.FLOAT16)
    return {
        "uint8": Kind(llvm.INT32S, llvm.BYTES, llvm.I32, 1, 4, _add_bytes, prepare=_less_offset, streams=True),
        "int16": Kind(llvm.INT32S, llvm.WORDS, llvm.I32, 2, 2, lowerings.dot_pairs),
        "float32": Kind(llvm.FLOATS, llvm.FLOATS, real, 4, 1, lowerings.add_product),
        "from int8": Kind(llvm.FLOATS, bytes_, real, 4, 1, fused, widen=from_int8, streams=True),
        "from float16": Kind(llvm.FLOATS, halves, real, 4, 1, fused, widen=extended, streams=True),
    }


def _add_bytes(builder: Builder, acc: Value, x: Value, w: Value) -> Value:
    return lowerings.lower(lowerings.DOT)(builder, acc, builder.bitcast(x, llvm.BYTES), w)


def _less_offset(builder: Builder, four: Value) -> Value:
    """Four bytes less offset(), before they are spread: other units than the vectors' do that."""
    return builder.xor(four, llvm.I32(0x80808080)) if lowerings.offset() else four


def from_int8(builder: Builder, w: Value) -> Value:
    """16 int8 as float32."""
    return builder.sitofp(builder.sext(w, llvm.INT32S), llvm.FLOATS)


class Tile:
    """The intrinsics over tiles of every kind."""

    def __init__(self, name: str, rows: int, vectors: int, streams: bool = False) -> None:
        self.name, self.row_count, self.vectors = name, rows, vectors
        self._streams = streams

    @property
    def kind(self) -> Kind:
        """What the tile multiplies."""
        return kinds()[self.name]

    def registers(self) -> dict[str, Callable[[], Any]]:
        """The types of vectors in signatures: sums, int32s (those of a tile of int32) and addresses of rows."""
        return {"sums": self._sums, "int32s": self._int32s, "addresses": self._addresses}

    def _sums(self) -> Any:
        if self.kind.sums == llvm.INT32S:
            return self._int32s()
        name = f"Tile {self.name} {self.row_count}x{self.vectors}"
        return emit.array_type(name, self.kind.sums, self.row_count * self.vectors)

    def _int32s(self) -> Any:
        return emit.array_type(f"Tile{self.row_count}x{self.vectors}", llvm.INT32S, self.row_count * self.vectors)

    def _addresses(self) -> Any:
        return emit.array_type(f"Rows{self.row_count}", llvm.I8.as_pointer(), self.row_count)

    def reads_past_row(self) -> int:
        """Bytes of a row's last step that may lie behind its end."""
        return (self.kind.step - 1) * self.kind.itemsize

    @intrinsic("addresses(T[], int32[], int64)")
    def rows(self, builder: Builder, x: Array, offsets: Array, m: Value) -> Vectors:
        """The addresses of x + offsets[m + r], in elements of x."""
        first = offsets.at(m)
        places = [emit.beyond(builder, first, 4 * r) for r in range(self.row_count)]
        return [x.at(builder.sext(emit.load(builder, place, llvm.I32), llvm.I64)) for place in places]

    @intrinsic("sums(sums, addresses, int64, T[], int64)", reads_past=reads_past_row)
    def dot(self, builder: Builder, acc: Vectors, rows: Vectors, k: Value, w: Array, at: Value) -> Vectors:
        """acc[r, lane] + the products of x from rows[r][k] with the lane's weights from w[at]."""
        kind, pointer = self.kind, w.at(at)
        weights = self.load_weights(builder, pointer)
        if self._streams or (kind.streams and self.row_count == 1):
            emit.prefetch(builder, pointer, self.weights_nbytes * self.vectors)
        start = builder.mul(k, llvm.I64(kind.itemsize))
        result = []
        for r, row in enumerate(rows):
            x = emit.load(builder, builder.gep(row, [start]), kind.loaded)
            x = emit.spread(builder, kind.prepare(builder, x) if kind.prepare else x)
            result += [kind.add(builder, acc[r * self.vectors + v], x, four) for v, four in enumerate(weights)]
        return result

    @property
    def weights_nbytes(self) -> int:
        """Bytes of a vector of weights in memory."""
        type_ = self.kind.weights
        return int(type_.count * {"i8": 1, "i16": 2, "half": 2, "float": 4}[str(type_.element)])

    def load_weights(self, builder: Builder, pointer: Value) -> Vectors:
        """The next vectors of weights, as wide as the sums."""
        places = [emit.beyond(builder, pointer, self.weights_nbytes * v) for v in range(self.vectors)]
        weights = [emit.load(builder, place, self.kind.weights) for place in places]
        return weights if self.kind.widen is None else [self.kind.widen(builder, w) for w in weights]

    @intrinsic("none(sums, T[], int64)")
    def store(self, builder: Builder, acc: Vectors, scratch: Array, at: Value) -> None:
        """scratch[at:] = acc, row by row."""
        emit.store_vectors(builder, acc, scratch.at(at))

    def row_pointers(self, builder: Builder, start: Value, nbytes: Value) -> Vectors:
        """The pointers to rows that lie so many bytes apart."""
        return [builder.gep(start, [builder.mul(nbytes, llvm.I64(r))]) for r in range(self.row_count)]


REQUANTIZE = "none(sums, int32[], int64, int64, int64, uint8[], int64, int64, int64)"


class ByteTile(Tile):
    """The intrinsics over a tile of int32 sums of products of bytes; see the module's docstring."""

    def __init__(self, rows: int, vectors: int, streams: bool) -> None:
        super().__init__("uint8", rows, vectors, streams)

    @intrinsic("sums(int32[], int64)")
    def start(self, builder: Builder, bias: Array, at: Value) -> Vectors:
        """bias[at:] in every row."""
        return self._biases(builder, bias, at) * self.row_count

    @intrinsic("sums(int32[], int64, T[], int64)")
    def start_alike(self, builder: Builder, bias: Array, at: Value, sums: Array, m: Value) -> Vectors:
        """As start; with the parameters of start_rows, so that a kernel can choose."""
        return self._biases(builder, bias, at) * self.row_count

    @intrinsic("sums(int32[], int64, int32[], int64)")
    def start_rows(self, builder: Builder, bias: Array, at: Value, sums: Array, m: Value) -> Vectors:
        """bias[at:] + sums[m + r] in row r."""
        biases, first = self._biases(builder, bias, at), sums.at(m)
        result = []
        for r in range(self.row_count):
            more = emit.spread(builder, emit.load(builder, emit.beyond(builder, first, 4 * r), llvm.I32))
            result += [builder.add(v, more) for v in biases]
        return result

    def _biases(self, builder: Builder, bias: Array, at: Value) -> Vectors:
        return emit.load_vectors(builder, bias.at(at), llvm.INT32S, self.vectors)

    @functools.cached_property
    def requantize(self) -> dict[str, Intrinsic]:
        """By the kind of formula: acc as bytes, ``columns`` of each row, from y[to + r * stride].

        p holds the formula's rows, 16 V int32 each, from ``at``.
        """
        return {
            "plain": self.requantize_plain,
            "fixed": self.requantize_fixed,
            "double": self.requantize_double,
        }

    @intrinsic(REQUANTIZE)
    def requantize_plain(
        self, builder: Builder, acc: Vectors, p: Array, at: Value, lo: Value, hi: Value, y: Array, to: Value,
        stride: Value, columns: Value,
    ) -> None:  # fmt: skip
        """The fixed-point formula without its N."""
        results = self._by_rule(builder, acc, self._parameters(builder, p.at(at), 3), plain)
        self._store_bytes(builder, results, (lo, hi), y.at(to), stride, columns)

    @intrinsic(REQUANTIZE)
    def requantize_fixed(
        self, builder: Builder, acc: Vectors, p: Array, at: Value, lo: Value, hi: Value, y: Array, to: Value,
        stride: Value, columns: Value,
    ) -> None:  # fmt: skip
        """The fixed-point formula."""
        results = self._by_rule(builder, acc, self._parameters(builder, p.at(at), 4), fixed)
        self._store_bytes(builder, results, (lo, hi), y.at(to), stride, columns)

    @intrinsic(REQUANTIZE)
    def requantize_double(
        self, builder: Builder, acc: Vectors, p: Array, at: Value, lo: Value, hi: Value, y: Array, to: Value,
        stride: Value, columns: Value,
    ) -> None:  # fmt: skip
        """The float64 formula: two vectors of scales for each of zero points."""
        pointer = p.at(at)

        def parameters(v: int) -> Vectors:
            scales = [emit.load_vector(builder, pointer, llvm.DOUBLES, i) for i in (2 * v, 2 * v + 1)]
            return [*scales, emit.load_vector(builder, pointer, llvm.INT32S, 2 * self.vectors + v)]

        results = self._by_rule(builder, acc, parameters, double)
        self._store_bytes(builder, results, (lo, hi), y.at(to), stride, columns)

    def _parameters(self, builder: Builder, pointer: Value, count: int) -> Callable[[int], Vectors]:
        """The function that loads the first rows of a formula for vector v."""
        places = range(0, count * self.vectors, self.vectors)
        return lambda v: [emit.load_vector(builder, pointer, llvm.INT32S, place + v) for place in places]

    def _by_rule(
        self, builder: Builder, acc: Vectors, parameters: Callable[[int], Vectors], rule: Callable[..., Any]
    ) -> list[Vectors]:  # fmt: skip
        """The tile's rows, requantized as int32."""
        results: list[Vectors] = [[] for _ in range(self.row_count)]
        for v in range(self.vectors):
            given = parameters(v)
            for r in range(self.row_count):
                results[r].append(rule(builder, acc[r * self.vectors + v], *given))
        return results

    def _store_bytes(
        self, builder: Builder, results: list[Vectors], limits: tuple[Value, Value], start: Value, stride: Value,
        columns: Value,
    ) -> None:  # fmt: skip
        lo, hi = (builder.trunc(v, llvm.I8) for v in limits)
        pointers = self.row_pointers(builder, start, stride)
        for first in range(0, self.vectors, 4):  # one store takes four vectors
            bytes_ = [narrow(builder, row[first : first + 4], lo, hi) for row in results]
            at = llvm.I64(llvm.LANES * first)
            places = [builder.gep(pointer, [at]) for pointer in pointers]
            emit.store_columns(builder, bytes_, places, builder.sub(columns, at))


@functools.cache
def byte_tile(rows: int, vectors: int, streams: bool = False) -> ByteTile:
    """The intrinsics over a tile of ``rows`` by ``16 * vectors`` int32 accumulators; see the module's docstring.

    streams: weights are read once, so that nothing but their way from memory takes time; so it is with one row.
    """
    return ByteTile(rows, vectors, streams)
