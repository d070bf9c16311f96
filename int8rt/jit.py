"""The one place for Numba options, for entry points of kernels, and for the cache of compiled code.

A kernel is a Python function that Numba compiles for given argument types. It is called in two ways:

* from Python, ``add(x, y, out)``, as tests do; Numba dispatches on the types of the arguments;
* from a Program, through an **entry point** ``void (int64* record, int64 thread, int64 threads)`` which unpacks the
  arguments from a record of 64-bit words. ``pack`` writes such records; ``Kernel.entry`` compiles entry points.

Entry points are kept as object files, one per kernel and list of argument types, in a folder named after a hash of
everything that decides what is in them: the sources of int8rt, the versions of Python, Numba, llvmlite and NumPy, the
CPU and its features. An entry also has its code in the form that ``loader`` takes, so that a warm start imports neither
Numba nor llvmlite, whose loader serves what ours does not know. An entry carries a checksum; a damaged one is compiled
again. Files appear by an atomic rename, so processes may share the folder; where it cannot be written, compiled code
lives as long as the process.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib
import json
import operator
import os
import platform
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec

import numpy as np

try:  # hashlib would load OpenSSL, which takes 2 ms
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

from int8rt import host, loader
from int8rt.errors import UnsupportedError

if TYPE_CHECKING:  # a warm start does without it
    from pathlib import Path

Signature = tuple[str, ...]
Progress = Callable[[str, int, int], None]  # what is being compiled, how many are done, how many there are
P = ParamSpec("P")

_lock = threading.RLock()


# Kernels


class Kernel:
    """A function for Numba with an entry point per list of argument types; makes nothing until it is used.

    A function whose first two parameters are ``thread, threads`` may share its work: it is called once per
    thread. Any other runs on one thread while the others wait.

    A method has three integers as arguments, gives one, and needs no record: ``int64 (int64, int64, int64)`` is what
    Python calls as a built-in function.

    ``recipe`` says in JSON where another process finds the kernel: [module, name], and the arguments of a ``family``.
    """

    def __init__(self, function: Callable[..., Any], name: str | None = None, is_method: bool = False) -> None:
        functools.update_wrapper(self, function)
        self.function, self.is_method = function, is_method
        self.name = name or f"{function.__module__}:{function.__qualname__}"
        self.is_parallel = function.__code__.co_varnames[:2] == ("thread", "threads")
        self._entries: dict[Signature, int] = {}

    def __repr__(self) -> str:
        return f"<kernel {self.name}>"

    @functools.cached_property
    def recipe(self) -> str:
        """Where another process finds the kernel."""
        return json.dumps([self.function.__module__, self.function.__qualname__])

    @functools.cached_property
    def dispatcher(self) -> Any:
        """The same function under Numba's own dispatcher."""
        import numba

        _teach_numba()
        return numba.njit(nogil=True, error_model="numpy", boundscheck=False)(self.function)

    def __call__(self, *args: Any) -> Any:
        return self.dispatcher(*args)

    def entry(self, signature: Signature) -> int:
        """The address of the entry point for these argument types; compiled unless the cache has it."""
        with _lock:
            if signature not in self._entries:
                self._entries[signature] = _load(_object(self, signature))
            return self._entries[signature]

    def compile(self, signature: Signature) -> None:
        """Make sure that the cache has the entry point for these argument types, without loading it."""
        with _lock:
            _object(self, signature)

    def is_cached(self, signature: Signature) -> bool:
        """Whether entry() would not have to compile."""
        return signature in self._entries or os.path.exists(_path(self, signature))


def kernel(function: Callable[..., Any]) -> Kernel:
    """Make a Kernel of a function."""
    return Kernel(function)


def method(function: Callable[..., Any]) -> Kernel:
    """Make a Kernel of a function ``(int, int, int) -> int`` that is its own entry point."""
    return Kernel(function, is_method=True)


METHOD: Signature = ("int", "int", "int")


