"""A run as a built-in function: from NumPy arrays to NumPy arrays with no Python in between.

Through ctypes and a few layers of Python a call takes longer than the smallest models run. So there is one compiled
function which Python calls the way it calls ``len``: it looks at the arguments, lets the GIL go, walks the table of
calls, and makes arrays of the outputs. Where an argument is not exactly what the model declares, it runs nothing and
gives None, and the caller goes the long way, which knows what to do or to say. Where a kernel found a fault in the
values, it raises what ``raise_faults`` does.

It reads NumPy's arrays at the places that NumPy's C interface has promised since 1.7. They are looked for before the
first use (``is_supported``), and where Python is not CPython, or has no GIL, there is no such function.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from int8rt.errors import InputError
from int8rt.memory import address
from int8rt.native.abi import METHOD
from int8rt.native.entries import entry_point
from int8rt.native.kernel import inline, method
from int8rt.simd.threads import call, invoke, put_word, word_at
from int8rt.steps import Fault

WORD = 8  # bytes

# Where an object has its type, and an array its fields (``PyArrayObject_fields``)
TYPE, DATA, RANK, SHAPE, DTYPE, FLAGS = 8, 16, 24, 32, 56, 64
LOW_HALF = 0xFFFFFFFF  # of a word that holds two int32
C_CONTIGUOUS = 1

# Where the words that ``bind`` makes have what a function knows
(
    INPUTS, OUTPUTS, FAULTS,  # how many of each
    INPUT_PLACES, INPUT_FORMS, OUTPUT_COPIES, FAULT_PLACES,  # addresses of lists
    RUN, BLOCK,  # run_table and its argument block
    ARRAY_TYPE, NONE, RAISE,
    RELEASE, ACQUIRE, CALL, NEW_TUPLE, SET_ITEM, INCREF, DECREF,  # functions of Python, as in _PYTHON
) = range(0, 19 * WORD, WORD)  # fmt: skip
_PYTHON = (
    "PyEval_SaveThread", "PyEval_RestoreThread", "PyObject_CallNoArgs", "PyTuple_New", "PyTuple_SetItem",
    "Py_IncRef", "Py_DecRef",
)  # fmt: skip
FORM_DTYPE, FORM_RANK, FORM_SHAPE, FORM = range(0, 4 * WORD, WORD)  # where a form has what it has, and its size
PLACE = 4 * WORD  # the size of a row of run_table's ports, which begins with the caller's address


@method
def call_arrays(me: int, args: int, count: int) -> int:
    """``function(*arrays)`` by the convention METH_FASTCALL; me is the array of words that ``bind`` makes."""
    words = word_at(me + DATA)
    if not _fit(words, args, count):
        return _none(words)
    places = word_at(words + INPUT_PLACES)
    for i in range(count):
        put_word(places + PLACE * i, word_at(word_at(args + WORD * i) + DATA))
    state = invoke(word_at(words + RELEASE), 0, 0, 0)
    call(word_at(words + RUN), word_at(words + BLOCK), 0, 1)
    invoke(word_at(words + ACQUIRE), state, 0, 0)
    for i in range(word_at(words + FAULTS)):
        if word_at(word_at(word_at(words + FAULT_PLACES) + WORD * i)) != 0:
            return invoke(word_at(words + CALL), word_at(words + RAISE), 0, 0)
    return _outputs(words)


@inline
def _fit(words: int, args: int, count: int) -> bool:
    """Whether the arguments are C-contiguous arrays of the declared shapes and types."""
    if count != word_at(words + INPUTS):
        return False
    for i in range(count):
        array, form = word_at(args + WORD * i), word_at(words + INPUT_FORMS) + FORM * i
        if word_at(array + TYPE) != word_at(words + ARRAY_TYPE) or word_at(array + DTYPE) != word_at(form + FORM_DTYPE):
            return False
        rank = word_at(array + RANK) & LOW_HALF
        if rank != word_at(form + FORM_RANK) or word_at(array + FLAGS) & C_CONTIGUOUS == 0:
            return False
        for axis in range(rank):
            if word_at(word_at(array + SHAPE) + WORD * axis) != word_at(word_at(form + FORM_SHAPE) + WORD * axis):
                return False
    return True


@inline
def _outputs(words: int) -> int:
    """A new array, or a tuple of new arrays; 0 where Python has raised an error."""
    copies, count = word_at(words + OUTPUT_COPIES), word_at(words + OUTPUTS)
    if count == 1:
        return invoke(word_at(words + CALL), word_at(copies), 0, 0)
    result = invoke(word_at(words + NEW_TUPLE), count, 0, 0)
    for i in range(count):
        array = invoke(word_at(words + CALL), word_at(copies + WORD * i), 0, 0) if result != 0 else 0
        if array != 0:
            invoke(word_at(words + SET_ITEM), result, i, array)
        elif result != 0:
            invoke(word_at(words + DECREF), result, 0, 0)
            result = 0
    return result


@inline
def _none(words: int) -> int:
    """None, for which the caller looks elsewhere."""
    none = word_at(words + NONE)
    invoke(word_at(words + INCREF), none, 0, 0)
    return none


# What a run found


Faults = Sequence[tuple[Fault, np.ndarray]]  # int64 [2] each: whether there was one, the value


def raise_faults(faults: Faults) -> None:
    """Raise InputError where kernels found values out of range; what they computed is not to be used."""
    found = [(fault, int(words[1])) for fault, words in faults if words[0]]
    for _, words in faults:
        words[0] = 0
    if found:
        raise InputError("; ".join(fault.message.format(value) for fault, value in found))


# Making such functions


class _MethodDef(ctypes.Structure):
    """Python's PyMethodDef."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    ]


