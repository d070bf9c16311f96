"""How compiled code takes its arguments: signatures and argument blocks.

A **signature** names the type of every argument. An **argument block** holds the arguments of one call in their order,
as 64-bit words: of an array its address and its shape, an integer as int64, a float as the bits of a float64. The entry
point that ``compiler`` adds to a kernel takes them from there.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from int8rt.errors import InconsistentNode
from int8rt.memory import address
from int8rt.native.files import digest

Signature = tuple[str, ...]
METHOD: Signature = ("int", "int", "int")  # of every method (``kernel.method``)


def signature_of(args: Iterable[Any]) -> Signature:
    """Argument types as strings: ``int8[4]`` for a four-dimensional array, ``int`` or ``float`` for a number."""
    return tuple(type_name(arg) for arg in args)


def type_name(arg: Any) -> str:
    """How a signature names the type of one argument. Raises TypeError for what kernels do not take."""
    if isinstance(arg, np.ndarray):
        if not arg.flags.c_contiguous:
            raise TypeError("kernels take C-contiguous arrays")
        return _array_name(arg.dtype, arg.ndim)
    if isinstance(arg, (bool, int, np.integer, np.bool_)):
        return "int"
    if isinstance(arg, (float, np.floating)):
        return "float32" if isinstance(arg, np.float32) else "float"
    raise TypeError(f"kernels take arrays and numbers, not {type(arg).__name__}")


@functools.cache
def _array_name(dtype: np.dtype, ndim: int) -> str:
    return f"{dtype_name(dtype)}[{ndim}]"


@functools.cache
def dtype_name(dtype: np.dtype) -> str:
    """The name of a dtype, which NumPy puts together each time it is asked."""
    return dtype.name


def argument_block(args: Sequence[Any], signature: Signature) -> np.ndarray:
    """The argument block of one call, int64 [words], for an entry point that was compiled for that signature.

    An entry point takes as many words as its signature says, whatever the block has. Raises InconsistentNode where an
    argument is of another type, or an array of another rank, than the signature names, and for integers that no word
    holds.
    """
    given = signature_of(args)
    if given != signature:
        raise InconsistentNode(f"arguments of types {', '.join(given)}; {', '.join(signature)} were expected")
    try:
        return pack(args)
    except OverflowError as error:
        raise InconsistentNode(f"arguments {[a for a in args if not isinstance(a, np.ndarray)]}: {error}") from None


def pack(args: Iterable[Any]) -> np.ndarray:
    """The words of some arguments, int64 [words]; their arrays must live as long as the words are used."""
    words: list[int] = []
    for arg in args:
        if isinstance(arg, np.ndarray):
            words += [address(arg), *arg.shape]
        elif isinstance(arg, (float, np.floating)):
            words.append(int(np.float64(arg).view(np.int64)))
        else:
            words.append(int(arg))
    return np.array(words or [0], np.int64)  # of at least one word: even an empty block has an address


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
