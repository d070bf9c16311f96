"""What a run loop needs: calls by address, words of memory, atomics."""

from __future__ import annotations

import os
from platform import machine
from typing import Any

from int8rt.native.kernel import Word
from int8rt.simd import emit, llvm
from int8rt.simd.features import is_aarch64


@Word
def call(typing: Any, address: Any, record: Any, thread: Any, threads: Any) -> Any:
    """Call the entry point at an address."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        function = llvm.ir.FunctionType(llvm.ir.VoidType(), [llvm.I64, llvm.I64, llvm.I64])
        builder.call(builder.inttoptr(args[0], function.as_pointer()), args[1:])
        return context.get_dummy_value()

    return types.none(*[types.int64] * 4), generate


@Word
def word_at(typing: Any, address: Any) -> Any:
    """The int64 at an address."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.load(builder.inttoptr(args[0], llvm.I64.as_pointer()))

    return types.int64(types.int64), generate


@Word
def put_word(typing: Any, address: Any, value: Any) -> Any:
    """Store an int64 at an address."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.store(args[1], builder.inttoptr(args[0], llvm.I64.as_pointer()))
        return context.get_dummy_value()

    return types.none(types.int64, types.int64), generate


@Word
def invoke(typing: Any, address: Any, a: Any, b: Any, c: Any) -> Any:
    """Call a C function of up to three words, one that takes fewer leaves the others alone; its result, a word."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        function = builder.inttoptr(args[0], llvm.ir.FunctionType(llvm.I64, [llvm.I64] * 3).as_pointer())
        return builder.call(function, args[1:])

    return types.int64(*[types.int64] * 4), generate


@Word
def copy_bytes(typing: Any, target: Any, source: Any, count: Any, flip: Any) -> Any:
    """Copy ``count`` bytes from address to address, each with ``flip`` exclusive-ored."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        from numba.core.cgutils import for_range

        target, source = (builder.inttoptr(a, llvm.I8.as_pointer()) for a in args[:2])
        flip = builder.trunc(args[3], llvm.I8)
        whole = builder.ashr(args[2], llvm.I64(6))
        with for_range(builder, whole) as loop:
            at = builder.shl(loop.index, llvm.I64(6))
            value = emit.load(builder, builder.gep(source, [at]), llvm.BYTES)
            emit.store(builder, builder.xor(value, emit.spread(builder, flip, 64)), builder.gep(target, [at]))
        with for_range(builder, builder.sub(args[2], builder.shl(whole, llvm.I64(6)))) as loop:
            at = builder.add(builder.shl(whole, llvm.I64(6)), loop.index)
            value = builder.load(builder.gep(source, [at]))
            builder.store(builder.xor(value, flip), builder.gep(target, [at]))
        return context.get_dummy_value()

    return types.none(*[types.int64] * 4), generate


@Word
def atomic_add(typing: Any, array: Any, at: Any, value: Any) -> Any:
    """Add to an int64 element that other threads use too; gives what was there."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        return builder.atomic_rmw("add", builder.gep(data, [args[1]]), args[2], "seq_cst")

    return types.int64(array, types.int64, types.int64), generate


@Word
def atomic_swap(typing: Any, array: Any, at: Any, value: Any) -> Any:
    """Replace an int64 element that other threads use too; gives what was there."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        return builder.atomic_rmw("xchg", builder.gep(data, [args[1]]), args[2], "seq_cst")

    return types.int64(array, types.int64, types.int64), generate


@Word
def atomic_load(typing: Any, array: Any, at: Any) -> Any:
    """Read an int64 element that other threads write."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        return builder.load_atomic(builder.gep(data, [args[1]]), "acquire", 8)

    return types.int64(array, types.int64), generate


@Word
def pause(typing: Any) -> Any:
    """Let the CPU rest for a moment while spinning."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if machine() in ("x86_64", "AMD64"):
            builder.call(emit.declare(builder, "llvm.x86.sse2.pause", llvm.ir.VoidType(), []), [])
        elif is_aarch64():
            builder.call(emit.declare(builder, "llvm.aarch64.hint", llvm.ir.VoidType(), [llvm.I32]), [llvm.I32(1)])
        return context.get_dummy_value()

    return types.none(), generate


@Word
def give_way(typing: Any) -> Any:
    """Let another thread have the CPU."""
    from numba.core import types

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if os.name == "posix":
            builder.call(emit.declare(builder, "sched_yield", llvm.I32, []), [])
        return context.get_dummy_value()

    return types.none(), generate