METH_FASTCALL = 0x80


class _Words(np.ndarray):
    """What ``call_arrays`` knows, an array of words; it keeps alive what they mention."""

    kept: Any


def bind(
    run: int, block: int, places: np.ndarray, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray],
    faults: Faults, keep: Any,
) -> Callable[..., Any] | None:  # fmt: skip
    """A function of arrays that have the inputs' shapes and types; it gives copies of the outputs, or None.

    run, block: run_table's entry point and the address of its argument block, whose ports ``places`` are those of the
    inputs. keep: what must live as long as the function. One thread at a time may call it. None where there are no such
    functions here.
    """
    if not is_supported():
        return None
    dtypes = [x.dtype for x in inputs]
    shapes = [np.array([*x.shape, 0], np.int64) for x in inputs]
    copies = [y.copy for y in outputs]
    lists = (
        places,
        np.array([*((id(d), x.ndim, address(s)) for x, d, s in zip(inputs, dtypes, shapes)), (0, 0, 0)], np.int64),
        np.array([*map(id, copies), 0], np.int64),
        np.array([*(address(found) for _, found in faults), 0], np.int64),
    )
    fail = functools.partial(raise_faults, faults)
    counts = len(inputs), len(outputs), len(faults)
    known = (*counts, *map(address, lists), run, block, id(np.ndarray), id(None), id(fail), *_functions())
    words = np.array(known, np.int64).view(_Words)
    words.kept = dtypes, shapes, copies, lists, faults, fail, keep  # a new object might lie where one of these was
    function: Callable[..., Any] = ctypes.pythonapi.PyCFunction_NewEx(ctypes.byref(_definition()), words, None)
    return function


@functools.cache
def _functions() -> tuple[int, ...]:
    """The addresses of Python's own functions."""
    return tuple(ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0 for name in _PYTHON)


@functools.cache
def _definition() -> _MethodDef:
    """What Python has to know of ``call_arrays``; functions refer to it for ever."""
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
    return _MethodDef(b"call_arrays", entry_point(call_arrays, METHOD), METH_FASTCALL, None)


@functools.cache
def is_supported() -> bool:
    """Whether Python and NumPy keep things where ``call_arrays`` reads them."""
    if sys.implementation.name != "cpython" or not getattr(sys, "_is_gil_enabled", lambda: True)():
        return False
    if object.__basicsize__ != DATA or not all(hasattr(ctypes.pythonapi, name) for name in _PYTHON):
        return False
    return all(map(_is_laid_out, (np.zeros((3, 5), np.int16), np.zeros((4, 2), np.uint8).T)))


def _is_laid_out(array: np.ndarray) -> bool:
    """Whether this array's fields are where they are expected."""

    def word(place: int) -> int:
        return ctypes.c_int64.from_address(place).value

    fields = (TYPE, id(type(array))), (DATA, address(array)), (DTYPE, id(array.dtype))
    return (
        all(word(id(array) + at) == value for at, value in fields)
        and word(id(array) + RANK) & LOW_HALF == array.ndim
        and tuple(word(word(id(array) + SHAPE) + WORD * axis) for axis in range(array.ndim)) == array.shape
        and bool(word(id(array) + FLAGS) & C_CONTIGUOUS) == array.flags.c_contiguous
    )
