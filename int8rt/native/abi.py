"""How compiled code takes its arguments: signatures, and argument blocks of 64-bit words."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from int8rt.memory import address
from int8rt.native.files import digest

Signature = tuple[str, ...]
METHOD: Signature = ("int", "int", "int")


def signature_of(args: Iterable[Any]) -> Signature:
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


def first_words(names: Sequence[str], signature: Signature) -> dict[str, int]:
    """Where each argument begins in an argument block of that signature, by name: the number of its first word."""
    if len(names) != len(signature):
        raise TypeError(f"{len(names)} parameters, {', '.join(names)}, and {len(signature)} types")
    return dict(zip(names, accumulate(map(_words, signature), initial=0)))


def _words(name: str) -> int:
    """How many words an argument of the type takes that a signature names so."""
    return 1 + int(name[name.index("[") + 1 : -1]) if name.endswith("]") else 1


def symbol(name: str, signature: Signature) -> str:
    """The name of a kernel's entry point, which no other kernel or signature has."""
    return "int8rt_" + digest(repr((name, signature)).encode()).hex()[:24]


def numba_type(name: str) -> Any:
    """The type of Numba that a signature means."""
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