def family(make: Callable[P, Kernel]) -> Callable[P, Kernel]:
    """functools.cache for what makes kernels of numbers, words and Inlines: other processes can make them too."""

    @functools.cache
    def made(*args: P.args, **kwargs: P.kwargs) -> Kernel:
        kernel = make(*args, **kwargs)
        names = make.__code__.co_varnames[len(args) : make.__code__.co_argcount]
        arguments = *args, *(kwargs[name] for name in takewhile(kwargs.__contains__, names))
        kernel.recipe = json.dumps([make.__module__, make.__qualname__, arguments], default=_place)
        return kernel

    return functools.update_wrapper(made, make)  # type: ignore[return-value]


def find_kernel(recipe: str) -> Kernel | None:
    """The kernel of a recipe; None where int8rt has none, as for kernels of others and of other versions."""
    try:
        module, name, *arguments = json.loads(recipe)
        found = _named(module, name)
        if arguments:
            found = found(*(_named(*a) if isinstance(a, list) else a for a in arguments[0]))
    except (ImportError, AttributeError, LookupError, TypeError, ValueError):
        return None
    return found if isinstance(found, Kernel) and found.recipe == recipe else None


def _place(function: Inline) -> list[str]:
    """Where an Inline is found."""
    return [function.function.__module__, function.function.__qualname__]


def _named(module: str, name: str) -> Any:
    if module.partition(".")[0] != __package__:
        raise ImportError(f"{module} is not a part of {__package__}")
    return operator.attrgetter(name)(importlib.import_module(module))


class Inline:
    """A small function that kernels call; Numba compiles it into each of its callers. Callable from Python, plainly."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self.function = function

    @functools.cached_property
    def dispatcher(self) -> Any:
        """The function under Numba's dispatcher, which callers are compiled against."""
        import numba

        return numba.njit(error_model="numpy", boundscheck=False, _nrt=False, no_cpython_wrapper=True)(self.function)

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)


def inline(function: Callable[..., Any]) -> Inline:
    """Make an Inline of a function."""
    return Inline(function)


class Word:
    """A primitive that kernels call and that speaks LLVM: made by ``define(context)`` when Numba first needs it."""

    def __init__(self, define: Callable[..., Any]) -> None:
        functools.update_wrapper(self, define)
        self.define = define

    @functools.cached_property
    def intrinsic(self) -> Any:
        """The Numba intrinsic."""
        from numba.extending import intrinsic

        with _words_lock:
            for prepare in _before_words:
                prepare()
            _before_words.clear()
        return intrinsic(self.define)

    def __call__(self, *args: Any) -> Any:
        raise TypeError(f"{self.define.__name__} exists only inside kernels")


_before_words: list[Callable[[], None]] = []
_words_lock = threading.Lock()  # of its own: who comes here may hold Numba's lock, which holders of ours wait for


def before_words(prepare: Callable[[], None]) -> Callable[[], None]:
    """Have a function called once before a word is defined: one that imports what definitions need."""
    _before_words.append(prepare)
    return prepare


# Signatures and records


def signature(args: Iterable[Any]) -> Signature:
    """Argument types as strings: ``int8[4]`` for a four-dimensional array, ``int`` or ``float`` for a scalar."""
    return tuple(type_name(arg) for arg in args)


def type_name(arg: Any) -> str:
    """How a signature names the type of one argument."""
    if isinstance(arg, np.ndarray):
        if not arg.flags.c_contiguous:
            raise TypeError("kernels take C-contiguous arrays")
        return f"{dtype_name(arg.dtype)}[{arg.ndim}]"
    if isinstance(arg, (bool, int, np.integer, np.bool_)):
        return "int"
    if isinstance(arg, (float, np.floating)):
        return "float32" if isinstance(arg, np.float32) else "float"
    raise TypeError(f"kernels take arrays and numbers, not {type(arg).__name__}")


