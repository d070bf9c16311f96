"""What a run loop needs: calls by address, words of memory, atomics."""

from __future__ import annotations

from platform import machine

from int8rt.simd import emit, llvm
from int8rt.simd.features import is_aarch64
from int8rt.simd.intrinsics import Array, Builder, Value, intrinsic


@intrinsic("none(int64, int64, int64, int64)")
def call(builder: Builder, address: Value, block: Value, thread: Value, threads: Value) -> None:
    """Call the entry point at an address."""
    function = llvm.ir.FunctionType(llvm.ir.VoidType(), [llvm.I64, llvm.I64, llvm.I64])
    builder.call(builder.inttoptr(address, function.as_pointer()), [block, thread, threads])


@intrinsic("int64(int64)")
def word_at(builder: Builder, address: Value) -> Value:
    """The int64 at an address."""
    return builder.load(builder.inttoptr(address, llvm.I64.as_pointer()))


@intrinsic("none(int64, int64)")
def put_word(builder: Builder, address: Value, value: Value) -> None:
    """Store an int64 at an address."""
    builder.store(value, builder.inttoptr(address, llvm.I64.as_pointer()))


@intrinsic("int64(int64, int64, int64, int64)")
def invoke(builder: Builder, address: Value, a: Value, b: Value, c: Value) -> Value:
    """Call a C function of up to three int64, one that takes fewer leaves the others alone; its result, an int64."""
    function = builder.inttoptr(address, llvm.ir.FunctionType(llvm.I64, [llvm.I64] * 3).as_pointer())
    return builder.call(function, [a, b, c])


@intrinsic("none(int64, int64, int64, int64)")
def copy_bytes(builder: Builder, target: Value, source: Value, count: Value, flip: Value) -> None:
    """Copy ``count`` bytes from address to address, each with ``flip`` exclusive-ored."""
    target, source = (builder.inttoptr(a, llvm.I8.as_pointer()) for a in (target, source))
    flip = builder.trunc(flip, llvm.I8)
    whole = builder.ashr(count, llvm.I64(6))
    with emit.loop(builder, whole) as loop:
        at = builder.shl(loop.index, llvm.I64(6))
        value = emit.load(builder, builder.gep(source, [at]), llvm.BYTES)
        flipped = builder.xor(value, emit.spread(builder, flip, llvm.VECTOR_NBYTES))
        emit.store(builder, flipped, builder.gep(target, [at]))
    with emit.loop(builder, builder.sub(count, builder.shl(whole, llvm.I64(6)))) as loop:
        at = builder.add(builder.shl(whole, llvm.I64(6)), loop.index)
        value = builder.load(builder.gep(source, [at]))
        builder.store(builder.xor(value, flip), builder.gep(target, [at]))


@intrinsic("int64(int64[], int64, int64)")
def atomic_add(builder: Builder, array: Array, at: Value, value: Value) -> Value:
    """Add to an element that other threads use too; gives what was there."""
    return builder.atomic_rmw("add", array.place(at), value, "seq_cst")


@intrinsic("int64(int64[], int64, int64)")
def atomic_swap(builder: Builder, array: Array, at: Value, value: Value) -> Value:
    """Replace an element that other threads use too; gives what was there."""
    return builder.atomic_rmw("xchg", array.place(at), value, "seq_cst")


@intrinsic("int64(int64[], int64)")
def atomic_load(builder: Builder, array: Array, at: Value) -> Value:
    """Read an element that other threads write."""
    return builder.load_atomic(array.place(at), "seq_cst", 8)


@intrinsic("none()")
def pause(builder: Builder) -> None:
    """Let the CPU rest for a moment while spinning."""
    if machine() in ("x86_64", "AMD64"):
        builder.call(emit.declare(builder, "llvm.x86.sse2.pause", llvm.ir.VoidType(), []), [])
    elif is_aarch64():
        builder.call(emit.declare(builder, "llvm.aarch64.hint", llvm.ir.VoidType(), [llvm.I32]), [llvm.I32(1)])
