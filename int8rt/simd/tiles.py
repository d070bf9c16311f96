"""Tiles of int32 accumulators: R rows by V vectors that live in registers.

``byte_tile(R, V)`` gives the intrinsics over a tile:

    rows  = t.rows(x, offsets, m)         addresses of R rows of bytes: x + offsets[m + r]
    acc   = t.start(bias, at)             V vectors, the same for every row
    acc   = t.dot(acc, rows, k, w, at)    acc[r, 16 v + i] += sum over j < 4 of x_j * w[at + 64 v + 4 i + j]
                                          with x_j = rows[r][k + j] - offset()
    t.requantize(acc, p, at, lo, hi, y, to, stride, columns)
    t.store(acc, scratch)                 R x 16 V int32

Bytes of x are unsigned (storage form), bytes of w signed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from int8rt.native.kernel import Word
from int8rt.simd import emit, llvm
from int8rt.simd.features import has, is_aarch64
from int8rt.simd.lowerings import DOT, lowering, offset
from int8rt.simd.narrow import double, fixed, narrow, plain


def tile_shapes() -> dict[int, int]:
    """{vectors: rows} of the tiles whose accumulators fit this CPU's registers."""
    if has("avx512bw"):
        return {4: 6, 3: 8, 2: 8, 1: 12}
    if has("dotprod"):  # a vector takes four of 32 registers; with eight for weights, as 3 x 2 has them, LLVM spills
        return {1: 6}
    return {1: 6 if has("avx2") else 4}


def single_row_shapes() -> dict[int, int]:
    """The same for one row, which waits for its weights; on AArch64, more vectors would make it wait for spills too."""
    return {2: 1, 1: 1} if is_aarch64() else {8: 1, 4: 1, 2: 1, 1: 1}


@functools.cache
def byte_tile(rows: int, vectors: int, streams: bool = False) -> SimpleNamespace:
    """The words over a tile of ``rows`` by ``16 * vectors`` int32 accumulators; see the module's docstring.

    streams: weights are read once, so that nothing but their way from memory takes time; so it is with one row.
    """
    return _Tile(rows, vectors, streams or rows == 1).words()


@functools.cache
def row_addresses(count: int) -> Word:
    """The word ``rows(x, offsets, m)``: the addresses of x + offsets[m + r], in elements of x, for r below count."""

    def rows(typing: Any, x: Any, offsets: Any, m: Any) -> Any:
        from numba.core import types

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            x, offsets, m = args
            first = emit.address(context, builder, sig.args[1], offsets, m)
            pointers = []
            for r in range(count):
                offset = emit.load(builder, builder.gep(first, [llvm.I64(4 * r)]), llvm.I32)
                pointers.append(emit.address(context, builder, sig.args[0], x, builder.sext(offset, llvm.I64)))
            return emit.gather(builder, pointers)

        return emit.array_type(f"Rows{count}", llvm.I8.as_pointer(), count)(x, offsets, types.int64), generate

    return Word(rows)


def accumulators(rows: int, vectors: int) -> Any:
    """The Numba type of a tile's int32 sums."""
    return emit.array_type(f"Tile{rows}x{vectors}", llvm.INT32S, rows * vectors)