@functools.cache
def dtype_name(dtype: np.dtype) -> str:
    """The name of a dtype, which NumPy puts together each time it is asked."""
    return dtype.name


def pack(args: Iterable[Any]) -> np.ndarray:
    """The record of one call: arrays as address and shape, integers as int64, floats as the bits of a float64."""
    words: list[int] = []
    for arg in args:
        if isinstance(arg, np.ndarray):
            words += [address(arg), *arg.shape]
        elif isinstance(arg, (float, np.floating)):
            words.append(int(np.float64(arg).view(np.int64)))
        else:
            words.append(int(arg))
    return np.array(words or [0], np.int64)


def address(array: np.ndarray) -> int:
    """Where an array's data begin."""
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array.data))
    except (TypeError, ValueError):  # read-only, strided or empty: NumPy's own answer, which takes five times as long
        return int(array.__array_interface__["data"][0])


# Compiling


def _compile(kernel: Kernel, signature: Signature) -> dict[str, Any]:
    """Compile one entry point with Numba: {symbol, code, image, numba, recipe, signature}.

    code is an object file, image the same for ``loader``, or None. numba says whether loading needs Numba's symbols;
    the last two, what to compile for another version or CPU.
    """
    from numba.core import compiler, registry, types
    from numba.core.compiler_lock import global_compiler_lock

    _teach_numba()
    target = registry.cpu_target
    typing, context = target.typing_context, target.target_context
    flags = compiler.Flags()
    flags.nrt = False
    flags.error_model = "numpy"
    flags.no_compile = True  # the entry point joins the same module before it is optimized
    flags.no_cpython_wrapper = True
    flags.no_cfunc_wrapper = True
    flags.enable_pyobject = False
    arguments = tuple(_numba_type(name) for name in signature)
    if kernel.is_parallel:
        arguments = (types.int64, types.int64, *arguments)
    features = context.codegen()._tm_features
    if features != cpu_features():
        raise UnsupportedError(f"Numba compiles for the CPU features {features!r}, int8rt for {cpu_features()!r}")
    with global_compiler_lock:
        typing.refresh()
        context.refresh()
        returned = types.int64 if kernel.is_method else types.void
        result = compiler.compile_extra(typing, context, kernel.function, arguments, returned, flags, {})
        symbol = _symbol(kernel, signature)
        library = result.library
        if kernel.is_method:
            library.add_ir_module(_method_module(context, result.fndesc, symbol))
        else:
            library.add_ir_module(_entry_module(context, result.fndesc, kernel.is_parallel, signature, symbol))
        library.finalize()
        code = library.codegen._tm.emit_object(library._final_module)
        declared = {f.name for f in library._final_module.functions if f.is_declaration}
    foreign = {name for name in declared if not name.startswith("llvm.") and name not in _SYSTEM_SYMBOLS}
    about = {"recipe": kernel.recipe, "signature": signature}
    return {"symbol": symbol, "code": code, "image": _image(code, symbol), "numba": bool(foreign), **about}


def _image(code: bytes, symbol: str) -> loader.Image | None:
    """The object as ``loader`` takes it, if it can."""
    from int8rt import elf

    with contextlib.suppress(loader.LoadError):
        return elf.flatten(code, symbol, _SYSTEM_SYMBOLS)
    return None


def _symbol(kernel: Kernel, signature: Signature) -> str:
    """The name of an entry point, which no other kernel or signature has."""
    return "int8rt_" + _digest(repr((kernel.name, signature)).encode()).hex()[:24]


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


def _numba_type(name: str) -> Any:
    from numba.core import types

    if name == "int":
        return types.int64
    if name == "float":
        return types.float64
    if name == "float32":
        return types.float32
    dtype, ndim = name[:-1].split("[")
    from numba.np.numpy_support import from_dtype

    return types.Array(from_dtype(np.dtype(dtype)), int(ndim), "C")


