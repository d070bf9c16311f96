"""Tables of 256 bytes looked up 64 at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from int8rt.native.kernel import Word
from int8rt.simd import emit, llvm
from int8rt.simd.features import has
from int8rt.simd.lowerings import quarters


@Word
def look_up_within(typing: Any, table: Any, x: Any, start: Any, y: Any, at: Any, count: Any) -> Any:
    """y[at + i] = table[x[start + i]] for i below count, all of bytes; the table has 256, y may be x."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        from numba.core.cgutils import for_range

        table, x, start, y, at, count = args
        table = emit.address(context, builder, sig.args[0], table, llvm.I64(0))
        source = emit.address(context, builder, sig.args[1], x, start)
        target = emit.address(context, builder, sig.args[3], y, at)
        done = llvm.I64(0)
        if look_up := _look_up(builder, table):
            whole = builder.ashr(count, llvm.I64(6))
            done = builder.shl(whole, llvm.I64(6))
            with for_range(builder, whole) as loop:
                place = builder.shl(loop.index, llvm.I64(6))
                value = look_up(emit.load(builder, builder.gep(source, [place]), llvm.BYTES))
                emit.store(builder, value, builder.gep(target, [place]))
        with for_range(builder, count, start=done) as loop:
            index = builder.zext(builder.load(builder.gep(source, [loop.index])), llvm.I64)
            builder.store(builder.load(builder.gep(table, [index])), builder.gep(target, [loop.index]))
        return context.get_dummy_value()

    integers = types.int64
    return types.none(table, x, integers, y, integers, integers), generate


def _look_up(builder: Any, table: Any) -> Callable[[Any], Any] | None:
    """The function that looks up 64 bytes in registers that hold the table; None where a byte at a time is faster."""
    if has("avx512vbmi"):
        return look_up_by_permutes(builder, table)
    if has("neon"):
        return _look_up_by_tables(builder, table)
    return _look_up_by_shuffles(builder, table) if has("avx2") else None


def look_up_by_permutes(builder: Any, table: Any) -> Callable[[Any], Any]:
    """Two permutations of 128 bytes each."""
    quarters = [emit.load(builder, builder.gep(table, [llvm.I64(64 * i)]), llvm.BYTES) for i in range(4)]
    permute = emit.declare(builder, "llvm.x86.avx512.vpermi2var.qi.512", llvm.BYTES, [llvm.BYTES] * 3)

    def look_up(x: Any) -> Any:
        low, high = (builder.call(permute, [a, x, b]) for a, b in (quarters[:2], quarters[2:]))
        return builder.select(builder.icmp_signed("<", x, emit.splat(llvm.BYTES, 0)), high, low)

    return look_up


def _look_up_by_tables(builder: Any, table: Any) -> Callable[[Any], Any]:
    """Four look-ups in 64 bytes each, of which those out of range change nothing."""
    row = llvm.ir.VectorType(llvm.I8, 16)
    first = emit.declare(builder, "llvm.aarch64.neon.tbl4.v16i8", row, [row] * 5)
    other = emit.declare(builder, "llvm.aarch64.neon.tbx4.v16i8", row, [row] * 6)
    rows = [emit.load(builder, builder.gep(table, [llvm.I64(16 * i)]), row) for i in range(16)]

    def quarter(index: Any) -> Any:
        result = builder.call(first, [*rows[:4], index])
        for i in (4, 8, 12):
            index = builder.sub(index, emit.splat(row, 64))
            result = builder.call(other, [result, *rows[i : i + 4], index])
        return result

    return lambda x: quarters(builder, quarter, x)


def _look_up_by_shuffles(builder: Any, table: Any) -> Callable[[Any], Any]:
    """Sixteen shuffles of 16 bytes each, as XNNPACK has it: a shuffle gives 0 where its index is negative.

    With row k of the table exclusive-ored to row k - 1, rows 0 ... x // 16, whose indices are not negative, add up to
    row x // 16.
    """
    half, row = llvm.ir.VectorType(llvm.I8, 32), llvm.ir.VectorType(llvm.I8, 16)
    shuffle = emit.declare(builder, "llvm.x86.avx2.pshuf.b", half, [half, half])
    subtract = emit.declare(builder, "llvm.ssub.sat.v32i8", half, [half, half])
    rows = [emit.load(builder, builder.gep(table, [llvm.I64(16 * i)]), row) for i in range(16)]
    steps = [v if i % 8 == 0 else builder.xor(v, rows[i - 1]) for i, v in enumerate(rows)]
    steps = [emit.join(builder, v, v) for v in steps]

    def look_up(x: Any) -> Any:
        results = []
        for v in (emit.part(builder, x, 0), emit.part(builder, x, 1)):
            total = emit.splat(half, 0)
            for first, index in ((0, v), (8, builder.xor(v, emit.splat(half, 128)))):
                for step in steps[first : first + 8]:
                    total = builder.xor(total, builder.call(shuffle, [step, index]))
                    index = builder.call(subtract, [index, emit.splat(half, 16)])
            results.append(total)
        return emit.join(builder, *results)

    return look_up
