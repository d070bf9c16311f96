"""Vectors of elements that are not bytes: tiles of float32 and int16, and sums of float32."""

from __future__ import annotations

import functools
from types import SimpleNamespace
from typing import Any, NamedTuple

from int8rt.native.kernel import Word
from int8rt.simd import emit, llvm
from int8rt.simd.features import has, is_aarch64
from int8rt.simd.llvm import LANES
from int8rt.simd.lowerings import _multiply_add
from int8rt.simd.tiles import accumulators, row_addresses


class Step(NamedTuple):
    """One step of a product: load ``step`` elements of x, spread them, multiply and add a vector of weights."""

    sums: Any  # LLVM types
    weights: Any
    loaded: Any
    itemsize: int  # of x
    step: int
    add: Any
    widen: Any = None  # makes float32 of weights that are stored narrower
    weights_size: int = 64  # bytes of a vector of weights


def add_floats(builder: Any, acc: Any, x: Any, w: Any) -> Any:
    return builder.fadd(acc, builder.fmul(x, w))


def add_pairs(builder: Any, acc: Any, x: Any, w: Any) -> Any:
    """Two products of 16 bits in each lane."""
    x = builder.bitcast(x, llvm.WORDS)
    if has("avx512bw"):
        return builder.add(acc, _multiply_add(builder, x, w, "llvm.x86.avx512.pmaddw.d.512", 1))
    if has("avx2"):
        return builder.add(acc, _multiply_add(builder, x, w, "llvm.x86.avx2.pmadd.wd", 2))
    x, w = builder.bitcast(x, llvm.INT32S), builder.bitcast(w, llvm.INT32S)
    half = emit.splat(llvm.INT32S, 16)
    evens = (builder.ashr(builder.shl(v, half), half) for v in (x, w))
    odds = (builder.ashr(v, half) for v in (x, w))
    return builder.add(builder.add(acc, builder.mul(*evens)), builder.mul(*odds))


def add_fused(builder: Any, acc: Any, x: Any, w: Any) -> Any:
    """Rounded once where the CPU can."""
    if not has_fused():
        return add_floats(builder, acc, x, w)
    name = f"llvm.fma.v{LANES}f32" if isinstance(acc.type, llvm.ir.VectorType) else "llvm.fma.f32"
    return builder.call(emit.declare(builder, name, acc.type, [acc.type] * 3), [x, w, acc])


def has_fused() -> bool:
    """Whether the CPU multiplies and adds in one instruction."""
    return has("fma", "avx") or is_aarch64()


def from_int8(builder: Any, w: Any) -> Any:
    return builder.sitofp(builder.sext(w, llvm.INT32S), llvm.FLOATS)


def from_float16(builder: Any, w: Any) -> Any:
    """Finite values: their bits at float32's places are 2^-112 of them."""
    if has("avx512f") or has("f16c", "avx"):
        return builder.fpext(w, llvm.FLOATS)
    bits = builder.zext(builder.bitcast(w, llvm.ir.VectorType(llvm.I16, LANES)), llvm.INT32S)
    sign = builder.shl(builder.and_(bits, emit.splat(llvm.INT32S, 0x8000)), emit.splat(llvm.INT32S, 16))
    rest = builder.shl(builder.and_(bits, emit.splat(llvm.INT32S, 0x7FFF)), emit.splat(llvm.INT32S, 13))
    scaled = builder.fmul(builder.bitcast(rest, llvm.FLOATS), emit.splat(llvm.FLOATS, 2.0**112))
    return builder.bitcast(builder.or_(builder.bitcast(scaled, llvm.INT32S), sign), llvm.FLOATS)


@functools.cache
def steps() -> dict[str, Step]:
    """The steps by kind of tile."""
    bytes_, halves = llvm.ir.VectorType(llvm.I8, LANES), llvm.ir.VectorType(llvm.ir.HalfType(), LANES)
    real = llvm.ir.FloatType()
    return {
        "float32": Step(llvm.FLOATS, llvm.FLOATS, real, 4, 1, add_floats),
        "int16": Step(llvm.INT32S, llvm.WORDS, llvm.I32, 2, 2, add_pairs),
        "from int8": Step(llvm.FLOATS, bytes_, real, 4, 1, add_fused, from_int8, 16),
        "from float16": Step(llvm.FLOATS, halves, real, 4, 1, add_fused, from_float16, 32),
    }