class _Tile:
    def __init__(self, rows: int, vectors: int, streams: bool) -> None:
        self.rows, self.vectors, self.streams = rows, vectors, streams

    def words(self) -> SimpleNamespace:
        return SimpleNamespace(
            rows=row_addresses(self.rows), start=Word(self._start), start_rows=Word(self._start_rows),
            start_alike=Word(self._start_alike), dot=Word(self._dot), store=Word(self._store),
            requantize={
                "plain": Word(self._requantize_plain), "fixed": Word(self._requantize_fixed),
                "double": Word(self._requantize_double),
            },
        )  # fmt: skip

    @property
    def accumulators(self) -> Any:
        return accumulators(self.rows, self.vectors)

    def _start(self, typing: Any, bias: Any, at: Any) -> Any:
        from numba.core import types

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            pointer = emit.address(context, builder, sig.args[0], *args)
            row = [
                emit.load(builder, builder.gep(pointer, [llvm.I64(64 * v)]), llvm.INT32S) for v in range(self.vectors)
            ]
            return emit.gather(builder, row * self.rows)

        return self.accumulators(bias, types.int64), generate

    def _start_alike(self, typing: Any, bias: Any, at: Any, sums: Any, m: Any) -> Any:
        """As start; with the arguments of start_rows, so that a kernel can choose."""
        from numba.core import types

        signature, generate = self._start(typing, bias, at)

        def generate_without(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return generate(context, builder, sig, args[:2])

        return signature.return_type(bias, types.int64, sums, types.int64), generate_without

    def _start_rows(self, typing: Any, bias: Any, at: Any, sums: Any, m: Any) -> Any:
        """As start, plus sums[m + r] in row r; sums is int32."""
        from numba.core import types

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            bias, at, sums, m = args
            pointer = emit.address(context, builder, sig.args[0], bias, at)
            row = [
                emit.load(builder, builder.gep(pointer, [llvm.I64(64 * v)]), llvm.INT32S) for v in range(self.vectors)
            ]
            first = emit.address(context, builder, sig.args[2], sums, m)
            values = []
            for r in range(self.rows):
                more = emit.spread(builder, emit.load(builder, builder.gep(first, [llvm.I64(4 * r)]), llvm.I32))
                values += [builder.add(v, more) for v in row]
            return emit.gather(builder, values)

        return self.accumulators(bias, types.int64, sums, types.int64), generate

    def _dot(self, typing: Any, acc: Any, rows: Any, k: Any, w: Any, at: Any) -> Any:
        from numba.core import types

        lower = DOT[lowering()][1]

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            acc, rows, k, w, at = args
            acc, rows = emit.spread_out(builder, acc), emit.spread_out(builder, rows)
            pointer = emit.address(context, builder, sig.args[3], w, at)
            weights = [
                emit.load(builder, builder.gep(pointer, [llvm.I64(64 * v)]), llvm.BYTES) for v in range(self.vectors)
            ]
            if self.streams:
                emit.prefetch(builder, pointer, 64 * self.vectors)
            result = []
            for r, row in enumerate(rows):
                four = emit.load(builder, builder.gep(row, [k]), llvm.I32)
                if offset():  # before it is spread: other units than the vectors' do that
                    four = builder.xor(four, llvm.I32(0x80808080))
                bytes_ = builder.bitcast(emit.spread(builder, four), llvm.BYTES)
                result += [lower(builder, acc[r * self.vectors + v], bytes_, b) for v, b in enumerate(weights)]
            return emit.gather(builder, result)

        return self.accumulators(acc, rows, types.int64, w, types.int64), generate

    def _store(self, typing: Any, acc: Any, scratch: Any, at: Any) -> Any:
        from numba.core import types

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            acc, scratch, at = args
            pointer = emit.address(context, builder, sig.args[1], scratch, at)
            for i, value in enumerate(emit.spread_out(builder, acc)):
                emit.store(builder, value, builder.gep(pointer, [llvm.I64(64 * i)]))
            return context.get_dummy_value()

        return types.none(acc, scratch, types.int64), generate

    def _requantize_fixed(
        self, typing: Any, acc: Any, p: Any, at: Any, lo: Any, hi: Any, y: Any, to: Any, stride: Any, columns: Any
    ) -> Any:  # fmt: skip
        """The fixed-point formula of requantization, and a store of ``columns`` bytes per row, to y[to + r * stride:].

        p holds the formula's rows, 16 V int32 each, from ``at``.
        """

        return self._requantizing(acc, p, y, self._rows_of(4), fixed)

    def _requantize_plain(
        self, typing: Any, acc: Any, p: Any, at: Any, lo: Any, hi: Any, y: Any, to: Any, stride: Any, columns: Any
    ) -> Any:  # fmt: skip
        """The fixed-point formula without its N, otherwise as ``_requantize_fixed``."""
        return self._requantizing(acc, p, y, self._rows_of(3), plain)

    def _rows_of(self, count: int) -> Callable[..., list[Any]]:
        """A function that loads the first rows of a formula for vector v."""

        def constants(builder: Any, pointer: Any, v: int) -> list[Any]:
            places = [64 * (row * self.vectors + v) for row in range(count)]
            return [emit.load(builder, builder.gep(pointer, [llvm.I64(place)]), llvm.INT32S) for place in places]

        return constants

    def _requantize_double(
        self, typing: Any, acc: Any, p: Any, at: Any, lo: Any, hi: Any, y: Any, to: Any, stride: Any, columns: Any
    ) -> Any:  # fmt: skip
        """The float64 formula, otherwise as ``_requantize_fixed``."""

        def constants(builder: Any, pointer: Any, v: int) -> list[Any]:
            scales = [128 * v, 128 * v + 64]
            zero = emit.load(builder, builder.gep(pointer, [llvm.I64(64 * (2 * self.vectors + v))]), llvm.INT32S)
            return [
                *(emit.load(builder, builder.gep(pointer, [llvm.I64(place)]), llvm.DOUBLES) for place in scales),
                zero,
            ]

        return self._requantizing(acc, p, y, constants, double)

    def _requantizing(self, acc: Any, p: Any, y: Any, constants: Any, rule: Any) -> Any:
        from numba.core import types

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            acc, p, at, lo, hi, y, to, stride, columns = args
            lo, hi = (builder.trunc(v, llvm.I8) for v in (lo, hi))
            parameters = emit.address(context, builder, sig.args[1], p, at)
            acc = emit.spread_out(builder, acc)
            results: list[list[Any]] = [[] for _ in range(self.rows)]
            for v in range(self.vectors):
                given = constants(builder, parameters, v)
                for r in range(self.rows):
                    results[r].append(rule(builder, acc[r * self.vectors + v], *given))
            start = emit.address(context, builder, sig.args[5], y, to)
            pointers = [builder.gep(start, [builder.mul(stride, llvm.I64(r))]) for r in range(self.rows)]
            for first in range(0, self.vectors, 4):  # one store takes four vectors
                bytes_ = [narrow(builder, row[first : first + 4], lo, hi) for row in results]
                at = llvm.I64(llvm.LANES * first)
                places = [builder.gep(pointer, [at]) for pointer in pointers]
                emit.store_columns(builder, bytes_, places, builder.sub(columns, at))
            return context.get_dummy_value()

        integers = types.int64
        return types.none(acc, p, integers, integers, integers, y, *[integers] * 3), generate