def _entry_module(context: Any, fndesc: Any, is_parallel: bool, signature: Signature, symbol: str) -> Any:
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

    for name in signature:
        values.append(_unpack(context, builder, _numba_type(name), take))
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


def import_numba() -> None:
    """Import the compiler now, which takes as long as two or three kernels."""
    _teach_numba()


@functools.cache
def _teach_numba() -> None:
    """Let kernels mention Inline functions, Words and other Kernels as if they were Numba's own."""
    from numba.core import registry, types
    from numba.extending import typeof_impl

    typing = registry.cpu_target.typing_context

    @typeof_impl.register(Kernel)
    @typeof_impl.register(Inline)
    def typeof_function(value: Any, context: Any) -> Any:
        return types.Dispatcher(value.dispatcher)

    @typeof_impl.register(Word)
    def typeof_word(value: Any, context: Any) -> Any:
        intrinsic = value.intrinsic  # made before the refresh that lets typing know of it
        typing.refresh()
        return typing.resolve_value_type(intrinsic)


# Loading

_engines: list[Any] = []  # code lives as long as its engine


def _load(entry: dict[str, Any]) -> int:
    """The address of an entry point whose code is now in memory."""
    if entry["image"] is not None:
        with contextlib.suppress(loader.LoadError):
            return loader.load(entry["image"])
    return _load_by_llvm(entry)


def _load_by_llvm(entry: dict[str, Any]) -> int:
    """The same by LLVM's own loader, which knows every system and every object."""
    import llvmlite.binding as llvm

    if entry["numba"]:
        from numba.core import registry

        _ = registry.cpu_target.target_context  # registers Numba's runtime symbols with LLVM
    if "llvmlite.binding" in sys.modules and not _engines:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target_machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(entry["code"]))
    engine.finalize_object()
    _engines.append(engine)
    return int(engine.get_function_address(entry["symbol"]))


def target_machine() -> Any:
    """What LLVM makes code for: this CPU."""
    import llvmlite.binding as llvm

    target = llvm.Target.from_default_triple()
    return target.create_target_machine(
        cpu=cpu_name(), features=cpu_features(), opt=3, reloc="default", codemodel="jitdefault", jit=True
    )


@functools.cache
def cpu_name() -> str:
    """The CPU that kernels are compiled for; ``NUMBA_CPU_NAME`` overrides the one found."""
    return os.environ.get("NUMBA_CPU_NAME") or _host().name


@functools.cache
def cpu_features() -> str:
    """The features that Numba gives to LLVM, ``+avx2,-avx512f,...``, found as it finds them but without importing it.

    ``NUMBA_CPU_FEATURES`` replaces those of this CPU, ``NUMBA_ENABLE_AVX=0`` takes away every kind of AVX.
    """
    given = os.environ.get("NUMBA_CPU_FEATURES")
    if given is not None:
        return given
    if os.environ.get("NUMBA_CPU_NAME", "").lower() == "generic":
        return ""
    features = _host().features
    if not int(os.environ.get("NUMBA_ENABLE_AVX") or cpu_name() not in _CPUS_WITHOUT_AVX):
        features = re.sub(r"\+avx", "-avx", features)
    return features


class _Host(NamedTuple):
    """This CPU, as LLVM sees it."""

    name: str
    features: str  # +avx2,-avx512f,... in the order of the alphabet; empty where LLVM does not know the CPU


@functools.cache
def _host() -> _Host:
    """LLVM's view of this CPU, kept in the cache: importing llvmlite takes as long as a quarter of a warm start.

    It decides which instructions are used. So a file of another CPU or LLVM has another name and says another key, and
    what does not look as it should is asked for again.
    """
    identity = host.identity(_version("llvmlite"))
    if identity is None:
        return _ask_llvm()
    key = _digest(identity.encode()).hex()
    path = os.path.join(_cache_base(), f"cpu-{key[:20]}")
    known = _read(path) or {}
    found = _Host(str(known.get("name")), str(known.get("features")))
    if known.get("cpu") == key and _CPU_NAME(found.name) and _CPU_FEATURES(found.features):
        return found
    found = _ask_llvm()
    _write(path, {"cpu": key, **found._asdict(), "code": b""})
    return found


