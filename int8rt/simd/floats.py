"""Elements that are not bytes: tiles of float32 and int16, and sums of float32."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from int8rt.native.kernel import Intrinsic
from int8rt.simd import emit, llvm
from int8rt.simd.intrinsics import Array, Builder, Value, Vectors, intrinsic
from int8rt.simd.lowerings import add_fused
from int8rt.simd.lowerings import has_fused as has_fused
from int8rt.simd.tiles import Tile, from_int8


@functools.cache
def wide_tile(kind: str, rows: int, vectors: int) -> WideTile:
    """The intrinsics over a tile of a kind that ``tiles.kinds`` has."""
    return WideTile(kind, rows, vectors)


class WideTile(Tile):
    """rows, dot and store as in ``tiles``; start gives zeros. All others are of float32 sums."""

    @intrinsic("sums()")
    def start(self, builder: Builder) -> Value:
        """Zeros."""
        return llvm.ir.Constant(llvm.ir.ArrayType(self.kind.sums, self.row_count * self.vectors), None)

    def reads_past_lanes(self) -> int:
        """Bytes of a tile's columns behind the first one, which exists."""
        return self.vectors * llvm.VECTOR_NBYTES - self.kind.itemsize

    @intrinsic("sums(sums, addresses, int64, T[], int64)", reads_past=reads_past_lanes)
    def lanes(self, builder: Builder, acc: Vectors, rows: Vectors, k: Value, w: Array, at: Value) -> Vectors:
        """As dot, but every column has an x of its own, from rows[r][k]."""
        kind, weights = self.kind, self.load_weights(builder, w.at(at))
        start = builder.mul(k, llvm.I64(kind.itemsize))
        result = []
        for r, row in enumerate(rows):
            pointer = builder.gep(row, [start])
            for v, four in enumerate(weights):
                x = emit.load_vector(builder, pointer, llvm.FLOATS, v)
                result.append(kind.add(builder, acc[r * self.vectors + v], x, four))
        return result

    @intrinsic("sums(sums, sums, float32[], int64)")
    def add_scaled(self, builder: Builder, acc: Vectors, part: Vectors, scale: Array, at: Value) -> Vectors:
        """acc + part * scale, with the scale of each column from scale[at]."""
        scales = emit.load_vectors(builder, scale.at(at), llvm.FLOATS, self.vectors) * self.row_count
        return [add_fused(builder, *v) for v in zip(acc, part, scales, strict=True)]

    @functools.cached_property
    def scaled(self) -> tuple[Intrinsic, Intrinsic]:
        """By whether the weights' scale comes first: float32 of int32 sums (of ``tiles``), as kernels.hybrid explains.

        Row r is of image images[m + r]; the weights' scales begin at weights[at], the bits of their sums 16 V further
        on.
        """
        return self.scaled_by_both, self.scaled_by_weights_first

    @intrinsic("sums(int32s, float32[], int32[], int32[], int64, int32[], int64)")
    def scaled_by_both(
        self, builder: Builder, sums: Vectors, scale: Array, zero_point: Array, images: Array, m: Value,
        weights: Array, at: Value,
    ) -> Vectors:  # fmt: skip
        """sum * (x's scale * weights' scale)."""
        factors = self._factors(builder, sums, scale, zero_point, images, m, weights, at)
        return [builder.fmul(value, builder.fmul(x, w)) for value, x, w in factors]

    @intrinsic("sums(int32s, float32[], int32[], int32[], int64, int32[], int64)")
    def scaled_by_weights_first(
        self, builder: Builder, sums: Vectors, scale: Array, zero_point: Array, images: Array, m: Value,
        weights: Array, at: Value,
    ) -> Vectors:  # fmt: skip
        """(sum * weights' scale) * x's scale."""
        factors = self._factors(builder, sums, scale, zero_point, images, m, weights, at)
        return [builder.fmul(builder.fmul(value, w), x) for value, x, w in factors]

    def _factors(
        self, builder: Builder, sums: Vectors, scale: Array, zero_point: Array, images: Array, m: Value,
        weights: Array, at: Value,
    ) -> Iterator[tuple[Value, Value, Value]]:  # fmt: skip
        """For each vector of sums: itself less zero point * weights' sum, x's scale, the weights' scales."""
        first = weights.at(at)
        scales = emit.load_vectors(builder, first, llvm.FLOATS, self.vectors)
        behind = emit.beyond(builder, first, llvm.VECTOR_NBYTES * self.vectors)
        totals = emit.load_vectors(builder, behind, llvm.INT32S, self.vectors)
        for i, value in enumerate(sums):
            r, v = divmod(i, self.vectors)
            if v == 0:
                place = images.at(builder.add(m, llvm.I64(r)))
                n = builder.sext(emit.load(builder, place, llvm.I32), llvm.I64)
                place = scale.at(builder.mul(n, llvm.I64(2)))
                x_scale = emit.spread(builder, emit.load(builder, place, llvm.ir.FloatType()))
                zero = emit.spread(builder, emit.load(builder, zero_point.at(n), llvm.I32))
            value = builder.sitofp(builder.sub(value, builder.mul(zero, totals[v])), llvm.FLOATS)
            yield value, x_scale, scales[v]

    @intrinsic("none(sums, float32[], int64, float32[], float32[], int64, int64, int64)")
    def finish(
        self, builder: Builder, acc: Vectors, bias: Array, at: Value, limits: Array, y: Array, to: Value,
        stride: Value, columns: Value,
    ) -> None:  # fmt: skip
        """y[to + r * stride:] = clamp(acc + bias[at:]), ``columns`` of each row."""
        first = bias.at(at)
        lo, hi = (emit.spread(builder, emit.load(builder, limits.at(i), llvm.ir.FloatType())) for i in range(2))
        pointers = self.row_pointers(builder, y.at(to), builder.mul(stride, llvm.I64(4)))
        for v in range(self.vectors):
            own = emit.load_vector(builder, first, llvm.FLOATS, v)
            values = [self._limited(builder, builder.fadd(a, own), lo, hi) for a in acc[v :: self.vectors]]
            places = [emit.beyond(builder, pointer, llvm.VECTOR_NBYTES * v) for pointer in pointers]
            emit.store_columns(builder, values, places, builder.sub(columns, llvm.I64(llvm.LANES * v)))

    @staticmethod
    def _limited(builder: Builder, value: Value, lo: Value, hi: Value) -> Value:
        """Within the limits, or not a number."""
        value = builder.select(builder.fcmp_ordered("<", value, lo), lo, value)
        return builder.select(builder.fcmp_ordered("<", hi, value), hi, value)


