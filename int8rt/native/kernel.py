"""What kernels are made with: the decorators, and what they make.

A kernel is a Python function that Numba compiles for given argument types. It is called in two ways:

* from Python, ``add(x, y, out)``, as tests do; Numba dispatches on the types of the arguments;
* from a Program, through an **entry point** (``entries``), which takes the arguments from an argument block (``abi``).

A **kernel factory** makes the kernels of one kind: a function of numbers, strings and Inlines that gives a kernel.

Nothing is compiled, and Numba not imported, until a kernel is used.
"""

from __future__ import annotations

import functools
import importlib
import json
import operator
from collections.abc import Callable
from types import FunctionType, MappingProxyType
from typing import Any, ParamSpec

from int8rt.arguments import shown
from int8rt.errors import InputError
from int8rt.native import fingerprint as fingerprint  # hashes the sources now, before kernels are imported
from int8rt.native.abi import Signature

P = ParamSpec("P")


class Kernel:
    """A function for Numba with an entry point per list of argument types; makes nothing until it is used.

    A function whose first two parameters are ``thread, threads`` may share its work: it is called once per
    thread. Any other runs on one thread while the others wait.

    A parameter annotated with a NamedTuple of arrays and numbers takes several arguments, one per field in its order: a
    Call passes them unpacked, ``*sizes``, and the function says ``sizes.rows``.

    A method has three integers as arguments, gives one, and needs no argument block:
    ``int64 (int64, int64, int64)`` is what Python calls as a built-in function.

    ``name`` tells the kernel from every other of int8rt, ``label`` tells people which one it is. ``recipe`` says in
    JSON where another process finds it: [module, name], and the arguments where a kernel factory makes it.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        name: str | None = None,
        is_method: bool = False,
        label: str | None = None,
        recipe: str | None = None,
    ) -> None:
        functools.update_wrapper(self, function)
        self.function, self.is_method = function, is_method
        self.name = name or f"{function.__module__}:{function.__qualname__}"
        self.label = label or function.__qualname__
        self.recipe = recipe or f'["{function.__module__}", "{function.__qualname__}"]'
        self.is_parallel = function.__code__.co_varnames[:2] == ("thread", "threads")
        self.entries: dict[Signature, int] = {}  # addresses of entry points in memory

    def __repr__(self) -> str:
        return f"<kernel {self.name}>"

    @functools.cached_property
    def dispatcher(self) -> Any:
        """The same function under Numba's own dispatcher."""
        import numba

        teach_numba()
        return numba.njit(nogil=True, error_model="numpy", boundscheck=False)(self.function)

    def __call__(self, *args: Any) -> Any:
        return self.dispatcher(*args)


def kernel(function: Callable[..., Any]) -> Kernel:
    """Make a Kernel of a function. Raises InputError for what is none that Python code defines."""
    return Kernel(_defined(function, "kernel"))


def _defined(function: Callable[..., Any], what: str) -> Callable[..., Any]:
    """The function itself, if it has Python code, which is what Numba compiles. Raises InputError."""
    if not isinstance(function, FunctionType):
        raise InputError(f"{what} takes a function defined in Python, found {shown(function)}")
    return function


def method(function: Callable[..., Any]) -> Kernel:
    """Make a Kernel of a function ``(int, int, int) -> int`` that is its own entry point."""
    return Kernel(function, is_method=True)