_CPU_NAME = re.compile(r"[\w.+-]+").fullmatch
_CPU_FEATURES = re.compile(r"([+-][\w.-]+(,[+-][\w.-]+)*)?").fullmatch


def _ask_llvm() -> _Host:
    import llvmlite.binding as llvm

    try:
        features = str(llvm.get_host_cpu_features().flatten())
    except RuntimeError:  # LLVM does not know this CPU
        features = ""
    return _Host(str(llvm.get_host_cpu_name()), features)


# Where Numba does not trust AVX (numba.core.config.avx_default)
_CPUS_WITHOUT_AVX = ("corei7-avx", "core-avx-i", "sandybridge", "ivybridge", "nocona")


# The cache of object files


def _object(kernel: Kernel, signature: Signature) -> dict[str, Any]:
    path = _path(kernel, signature)
    entry = _read(path)
    if entry is None or entry["symbol"] != _symbol(kernel, signature):
        entry = _compile(kernel, signature)
        _write(path, entry)
    return entry


def _path(kernel: Kernel, signature: Signature) -> str:
    name = re.sub(r"\W+", "_", kernel.name.split(":")[-1])[:60]
    key = _digest(repr((kernel.name, signature, _foreign_source(kernel))).encode()).hex()[:20]
    return os.path.join(_folder(), f"{name}-{key}.o")


def _foreign_source(kernel: Kernel) -> bytes:
    """The code of a kernel that is not int8rt's own, whose sources the fingerprint does not cover."""
    if kernel.function.__module__.partition(".")[0] == __package__:
        return b""
    code = kernel.function.__code__
    return code.co_code + repr((code.co_consts, code.co_names)).encode()


def _read(path: str | Path) -> dict[str, Any] | None:
    """The entry that a file holds: checksum, a line of JSON, image, object. None where it is missing or damaged."""
    try:
        with open(path, "rb", buffering=0) as file:
            content = file.read()
    except OSError:
        return None
    digest, body = content[:32], content[32:]
    if _digest(body) != digest:
        return None
    line, _, code = body.partition(b"\n")
    try:
        header = json.loads(line)
        if header.get("image"):
            machine, size, start, fixups = header["image"]
            header["image"] = loader.Image(machine, code[:size], start, tuple(map(tuple, fixups)))
            code = code[size:]
    except (AttributeError, TypeError, ValueError):  # of a version that writes other entries
        return None
    return {**header, "code": code}


def _write(path: str | Path, entry: dict[str, Any]) -> None:
    import tempfile

    image = entry.get("image")
    header = {key: value for key, value in entry.items() if key != "code"}
    if image is not None:
        header["image"] = image._replace(code=len(image.code))
    body = json.dumps(header).encode() + b"\n" + (image.code if image is not None else b"") + entry["code"]
    temporary = None
    folder, name = os.path.split(path)
    try:
        os.makedirs(folder, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=os.path.splitext(name)[0])
        with os.fdopen(handle, "wb") as file:
            file.write(_digest(body) + body)
        os.replace(temporary, path)
    except OSError:  # a cache that cannot be written costs time, nothing else
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


@functools.cache
def cache_folder() -> Path:
    """Where compiled code is kept, if it can be written: in ``INT8RT_CACHE_DIR`` or in the user's cache folder.

    One that is read-only is read. There is no fallback to a temporary folder, where other users could plant code.
    """
    from pathlib import Path

    return Path(_folder())


@functools.cache
def _folder() -> str:
    return os.path.join(_cache_base(), fingerprint())


