"""Vectors of elements that are not bytes, for Numba kernels: ``simd`` continued, and the last to speak LLVM.

``tile(kind, R, V)``: words over R rows by 16 V columns of accumulators: for float32 x ``float32``, ``from int8``
and ``from float16``, whose weights become float32 in registers, and ``int16`` for int16 x.
"""

from __future__ import annotations

import functools
from types import SimpleNamespace
from typing import Any, NamedTuple

from int8rt import simd
from int8rt.jit import Word, before_words
from int8rt.simd import LANES


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


def _add_floats(builder: Any, acc: Any, x: Any, w: Any) -> Any:
    return builder.fadd(acc, builder.fmul(x, w))


def _add_pairs(builder: Any, acc: Any, x: Any, w: Any) -> Any:
    """Two products of 16 bits in each lane."""
    x = builder.bitcast(x, WORDS)
    if simd.has("avx512bw"):
        return builder.add(acc, simd._multiply_add(builder, x, w, "llvm.x86.avx512.pmaddw.d.512", 1))
    if simd.has("avx2"):
        return builder.add(acc, simd._multiply_add(builder, x, w, "llvm.x86.avx2.pmadd.wd", 2))
    x, w = builder.bitcast(x, INT32S), builder.bitcast(w, INT32S)
    half = simd._splat(INT32S, 16)
    evens = (builder.ashr(builder.shl(v, half), half) for v in (x, w))
    odds = (builder.ashr(v, half) for v in (x, w))
    return builder.add(builder.add(acc, builder.mul(*evens)), builder.mul(*odds))


def _add_fused(builder: Any, acc: Any, x: Any, w: Any) -> Any:
    """Rounded once where the CPU can."""
    if not has_fused():
        return _add_floats(builder, acc, x, w)
    name = f"llvm.fma.v{LANES}f32" if isinstance(acc.type, ir.VectorType) else "llvm.fma.f32"
    return builder.call(simd._declare(builder, name, acc.type, [acc.type] * 3), [x, w, acc])


def has_fused() -> bool:
    """Whether the CPU multiplies and adds in one instruction."""
    return simd.has("fma", "avx") or simd.is_aarch64()


def _from_int8(builder: Any, w: Any) -> Any:
    return builder.sitofp(builder.sext(w, INT32S), FLOATS)


def _from_float16(builder: Any, w: Any) -> Any:
    """Finite values: their bits at float32's places are 2^-112 of them."""
    if simd.has("avx512f") or simd.has("f16c", "avx"):
        return builder.fpext(w, FLOATS)
    bits = builder.zext(builder.bitcast(w, ir.VectorType(I16, LANES)), INT32S)
    sign = builder.shl(builder.and_(bits, simd._splat(INT32S, 0x8000)), simd._splat(INT32S, 16))
    rest = builder.shl(builder.and_(bits, simd._splat(INT32S, 0x7FFF)), simd._splat(INT32S, 13))
    scaled = builder.fmul(builder.bitcast(rest, FLOATS), simd._splat(FLOATS, 2.0**112))
    return builder.bitcast(builder.or_(builder.bitcast(scaled, INT32S), sign), FLOATS)


# As in simd, there is nothing of LLVM before a word is compiled.
ir: Any
I8: Any
I16: Any
I32: Any
INT32S: Any
WORDS: Any
FLOATS: Any
STEPS: dict[str, Step]


@before_words
def _speak_llvm() -> None:
    global ir, I8, I16, I32, INT32S, WORDS, FLOATS, STEPS
    from llvmlite import ir

    from int8rt.simd import I8, I16, I32, INT32S, WORDS

    FLOATS = ir.VectorType(ir.FloatType(), LANES)
    bytes_, halves = ir.VectorType(I8, LANES), ir.VectorType(ir.HalfType(), LANES)
    STEPS = {
        "float32": Step(FLOATS, FLOATS, ir.FloatType(), 4, 1, _add_floats),
        "int16": Step(INT32S, WORDS, I32, 2, 2, _add_pairs),
        "from int8": Step(FLOATS, bytes_, ir.FloatType(), 4, 1, _add_fused, _from_int8, 16),
        "from float16": Step(FLOATS, halves, ir.FloatType(), 4, 1, _add_fused, _from_float16, 32),
    }


@functools.cache
def tile(kind: str, rows: int, vectors: int) -> SimpleNamespace:
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
        rows=simd.row_addresses(rows), start=Word(t.start), dot=Word(t.dot), store=Word(t.store), lanes=Word(t.lanes),
        add_scaled=Word(t.add_scaled), scaled=[Word(t.scaled_by_both), Word(t.scaled_by_weights_first)],
        finish=Word(t.finish),
    )  # fmt: skip