@functools.cache
def wide_tile(kind: str, rows: int, vectors: int) -> SimpleNamespace:
    """The words over a tile: rows, start, dot and store as in ``simd``, for that kind of x; start gives zeros.

    lanes(acc, rows, k, w, at) is dot where every column has an x of its own, from rows[r][k]; and of float32 sums

    add_scaled(acc, part, scale, at) is acc + part * scale, with the scale of each column from scale[at];
    scaled[weight_first](sums, scale, zero_point, images, m, weights, at) makes them of int32 sums (of ``simd.tile``),
    as int8rt.hybrid explains: row r is of image images[m + r], the weights' scales begin at weights[at], the bits of
    their sums 16 V further on;
    finish(acc, bias, at, limits, y, to, stride, columns) stores clamp(acc + bias[at:]) at y[to + r * stride:].
    """
    t = _Tile(kind, rows, vectors)
    return SimpleNamespace(
        rows=row_addresses(rows), start=Word(t.start), dot=Word(t.dot), store=Word(t.store), lanes=Word(t.lanes),
        add_scaled=Word(t.add_scaled), scaled=[Word(t.scaled_by_both), Word(t.scaled_by_weights_first)],
        finish=Word(t.finish),
    )  # fmt: skip


class _Tile:
    def __init__(self, kind: str, rows: int, vectors: int) -> None:
        self.kind, self.rows, self.vectors = kind, rows, vectors
        self.name = f"Tile {kind} {rows}x{vectors}"

    @property
    def step(self) -> Step:
        return steps()[self.kind]

    @property
    def accumulators(self) -> Any:
        if self.step.sums == llvm.INT32S:
            return accumulators(self.rows, self.vectors)
        return emit.array_type(self.name, self.step.sums, self.rows * self.vectors)

    def start(self, typing: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return llvm.ir.Constant(llvm.ir.ArrayType(self.step.sums, self.rows * self.vectors), None)

        return self.accumulators(), generate

    def _weights(self, builder: Any, pointer: Any) -> list[Any]:
        """The next vectors of weights, as wide as the sums."""
        places = [builder.gep(pointer, [llvm.I64(self.step.weights_size * v)]) for v in range(self.vectors)]
        weights = [emit.load(builder, place, self.step.weights) for place in places]
        return weights if self.step.widen is None else [self.step.widen(builder, w) for w in weights]

    def dot(self, typing: Any, acc: Any, rows: Any, k: Any, w: Any, at: Any) -> Any:
        from numba.core import types

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            acc, rows, k, w, at = args
            acc, rows = emit.spread_out(builder, acc), emit.spread_out(builder, rows)
            pointer = emit.address(context, builder, sig.args[3], w, at)
            weights = self._weights(builder, pointer)
            if self.step.widen is not None and self.rows == 1:
                emit.prefetch(builder, pointer, self.step.weights_size * self.vectors)
            start = builder.mul(k, llvm.I64(self.step.itemsize))
            result = []
            for r, row in enumerate(rows):
                x = emit.spread(builder, emit.load(builder, builder.gep(row, [start]), self.step.loaded))
                result += [self.step.add(builder, acc[r * self.vectors + v], x, w) for v, w in enumerate(weights)]
            return emit.gather(builder, result)

        return self.accumulators(acc, rows, types.int64, w, types.int64), generate

    def add_scaled(self, typing: Any, acc: Any, part: Any, scale: Any, at: Any) -> Any:
        from numba.core import types

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            acc, part = (emit.spread_out(builder, v) for v in args[:2])
            pointer = emit.address(context, builder, sig.args[2], *args[2:])
            places = [builder.gep(pointer, [llvm.I64(64 * v)]) for v in range(self.vectors)]
            scales = [emit.load(builder, place, llvm.FLOATS) for place in places] * self.rows
            return emit.gather(builder, [add_fused(builder, *v) for v in zip(acc, part, scales, strict=True)])

        return self.accumulators(acc, part, scale, types.int64), generate

    def lanes(self, typing: Any, acc: Any, rows: Any, k: Any, w: Any, at: Any) -> Any:
        from numba.core import types

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            acc, rows, k, w, at = args
            acc, rows = emit.spread_out(builder, acc), emit.spread_out(builder, rows)
            weights = self._weights(builder, emit.address(context, builder, sig.args[3], w, at))
            start = builder.mul(k, llvm.I64(self.step.itemsize))
            result = []
            for r, row in enumerate(rows):
                row = builder.gep(row, [start])
                for v, w in enumerate(weights):
                    x = emit.load(builder, builder.gep(row, [llvm.I64(64 * v)]), llvm.FLOATS)
                    result.append(self.step.add(builder, acc[r * self.vectors + v], x, w))
            return emit.gather(builder, result)

        return self.accumulators(acc, rows, types.int64, w, types.int64), generate

    def scaled_by_both(
        self, typing: Any, sums: Any, scale: Any, zero_point: Any, images: Any, m: Any, weights: Any, at: Any
    ) -> Any:
        return self._scaled(sums, scale, zero_point, images, weights, lambda b, v, x, w: b.fmul(v, b.fmul(x, w)))

    def scaled_by_weights_first(
        self, typing: Any, sums: Any, scale: Any, zero_point: Any, images: Any, m: Any, weights: Any, at: Any
    ) -> Any:
        return self._scaled(sums, scale, zero_point, images, weights, lambda b, v, x, w: b.fmul(b.fmul(v, w), x))

    def _scaled(self, sums: Any, scale: Any, zero_point: Any, images: Any, weights: Any, product: Any) -> Any:
        from numba.core import types

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            sums, scale, zero_point, images, m, weights, at = args
            first = emit.address(context, builder, sig.args[5], weights, at)
            places = [builder.gep(first, [llvm.I64(64 * v)]) for v in range(2 * self.vectors)]
            scales = [emit.load(builder, place, llvm.FLOATS) for place in places[: self.vectors]]
            totals = [emit.load(builder, place, llvm.INT32S) for place in places[self.vectors :]]
            result = []
            for i, value in enumerate(emit.spread_out(builder, sums)):
                r, v = divmod(i, self.vectors)
                if v == 0:
                    place = emit.address(context, builder, sig.args[3], images, builder.add(m, llvm.I64(r)))
                    n = builder.sext(emit.load(builder, place, llvm.I32), llvm.I64)
                    place = emit.address(context, builder, sig.args[1], scale, builder.mul(n, llvm.I64(2)))
                    x_scale = emit.spread(builder, emit.load(builder, place, llvm.ir.FloatType()))
                    place = emit.address(context, builder, sig.args[2], zero_point, n)
                    zero = emit.spread(builder, emit.load(builder, place, llvm.I32))
                value = builder.sitofp(builder.sub(value, builder.mul(zero, totals[v])), llvm.FLOATS)
                result.append(product(builder, value, x_scale, scales[v]))
            return emit.gather(builder, result)

        integers = types.int64
        return self.accumulators(sums, scale, zero_point, images, integers, weights, integers), generate

    def finish(
        self, typing: Any, acc: Any, bias: Any, at: Any, limits: Any, y: Any, to: Any, stride: Any, columns: Any
    ) -> Any:
        from numba.core import types

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            acc, bias, at, limits, y, to, stride, columns = args
            first = emit.address(context, builder, sig.args[1], bias, at)
            ends = emit.address(context, builder, sig.args[3], limits, llvm.I64(0))
            lo, hi = (
                emit.spread(builder, emit.load(builder, builder.gep(ends, [llvm.I64(4 * i)]), llvm.ir.FloatType()))
                for i in range(2)
            )
            acc = emit.spread_out(builder, acc)
            start = emit.address(context, builder, sig.args[4], y, to)
            step = builder.mul(stride, llvm.I64(4))
            pointers = [builder.gep(start, [builder.mul(step, llvm.I64(r))]) for r in range(self.rows)]
            for v in range(self.vectors):
                place = [llvm.I64(64 * v)]
                own = emit.load(builder, builder.gep(first, place), llvm.FLOATS)
                values = [self._limited(builder, builder.fadd(a, own), lo, hi) for a in acc[v :: self.vectors]]
                places = [builder.gep(pointer, place) for pointer in pointers]
                emit.store_columns(builder, values, places, builder.sub(columns, llvm.I64(LANES * v)))
            return context.get_dummy_value()

        integers = types.int64
        return types.none(acc, bias, integers, limits, y, *[integers] * 3), generate

    @staticmethod
    def _limited(builder: Any, value: Any, lo: Any, hi: Any) -> Any:
        """Within the limits, or not a number."""
        value = builder.select(builder.fcmp_ordered("<", value, lo), lo, value)
        return builder.select(builder.fcmp_ordered("<", hi, value), hi, value)

    def store(self, typing: Any, acc: Any, scratch: Any, at: Any) -> Any:
        from numba.core import types

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            acc, scratch, at = args
            pointer = emit.address(context, builder, sig.args[1], scratch, at)
            for i, value in enumerate(emit.spread_out(builder, acc)):
                emit.store(builder, value, builder.gep(pointer, [llvm.I64(64 * i)]))
            return context.get_dummy_value()

        return types.none(acc, scratch, types.int64), generate


@Word
def widen_within(typing: Any, source: Any, start: Any, target: Any, at: Any, count: Any) -> Any:
    """target[at : at + count] = source[start : start + count], bytes as int16; up to 31 more are read and written."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        from numba.core.cgutils import for_range

        source, start, target, at, count = args
        bytes_ = emit.address(context, builder, sig.args[0], source, start)
        words = emit.address(context, builder, sig.args[2], target, at)
        half = llvm.ir.VectorType(llvm.I8, 2 * LANES)
        with for_range(builder, builder.lshr(builder.add(count, llvm.I64(31)), llvm.I64(5))) as loop:
            place = builder.shl(loop.index, llvm.I64(5))
            value = builder.zext(emit.load(builder, builder.gep(bytes_, [place]), half), llvm.WORDS)
            emit.store(builder, value, builder.gep(words, [builder.shl(place, llvm.I64(1))]))
        return context.get_dummy_value()

    return types.none(source, types.int64, target, types.int64, types.int64), generate


@Word
def multiply_add(typing: Any, acc: Any, x: Any, w: Any) -> Any:
    """acc + x * w in float32, rounded once where the CPU can."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return add_fused(builder, *args)

    return types.float32(*[types.float32] * 3), generate


@Word
def dot_widened(typing: Any, w: Any, w_at: Any, x: Any, x_at: Any, count: Any) -> Any:
    """The sum of ``count`` products of int8 w[w_at:] and float32 x[x_at:], flattened: 16 sums, then what is left."""
    from numba.core import types

    step = steps()["from int8"]

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        from numba.core.cgutils import alloca_once_value, for_range

        w, w_at, x, x_at, count = args
        weights = emit.address(context, builder, sig.args[0], w, w_at)
        floats = emit.address(context, builder, sig.args[2], x, x_at)
        whole = builder.ashr(count, llvm.I64(4))
        sums = alloca_once_value(builder, emit.splat(llvm.FLOATS, 0.0))
        with for_range(builder, whole) as loop:
            at = builder.shl(loop.index, llvm.I64(4))
            value = from_int8(builder, emit.load(builder, builder.gep(weights, [at]), step.weights))
            place = builder.gep(floats, [builder.shl(at, llvm.I64(2))])
            terms = emit.load(builder, place, llvm.FLOATS)
            builder.store(add_fused(builder, builder.load(sums), terms, value), sums)
        parts = builder.load(sums)
        while parts.type.count > 1:
            parts = builder.fadd(*(emit.part(builder, parts, half) for half in (0, 1)))
        total = alloca_once_value(builder, builder.extract_element(parts, llvm.I32(0)))
        done = builder.shl(whole, llvm.I64(4))
        with for_range(builder, builder.sub(count, done)) as loop:
            at = builder.add(done, loop.index)
            weight = emit.load(builder, builder.gep(weights, [at]), llvm.I8)
            term = emit.load(builder, builder.gep(floats, [builder.shl(at, llvm.I64(2))]), llvm.ir.FloatType())
            value = builder.sitofp(weight, llvm.ir.FloatType())
            builder.store(add_fused(builder, builder.load(total), term, value), total)
        return builder.load(total)

    return types.float32(w, types.int64, x, types.int64, types.int64), generate
