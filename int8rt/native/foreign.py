"""What the code of a kernel from outside the package depends on, for its place in the cache.

The fingerprint covers int8rt's own sources and the versions of Python, NumPy and Numba. A foreign kernel is compiled
from more: Numba freezes every value that its functions refer to. So all of them are described, from the kernel's
function on: bytecode and constants, defaults, variables closed over, globals, attributes of modules, and the same of
the functions among them. A description has no addresses and no order of sets: it is the same in every process.

Values of a kind that is not known here are not guessed. A kernel that refers to one is not kept in the cache.
"""

from __future__ import annotations

import builtins
import dis
import operator
import sys
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from int8rt.native.files import digest
from int8rt.native.kernel import Inline, Kernel

# Packages whose versions the fingerprint covers, and modules of Python that Numba knows.
_COVERED = {"int8rt", "numpy", "numba", "llvmlite", "builtins", "math", "cmath", "operator", "_operator"}
_CONSTANTS = (type(None), type(...), bool, int, str, bytes)


class _UnknownError(Exception):
    """A value of a kind that is not known here."""


# By function: what it referred to when it was described first. Numba may have compiled it then, and may use that again.
_first: dict[FunctionType, Any] = {}


def content(kernel: Kernel) -> bytes | None:
    """A digest of all that a kernel's code depends on beside the fingerprint; None where that cannot be known."""
    order: list[Any] = [kernel.function]
    descriptions = []
    try:
        for function in order:  # which grows meanwhile
            description = _function(function)
            if _first.setdefault(function, description) != description and function is not kernel.function:
                return None
            descriptions.append(_numbered(description, order))
    except _UnknownError:
        return None
    return digest(repr((kernel.is_method, descriptions)).encode())


def _numbered(description: Any, order: list[Any]) -> Any:
    """A description with functions as numbers: their places in the order in which they were met."""
    if isinstance(description, tuple):
        return tuple(_numbered(part, order) for part in description)
    if isinstance(description, FunctionType):
        if description not in order:
            order.append(description)
        return order.index(description)
    return description


def _function(function: FunctionType) -> tuple[Any, ...]:
    """What one function depends on; other functions are mentioned as themselves."""
    defaults = _value(function.__defaults__), _pairs(function.__kwdefaults__ or {})
    try:
        closed_over = tuple(_value(cell.cell_contents) for cell in function.__closure__ or ())
    except ValueError as error:
        raise _UnknownError("a variable without a value") from error
    if _is_covered(function.__module__):  # and so is what its globals mean
        return ("covered", function.__module__, _code(function.__code__), defaults, closed_over)
    codes = list(_codes(function.__code__))
    if any(i.opname == "IMPORT_NAME" for code in codes for i in dis.get_instructions(code)):
        raise _UnknownError("an import")
    attributes = sorted({name for code in codes for name in code.co_names})
    names = sorted({i.argval for code in codes for i in dis.get_instructions(code) if i.opname in _READS_GLOBAL})
    values = tuple((name, _global(function, name, attributes)) for name in names)
    return ("code", _code(function.__code__), defaults, closed_over, values, _groups(function))


_READS_GLOBAL = ("LOAD_GLOBAL", "LOAD_NAME")


def _codes(code: CodeType) -> Iterator[CodeType]:
    """A code object and those of the functions that stand in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _code(code: CodeType) -> tuple[Any, ...]:
    """What a code object does, not where it stands."""
    names = code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
    counts = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags
    constants = tuple(_code(c) if isinstance(c, CodeType) else _value(c) for c in code.co_consts)
    return (code.co_code, getattr(code, "co_exceptiontable", b""), names, counts, constants)


def _global(function: FunctionType, name: str, attributes: list[str]) -> Any:
    """What a name means in a function; of a module, only attributes that the function could mean."""
    if name in function.__globals__:
        return _module_or_value(function.__globals__[name], attributes)
    if name == "getattr":
        raise _UnknownError("the name of an attribute may be computed")
    return ("builtin", name, hasattr(builtins, name))


def _module_or_value(value: Any, attributes: list[str]) -> Any:
    if not isinstance(value, ModuleType):
        return _value(value)
    if _is_covered(value.__name__):
        return ("module", value.__name__)
    used = [name for name in attributes if hasattr(value, name)]
    return ("module", tuple((name, _module_or_value(getattr(value, name), attributes)) for name in used))


def _groups(function: FunctionType) -> tuple[Any, ...]:
    """The named tuples that take several arguments each (``compiler.parameter_types``)."""
    groups = ((name, function.__globals__.get(g, g)) for name, g in function.__annotations__.items())
    return tuple((name, _value(group)) for name, group in groups if hasattr(group, "_fields"))


def _value(value: Any) -> Any:
    """A value that a function refers to."""
    kind = type(value)
    if kind in _CONSTANTS:
        return (kind.__name__, value)
    if kind in (float, complex):
        return (kind.__name__, np.array(value).tobytes())
    if kind is tuple:
        return ("tuple", *map(_value, value))
    if kind is frozenset:
        return ("frozenset", *sorted((_value(v) for v in value), key=repr))
    if isinstance(value, (Inline, Kernel)):
        return (kind.__name__, value.function)
    if isinstance(value, (np.ndarray, np.generic, np.dtype)):
        return _of_numpy(value)
    if _is_covered(kind.__module__) and isinstance(getattr(value, "py_func", None), FunctionType):
        signatures = () if value._can_compile else tuple(map(str, value.nopython_signatures))
        return ("dispatcher", _pairs(value.targetoptions), _pairs(value.locals), signatures, value.py_func)
    if isinstance(value, type) and issubclass(value, tuple) and hasattr(value, "_fields"):
        defaults = _pairs(getattr(value, "_field_defaults", {}))
        return ("named tuple", value.__module__, value.__qualname__, value._fields, defaults)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return (_value(kind), *map(_value, value))
    return ("name", *_name(value))


def _pairs(values: dict[str, Any]) -> tuple[Any, ...]:
    return tuple((name, _value(values[name])) for name in sorted(values))


def _of_numpy(value: Any) -> tuple[Any, ...]:
    """An array, a number or a data type."""
    dtype: np.dtype = value if isinstance(value, np.dtype) else value.dtype
    if dtype.hasobject or type(value) not in (np.ndarray, type(dtype), dtype.type):
        raise _UnknownError(f"{type(value)} of {dtype}")
    form = repr((dtype.str, dtype.descr if dtype.names else None, dtype.itemsize, dtype.isalignedstruct, dtype.shape))
    if isinstance(value, np.dtype):
        return ("dtype", form)
    array = np.asarray(value)
    layout = array.shape, array.flags.c_contiguous, array.flags.f_contiguous, array.flags.writeable, array.flags.aligned
    return (type(value).__name__, form, layout, digest(array.tobytes()))


def _name(value: Any) -> tuple[str, str]:
    """Where something is found that the fingerprint covers."""
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", getattr(value, "__name__", None))
    if isinstance(value, np.ufunc):
        module = "numpy"
    if not isinstance(module, str) or not isinstance(name, str) or not _is_covered(module):
        raise _UnknownError(repr(value))
    try:
        found = operator.attrgetter(name)(sys.modules[module])
    except (KeyError, AttributeError) as error:
        raise _UnknownError(repr(value)) from error
    if found is not value:
        raise _UnknownError(repr(value))
    return module, name


def _is_covered(module: Any) -> bool:
    """Whether the fingerprint covers a module, by its name."""
    return isinstance(module, str) and module.partition(".")[0] in _COVERED