def other_folders() -> list[Path]:
    """Beside our own: the folders of other versions of int8rt, Python and Numba, and of other CPUs."""
    try:
        beside = sorted(cache_folder().parent.iterdir())
    except OSError:
        return []
    is_ours = re.compile(r"[0-9a-f]{20}").fullmatch
    return [p for p in beside if is_ours(p.name) and p != cache_folder() and p.is_dir() and not p.is_symlink()]


def recorded(folder: Path) -> set[tuple[str, Signature]]:
    """The recipe and the argument types of every entry in a folder."""
    entries = filter(None, map(_read, folder.glob("*.o")))
    return {(e["recipe"], tuple(e["signature"])) for e in entries if "recipe" in e and "signature" in e}


def _cache_base() -> str:
    given = os.environ.get("INT8RT_CACHE_DIR")
    if given:
        return given
    if sys.platform == "win32":
        root = os.environ.get("LOCALAPPDATA")
    elif sys.platform == "darwin":
        root = os.path.expanduser("~/Library/Caches")
    else:
        root = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(root if root and not root.startswith("~") else os.devnull, "int8rt")


def _digest(content: bytes) -> bytes:
    """A checksum that tells contents apart."""
    return blake2b(content, digest_size=32).digest()


def _hash_of_sources() -> str:
    """A hash of the contents of all sources, kept for as long as the system says that no file has changed.

    A change of a file changes the time of its last change, unless the one before was but a moment ago.
    """
    files = sorted(_files_below(os.path.dirname(__file__)))
    stamp = _digest(repr(files).encode()).hex()
    path = os.path.join(_cache_base(), f"sources-{stamp[:20]}")
    known = (_read(path) if os.name == "posix" else None) or {}
    if known.get("stamp") == stamp:
        return str(known["hash"])
    found = blake2b()
    for name, *_ in files:
        with open(name, "rb", buffering=0) as file:
            found.update(os.path.basename(name).encode() + file.read())
    if os.name == "posix" and files and max(changed for *_, changed in files) < time.time_ns() - _MOMENT:
        _write(path, {"stamp": stamp, "hash": found.hexdigest(), "code": b""})
    return found.hexdigest()


_MOMENT = 2 * 10**9  # nanoseconds: file systems count time in steps of up to so much


def _files_below(folder: str) -> list[tuple[str, int, int, int, int]]:
    """The sources in a folder and in those below: path, number, size, and when content and file were changed."""
    found: list[tuple[str, int, int, int, int]] = []
    try:
        entries = list(os.scandir(folder))
    except OSError:  # no folder: a package in an archive has no files
        return found
    for entry in entries:
        if entry.name.endswith(".py"):
            s = entry.stat()
            found.append((entry.path, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns))
        elif entry.is_dir(follow_symlinks=False):
            found += _files_below(entry.path)
    return found


# Now, before kernels are imported: code that is edited later must not be filed under what it was edited to.
_sources = _hash_of_sources()


def _version(package: str) -> str:
    """What tells one version of Numba or llvmlite from another; importlib.metadata takes 15 ms to import."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    try:
        with open(os.path.join(os.path.dirname(spec.origin), "_version.py"), encoding="utf-8") as file:
            return file.read()
    except OSError:
        from importlib.metadata import version

        return version(package)


@functools.cache
def fingerprint() -> str:
    """A hash of all that decides what compiled code looks like."""
    versions = _version("numba"), _version("llvmlite"), np.__version__
    target = platform.python_version(), platform.machine(), cpu_name(), cpu_features()
    return _digest(repr((_sources, versions, target)).encode()).hex()[:20]


# Calling


def native(kernel: Kernel, signature: Signature) -> Callable[..., None]:
    """The entry point as a ctypes function ``(record, thread, threads)``; it releases the GIL."""
    prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    return prototype(kernel.entry(signature))


def run(kernel: Kernel, *args: Any) -> None:
    """Call a kernel once by its entry point, on one thread."""
    native(kernel, signature(args))(ctypes.c_void_p(address(pack(args))), 0, 1)
