"""Tables of 256 bytes looked up 64 at a time."""

from __future__ import annotations

from int8rt.simd import emit, llvm
from int8rt.simd.intrinsics import Array, Builder, Value, intrinsic
from int8rt.simd.lowerings import LOOK_UP, lower


@intrinsic("none(uint8[], uint8[], int64, uint8[], int64, int64)")
def look_up_within(
    builder: Builder, table: Array, x: Array, start: Value, y: Array, at: Value, count: Value
) -> None:  # fmt: skip
    """y[at + i] = table[x[start + i]] for i below count; the table has 256, y may be x."""
    numbers, source, target = table.at(0), x.at(start), y.at(at)
    done = llvm.I64(0)
    if (make := lower(LOOK_UP)) is not None:
        look_up = make(builder, numbers)
        whole = builder.ashr(count, llvm.I64(6))
        done = builder.shl(whole, llvm.I64(6))
        with emit.loop(builder, whole) as loop:
            place = builder.shl(loop.index, llvm.I64(6))
            value = look_up(emit.load(builder, builder.gep(source, [place]), llvm.BYTES))
            emit.store(builder, value, builder.gep(target, [place]))
    with emit.loop(builder, count, start=done) as loop:
        index = builder.zext(builder.load(builder.gep(source, [loop.index])), llvm.I64)
        builder.store(builder.load(builder.gep(numbers, [index])), builder.gep(target, [loop.index]))
