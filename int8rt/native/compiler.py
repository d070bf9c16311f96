"""From a kernel to machine code: Numba compiles the function, to which an entry point is added."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from int8rt.errors import UnsupportedError
from int8rt.native import loader
from int8rt.native.abi import Signature, numba_type, symbol
from int8rt.native.cpu import cpu_features
from int8rt.native.kernel import Kernel, teach_numba


def compiled(kernel: Kernel, signature: Signature) -> dict[str, Any]:
    """Compile one entry point with Numba: {symbol, code, image, numba, recipe, signature}.

    code is an object file, image the same for ``loader``, or None. numba says whether loading needs Numba's symbols;
    the last two, what to compile for another version or CPU.
    """
    from numba.core import compiler, registry, types
    from numba.core.compiler_lock import global_compiler_lock

    teach_numba()
    target = registry.cpu_target
    typing, context = target.typing_context, target.target_context
    flags = compiler.Flags()
    flags.nrt = False
    flags.error_model = "numpy"
    flags.no_compile = True  # the entry point joins the same module before it is optimized
    flags.no_cpython_wrapper = True
    flags.no_cfunc_wrapper = True
    flags.enable_pyobject = False
    arguments = parameter_types(kernel, signature)
    features = context.codegen()._tm_features
    if features != cpu_features():
        raise UnsupportedError(f"Numba compiles for the CPU features {features!r}, int8rt for {cpu_features()!r}")
    with global_compiler_lock:
        typing.refresh()
        context.refresh()
        returned = types.int64 if kernel.is_method else types.void
        result = compiler.compile_extra(typing, context, kernel.function, arguments, returned, flags, {})
        name = symbol(kernel.name, signature)
        library = result.library
        if kernel.is_method:
            library.add_ir_module(_method_module(context, result.fndesc, name))
        else:
            library.add_ir_module(_entry_module(context, result.fndesc, kernel.is_parallel, name))
        library.finalize()
        code = library.codegen._tm.emit_object(library._final_module)
        declared = {f.name for f in library._final_module.functions if f.is_declaration}
    foreign = {name for name in declared if not name.startswith("llvm.") and name not in _SYSTEM_SYMBOLS}
    about = {"recipe": kernel.recipe, "signature": signature}
    return {"symbol": name, "code": code, "image": _image(code, name), "numba": bool(foreign), **about}


def parameter_types(kernel: Kernel, signature: Signature) -> tuple[Any, ...]:
    """Numba's types of a kernel's parameters; one that is annotated with a NamedTuple takes an argument per field.

    Raises TypeError where there are more or fewer arguments than the parameters take.
    """
    from numba.core import types
    from numba.core.types.containers import BaseTuple

    code, annotations = kernel.function.__code__, kernel.function.__annotations__
    given = [types.int64] * (2 if kernel.is_parallel else 0) + [numba_type(name) for name in signature]
    found: list[Any] = []
    for name in code.co_varnames[: code.co_argcount]:
        group = annotations.get(name)
        if isinstance(group, str):
            group = kernel.function.__globals__.get(group)
        fields = getattr(group, "_fields", None)
        count = 1 if fields is None else len(fields)
        taken, given = given[:count], given[count:]
        if len(taken) < count:
            raise TypeError(f"{kernel!r} has no argument for {name}")
        found.append(taken[0] if fields is None else BaseTuple.from_types(taken, group))
    if given:
        raise TypeError(f"{kernel!r} takes {len(given)} arguments fewer than {len(signature)}")
    return tuple(found)


def _image(code: bytes, symbol: str) -> loader.Image | None:
    """The object as ``loader`` takes it, if it can."""
    from int8rt.native import elf

    with contextlib.suppress(loader.LoadError):
        return elf.flatten(code, symbol, _SYSTEM_SYMBOLS)
    return None


# What the C library offers to loaded code without Numba's help.
_SYSTEM_SYMBOLS = frozenset(
    f"{name}{suffix}"
    for name in [
        "exp",
        "log",
        "log1p",
        "sin",
        "cos",
        "tanh",
        "pow",
        "sqrt",
        "floor",
        "ceil",
        "trunc",
        "rint",
        "round",
        "erf",
        "fma",
        "fmod",
        "fmax",
        "fmin",
        "ldexp",
    ]
    for suffix in ("", "f")
) | {"memcpy", "memmove", "memset", "sched_yield"}


def _entry_module(context: Any, fndesc: Any, is_parallel: bool, symbol: str) -> Any:
    """LLVM module with ``void symbol(i64* record, i64 thread, i64 threads)`` calling the compiled function."""
    from llvmlite import ir

    word = ir.IntType(64)
    module = context.create_module(symbol)
    callee = ir.Function(
        module, context.call_conv.get_function_type(fndesc.restype, fndesc.argtypes), fndesc.llvm_func_name
    )
    entry = ir.Function(module, ir.FunctionType(ir.VoidType(), [word.as_pointer(), word, word]), symbol)
    builder = ir.IRBuilder(entry.append_basic_block("entry"))
    record, thread, threads = entry.args
    values = [thread, threads] if is_parallel else []
    position = 0

    def take() -> Any:
        nonlocal position
        value = builder.load(builder.gep(record, [word(position)]))
        position += 1
        return value

    for type_ in fndesc.argtypes[len(values) :]:
        values.append(_unpack(context, builder, type_, take))
    context.call_conv.call_function(builder, callee, fndesc.restype, fndesc.argtypes, values)
    builder.ret_void()
    return module


def _method_module(context: Any, fndesc: Any, symbol: str) -> Any:
    """LLVM module with ``i64 symbol(i64, i64, i64)`` calling the compiled function."""
    from llvmlite import ir

    word = ir.IntType(64)
    module = context.create_module(symbol)
    callee = ir.Function(
        module, context.call_conv.get_function_type(fndesc.restype, fndesc.argtypes), fndesc.llvm_func_name
    )
    entry = ir.Function(module, ir.FunctionType(word, [word, word, word]), symbol)
    builder = ir.IRBuilder(entry.append_basic_block("entry"))
    _, value = context.call_conv.call_function(builder, callee, fndesc.restype, fndesc.argtypes, entry.args)
    builder.ret(value)
    return module


def _unpack(context: Any, builder: Any, type_: Any, take: Callable[[], Any]) -> Any:
    from llvmlite import ir
    from numba.core import types
    from numba.core.types.containers import BaseTuple

    if isinstance(type_, BaseTuple):
        return context.make_tuple(builder, type_, [_unpack(context, builder, field, take) for field in type_])
    if type_ == types.int64:
        return take()
    if isinstance(type_, types.Float):
        value = builder.bitcast(take(), ir.DoubleType())
        return value if type_ == types.float64 else builder.fptrunc(value, ir.FloatType())
    return _unpack_array(context, builder, type_, take)


def _unpack_array(context: Any, builder: Any, type_: Any, take: Callable[[], Any]) -> Any:
    from llvmlite import ir
    from numba.core import types
    from numba.np.arrayobj import populate_array

    array = context.make_array(type_)(context, builder)
    data = builder.inttoptr(take(), context.get_data_type(type_.dtype).as_pointer())
    shape = [take() for _ in range(type_.ndim)]
    itemsize = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(type_.dtype)))
    strides: list[Any] = []
    stride = itemsize
    for extent in reversed(shape):
        strides.insert(0, stride)
        stride = builder.mul(stride, extent)
    populate_array(array, data=data, shape=shape, strides=strides, itemsize=itemsize, meminfo=None)
    del ir
    return array._getvalue()