def kernel_factory(make: Callable[P, Kernel]) -> Callable[P, Kernel]:
    """A function that makes a kernel of numbers, strings, None and Inlines becomes one that makes it once.

    All arguments, defaults among them, are in the kernel's name, so that no two kernels share one, and in its recipe,
    so that other processes can make it too. Raises InputError for what is no function; what it makes raises TypeError
    where an argument is of another type.
    """
    _defined(make, "kernel_factory")

    @functools.lru_cache(maxsize=None, typed=True)  # 1 and True are different arguments
    def made(*args: Any) -> Kernel:
        function = make(*args).function  # type: ignore[call-arg]
        place, arguments = f"{make.__module__}:{make.__qualname__}", json.dumps(args, default=_place)
        label = f"{function.__name__}[{', '.join(getattr(a, '__name__', str(a)) for a in args)}]"
        recipe = f'["{make.__module__}", "{make.__qualname__}", {arguments}]'
        return Kernel(function, place + arguments, label=label, recipe=recipe)

    @functools.wraps(make)
    def factory(*args: P.args, **kwargs: P.kwargs) -> Kernel:
        if kwargs or len(args) != make.__code__.co_argcount:
            import inspect

            bound = inspect.signature(make).bind(*args, **kwargs)
            bound.apply_defaults()
            return made(*bound.args)
        return made(*args)

    return factory


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


def _place(function: Any) -> list[str]:
    """Where an Inline is found. Those of others are told apart by what they hold (``foreign``)."""
    if not isinstance(function, Inline):
        raise TypeError(f"kernels are made of numbers, strings and Inlines, not of {type(function).__name__}")
    module, name = function.function.__module__, function.function.__qualname__
    if "<locals>" in name and module.partition(".")[0] == "int8rt":
        raise TypeError(f"{module}:{name} stands in a function, and others may have its name")
    return [module, name]


def _named(module: str, name: str) -> Any:
    if module.partition(".")[0] != "int8rt":
        raise ImportError(f"{module} is not a part of int8rt")
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
    """Make an Inline of a function. Raises InputError for what is none that Python code defines."""
    return Inline(_defined(function, "inline"))


class Stage(Inline):
    """An Inline that Numba takes into its callers before types are known, so that it costs nothing by itself.

    Compiling it costs less too; an Inline with loops or many callers is better compiled once.
    """

    targetoptions = MappingProxyType({"inline": "always"})  # what Numba asks a function that it compiled

    @property
    def py_func(self) -> Callable[..., Any]:
        """The function, by the name that Numba asks for."""
        return self.function


def stage(function: Callable[..., Any]) -> Stage:
    """Make a Stage of a function."""
    return Stage(function)


class Intrinsic:
    """A primitive that kernels call and that emits LLVM IR; ``simd.intrinsics`` says how one is declared.

    ``emit(builder, ...)`` has the intrinsic's parameters. Nothing is made until Numba meets it in a kernel.
    """

    __name__: str

    def __init__(self, emit: Callable[..., Any]) -> None:
        functools.update_wrapper(self, emit)
        self.emit = emit

    def define(self, *given: Any) -> Any:
        """Numba's signature for arguments of the given types, and what emits the code."""
        raise NotImplementedError

    @functools.cached_property
    def intrinsic(self) -> Any:
        """The Numba intrinsic."""
        import inspect

        from numba.extending import intrinsic

        def define(typing: Any, *given: Any) -> Any:  # typing takes the place of builder
            return self.define(*given)

        define.__name__ = self.__name__
        define.__signature__ = inspect.signature(self.emit)  # type: ignore[attr-defined]
        return intrinsic(define)

    def __call__(self, *args: Any) -> Any:
        raise TypeError(f"{self.__name__} exists only inside kernels")


@functools.cache
def teach_numba() -> None:
    """Let kernels mention Inline functions, Intrinsics and other Kernels as if they were Numba's own.

    This imports the compiler, which takes as long as to compile two or three kernels.
    """
    from numba.core import registry, types
    from numba.extending import typeof_impl

    typing = registry.cpu_target.typing_context

    @typeof_impl.register(Kernel)
    @typeof_impl.register(Inline)
    def typeof_function(value: Any, context: Any) -> Any:
        return types.Dispatcher(value.dispatcher)

    @typeof_impl.register(Intrinsic)
    def typeof_intrinsic(value: Any, context: Any) -> Any:
        intrinsic = value.intrinsic  # made before the refresh that lets typing know of it
        typing.refresh()
        return typing.resolve_value_type(intrinsic)