@intrinsic("none(uint8[], int64, int16[], int64, int64)", reads_past=31, writes_past=62)
def widen_within(
    builder: Builder, source: Array, start: Value, target: Array, at: Value, count: Value
) -> None:  # fmt: skip
    """target[at : at + count] = source[start : start + count]."""
    bytes_, words = source.at(start), target.at(at)
    half = llvm.ir.VectorType(llvm.I8, 2 * llvm.LANES)
    with emit.loop(builder, builder.lshr(builder.add(count, llvm.I64(31)), llvm.I64(5))) as loop:
        place = builder.shl(loop.index, llvm.I64(5))
        value = builder.zext(emit.load(builder, builder.gep(bytes_, [place]), half), llvm.WORDS)
        emit.store(builder, value, builder.gep(words, [builder.shl(place, llvm.I64(1))]))


@intrinsic("float32(float32, float32, float32)")
def multiply_add(builder: Builder, acc: Value, x: Value, w: Value) -> Value:
    """acc + x * w, rounded once where the CPU can."""
    return add_fused(builder, acc, x, w)


@intrinsic("float32(int8[], int64, float32[], int64, int64)")
def dot_widened(builder: Builder, w: Array, w_at: Value, x: Array, x_at: Value, count: Value) -> Value:
    """The sum of ``count`` products of w[w_at:] and x[x_at:], flattened: 16 sums, then what is left."""
    weights, floats, real = w.at(w_at), x.at(x_at), llvm.ir.FloatType()
    whole = builder.ashr(count, llvm.I64(4))
    sums = emit.variable(builder, emit.splat(llvm.FLOATS, 0.0))
    sixteen = llvm.ir.VectorType(llvm.I8, llvm.LANES)
    with emit.loop(builder, whole) as loop:
        at = builder.shl(loop.index, llvm.I64(4))
        value = from_int8(builder, emit.load(builder, builder.gep(weights, [at]), sixteen))
        terms = emit.load(builder, builder.gep(floats, [builder.shl(at, llvm.I64(2))]), llvm.FLOATS)
        builder.store(add_fused(builder, builder.load(sums), terms, value), sums)
    parts = builder.load(sums)
    while parts.type.count > 1:
        parts = builder.fadd(*(emit.part(builder, parts, half) for half in (0, 1)))
    total = emit.variable(builder, builder.extract_element(parts, llvm.I32(0)))
    done = builder.shl(whole, llvm.I64(4))
    with emit.loop(builder, builder.sub(count, done)) as loop:
        at = builder.add(done, loop.index)
        weight = builder.sitofp(emit.load(builder, builder.gep(weights, [at]), llvm.I8), real)
        term = emit.load(builder, builder.gep(floats, [builder.shl(at, llvm.I64(2))]), real)
        builder.store(add_fused(builder, builder.load(total), term, weight), total)
    return builder.load(total)