class _Tile:
    def __init__(self, kind: str, rows: int, vectors: int) -> None:
        self.kind, self.rows, self.vectors = kind, rows, vectors
        self.name = f"Tile {kind} {rows}x{vectors}"

    @property
    def step(self) -> Step:
        return STEPS[self.kind]

    @property
    def accumulators(self) -> Any:
        if self.step.sums == INT32S:
            return simd.accumulators(self.rows, self.vectors)
        return simd._array_type(self.name, self.step.sums, self.rows * self.vectors)

    def start(self, typing: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return ir.Constant(ir.ArrayType(self.step.sums, self.rows * self.vectors), None)

        return self.accumulators(), generate

    def _weights(self, builder: Any, pointer: Any) -> list[Any]:
        """The next vectors of weights, as wide as the sums."""
        places = [builder.gep(pointer, [simd.I64(self.step.weights_size * v)]) for v in range(self.vectors)]
        weights = [simd._load(builder, place, self.step.weights) for place in places]
        return weights if self.step.widen is None else [self.step.widen(builder, w) for w in weights]

    def dot(self, typing: Any, acc: Any, rows: Any, k: Any, w: Any, at: Any) -> Any:
        from numba.core import types

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            acc, rows, k, w, at = args
            acc, rows = simd._spread_out(builder, acc), simd._spread_out(builder, rows)
            pointer = simd._address(context, builder, sig.args[3], w, at)
            weights = self._weights(builder, pointer)
            if self.step.widen is not None and self.rows == 1:
                simd.prefetch(builder, pointer, self.step.weights_size * self.vectors)
            start = builder.mul(k, simd.I64(self.step.itemsize))
            result = []
            for r, row in enumerate(rows):
                x = simd._spread(builder, simd._load(builder, builder.gep(row, [start]), self.step.loaded))
                result += [self.step.add(builder, acc[r * self.vectors + v], x, w) for v, w in enumerate(weights)]
            return simd._gather(builder, result)

        return self.accumulators(acc, rows, types.int64, w, types.int64), generate

    def add_scaled(self, typing: Any, acc: Any, part: Any, scale: Any, at: Any) -> Any:
        from numba.core import types

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            acc, part = (simd._spread_out(builder, v) for v in args[:2])
            pointer = simd._address(context, builder, sig.args[2], *args[2:])
            places = [builder.gep(pointer, [simd.I64(64 * v)]) for v in range(self.vectors)]
            scales = [simd._load(builder, place, FLOATS) for place in places] * self.rows
            return simd._gather(builder, [_add_fused(builder, *v) for v in zip(acc, part, scales, strict=True)])

        return self.accumulators(acc, part, scale, types.int64), generate

    def lanes(self, typing: Any, acc: Any, rows: Any, k: Any, w: Any, at: Any) -> Any:
        from numba.core import types

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            acc, rows, k, w, at = args
            acc, rows = simd._spread_out(builder, acc), simd._spread_out(builder, rows)
            weights = self._weights(builder, simd._address(context, builder, sig.args[3], w, at))
            start = builder.mul(k, simd.I64(self.step.itemsize))
            result = []
            for r, row in enumerate(rows):
                row = builder.gep(row, [start])
                for v, w in enumerate(weights):
                    x = simd._load(builder, builder.gep(row, [simd.I64(64 * v)]), FLOATS)
                    result.append(self.step.add(builder, acc[r * self.vectors + v], x, w))
            return simd._gather(builder, result)

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
            first = simd._address(context, builder, sig.args[5], weights, at)
            places = [builder.gep(first, [simd.I64(64 * v)]) for v in range(2 * self.vectors)]
            scales = [simd._load(builder, place, FLOATS) for place in places[: self.vectors]]
            totals = [simd._load(builder, place, INT32S) for place in places[self.vectors :]]
            result = []
            for i, value in enumerate(simd._spread_out(builder, sums)):
                r, v = divmod(i, self.vectors)
                if v == 0:
                    place = simd._address(context, builder, sig.args[3], images, builder.add(m, simd.I64(r)))
                    n = builder.sext(simd._load(builder, place, I32), simd.I64)
                    place = simd._address(context, builder, sig.args[1], scale, builder.mul(n, simd.I64(2)))
                    x_scale = simd._spread(builder, simd._load(builder, place, ir.FloatType()))
                    place = simd._address(context, builder, sig.args[2], zero_point, n)
                    zero = simd._spread(builder, simd._load(builder, place, I32))
                value = builder.sitofp(builder.sub(value, builder.mul(zero, totals[v])), FLOATS)
                result.append(product(builder, value, x_scale, scales[v]))
            return simd._gather(builder, result)

        integers = types.int64
        return self.accumulators(sums, scale, zero_point, images, integers, weights, integers), generate

    def finish(
        self, typing: Any, acc: Any, bias: Any, at: Any, limits: Any, y: Any, to: Any, stride: Any, columns: Any
    ) -> Any:
        from numba.core import types

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            acc, bias, at, limits, y, to, stride, columns = args
            first = simd._address(context, builder, sig.args[1], bias, at)
            ends = simd._address(context, builder, sig.args[3], limits, simd.I64(0))
            lo, hi = (
                simd._spread(builder, simd._load(builder, builder.gep(ends, [simd.I64(4 * i)]), ir.FloatType()))
                for i in range(2)
            )
            acc = simd._spread_out(builder, acc)
            start = simd._address(context, builder, sig.args[4], y, to)
            step = builder.mul(stride, simd.I64(4))
            pointers = [builder.gep(start, [builder.mul(step, simd.I64(r))]) for r in range(self.rows)]
            for v in range(self.vectors):
                place = [simd.I64(64 * v)]
                own = simd._load(builder, builder.gep(first, place), FLOATS)
                values = [self._limited(builder, builder.fadd(a, own), lo, hi) for a in acc[v :: self.vectors]]
                places = [builder.gep(pointer, place) for pointer in pointers]
                simd._store_columns(builder, values, places, builder.sub(columns, simd.I64(LANES * v)))
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
            pointer = simd._address(context, builder, sig.args[1], scratch, at)
            for i, value in enumerate(simd._spread_out(builder, acc)):
                simd._store(builder, value, builder.gep(pointer, [simd.I64(64 * i)]))
            return context.get_dummy_value()

        return types.none(acc, scratch, types.int64), generate


@Word
def widen_within(typing: Any, source: Any, start: Any, target: Any, at: Any, count: Any) -> Any:
    """target[at : at + count] = source[start : start + count], bytes as int16; up to 31 more are read and written."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        from numba.core.cgutils import for_range

        source, start, target, at, count = args
        bytes_ = simd._address(context, builder, sig.args[0], source, start)
        words = simd._address(context, builder, sig.args[2], target, at)
        half = ir.VectorType(I8, 2 * LANES)
        with for_range(builder, builder.lshr(builder.add(count, simd.I64(31)), simd.I64(5))) as loop:
            place = builder.shl(loop.index, simd.I64(5))
            value = builder.zext(simd._load(builder, builder.gep(bytes_, [place]), half), WORDS)
            simd._store(builder, value, builder.gep(words, [builder.shl(place, simd.I64(1))]))
        return context.get_dummy_value()

    return types.none(source, types.int64, target, types.int64, types.int64), generate


@Word
def multiply_add(typing: Any, acc: Any, x: Any, w: Any) -> Any:
    """acc + x * w in float32, rounded once where the CPU can."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _add_fused(builder, *args)

    return types.float32(*[types.float32] * 3), generate


@Word
def dot_widened(typing: Any, w: Any, w_at: Any, x: Any, x_at: Any, count: Any) -> Any:
    """The sum of ``count`` products of int8 w[w_at:] and float32 x[x_at:], flattened: 16 sums, then what is left."""
    from numba.core import types

    step = STEPS["from int8"]

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        from numba.core.cgutils import alloca_once_value, for_range

        w, w_at, x, x_at, count = args
        weights = simd._address(context, builder, sig.args[0], w, w_at)
        floats = simd._address(context, builder, sig.args[2], x, x_at)
        whole = builder.ashr(count, simd.I64(4))
        sums = alloca_once_value(builder, simd._splat(FLOATS, 0.0))
        with for_range(builder, whole) as loop:
            at = builder.shl(loop.index, simd.I64(4))
            value = _from_int8(builder, simd._load(builder, builder.gep(weights, [at]), step.weights))
            place = builder.gep(floats, [builder.shl(at, simd.I64(2))])
            terms = simd._load(builder, place, FLOATS)
            builder.store(_add_fused(builder, builder.load(sums), terms, value), sums)
        parts = builder.load(sums)
        while parts.type.count > 1:
            parts = builder.fadd(*(simd._part(builder, parts, half) for half in (0, 1)))
        total = alloca_once_value(builder, builder.extract_element(parts, I32(0)))
        done = builder.shl(whole, simd.I64(4))
        with for_range(builder, builder.sub(count, done)) as loop:
            at = builder.add(done, loop.index)
            weight = simd._load(builder, builder.gep(weights, [at]), I8)
            term = simd._load(builder, builder.gep(floats, [builder.shl(at, simd.I64(2))]), ir.FloatType())
            value = builder.sitofp(weight, ir.FloatType())
            builder.store(_add_fused(builder, builder.load(total), term, value), total)
        return builder.load(total)

    return types.float32(w, types.int64, x, types.int64, types.int64), generate
