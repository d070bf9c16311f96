"""From a kernel to machine code: Numba compiles the function, to which an entry point is added."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from int8rt.errors import UnsupportedError
from int8rt.native import loader
from int8rt.native.abi import Signature, symbol
from int8rt.native.cache import Entry
from int8rt.native.cpu import cpu_features
from int8rt.native.kernel import Kernel, teach_numba


def compiled(kernel: Kernel, signature: Signature) -> Entry:
    """Compile one entry point with Numba. Raises what Numba raises, and UnsupportedError where it means another CPU."""
    from numba.core import registry
    from numba.core.compiler_lock import global_compiler_lock

    teach_numba()
    context = registry.cpu_target.target_context
    features = context.codegen()._tm_features
    if features != cpu_features():
        raise UnsupportedError(f"Numba compiles for the CPU features {features!r}, int8rt for {cpu_features()!r}")
    name = symbol(kernel.name, signature)
    with global_compiler_lock:
        result = _compiled_function(kernel, signature)
        library = result.library
        if kernel.is_method:
            library.add_ir_module(_method_module(context, result.fndesc, name))
        else:
            library.add_ir_module(_entry_module(context, result.fndesc, kernel.is_parallel, name))
        library.finalize()
        code = library.codegen._tm.emit_object(library._final_module)
        declared = {f.name for f in library._final_module.functions if f.is_declaration}
    of_numba = {name for name in declared if not name.startswith("llvm.") and name not in _SYSTEM_SYMBOLS}
    return Entry(name, kernel.recipe, signature, bool(of_numba), code, _image(code, name))


def _compiled_function(kernel: Kernel, signature: Signature) -> Any:
    """What Numba makes of a kernel's function, not optimized yet: the entry point joins the same module first."""
    from numba.core import compiler, registry, types

    typing, context = registry.cpu_target.typing_context, registry.cpu_target.target_context
    typing.refresh()
    context.refresh()
    flags = compiler.Flags()
    flags.nrt = False
    flags.error_model = "numpy"
    flags.no_compile = True
    flags.no_cpython_wrapper = True
    flags.no_cfunc_wrapper = True
    flags.enable_pyobject = False
    arguments = parameter_types(kernel, signature)
    returned = types.int64 if kernel.is_method else types.void
    return compiler.compile_extra(typing, context, kernel.function, arguments, returned, flags, {})


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


def numba_type(name: str) -> Any:
    """The type of Numba that a signature means."""
    from numba.core import types
    from numba.np.numpy_support import from_dtype

    numbers = {"int": types.int64, "float": types.float64, "float32": types.float32}
    if name in numbers:
        return numbers[name]
    dtype, ndim = name[:-1].split("[")
    return types.Array(from_dtype(np.dtype(dtype)), int(ndim), "C")


def _image(code: bytes, symbol: str) -> loader.Image | None:
    """The object as ``loader`` takes it, if it can."""
    from int8rt.native import elf

    with contextlib.suppress(loader.LoadError):
        return elf.flatten(code, symbol, _SYSTEM_SYMBOLS)
    return None


# What the C library offers to loaded code without Numba's help.
_OF_MATH = (
    "exp", "log", "log1p", "sin", "cos", "tanh", "pow", "sqrt", "floor", "ceil", "trunc", "rint", "round", "erf",
    "fma", "fmod", "fmax", "fmin", "ldexp",
)  # fmt: skip
_SYSTEM_SYMBOLS = frozenset({
    "memcpy", "memmove", "memset", *_OF_MATH, *(f"{name}f" for name in _OF_MATH)
})  # fmt: skip


def _entry_module(context: Any, fndesc: Any, is_parallel: bool, symbol: str) -> Any:
    """LLVM module with ``void symbol(i64 *block, i64 thread, i64 threads)``, which calls the compiled function."""
    from llvmlite import ir

    word = ir.IntType(64)
    module, callee = _module_with(context, fndesc, symbol)
    entry = ir.Function(module, ir.FunctionType(ir.VoidType(), [word.as_pointer(), word, word]), symbol)
    builder = ir.IRBuilder(entry.append_basic_block("entry"))
    block, thread, threads = entry.args
    values = [thread, threads] if is_parallel else []
    places = itertools.count()

    def take() -> Any:
        return builder.load(builder.gep(block, [word(next(places))]))

    for type_ in fndesc.argtypes[len(values) :]:
        values.append(_unpack(context, builder, type_, take))
    context.call_conv.call_function(builder, callee, fndesc.restype, fndesc.argtypes, values)
    builder.ret_void()
    return module


def _method_module(context: Any, fndesc: Any, symbol: str) -> Any:
    """LLVM module with ``i64 symbol(i64, i64, i64)``, which calls the compiled function."""
    from llvmlite import ir

    word = ir.IntType(64)
    module, callee = _module_with(context, fndesc, symbol)
    entry = ir.Function(module, ir.FunctionType(word, [word, word, word]), symbol)
    builder = ir.IRBuilder(entry.append_basic_block("entry"))
    _, value = context.call_conv.call_function(builder, callee, fndesc.restype, fndesc.argtypes, entry.args)
    builder.ret(value)
    return module


def _module_with(context: Any, fndesc: Any, name: str) -> tuple[Any, Any]:
    """A new LLVM module, and the compiled function as it can be called there."""
    from llvmlite import ir

    module = context.create_module(name)
    type_ = context.call_conv.get_function_type(fndesc.restype, fndesc.argtypes)
    return module, ir.Function(module, type_, fndesc.llvm_func_name)


def _unpack(context: Any, builder: Any, type_: Any, take: Callable[[], Any]) -> Any:
    """An argument of a type from the next words of an argument block, which ``take`` gives one by one."""
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
    """A C-contiguous array from its address and shape."""
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
    return array._getvalue()
